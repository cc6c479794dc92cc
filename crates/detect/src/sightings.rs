//! Who was seen where, when, knocking at what: the common ground of locality, similarity, lead and blocklists.
//!
//! One row per observation that a source made at a sensor; the table is bounded, and rows beyond the bound are counted.

use noroshi_model::packet::{Has, Packet, Transport, tcp};
use noroshi_model::{Addr, Nanos};
use std::collections::BTreeMap;
use std::fmt;

/// What a source asked for: a transport and, where it has one, a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Service(u32);

impl Service {
    /// From an IP protocol number and a port.
    pub const fn new(proto: u8, port: Option<u16>) -> Self {
        let number = match port {
            Some(port) => port as u32,
            None => 0,
        };
        Service((proto as u32) << 17 | (port.is_some() as u32) << 16 | number)
    }

    /// The port, of a transport that has ports.
    pub const fn port(self) -> Option<u16> {
        if self.0 >> 16 & 1 == 1 { Some(self.0 as u16) } else { None }
    }

    /// IP protocol number.
    pub const fn proto(self) -> u8 {
        (self.0 >> 17) as u8
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.proto() {
            1 => f.write_str("icmp")?,
            6 => f.write_str("tcp")?,
            17 => f.write_str("udp")?,
            58 => f.write_str("icmpv6")?,
            132 => f.write_str("sctp")?,
            other => write!(f, "proto-{other}")?,
        }
        self.port().map_or(Ok(()), |port| write!(f, "/{port}"))
    }
}

impl std::str::FromStr for Service {
    type Err = ();

    /// `tcp/445`, `icmp`, or a port alone, which is one of TCP.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (proto, port) = match text.split_once('/') {
            Some((proto, port)) => (proto, Some(port.parse().map_err(|_| ())?)),
            None => match text.parse() {
                Ok(port) => ("tcp", Some(port)),
                Err(_) => (text, None),
            },
        };
        let number = match proto.to_ascii_lowercase().as_str() {
            "icmp" => 1,
            "tcp" => 6,
            "udp" => 17,
            "icmpv6" => 58,
            "sctp" => 132,
            other => other.strip_prefix("proto-").unwrap_or(other).parse().map_err(|_| ())?,
        };
        Ok(Service::new(number, port))
    }
}

/// One observation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sighting {
    /// When.
    pub at: Nanos,
    /// Who.
    pub source: Addr,
    /// At what.
    pub service: Service,
    /// Where: index into [`Sightings::sensors`].
    pub sensor: u16,
}

/// What a packet says of its sender's wish: the service it asks for. `None` for answers (backscatter), for packets
/// without a time or an IP header, and for ICMP other than echo requests.
pub fn service(packet: &Packet, transport: Transport) -> Option<Service> {
    if !packet.has.has(Has::IP | Has::TIME) {
        return None;
    }
    match transport {
        Transport::Tcp => {
            (packet.has.has(Has::TCP) && packet.tcp_flags == tcp::SYN).then(|| Service::new(6, Some(packet.dport)))
        }
        Transport::Udp => packet.has.has(Has::PORTS).then(|| Service::new(17, Some(packet.dport))),
        Transport::Icmp => (packet.has.has(Has::ICMP) && packet.icmp_type == 8).then(|| Service::new(1, None)),
        Transport::Icmpv6 => (packet.has.has(Has::ICMP) && packet.icmp_type == 128).then(|| Service::new(58, None)),
        Transport::Sctp => packet.has.has(Has::PORTS).then(|| Service::new(132, Some(packet.dport))),
        Transport::Other => None,
    }
}

/// Most sensors of a table: counts are held per service and sensor, half a gibibyte for every port of TCP and UDP.
const SENSORS_MAX: usize = 512;

/// The table.
#[derive(Clone, Debug)]
pub struct Sightings {
    sensors: Vec<String>,
    numbers: BTreeMap<String, u16>,
    rows: Vec<Sighting>,
    rows_max: usize,
    /// Observations beyond the bounds: counted, not kept.
    pub left_out: u64,
}

impl Sightings {
    /// An empty table of at most `rows_max` rows of 48 bytes.
    pub fn new(rows_max: usize) -> Self {
        Sightings { sensors: Vec::new(), numbers: BTreeMap::new(), rows: Vec::new(), rows_max, left_out: 0 }
    }

    /// Number of a sensor, new or known; `None` when there are too many.
    pub fn sensor(&mut self, name: &str) -> Option<u16> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = u16::try_from(self.sensors.len()).ok().filter(|number| usize::from(*number) < SENSORS_MAX)?;
        self.sensors.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        Some(number)
    }

    /// Adds an observation; a sensor of `None` is one too many.
    pub fn add(&mut self, at: Nanos, source: Addr, service: Service, sensor: Option<u16>) {
        match sensor {
            Some(sensor) if self.rows.len() < self.rows_max && usize::from(sensor) < self.sensors.len() => {
                self.rows.push(Sighting { at, source, service, sensor });
            }
            _ => self.left_out += 1,
        }
    }

    /// Sorts by time; call once after the last row. Sensors are put in the order of their names.
    pub fn finish(&mut self) {
        let order: Vec<u16> = self.numbers.values().copied().collect();
        let mut place = vec![0_u16; order.len()];
        for (new, old) in order.iter().enumerate() {
            place[usize::from(*old)] = new as u16;
        }
        self.sensors = self.numbers.keys().cloned().collect();
        self.numbers = self.sensors.iter().cloned().zip(0..).collect();
        self.rows.iter_mut().for_each(|row| row.sensor = place[usize::from(row.sensor)]);
        self.rows.sort_unstable();
    }

    /// Leaves out the sources of which the test holds, research scanners for example.
    pub fn without(&mut self, test: impl Fn(Addr) -> bool) {
        self.rows.retain(|row| !test(row.source));
    }

    /// Names of the sensors.
    pub fn sensors(&self) -> &[String] {
        &self.sensors
    }

    /// The rows, by time once [`Sightings::finish`] was called.
    pub fn rows(&self) -> &[Sighting] {
        &self.rows
    }

    /// First and last instant.
    pub fn span(&self) -> Option<(Nanos, Nanos)> {
        Some((self.rows.first()?.at, self.rows.last()?.at))
    }

    /// Length of the slots in which comings and goings are counted, seconds: days when there are at least four, then
    /// hours, then ten minutes.
    pub fn slot_seconds(&self) -> i64 {
        let length = self.span().map_or(0.0, |(first, last)| last.seconds_since(first));
        if length >= 4.0 * 86_400.0 {
            86_400
        } else if length >= 4.0 * 3_600.0 {
            3_600
        } else {
            600
        }
    }
}
