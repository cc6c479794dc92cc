//! From a scenario, a seed and a number of packets to planted things: who sends what, when, how many exactly.
//!
//! A plan is small (it grows with things and minutes, not with packets). Every plant is a role with a key, a range of
//! source slots and time segments; a segment's packets are spread evenly over it, so rates are made of segments.

use crate::rng::{Rng, mix2};
use crate::scenario::{Flood, Scenario, Spread};
use crate::space::{Sources, Space};
use crate::tools::Variant;
use crate::truth::{self, Truth};
use noroshi_model::finding::Vector;
use noroshi_model::{Addr, Prefix};

mod attacks;
mod background;
pub use background::popular_tcp;
mod scanners;

/// Microseconds, the resolution of the worlds: a pcap of either resolution holds them.
pub const MINUTE: u64 = 60_000_000;
/// Microseconds in a second.
pub const SECOND: u64 = 1_000_000;
/// Scattered source numbers of planted things lie below this; single replies draw above it.
pub const SLOTS_MAX: u64 = 1 << 28;

/// A stretch of time in which a plant sends, microseconds from the start of the world.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// First instant.
    pub start: u64,
    /// First instant after it.
    pub end: u64,
    /// Packets, exactly.
    pub packets: u64,
    /// Packets of the plant's earlier segments.
    pub first: u64,
    /// Which plant.
    pub plant: u32,
}

impl Segment {
    /// Packets before an instant.
    pub fn sent_before(&self, instant: u64) -> u64 {
        let elapsed = instant.clamp(self.start, self.end) - self.start;
        (u128::from(self.packets) * u128::from(elapsed) / u128::from(self.end - self.start)) as u64
    }
}

/// Where a plant's sources live.
#[derive(Clone, Copy, Debug)]
pub enum Home {
    /// The scattered address of each slot.
    Scattered,
    /// Neighbours in one network.
    Network(u32),
    /// One address.
    Host(Addr),
}

/// Ports of probes, chosen.
#[derive(Clone, Debug)]
pub enum PortChoice {
    /// One of these; Mirai prefers the first.
    List(Vec<u16>),
    /// By habit of tool and source.
    Habit,
    /// Each probe its own.
    All,
}

/// Which targets a prober visits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walk {
    /// A port at every target.
    Targets,
    /// Ports of one target.
    Ports(u64),
    /// Ports of every target.
    Both(u64),
}

/// Sources that probe.
#[derive(Clone, Debug)]
pub struct Probes {
    /// Tool.
    pub variant: Variant,
    /// Ports.
    pub ports: PortChoice,
    /// Walk.
    pub walk: Walk,
    /// Home.
    pub home: Home,
    /// Whether every source takes its turn (groups) or some send more than others.
    pub even: bool,
}

/// Whose address is used, or who replies.
#[derive(Clone, Copy, Debug)]
pub enum Victims {
    /// One.
    One(Addr),
    /// So many addresses of a prefix; in passes of five packets each, or at random.
    Many(Prefix, u64, bool),
}

/// Replies of a flood's victims.
#[derive(Clone, Copy, Debug)]
pub struct Replies {
    /// Flood.
    pub flood: Flood,
    /// Who replies.
    pub victims: Victims,
    /// Attacked port.
    pub port: u16,
}

/// Requests in victims' names.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// Vector.
    pub vector: Vector,
    /// In whose names.
    pub victims: Victims,
    /// Monitored addresses asked.
    pub reflectors: u64,
    /// Source port, when the attacker keeps it.
    pub sport: Option<u16>,
    /// A real host asks each address once.
    pub real: bool,
}

/// Sources of no one in particular.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Number of sources.
    pub sources: u64,
    /// Spread over them.
    pub spread: Spread,
    /// Sums of parts: SYN, UDP, echo, stray, single replies.
    pub mix: [u64; 5],
    /// Tools with sums of parts.
    pub tools: Vec<(Variant, u64)>,
    /// Ports of SYN probes.
    pub ports: PortChoice,
}

/// What a plant does.
#[derive(Clone, Debug)]
pub enum Role {
    /// Background.
    Crowd(Crowd),
    /// Probes.
    Probes(Probes),
    /// Backscatter.
    Replies(Replies),
    /// Requests in others' names.
    Requests(Requests),
    /// A search for reflectors.
    Sweep(Vector),
}

/// One planted thing.
#[derive(Clone, Debug)]
pub struct Plant {
    /// Its word in `sources.csv`.
    pub id: String,
    /// What it does.
    pub role: Role,
    /// Its constants follow from this.
    pub key: u64,
    /// IPv6 instead of IPv4.
    pub v6: bool,
    /// First of its source slots.
    pub slot: u64,
    /// Number of its source slots.
    pub slots: u64,
    /// Packets, exactly.
    pub packets: u64,
}

/// Everything that will happen.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Targets.
    pub space: Space,
    /// Sources.
    pub sources: Sources,
    /// Planted things.
    pub plants: Vec<Plant>,
    /// Their times, ascending by start.
    pub segments: Vec<Segment>,
    /// Source slots in use.
    pub slots: u64,
    /// Length of the world, microseconds.
    pub length: u64,
    /// Truth without times.
    pub truth: Truth,
}

struct Planner<'a> {
    scenario: &'a Scenario,
    plan: Plan,
    rng: Rng,
    seed: u64,
    packets: u64,
    left: u64,
    networks: u32,
    blocks: u32,
    incidents: u32,
}

