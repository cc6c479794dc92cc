//! Packets in, packets and rows out: the pure state machine of the first payload.

use super::guess::guess;
use super::segment::{ACK, FIN, RST, SYN, Segment, read, write};
use crate::iot::recording::sha256;
use hmac::{Hmac, KeyInit, Mac};
use noroshi_model::session::Session;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, Prefix};
use serde_json::json;
use sha2::Sha256;
use std::collections::HashMap;

/// Bounds of what leaves and of what is remembered.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// SYN-ACKs to one network (/24, /48) in any one second. A forged SYN makes one of them; it is not longer than the SYN
    /// of a real system, and never sent twice.
    pub network_second: u32,
    /// SYN-ACKs in all in any one second.
    pub second: u32,
    /// Connections waited for at once: about 100 bytes each.
    pub waiting: usize,
    /// Seconds that a payload is waited for. Silence is a row too: the client waits for the server to speak.
    pub patience: u32,
    /// Bytes kept of a payload.
    pub payload: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { network_second: 16, second: 2_000, waiting: 16_384, patience: 10, payload: 4_096 }
    }
}

/// Seconds after which a cookie is another one; the one before is still taken.
const COOKIE_SECONDS: i64 = 64;
/// Seconds between a stateless probe and the connection that follows it.
const PHASE_SECONDS: i64 = 300;

type Key = (Addr, Addr, u16, u16);

struct Waiting {
    since: Nanos,
    regular: bool,
    two_phase: bool,
}

/// The responder of one device.
pub struct Responder {
    secret: [u8; 32],
    bounds: Bounds,
    prefixes: Option<Vec<Prefix>>,
    second: (i64, u32),
    networks: HashMap<Prefix, u32>,
    waiting: HashMap<Key, Waiting>,
    /// Sources that probed without keeping state, by port, and when.
    probes: HashMap<(Addr, u16), Nanos>,
    serial: u64,
}

/// What became of a packet.
#[derive(Default)]
pub struct Done {
    /// A packet to send.
    pub reply: Option<Vec<u8>>,
    /// A row that is complete.
    pub row: Option<Session>,
}

impl Responder {
    /// Answers for destinations in `prefixes`; all, when there is no list.
    pub fn new(secret: [u8; 32], bounds: Bounds, prefixes: Option<Vec<Prefix>>) -> Self {
        Responder {
            secret,
            bounds,
            prefixes,
            second: (i64::MIN, 0),
            networks: HashMap::new(),
            waiting: HashMap::new(),
            probes: HashMap::new(),
            serial: 0,
        }
    }

    /// Takes a packet that begins with its IP header.
    pub fn take(&mut self, packet: &[u8], now: Nanos) -> Done {
        let Some(segment) = read(packet) else { return Done::default() };
        if self.prefixes.as_ref().is_some_and(|list| !list.iter().any(|prefix| prefix.contains(segment.dst))) {
            return Done::default();
        }
        match segment.flags & (SYN | ACK | RST | FIN) {
            SYN => self.syn(&segment, now),
            ACK => self.ack(&segment, now),
            flags if flags & ACK != 0 && flags & SYN == 0 && !segment.payload.is_empty() => self.ack(&segment, now),
            _ => match self.waiting.remove(&key(&segment)) {
                Some(known) => Done { row: Some(self.row(&segment, &known, now)), ..Done::default() },
                None => Done::default(),
            },
        }
    }

    fn syn(&mut self, segment: &Segment<'_>, now: Nanos) -> Done {
        if !is_regular(segment) {
            self.make_room();
            self.probes.insert((segment.src, segment.dport), now);
        }
        if !self.may_answer(segment.src, now) {
            return Done::default();
        }
        let reply = Segment {
            src: segment.dst,
            dst: segment.src,
            sport: segment.dport,
            dport: segment.sport,
            seq: self.cookie(segment, now.seconds() / COOKIE_SECONDS),
            ack: segment.seq.wrapping_add(1),
            flags: SYN | ACK,
            ttl: 64,
            id: 0,
            // Maximum segment size 1460 alone: without window scaling and timestamps nothing has to be remembered.
            options: if segment.options.is_empty() { &[] } else { &[2, 4, 5, 180] },
            payload: &[],
        };
        Done { reply: Some(write(&reply)), row: None }
    }

    /// An acknowledgement counts only with our cookie: only then the source is real.
    fn ack(&mut self, segment: &Segment<'_>, now: Nanos) -> Done {
        let epoch = now.seconds() / COOKIE_SECONDS;
        let ours = [epoch, epoch - 1].into_iter().any(|at| self.cookie(segment, at).wrapping_add(1) == segment.ack);
        if !ours {
            return Done::default();
        }
        let key = key(segment);
        if segment.payload.is_empty() {
            if self.waiting.len() < self.bounds.waiting && !self.waiting.contains_key(&key) {
                let known = self.known(segment, now);
                self.waiting.insert(key, known);
            }
            return Done::default();
        }
        let known = self.waiting.remove(&key).unwrap_or_else(|| self.known(segment, now));
        let row = self.row(segment, &known, now);
        let reset = Segment {
            src: segment.dst,
            dst: segment.src,
            sport: segment.dport,
            dport: segment.sport,
            seq: segment.ack,
            ack: segment.seq.wrapping_add(segment.payload.len() as u32),
            flags: RST | ACK,
            ttl: 64,
            id: 0,
            options: &[],
            payload: &[],
        };
        Done { reply: Some(write(&reset)), row: Some(row) }
    }

