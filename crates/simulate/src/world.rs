//! A world: a scenario brought to life by a seed and a number of packets.

use crate::emit::Emitter;
use crate::plan::{MINUTE, Plan, Role, SECOND, Segment};
use crate::rng::{Rng, mix2};
use crate::scenario::Scenario;
use crate::tools::Variant;
use crate::truth::{Sent, Truth};
use noroshi_model::finding::Tool;
use noroshi_model::{Addr, Nanos};

/// Everything that will happen, and how to watch it.
#[derive(Clone, Debug)]
pub struct World {
    plan: Plan,
    seed: u64,
    packets: u64,
    start: Nanos,
}

/// One line of `sources.csv`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceTruth {
    /// Source.
    pub address: Addr,
    /// Tool.
    pub tool: Tool,
    /// Version of the tool, or the system whose stack it is.
    pub variant: Variant,
    /// Planted thing it belongs to, or `background`.
    pub planted: String,
    /// TCP SYN packets it sent for it.
    pub syn_packets: u64,
}

/// The segments that reach into one minute, and when their packets fall.
#[derive(Default)]
struct Minute {
    /// Segment and number of its next packet.
    active: Vec<(u32, u64)>,
    upcoming: usize,
}

impl Minute {
    /// Moves on to a minute; calls `at` with each packet's microsecond within it and its place among the active.
    fn load(&mut self, plan: &Plan, seed: u64, minute: u64, mut at: impl FnMut(u64, usize)) {
        let (start, end) = (minute * MINUTE, (minute + 1) * MINUTE);
        self.active.retain(|(segment, _)| plan.segments[*segment as usize].end > start);
        while plan.segments.get(self.upcoming).is_some_and(|segment| segment.start < end) {
            self.active.push((self.upcoming as u32, plan.segments[self.upcoming].first));
            self.upcoming += 1;
        }
        let mut rng = Rng::new(mix2(seed ^ 0x71e5, minute));
        for (place, (segment, _)) in self.active.iter().enumerate() {
            let segment = &plan.segments[*segment as usize];
            let (from, to) = (segment.start.max(start), segment.end.min(end));
            for _ in segment.sent_before(from)..segment.sent_before(to) {
                at(from - start + rng.below(to - from), place);
            }
        }
    }
}

/// Walks through a world, packet by packet, in time order.
pub struct Packets<'a> {
    world: &'a World,
    emitter: Emitter,
    minute: Minute,
    next_minute: u64,
    /// Microsecond within the minute and place among the active, packed so that sorting sorts by time.
    keys: Vec<u64>,
    at: usize,
}

const PLACE_BITS: u32 = 32;

impl World {
    /// The world of a scenario. The same arguments give the same bytes on every machine.
    pub fn new(scenario: &Scenario, seed: u64, packets: u64) -> World {
        World { plan: Plan::new(scenario, seed, packets), seed, packets, start: scenario.start }
    }

    /// All packets, planted and background.
    pub fn packets_total(&self) -> u64 {
        self.plan.plants.iter().map(|plant| plant.packets).sum()
    }

    /// Packets asked for; more than [`World::packets_total`] only in a scenario without background.
    pub fn packets_asked(&self) -> u64 {
        self.packets
    }

