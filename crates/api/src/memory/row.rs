//! A packet as kept in memory, and the value of each field of it.

use crate::filter::{Field, Kind, Row};
use crate::live::kind_of;
use crate::views::PacketView;
use noroshi_model::Addr;
use noroshi_model::packet::{Evidence, Has, Packet, PacketBatch, ToolBits};
use std::sync::Arc;

/// Payload bytes kept per packet.
pub const PAYLOAD: usize = 96;
/// Stands for a field that the packet does not have. No field uses all 128 bits but addresses, of which this one
/// (`ffff:…:ffff`) is never a sender.
pub const MISSING: u128 = u128::MAX;

/// One packet with what was known of it when it arrived.
#[derive(Clone, Debug)]
pub struct Kept {
    pub packet: Packet,
    pub kind: Kind,
    pub country: Option<[u8; 2]>,
    pub sensor: Arc<str>,
    pub sensor_index: u32,
    pub payload: Option<Box<[u8]>>,
    /// Destination of the packet that an ICMP error quotes: the victim of a flood with forged sources.
    pub quoted: Option<Addr>,
}

impl Kept {
    pub fn new(batch: &PacketBatch, packet: &Packet, country: Option<[u8; 2]>, sensor: Arc<str>, index: u32) -> Self {
        let payload = batch.payload(packet);
        let payload = (!payload.is_empty()).then(|| payload[..payload.len().min(PAYLOAD)].into());
        let quoted = batch.rare(packet).and_then(|rare| rare.quoted).map(|quoted| quoted.dst);
        Kept { packet: *packet, kind: kind_of(packet), country, sensor, sensor_index: index, payload, quoted }
    }

    fn tool(&self) -> Option<&'static str> {
        let bits = self.packet.tool_bits;
        let any = |a: ToolBits, b: ToolBits| bits.has(a) || bits.has(b);
        match () {
            () if bits.has(ToolBits::MIRAI) => Some("mirai"),
            () if any(ToolBits::ZMAP_OLD, ToolBits::ZMAP_NEW) => Some("zmap"),
            () if any(ToolBits::MASSCAN, ToolBits::MASSCAN_SHAPE) => Some("masscan"),
            () if any(ToolBits::NMAP_SYN, ToolBits::NMAP_HALVES) => Some("nmap"),
            () => None,
        }
    }

    /// The value of a field as one number, to group by.
    pub fn key(&self, field: Field) -> u128 {
        match field {
            Field::Kind => self.kind as u128,
            Field::Country => self.country.map_or(MISSING, |code| u128::from(u16::from_be_bytes(code))),
            Field::Tool => self.tool().and_then(tool_index).unwrap_or(MISSING),
            Field::Sensor => u128::from(self.sensor_index),
            Field::Network => self.address(Field::Src).map_or(MISSING, |addr| addr.network().first().0),
            Field::Src | Field::Dst | Field::QuotedDst => self.address(field).map_or(MISSING, |addr| addr.0),
            _ => self.number(field).map_or(MISSING, u128::from),
        }
    }

    /// The packet as a row for people.
    pub fn view(&self) -> PacketView {
        let p = &self.packet;
        let tcp = p.has.has(Has::TCP);
        let ports = p.has.has(Has::PORTS);
        PacketView {
            ts: p.ts,
            sensor: self.sensor.to_string(),
            src: p.src.to_string(),
            dst: p.dst.to_string(),
            proto: p.proto,
            sport: ports.then_some(p.sport),
            dport: ports.then_some(p.dport),
            tcp_flags: tcp.then_some(p.tcp_flags),
            ttl: p.ttl,
            window: tcp.then_some(p.window),
            wire_len: p.wire_len,
            payload_len: p.payload_len,
            payload: self.payload.as_deref().map(printable),
            kind: self.kind.name().to_owned(),
            country: self.country.map(country_text),
            evidence: evidence_name(p.evidence).to_owned(),
            oddities: p.oddities.codes().map(str::to_owned).collect(),
        }
    }
}

impl Row for Kept {
    fn number(&self, field: Field) -> Option<u64> {
        let p = &self.packet;
        let when = |bit: Has, value: u64| p.has.has(bit).then_some(value);
        match field {
            Field::Dport => when(Has::PORTS, p.dport.into()),
            Field::Sport => when(Has::PORTS, p.sport.into()),
            Field::Proto => when(Has::IP, p.proto.into()),
            Field::Flags => when(Has::TCP, p.tcp_flags.into()),
            Field::Ttl => when(Has::IP, p.ttl.into()),
            Field::Window => when(Has::TCP, p.window.into()),
            Field::Seq => when(Has::TCP, p.seq.into()),
            Field::Mss => when(Has::MSS, p.mss.into()),
            Field::IpId => when(Has::IP_ID, p.ip_id.into()),
            Field::IcmpType => when(Has::ICMP, p.icmp_type.into()),
            Field::IcmpCode => when(Has::ICMP, p.icmp_code.into()),
            Field::Family => when(Has::IP, p.family().into()),
            Field::Evidence => Some(p.evidence as u64),
            Field::WireLen => Some(p.wire_len.into()),
            Field::PayloadLen => when(Has::IP, p.payload_len.into()),
            Field::Kind
            | Field::Country
            | Field::Src
            | Field::QuotedDst
            | Field::Network
            | Field::Dst
            | Field::Tool
            | Field::Sensor => None,
        }
    }

    fn address(&self, field: Field) -> Option<Addr> {
        let addr = match field {
            Field::Src | Field::Network => self.packet.src,
            Field::Dst => self.packet.dst,
            Field::QuotedDst => return self.quoted,
            _ => return None,
        };
        self.packet.has.has(Has::IP).then_some(addr)
    }

    fn word(&self, field: Field) -> Option<&str> {
        match field {
            Field::Kind => Some(self.kind.name()),
            Field::Tool => self.tool(),
            Field::Sensor => Some(&self.sensor),
            Field::Country => self.country.as_ref().and_then(|code| std::str::from_utf8(code).ok()),
            _ => None,
        }
    }
}

const TOOLS: [&str; 4] = ["zmap", "masscan", "mirai", "nmap"];

fn tool_index(name: &str) -> Option<u128> {
    TOOLS.iter().position(|tool| *tool == name).map(|index| index as u128)
}

/// The text of a key, which a filter takes back.
pub fn key_text(field: Field, key: u128, sensors: &[Arc<str>]) -> String {
    if key == MISSING {
        return String::new();
    }
    match field {
        Field::Kind => Kind::NAMES.get(key as usize).copied().unwrap_or_default().to_owned(),
        Field::Tool => TOOLS.get(key as usize).copied().unwrap_or_default().to_owned(),
        Field::Country => country_text((key as u16).to_be_bytes()),
        Field::Sensor => sensors.get(key as usize).map(ToString::to_string).unwrap_or_default(),
        Field::Src | Field::Dst | Field::QuotedDst => Addr(key).to_string(),
        Field::Network => Addr(key).network().to_string(),
        _ => match field.aliases().iter().find(|(_, value)| u128::from(*value) == key) {
            Some((name, _)) => (*name).to_owned(),
            None => key.to_string(),
        },
    }
}

pub fn country_text(code: [u8; 2]) -> String {
    String::from_utf8_lossy(&code).into_owned()
}

fn evidence_name(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Spoofable => "spoofable",
        Evidence::ChallengeVerified => "challenge_verified",
        Evidence::Handshake => "handshake",
    }
}

fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|b| if b.is_ascii_graphic() || *b == b' ' { *b as char } else { '·' }).collect()
}
