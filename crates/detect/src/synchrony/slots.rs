//! What both published engines share: knocks of one slot of time, by network, and how ports stand out among them.

use super::{Knock, Level, PortShare};
use hashbrown::{HashMap, HashSet};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;

/// Knocks kept per slot; more are counted, not kept.
const KNOCKS_MAX: usize = 4_000_000;
/// Share of hosts from which a port belongs to an attack or a survey.
const SHARE_MIN: f64 = 0.1;
/// Hosts from which a port belongs to an attack or is weak.
const HOSTS_MIN: usize = 20;
/// Share of hosts and packets on one address from which an alert is concentrated.
const CONCENTRATED: f64 = 0.7;

/// A knock as the engines need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Small {
    /// First two octets of the source.
    pub host: u16,
    pub port: u16,
    pub destination: u32,
    /// Seconds since the slot began.
    pub second: u16,
}

/// Knocks of the present slot.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    seconds: i64,
    number: Option<i64>,
    pub knocks: Vec<Small>,
    /// Knocks that came after their slot was closed, or found it full.
    pub left_out: u64,
}

impl Slot {
    pub fn new(seconds: u16) -> Self {
        Slot { seconds: i64::from(seconds), number: None, knocks: Vec::new(), left_out: 0 }
    }

    /// Number of the slot that must be closed before this knock is added.
    pub fn closes(&self, knock: &Knock) -> Option<i64> {
        self.number.filter(|number| knock.at.seconds().div_euclid(self.seconds) > *number)
    }

    /// Adds a knock of IPv4; the engines were published for it.
    pub fn add(&mut self, knock: &Knock) {
        let (Some(source), Some(destination)) = (knock.source.as_v4(), knock.destination.as_v4()) else { return };
        let number = knock.at.seconds().div_euclid(self.seconds);
        let present = *self.number.get_or_insert(number);
        if number != present || self.knocks.len() >= KNOCKS_MAX {
            self.left_out += 1;
            return;
        }
        let second = knock.at.seconds().rem_euclid(self.seconds) as u16;
        self.knocks.push(Small { host: (source >> 16) as u16, port: knock.port, destination, second });
    }

    /// Begins anew after a close.
    pub fn clear(&mut self) {
        self.knocks.clear();
        self.number = None;
    }

    pub fn number(&self) -> Option<i64> {
        self.number
    }

    /// Start and end of a slot.
    pub fn span(&self, number: i64) -> (Nanos, Nanos) {
        let at = |number: i64| Nanos(number.saturating_mul(self.seconds).saturating_mul(SECOND));
        (at(number), at(number + 1))
    }
}

/// Ports at which hosts of a group knock, most hosts first, by Dark-TRACER's levels. Ports of no level are left out.
pub(super) fn attribute<'a>(
    knocks: impl Iterator<Item = &'a Small>,
    share_min: f64,
    hosts_min: usize,
) -> Vec<PortShare> {
    let mut hosts: HashSet<u16> = HashSet::new();
    let mut by_port: HashMap<u16, HashSet<u16>> = HashMap::new();
    let mut by_address: HashMap<u32, (HashSet<u16>, usize)> = HashMap::new();
    let mut packets = 0;
    for knock in knocks {
        packets += 1;
        hosts.insert(knock.host);
        by_port.entry(knock.port).or_default().insert(knock.host);
        let address = by_address.entry(knock.destination).or_default();
        address.0.insert(knock.host);
        address.1 += 1;
    }
    let of_all = |part: usize, all: usize| part as f64 / all.max(1) as f64;
    let concentrated = by_address
        .values()
        .any(|(at, count)| of_all(at.len(), hosts.len()) > CONCENTRATED && of_all(*count, packets) > CONCENTRATED);
    let mut found: Vec<PortShare> = by_port
        .iter()
        .filter_map(|(&port, at)| {
            let share = of_all(at.len(), hosts.len());
            let level = match (share >= share_min, at.len() >= hosts_min) {
                (true, true) | (true, false) if concentrated => Level::Concentrated,
                (true, true) => Level::Attack,
                (true, false) => Level::Survey,
                (false, true) => Level::Weak,
                (false, false) => return None,
            };
            Some(PortShare { port, hosts: at.len(), share, level })
        })
        .collect();
    found.sort_by(|a, b| b.hosts.cmp(&a.hosts).then(a.port.cmp(&b.port)));
    found
}

/// [`attribute`] with the thresholds of Dark-GLASSO.
pub(super) fn attribute_all(knocks: &[Small]) -> Vec<PortShare> {
    attribute(knocks.iter(), SHARE_MIN, HOSTS_MIN)
}