    /// A walk through the packets.
    pub fn packets(&self) -> Packets<'_> {
        Packets {
            world: self,
            emitter: Emitter::new(&self.plan, self.seed),
            minute: Minute::default(),
            next_minute: 0,
            keys: Vec::new(),
            at: 0,
        }
    }

    /// Shows every packet as an Ethernet frame, in time order.
    pub fn for_each(&self, mut visit: impl FnMut(Nanos, &[u8])) {
        let mut packets = self.packets();
        while let Some((time, frame)) = packets.next_packet() {
            visit(time, frame);
        }
    }

    /// What is planted, with exact counts and times; costs a walk through the times, without making packets.
    pub fn truth(&self) -> Truth {
        let sent = self.sent_by_plant();
        let mut truth = self.plan.truth.clone();
        truth.packets = self.packets_total();
        let fill = |entry: &mut Sent| *entry = sent[entry.plant];
        truth.campaigns.iter_mut().for_each(|thing| fill(&mut thing.sent));
        truth.groups.iter_mut().for_each(|thing| fill(&mut thing.sent));
        truth.scans.iter_mut().for_each(|thing| fill(&mut thing.sent));
        truth.research.iter_mut().for_each(|thing| fill(&mut thing.sent));
        truth.infections.iter_mut().for_each(|thing| fill(&mut thing.sent));
        truth.attacks.iter_mut().for_each(|thing| fill(&mut thing.sent));
        truth.decoys.iter_mut().for_each(|thing| fill(&mut thing.sent));
        truth.sweeps.iter_mut().for_each(|thing| fill(&mut thing.sent));
        for precursor in &mut truth.precursors {
            fill(&mut precursor.sent);
            if let Some(attack) = truth.attacks.iter().find(|attack| attack.id == precursor.attack) {
                precursor.attack_start = attack.sent.start;
                precursor.lead_seconds = attack.sent.start.seconds_since(precursor.sent.end);
            }
        }
        truth
    }

    fn minutes(&self) -> u64 {
        self.plan.length / MINUTE
    }

    fn time(&self, minute: u64, micros: u64) -> Nanos {
        Nanos(self.start.0 + ((minute * MINUTE + micros) * 1000) as i64)
    }

    fn sent_by_plant(&self) -> Vec<Sent> {
        let mut all: Vec<Sent> = (0..self.plan.plants.len()).map(Sent::by).collect();
        let mut minute = Minute::default();
        let mut seconds: Vec<[u32; 60]> = vec![[0; 60]; self.plan.plants.len()];
        let segment_plant = |segment: &Segment| segment.plant as usize;
        for number in 0..self.minutes() {
            let mut touched: Vec<(u64, usize)> = Vec::new();
            minute.load(&self.plan, self.seed, number, |micros, place| touched.push((micros, place)));
            for (micros, place) in touched {
                let plant = segment_plant(&self.plan.segments[minute.active[place].0 as usize]);
                let time = self.time(number, micros);
                let sent = &mut all[plant];
                sent.start = if sent.packets == 0 { time } else { sent.start.min(time) };
                sent.end = sent.end.max(time);
                sent.packets += 1;
                seconds[plant][(micros / SECOND) as usize] += 1;
            }
            for (segment, _) in &minute.active {
                let plant = segment_plant(&self.plan.segments[*segment as usize]);
                let counts = std::mem::replace(&mut seconds[plant], [0; 60]);
                let sent = &mut all[plant];
                sent.peak_second_packets =
                    sent.peak_second_packets.max(counts.iter().max().map_or(0, |most| (*most).into()));
                sent.peak_minute_packets =
                    sent.peak_minute_packets.max(counts.iter().map(|count| u64::from(*count)).sum());
            }
        }
        all
    }
}

impl Packets<'_> {
    /// The next packet: its time and its frame, valid until the next call.
    #[inline]
    pub fn next_packet(&mut self) -> Option<(Nanos, &[u8])> {
        let key = loop {
            if let Some(key) = self.keys.get(self.at) {
                break *key;
            }
            if self.next_minute == self.world.minutes() {
                return None;
            }
            self.load_minute();
        };
        self.at += 1;
        let plan = &self.world.plan;
        let (segment, number) = &mut self.minute.active[(key & ((1 << PLACE_BITS) - 1)) as usize];
        let plant = &plan.plants[plan.segments[*segment as usize].plant as usize];
        self.emitter.emit(plan, plant, *number);
        *number += 1;
        Some((self.world.time(self.next_minute - 1, key >> PLACE_BITS), self.emitter.frame()))
    }

    fn load_minute(&mut self) {
        self.keys.clear();
        self.at = 0;
        let keys = &mut self.keys;
        self.minute.load(&self.world.plan, self.world.seed, self.next_minute, |micros, place| {
            keys.push(micros << PLACE_BITS | place as u64);
        });
        self.keys.sort_unstable();
        self.next_minute += 1;
    }

    /// The tool truth of every source that sent TCP SYN up to here, in the order of the plan.
    pub fn sources(&self) -> impl Iterator<Item = SourceTruth> + '_ {
        let plan = &self.world.plan;
        plan.plants.iter().flat_map(move |plant| {
            (0..plant.slots).filter_map(move |member| {
                let syn_packets = u64::from(self.emitter.sent()[(plant.slot + member) as usize]);
                let variant = match &plant.role {
                    Role::Probes(probes) => Some(probes.variant),
                    Role::Crowd(crowd) => {
                        let key = mix2(plant.key, member);
                        (crowd.class(key, member) == 0).then(|| crowd.variant(key, plant.v6))
                    }
                    _ => None,
                };
                variant.filter(|_| syn_packets > 0).map(|variant| SourceTruth {
                    address: plan.source(plant, member),
                    tool: variant.tool(),
                    variant,
                    planted: plant.id.clone(),
                    syn_packets,
                })
            })
        })
    }
}
