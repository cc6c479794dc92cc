//! The live feed: what arrives this second, sampled honestly.
//!
//! [`Live::offer`] counts every packet and keeps a uniform sample (reservoir); [`Live::tick`] closes the slot and
//! publishes it. A tick says how many packets there were and how many are shown. Recent ticks are kept, so that a viewer
//! who was cut off resumes where it stopped, and a viewer who was away too long is told what it missed.

use crate::filter::Kind;
use noroshi_model::packet::{Has, Packet, ToolBits, proto, tcp};
use noroshi_model::{Addr, Nanos};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::broadcast;
use utoipa::ToSchema;

/// Packets shown per tick, at most; the rest is counted only. At two ticks a second it fills a screen.
pub const SAMPLE: usize = 150;
/// Ticks kept for resuming: two minutes at two ticks a second.
pub const KEPT: usize = 240;
/// Ticks that a slow viewer may lag behind before it is told that it missed some.
const LAG: usize = 64;

/// UDP services that answer with more than they were asked (methods C, CISA TA14-017A).
pub const AMPLIFIERS: [u16; 22] = [
    17, 19, 53, 69, 111, 123, 137, 161, 389, 427, 520, 1434, 1900, 3283, 3702, 5093, 5353, 5683, 10001, 11211, 27015,
    37810,
];

/// What a packet is to the eye.
pub fn kind_of(packet: &Packet) -> Kind {
    match packet.proto {
        _ if !packet.has.has(Has::IP) => Kind::Other,
        proto::TCP if packet.has.has(Has::TCP) => {
            let flags = packet.tcp_flags;
            if flags & tcp::SYN != 0 && flags & tcp::ACK == 0 {
                if packet.tool_bits.has(ToolBits::MIRAI) { Kind::Infected } else { Kind::Scan }
            } else if flags & (tcp::SYN | tcp::ACK) == tcp::SYN | tcp::ACK || flags & tcp::RST != 0 {
                Kind::Backscatter
            } else {
                Kind::Other
            }
        }
        // Replies and errors (RFC 792, RFC 4443): nobody here asked.
        proto::ICMP if matches!(packet.icmp_type, 0 | 3 | 4 | 5 | 11 | 12 | 14 | 16 | 18) => Kind::Backscatter,
        proto::ICMPV6 if matches!(packet.icmp_type, 1..=4 | 129) => Kind::Backscatter,
        proto::UDP if packet.has.has(Has::PORTS) && AMPLIFIERS.contains(&packet.dport) => Kind::Amplification,
        proto::UDP => Kind::Udp,
        _ => Kind::Other,
    }
}

/// One packet of the sample.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LivePacket {
    /// Milliseconds after the start of the slot.
    pub ms: u32,
    /// Source address.
    pub src: String,
    /// Country of the source, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// What it is: the name of a kind.
    pub kind: String,
    /// IP protocol.
    pub proto: u8,
    /// Destination port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dport: Option<u16>,
    /// Place in the monitored space, 0 to 255: shows a sweep without naming a sensor's address.
    pub slot: u8,
    /// Sensor name; only for operators, else empty.
    pub sensor: String,
    /// Destination address; only for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<String>,
}

/// What arrived in one slot of time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Tick {
    /// Number of the tick since the feed began.
    pub number: u64,
    /// Start of the slot, in seconds since 1970.
    #[schema(value_type = String)]
    pub at: Nanos,
    /// Length of the slot in seconds.
    pub seconds: f64,
    /// Packets that arrived.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Packets by kind.
    pub kinds: BTreeMap<String, u64>,
    /// A uniform sample of them; all of them when there are few.
    pub sample: Vec<LivePacket>,
}

/// A tick made ready to send, once for operators and once without sensors' addresses.
pub struct Prepared {
    /// Number of the tick.
    pub number: u64,
    full: Arc<str>,
    masked: Arc<str>,
}

impl Prepared {
    /// The JSON to send.
    pub fn json(&self, sensor_addresses: bool) -> &Arc<str> {
        if sensor_addresses { &self.full } else { &self.masked }
    }
}

struct Open {
    start: Nanos,
    packets: u64,
    bytes: u64,
    kinds: [u64; Kind::ALL.len()],
    sample: Vec<LivePacket>,
    dice: u64,
    number: u64,
    kept: VecDeque<Arc<Prepared>>,
}

/// The feed. Cheap to offer to: one lock and, once the sample is full, one random number per packet.
pub struct Live {
    run: String,
    open: Mutex<Open>,
    sender: broadcast::Sender<Arc<Prepared>>,
}

/// What the feed needs to know about a packet beside its header.
pub struct Seen<'a> {
    /// The packet.
    pub packet: &'a Packet,
    /// Country of its source.
    pub country: Option<[u8; 2]>,
    /// Sensor that saw it.
    pub sensor: &'a str,
}

impl Live {
    /// A feed that starts now. `run` tells this run from earlier ones, so that numbers are not mixed up.
    pub fn new(run: impl Into<String>, now: Nanos) -> Self {
        let open = Open {
            start: now,
            packets: 0,
            bytes: 0,
            kinds: [0; Kind::ALL.len()],
            sample: Vec::with_capacity(SAMPLE),
            dice: now.0 as u64 | 1,
            number: 0,
            kept: VecDeque::with_capacity(KEPT),
        };
        Live { run: run.into(), open: Mutex::new(open), sender: broadcast::channel(LAG).0 }
    }