    fn known(&self, segment: &Segment<'_>, now: Nanos) -> Waiting {
        let probed = self.probes.get(&(segment.src, segment.dport));
        let recent = probed.is_some_and(|at| now.0.saturating_sub(at.0) <= PHASE_SECONDS * SECOND);
        Waiting { since: now, regular: is_regular(segment), two_phase: recent }
    }

    /// Rows of clients that never spoke. To be called about once a second.
    pub fn expire(&mut self, now: Nanos) -> Vec<Session> {
        let patience = i64::from(self.bounds.patience) * SECOND;
        let over: Vec<(Key, Waiting)> =
            self.waiting.extract_if(|_, known| now.0.saturating_sub(known.since.0) > patience).collect();
        self.probes.retain(|_, at| now.0.saturating_sub(at.0) <= PHASE_SECONDS * SECOND);
        let silent = |(key, known): (Key, Waiting)| {
            let (src, dst, sport, dport) = key;
            let segment = Segment {
                src,
                dst,
                sport,
                dport,
                seq: 0,
                ack: 0,
                flags: ACK,
                ttl: 0,
                id: 0,
                options: &[],
                payload: &[],
            };
            self.row(&segment, &known, now)
        };
        over.into_iter().map(silent).collect()
    }

    fn row(&mut self, segment: &Segment<'_>, known: &Waiting, now: Nanos) -> Session {
        self.serial += 1;
        let guess = guess(segment.payload);
        let kept = &segment.payload[..segment.payload.len().min(self.bounds.payload)];
        let text: String = kept.iter().flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect();
        let at = (now.0 - known.since.0).max(0) as f64 / SECOND as f64;
        let steps = match kept.is_empty() {
            true => json!([]),
            false => json!([{"t": at, "k": "payload", "data": text, "sha256": sha256(segment.payload)}]),
        };
        Session {
            ts: known.since,
            end: now,
            origin: "noroshi".into(),
            id: format!("{:x}-{:x}", known.since.0, self.serial),
            src: Some(segment.src),
            dst: Some(segment.dst),
            sport: Some(segment.sport),
            dport: Some(segment.dport),
            protocol: guess.protocol.into(),
            client: guess.client,
            fingerprint: guess.fingerprint,
            commands: guess.line.into_iter().collect(),
            urls: crate::iot::urls::find(&String::from_utf8_lossy(kept)),
            bytes_in: segment.payload.len() as u64,
            truncated: segment.payload.len() > kept.len(),
            steps: steps.to_string(),
            extra: json!({
                "lure": "tcp", "two_phase": known.two_phase, "regular": known.regular, "name": guess.name,
            })
            .to_string(),
            ..Session::default()
        }
    }

    fn may_answer(&mut self, source: Addr, now: Nanos) -> bool {
        // A new second by a clock that never runs back here.
        if now.seconds() > self.second.0 {
            self.second = (now.seconds(), 0);
            self.networks.clear();
        }
        if self.second.1 >= self.bounds.second {
            return false;
        }
        // At most as many entries as SYN-ACKs in a second.
        let sent = self.networks.entry(source.network()).or_default();
        if *sent >= self.bounds.network_second {
            return false;
        }
        *sent += 1;
        self.second.1 += 1;
        true
    }

    fn make_room(&mut self) {
        if self.probes.len() < self.bounds.waiting {
            return;
        }
        let mut times: Vec<Nanos> = self.probes.values().copied().collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        self.probes.retain(|_, at| *at > median);
        if self.probes.len() >= self.bounds.waiting {
            self.probes.clear();
        }
    }

    fn cookie(&self, segment: &Segment<'_>, epoch: i64) -> u32 {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(&segment.src.bytes());
        mac.update(&segment.dst.bytes());
        mac.update(&segment.sport.to_be_bytes());
        mac.update(&segment.dport.to_be_bytes());
        mac.update(&epoch.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
    }
}

fn key(segment: &Segment<'_>) -> Key {
    (segment.src, segment.dst, segment.sport, segment.dport)
}

/// Whether a segment is from a system that keeps connections: those send options, and start with at most 128 hops or
/// 255; the well-known stateless scanners send no options, or 255 hops or their own identification.
fn is_regular(segment: &Segment<'_>) -> bool {
    !segment.options.is_empty() && segment.ttl <= 200 && segment.id != 54_321
}
