//! The fake Internet: every address of the world, played by this process at the other end of a TUN device.
//!
//! Names resolve (each to an address of its own in 198.18.0.0/15), hosts that were resolved answer on every port, and of
//! the others one in [`ANSWERS_ONE_IN`] does, as on the real one. Ports of telnet play a device that lets in on any
//! login, ports of the web answer every request, all others take what comes. Nothing is ever forwarded: the only way
//! out of this module is back to the sample.

mod dns;
mod tcp;
mod wire;

use noroshi_model::Nanos;
use noroshi_model::packet::PacketBatch;
use noroshi_packet::capture::LinkType;
use noroshi_packet::decode::decode_frame;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tcp::{Flows, Service};
use wire::Datagram;

/// The sample's own address.
pub const SAMPLE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);
/// Of the addresses that nobody resolved, one in so many answers; the others are silent, as most of the Internet is.
pub const ANSWERS_ONE_IN: u32 = 16;
/// Conversations kept.
const CONVERSATIONS_MAX: usize = 4096;
/// Distinct names kept; more are still answered.
const NAMES_MAX: usize = 16_384;
/// Bytes kept of what a sample said in one conversation.
const SAID_BYTES_MAX: usize = 2048;
/// Packets kept as rows for judgement.
const PACKETS_MAX: usize = 1_000_000;
const RAW_IP: LinkType = LinkType(101);

/// Something that the sample said to somebody.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize)]
pub struct Conversation {
    /// To whom.
    pub address: String,
    /// The name that address was resolved from.
    pub name: Option<String>,
    /// Port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// What was played.
    pub service: &'static str,
    /// Times that it was opened.
    pub times: u64,
    /// Bytes from the sample.
    pub bytes: u64,
    /// The beginning of what it said, printable.
    pub said: String,
}

/// What the fake Internet saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Packets of the sample, as the darknet's are.
    pub packets: PacketBatch,
    /// All packets as a capture file (raw IP).
    pub pcap: Vec<u8>,
    /// Packets from the sample.
    pub sent: u64,
    /// Packets that are not in the capture, which was full.
    pub not_captured: u64,
    /// Names asked for, with the number of times.
    pub names: BTreeMap<String, u64>,
    /// Conversations with more than a handshake, and UDP other than names.
    pub conversations: Vec<Conversation>,
    /// Logins that were tried on the telnet device, as `user:password`.
    pub credentials: Vec<String>,
    /// Places asked for over HTTP.
    pub urls: Vec<String>,
}

/// The other end of the wire.
pub struct Internet {
    token: Option<String>,
    pcap_bytes_max: u64,
    seen: Seen,
    flows: Flows,
    resolved: HashMap<Ipv4Addr, String>,
    conversations: HashMap<(Ipv4Addr, u16, &'static str), usize>,
}

impl Internet {
    /// A world that keeps so many bytes of capture; the token proves it to specimens of ours.
    pub fn new(token: Option<String>, pcap_bytes_max: u64) -> Self {
        let mut seen = Seen::default();
        // Magic for nanoseconds, version 2.4, no offset, whole packets, raw IP (draft-ietf-opsawg-pcap).
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, u32::from(RAW_IP.0)] {
            seen.pcap.extend(word.to_le_bytes());
        }
        let (flows, resolved, conversations) = (Flows::default(), HashMap::new(), HashMap::new());
        Internet { token, pcap_bytes_max, seen, flows, resolved, conversations }
    }

    /// Answers until told to stop.
    pub fn serve(mut self, mut wire: File, stop: &AtomicBool) -> Seen {
        let mut block = vec![0; 65_536];
        while !stop.load(Ordering::Relaxed) {
            let mut waiting = [nix::poll::PollFd::new(wire.as_fd(), nix::poll::PollFlags::POLLIN)];
            match nix::poll::poll(&mut waiting, 50u8) {
                Ok(1..) => {}
                _ => continue,
            }
            // The device is gone when its namespace is.
            let Ok(n) = wire.read(&mut block) else { break };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = Nanos::from_parts(now.as_secs() as i64, i64::from(now.subsec_nanos()));
            for reply in self.receive(&block[..n], now) {
                self.capture(&reply, now);
                // A reply that the device cannot take is lost, as packets are.
                let _lost = wire.write(&reply);
            }
        }
        self.seen
    }