impl Plan {
    /// The plan of one world. The same arguments give the same plan.
    pub fn new(scenario: &Scenario, seed: u64, packets: u64) -> Plan {
        let mut planner = Planner::new(scenario, seed, packets);
        planner.scanners();
        planner.attacks();
        planner.background();
        let mut plan = planner.plan;
        plan.segments.retain(|segment| segment.packets > 0);
        plan.segments.sort_by_key(|segment| segment.start);
        plan
    }
}

impl<'a> Planner<'a> {
    fn new(scenario: &'a Scenario, seed: u64, packets: u64) -> Self {
        let mut taken = scenario.monitored.clone();
        taken.extend(scenario.member.iter().map(|member| member.prefix));
        let length = scenario.minutes * MINUTE;
        let members = scenario.member.iter();
        let truth = Truth {
            schema: truth::SCHEMA.to_owned(),
            scenario: scenario.name.clone(),
            seed,
            packets,
            start: scenario.start,
            end: noroshi_model::Nanos(scenario.start.0 + length as i64 * 1000),
            monitored: scenario.monitored.clone(),
            members: members.map(|m| truth::Member { name: m.name.clone(), prefix: m.prefix }).collect(),
            campaigns: Vec::new(),
            groups: Vec::new(),
            scans: Vec::new(),
            research: Vec::new(),
            infections: Vec::new(),
            attacks: Vec::new(),
            precursors: Vec::new(),
            decoys: Vec::new(),
            sweeps: Vec::new(),
        };
        let plan = Plan {
            space: Space::new(&scenario.monitored),
            sources: Sources::new(seed, &taken),
            plants: Vec::new(),
            segments: Vec::new(),
            slots: 0,
            length,
            truth,
        };
        let rng = Rng::new(mix2(seed, 1));
        Planner { scenario, plan, rng, seed, packets, left: packets, networks: 0, blocks: 0, incidents: 0 }
    }

    /// Adds a plant; its packets are cut to what is left of the world's. Gives none when nothing is left for it.
    fn plant(&mut self, id: &str, role: Role, v6: bool, slots: u64, times: &[(u64, u64, u64)]) -> Option<usize> {
        let index = self.plan.plants.len();
        let mut sent = 0;
        for &(start, end, packets) in times {
            let packets = packets.min(self.left);
            if packets > 0 {
                self.plan.segments.push(Segment { start, end, packets, first: sent, plant: index as u32 });
            }
            sent += packets;
            self.left -= packets;
        }
        if sent == 0 {
            return None;
        }
        let key = mix2(self.seed, 0x1000 + index as u64);
        let (slot, slots) = (self.plan.slots, slots.min(SLOTS_MAX - self.plan.slots));
        self.plan.slots += slots;
        self.plan.plants.push(Plant { id: id.to_owned(), role, key, v6, slot, slots, packets: sent });
        Some(index)
    }

    /// A section's packets, divided among its things: the largest gets about eight times the smallest.
    fn budget(&mut self, percent: f64, count: u64) -> Vec<u64> {
        let total = ((self.packets as f64 * percent / 100.0) as u64).min(self.left);
        let parts: Vec<u64> = (0..count).map(|_| (1 << self.rng.below(3)) * self.rng.between(4, 8)).collect();
        let sum: u64 = parts.iter().sum();
        let mut before = 0;
        parts
            .iter()
            .map(|part| {
                let from = u128::from(total) * u128::from(before) / u128::from(sum);
                before += part;
                (u128::from(total) * u128::from(before) / u128::from(sum) - from) as u64
            })
            .collect()
    }

    /// A stretch of so many minutes, anywhere in the world after `earliest`.
    fn stretch(&mut self, minutes: [u64; 2], earliest: u64) -> (u64, u64) {
        let length = (self.rng.between(minutes[0], minutes[1]) * MINUTE).min(self.plan.length);
        let latest = self.plan.length - length;
        let start = self.rng.between(earliest.min(latest), latest);
        (start, start + length)
    }

    fn next_network(&mut self) -> u32 {
        self.networks += 1;
        self.networks - 1
    }

    /// The address of one of a plant's sources.
    fn source(&self, plant: usize, member: u64) -> Addr {
        self.plan.source(&self.plan.plants[plant], member)
    }

    /// All sources of a plant that send at least once, ascending.
    fn sources_of(&self, plant: usize) -> Vec<Addr> {
        let Plant { slots, packets, .. } = self.plan.plants[plant];
        let mut sources: Vec<Addr> = (0..slots.min(packets)).map(|member| self.source(plant, member)).collect();
        sources.sort_unstable();
        sources
    }

    fn member_host(&mut self, name: &str) -> Addr {
        let member = self.scenario.member.iter().find(|member| member.name == name).expect("checked on loading");
        let host = 1 + self.rng.below(member.prefix.size() as u64 - 2);
        Addr(member.prefix.first().0 + u128::from(host))
    }
}

impl Plan {
    /// The address of one of a plant's sources.
    #[inline]
    pub fn source(&self, plant: &Plant, member: u64) -> Addr {
        let home = match &plant.role {
            Role::Probes(probes) => probes.home,
            _ => Home::Scattered,
        };
        match home {
            Home::Scattered => self.sources.scattered(plant.v6, plant.slot + member),
            Home::Network(network) => self.sources.in_network(plant.v6, network, member),
            Home::Host(addr) => addr,
        }
    }
}

/// Numbers things of one kind from 1.
fn name(kind: &str, existing: usize) -> String {
    format!("{kind}-{}", existing + 1)
}
