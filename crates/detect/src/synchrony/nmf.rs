//! Dark-NMF: half an hour of knocks as a few patterns over minutes, each with the networks that follow it.
//!
//! Parameters as the authors run it: 30 rows of one minute, hosts (first two octets) of more than one packet and at most
//! 60 a minute, ranks 1 to 10 from the singular vectors, at most 3,000 updates or a change of the mean squared error
//! below 1e-5. A group is the hosts that a pattern explains by a packet or more; a pattern whose strongest hosts stand
//! out alone (two or more reach half of its maximum) is anomalous.

use super::slots::{Slot, Small, attribute};
use super::{Alert, Knock, PortShare, port_list};
use hashbrown::{HashMap, HashSet};
use nalgebra::DMatrix;
use noroshi_stats::nmf::factorise;

/// Seconds of a window.
const WINDOW_SECONDS: u16 = 1_800;
const MINUTES: usize = 30;
/// Packets in one minute above which a host drowns all others.
const LOUD: f64 = 60.0;
const RANKS: std::ops::RangeInclusive<usize> = 1..=10;
const UPDATES_MAX: usize = 3_000;
const STOP: f64 = 1e-5;
/// Packets from which a host is active in a pattern.
const ACTIVE: f64 = 1.0;
/// Share of the pattern's maximum from which a host is anomalous, and how many there must be.
const ANOMALOUS_SHARE: f64 = 0.5;
const ANOMALOUS_MIN: usize = 2;
/// Share of the group's hosts, and hosts, that a port needs.
const PORT_SHARE: f64 = 0.3;
const PORT_HOSTS: usize = 2;
/// Hosts of a window at most; the loudest stay.
const HOSTS_MAX: usize = 20_000;

/// Which hosts of an anomalous pattern ports are sought among.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Members {
    /// All active ones: few false alarms, lower recall; how the authors operate.
    #[default]
    Active,
    /// The anomalous ones only: more alerts.
    Anomalous,
}

/// The engine. Feed knocks in the order of time.
#[derive(Clone, Debug)]
pub struct Engine {
    members: Members,
    slot: Slot,
    alerts: Vec<Alert>,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(members: Members) -> Self {
        Engine { members, slot: Slot::new(WINDOW_SECONDS), alerts: Vec::new() }
    }

    /// Takes one knock; closes a window when the knock is of a later one.
    pub fn observe(&mut self, knock: &Knock) {
        if let Some(number) = self.slot.closes(knock) {
            self.close(number);
        }
        self.slot.add(knock);
    }

    /// All alerts; the last window is closed as it is.
    pub fn finish(mut self) -> Vec<Alert> {
        if let Some(number) = self.slot.number() {
            self.close(number);
        }
        self.alerts
    }

    /// One alert per window and set of ports: the union over ranks.
    fn close(&mut self, number: i64) {
        let (hosts, table) = table(&self.slot.knocks);
        let mut seen: HashSet<Vec<u16>> = HashSet::new();
        for rank in RANKS {
            let Some(factors) = factorise(&table, rank, UPDATES_MAX, STOP) else { break };
            for row in 0..factors.members.nrows() {
                let packets = factors.patterns.column(row).sum();
                let weights: Vec<f64> = factors.members.row(row).iter().map(|weight| weight * packets).collect();
                let Some(group) = group(&hosts, &weights, self.members) else { continue };
                let ports = ports(&self.slot.knocks, &group);
                if !ports.is_empty() && seen.insert(ports.iter().map(|port| port.port).collect()) {
                    self.alerts.push(alert(self.slot.span(number), group.len(), ports));
                }
            }
        }
        self.slot.clear();
    }
}

fn alert((start, end): (noroshi_model::Nanos, noroshi_model::Nanos), hosts: usize, ports: Vec<PortShare>) -> Alert {
    let reason = format!("{hosts} networks followed one pattern for half an hour; ports {}", port_list(&ports));
    let (sources, bursts) = (Vec::new(), Vec::new());
    Alert { engine: "nmf", start, end, ports, sources, hosts, bursts, weight: hosts as f64, reason }
}

/// Minutes × hosts, and the hosts.
fn table(knocks: &[Small]) -> (Vec<u16>, DMatrix<f64>) {
    let mut counts: HashMap<u16, [f64; MINUTES]> = HashMap::new();
    for knock in knocks {
        counts.entry(knock.host).or_default()[usize::from(knock.second) / 60] += 1.0;
    }
    let total = |host: &u16| counts[host].iter().sum::<f64>();
    let fits = |host: &u16| total(host) > 1.0 && counts[host].iter().all(|count| *count <= LOUD);
    let mut hosts: Vec<u16> = counts.keys().copied().filter(fits).collect();
    hosts.sort_by(|a, b| total(b).total_cmp(&total(a)).then(a.cmp(b)));
    hosts.truncate(HOSTS_MAX);
    hosts.sort_unstable();
    let table = DMatrix::from_fn(MINUTES, hosts.len(), |minute, host| counts[&hosts[host]][minute]);
    (hosts, table)
}

/// The hosts of a pattern, when it is anomalous.
fn group(hosts: &[u16], weights: &[f64], members: Members) -> Option<HashSet<u16>> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let pick = |least: f64| -> HashSet<u16> {
        hosts.iter().zip(weights).filter(|(_, weight)| **weight >= least).map(|(host, _)| *host).collect()
    };
    let anomalous = pick((ANOMALOUS_SHARE * largest).max(ACTIVE));
    if anomalous.len() < ANOMALOUS_MIN {
        return None;
    }
    Some(if members == Members::Active { pick(ACTIVE) } else { anomalous })
}

/// Ports that enough hosts of the group share.
fn ports(knocks: &[Small], group: &HashSet<u16>) -> Vec<PortShare> {
    let mut ports = attribute(knocks.iter().filter(|knock| group.contains(&knock.host)), PORT_SHARE, PORT_HOSTS);
    ports.retain(|port| port.share >= PORT_SHARE && port.hosts >= PORT_HOSTS);
    ports
}