    /// Takes a packet of the sample; gives what the world answers.
    pub fn receive(&mut self, packet: &[u8], now: Nanos) -> Vec<Vec<u8>> {
        self.capture(packet, now);
        self.keep(packet, now);
        let Some(datagram) = Datagram::read(packet) else { return Vec::new() };
        match datagram.protocol {
            wire::ICMP => wire::echo_reply(&datagram).into_iter().collect(),
            wire::UDP => self.udp(&datagram),
            wire::TCP => self.tcp(&datagram),
            _ => Vec::new(),
        }
    }

    /// What was seen so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    fn capture(&mut self, packet: &[u8], now: Nanos) {
        if self.seen.pcap.len() as u64 + packet.len() as u64 > self.pcap_bytes_max {
            self.seen.not_captured += 1;
            return;
        }
        let (seconds, nanos) = (now.0.div_euclid(1_000_000_000) as u32, now.0.rem_euclid(1_000_000_000) as u32);
        for word in [seconds, nanos, packet.len() as u32, packet.len() as u32] {
            self.seen.pcap.extend(word.to_le_bytes());
        }
        self.seen.pcap.extend_from_slice(packet);
    }

    /// Keeps a packet of the sample as a row, in the same form as the darknet's.
    fn keep(&mut self, packet: &[u8], now: Nanos) {
        self.seen.sent += 1;
        let batch = &mut self.seen.packets;
        if batch.rows.len() >= PACKETS_MAX {
            return;
        }
        let mut row = decode_frame(packet, now, packet.len() as u32, RAW_IP, &mut batch.rare);
        let payload = row.payload_at as usize..row.payload_at as usize + row.payload_cap as usize;
        row.payload_at = batch.arena.len() as u32;
        batch.arena.extend_from_slice(packet.get(payload).unwrap_or(&[]));
        batch.rows.push(row);
    }

    fn udp(&mut self, datagram: &Datagram<'_>) -> Vec<Vec<u8>> {
        let Some((ports, body)) = wire::udp(datagram) else { return Vec::new() };
        if ports.1 == 53 {
            let Some(answer) = dns::answer(body, self.token.as_deref()) else { return Vec::new() };
            if self.seen.names.len() < NAMES_MAX || self.seen.names.contains_key(&answer.name) {
                *self.seen.names.entry(answer.name.clone()).or_default() += 1;
            }
            if let Some(address) = answer.address {
                self.resolved.insert(address, answer.name);
            }
            return vec![wire::udp_reply(datagram, ports, &answer.bytes)];
        }
        self.said(datagram.to, ports.1, "udp", "sink", body, true);
        Vec::new()
    }

    fn tcp(&mut self, datagram: &Datagram<'_>) -> Vec<Vec<u8>> {
        let Some(segment) = wire::tcp(datagram) else { return Vec::new() };
        let answers = self.answers(datagram.to);
        let (replies, said) = self.flows.receive(datagram, &segment, answers);
        if let Some(said) = said {
            self.said(datagram.to, segment.to, "tcp", said.service.name(), &said.bytes, said.first);
            for login in said.logins {
                if self.seen.credentials.len() < CONVERSATIONS_MAX {
                    self.seen.credentials.push(login);
                }
            }
            if said.service == Service::Web
                && let Some(url) = tcp::url(&said.bytes, datagram.to, segment.to)
                && self.seen.urls.len() < CONVERSATIONS_MAX
                && !self.seen.urls.contains(&url)
            {
                self.seen.urls.push(url);
            }
        }
        replies
    }

    /// Whether an address answers at all.
    fn answers(&self, address: Ipv4Addr) -> bool {
        self.resolved.contains_key(&address)
            || u32::from(address).wrapping_mul(0x9e37_79b9) >> 16 & 0xffff < 65_536 / ANSWERS_ONE_IN
    }

    fn said(
        &mut self,
        to: Ipv4Addr,
        port: u16,
        protocol: &'static str,
        service: &'static str,
        bytes: &[u8],
        first: bool,
    ) {
        let list = &mut self.seen.conversations;
        let at = *self.conversations.entry((to, port, protocol)).or_insert(list.len());
        if at == list.len() {
            if list.len() == CONVERSATIONS_MAX {
                self.conversations.remove(&(to, port, protocol));
                return;
            }
            let name = self.resolved.get(&to).cloned();
            let address = to.to_string();
            list.push(Conversation { address, name, port, protocol, service, ..Conversation::default() });
        }
        let one = &mut list[at];
        one.times += u64::from(first);
        one.bytes += bytes.len() as u64;
        for byte in bytes {
            if one.said.len() >= SAID_BYTES_MAX {
                break;
            }
            let shown = *byte as char;
            if shown.is_ascii_graphic() || shown == ' ' { one.said.push(shown) } else { one.said.push('.') }
        }
    }
}