    /// Name of this run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Counts a packet and perhaps samples it.
    pub fn offer(&self, seen: &Seen<'_>) {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        open.packets += 1;
        open.bytes += u64::from(seen.packet.wire_len);
        let kind = kind_of(seen.packet);
        open.kinds[kind as usize] += 1;
        if open.sample.len() < SAMPLE {
            let shown = show(seen, kind, open.start);
            open.sample.push(shown);
            return;
        }
        // Algorithm R (Vitter 1985): every packet of the slot is equally likely to be shown.
        open.dice ^= open.dice << 13;
        open.dice ^= open.dice >> 7;
        open.dice ^= open.dice << 17;
        let place = (open.dice % open.packets) as usize;
        if place < SAMPLE {
            open.sample[place] = show(seen, kind, open.start);
        }
    }

    /// Closes the slot at `now` and publishes it.
    pub fn tick(&self, now: Nanos) {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        open.number += 1;
        let mut tick = Tick {
            number: open.number,
            at: open.start,
            seconds: now.seconds_since(open.start),
            packets: open.packets,
            bytes: open.bytes,
            kinds: Kind::ALL.iter().map(|kind| (kind.name().to_owned(), open.kinds[*kind as usize])).collect(),
            sample: std::mem::replace(&mut open.sample, Vec::with_capacity(SAMPLE)),
        };
        tick.sample.sort_by_key(|packet| packet.ms);
        let full = to_json(&tick);
        tick.sample.iter_mut().for_each(|packet| {
            packet.dst = None;
            packet.sensor.clear();
        });
        let prepared = Arc::new(Prepared { number: tick.number, full, masked: to_json(&tick) });
        if open.kept.len() == KEPT {
            open.kept.pop_front();
        }
        open.kept.push_back(prepared.clone());
        (open.start, open.packets, open.bytes, open.kinds) = (now, 0, 0, [0; Kind::ALL.len()]);
        // Sent under the lock, so that a viewer who subscribes sees each tick once. No viewer is no error.
        let _ = self.sender.send(prepared);
    }

    /// Ticks after `after` that are still kept, how many were missed, and everything from now on. Without `after`, the
    /// last `recent` ticks.
    pub fn subscribe(
        &self,
        after: Option<u64>,
        recent: usize,
    ) -> (u64, Vec<Arc<Prepared>>, broadcast::Receiver<Arc<Prepared>>) {
        let open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let receiver = self.sender.subscribe();
        let skipped = open.kept.len().saturating_sub(recent);
        let Some(after) = after else { return (0, open.kept.iter().skip(skipped).cloned().collect(), receiver) };
        let oldest = open.kept.front().map_or(open.number + 1, |tick| tick.number);
        let missed = oldest.saturating_sub(after + 1);
        (missed, open.kept.iter().filter(|tick| tick.number > after).cloned().collect(), receiver)
    }
}

fn to_json(tick: &Tick) -> Arc<str> {
    // A tick holds only numbers and texts, which always serialise.
    serde_json::to_string(tick).unwrap_or_default().into()
}

fn show(seen: &Seen<'_>, kind: Kind, start: Nanos) -> LivePacket {
    let packet = seen.packet;
    LivePacket {
        ms: ((packet.ts.0 - start.0) / 1_000_000).clamp(0, 60_000) as u32,
        src: packet.src.to_string(),
        country: seen.country.map(|code| String::from_utf8_lossy(&code).into_owned()),
        kind: kind.name().to_owned(),
        proto: packet.proto,
        dport: packet.has.has(Has::PORTS).then_some(packet.dport),
        slot: slot(packet.dst),
        sensor: seen.sensor.to_owned(),
        dst: Some(packet.dst.to_string()),
    }
}

/// The last byte of an address. A sweep over a network shows as a line; the network itself is not told.
fn slot(addr: Addr) -> u8 {
    addr.bytes()[15]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(n: u32) -> Packet {
        Packet {
            src: Addr::v4(n),
            dst: Addr::v4(0xc000_0200 | (n & 255)),
            has: Has::IP | Has::PORTS | Has::TCP,
            proto: proto::TCP,
            tcp_flags: tcp::SYN,
            dport: 23,
            wire_len: 60,
            ..Packet::BLANK
        }
    }

    #[test]
    fn counts_all_shows_some_and_says_so() {
        let live = Live::new("r", Nanos(0));
        for n in 0..10_000 {
            live.offer(&Seen { packet: &packet(n), country: Some(*b"JP"), sensor: "s" });
        }
        let (_, _, mut viewer) = live.subscribe(None, 1);
        live.tick(Nanos::from_seconds(1));
        let sent = viewer.try_recv().unwrap();
        let tick: Tick = serde_json::from_str(sent.json(true)).unwrap();
        assert_eq!((tick.packets, tick.sample.len(), tick.kinds["scan"]), (10_000, SAMPLE, 10_000));
        let late = tick.sample.iter().filter(|p| p.src.parse::<Addr>().unwrap() >= Addr::v4(5_000)).count();
        assert!((40..=110).contains(&late), "the sample is uniform over the slot, not its beginning: {late}");
        assert!(sent.json(true).contains("\"dst\""));
        assert!(!sent.json(false).contains("\"dst\""), "no sensor address for others");
        assert!(!sent.json(false).contains("192.0.2."));
        assert!(!sent.json(false).contains("\"sensor\":\"s\""));
    }

    #[test]
    fn resumes_and_tells_what_was_missed() {
        let live = Live::new("r", Nanos(0));
        for second in 1..=(KEPT as i64 + 10) {
            live.tick(Nanos::from_seconds(second));
        }
        let (missed, ticks, _) = live.subscribe(Some(KEPT as u64 + 8), 1);
        assert_eq!((missed, ticks.len()), (0, 2));
        let (missed, ticks, _) = live.subscribe(Some(3), 1);
        assert_eq!((missed, ticks.len(), ticks[0].number), (7, KEPT, 11));
    }
}
