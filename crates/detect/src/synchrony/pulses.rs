//! Pulses: sources that knock at one port in the same minutes, again and again.
//!
//! Every source and every port is kept; a port that is busy all day hides nothing, because sources are compared with
//! each other and not with the port's volume. Visits (runs of minutes in which a source knocks at a port) are collected;
//! sources whose visits coincide are brought together by MinHash over slots of a few minutes, on two grids so that no
//! burst lies on an edge. A pair is linked when its visits coincide to the minute far more often than the same visits
//! shifted by several minutes do: campaigns, working hours and outages move everybody's visits together for hours, and
//! the shifted visits have all of that, so only what is finer remains. Linked sources are groups; groups of the same
//! sources on several ports are one.
//!
//! Memory: a filter of one word per bucket holds back the many (source, port) pairs that are seen once (the first visit
//! of a pair is therefore not counted); rows are bounded, and past the bound only every second source is kept, then
//! every fourth, which the result says.

use super::{Alert, Knock, Level, PortShare, port_list};
use hashbrown::HashMap;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use noroshi_stats::tail::CountModel;
use std::collections::BTreeSet;

/// Settings of the engine.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Members a group must have. Smaller: groups of chance. Botnets of interest have dozens.
    pub members_min: usize,
    /// Coinciding visits that link a pair, at least; the first visit of each source is not counted.
    pub shared_min: usize,
    /// Largest probability of so many coinciding visits, given how often the shifted ones coincide.
    pub probability: f64,
    /// Share of the shorter list of visits that must coincide.
    pub share_min: f64,
    /// Buckets of the filter, as a power of two; two bytes each. Fewer: more pairs seen once take up rows.
    pub filter_bits: u32,
    /// Visits held, 32 bytes each.
    pub rows_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            members_min: 5,
            shared_min: 3,
            probability: 1e-4,
            share_min: 0.5,
            filter_bits: 24,
            rows_max: 8_000_000,
        }
    }
}

/// Visits of one source to one port beyond which it is there all day and pulses with nobody, per day of data.
const VISITS_PER_DAY_MAX: usize = 200;
/// Minutes of the slots that candidates are sought by; the two grids are half of it apart.
const GRID_MINUTES: u32 = 4;
/// MinHash bands of two values each: pairs of Jaccard similarity 0.7 meet with probability 0.995.
const BANDS: u64 = 8;
/// Earlier members of a bucket that a source is compared with.
const NEIGHBOURS: usize = 12;
/// Visits coincide within this many minutes.
const WITHIN: u32 = 1;
/// Shifts, in minutes, at which coincidence is what chance and slow trends make of it.
const SHIFTS: [i64; 8] = [-23, -17, -11, -7, 7, 11, 17, 23];
/// Expected coincidences are not believed to be fewer.
const EXPECTED_MIN: f64 = 0.05;
/// Jaccard similarity from which groups on two ports are one.
const PORTS_JOIN: f64 = 0.5;

/// A source knocked at a port in this minute. The order is that of the search.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Visit {
    port: u16,
    source: (u64, u64),
    minute: u32,
}

impl Visit {
    fn source(&self) -> Addr {
        Addr(u128::from(self.source.0) << 64 | u128::from(self.source.1))
    }
}

/// The engine. Feed knocks in the order of time, as far as there is one.
#[derive(Clone, Debug)]
pub struct Engine {
    settings: Settings,
    /// Low bits of the last minute of each bucket of (source, port) pairs; zero is never.
    filter: Vec<u16>,
    visits: Vec<Visit>,
    /// Only sources whose hash has so many trailing zero bits are kept.
    thinned: u32,
    range: Option<(u32, u32)>,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        let buckets = 1_usize << settings.filter_bits.clamp(8, 30);
        Engine { settings, filter: vec![0; buckets], visits: Vec::new(), thinned: 0, range: None }
    }

    /// Takes one knock.
    pub fn observe(&mut self, knock: &Knock) {
        let minute = knock.at.seconds().div_euclid(60).clamp(0, i64::from(u32::MAX)) as u32;
        let source = ((knock.source.0 >> 64) as u64, knock.source.0 as u64);
        let host = mix(source.0 ^ source.1.rotate_left(32));
        if host.trailing_zeros() < self.thinned {
            return;
        }
        self.range = Some(self.range.map_or((minute, minute), |(low, high)| (low.min(minute), high.max(minute))));
        let bucket = mix(host ^ u64::from(knock.port)) as usize & (self.filter.len() - 1);
        let mark = (minute as u16).max(1);
        let before = std::mem::replace(&mut self.filter[bucket], mark);
        // The same visit goes on, or this is the first one.
        if before == 0 || mark.wrapping_sub(before) <= WITHIN as u16 {
            return;
        }
        if self.visits.len() >= self.settings.rows_max {
            self.shrink();
        }
        self.visits.push(Visit { port: knock.port, source, minute });
    }

    /// Whether only a part of the sources could be kept.
    pub fn approximate(&self) -> bool {
        self.thinned > 0
    }

    /// Drops doubles, then every second source until a quarter of the room is free.
    fn shrink(&mut self) {
        self.visits.sort_unstable();
        self.visits.dedup();
        while self.visits.len() > self.settings.rows_max / 4 * 3 {
            self.thinned += 1;
            let thinned = self.thinned;
            self.visits.retain(|v| mix(v.source.0 ^ v.source.1.rotate_left(32)).trailing_zeros() >= thinned);
        }
    }

    /// The groups, strongest first.
    pub fn finish(mut self) -> Vec<Alert> {
        let Some((low, high)) = self.range else { return Vec::new() };
        let days = ((high - low) / 1_440 + 1) as usize;
        self.visits.sort_unstable();
        self.visits.dedup();
        let mut groups = Vec::new();
        for port in self.visits.chunk_by(|a, b| a.port == b.port) {
            let callers: Vec<Caller> = port
                .chunk_by(|a, b| a.source == b.source)
                .map(|visits| Caller { source: visits[0].source(), minutes: visits.iter().map(|v| v.minute).collect() })
                .filter(|caller| (self.settings.shared_min..=VISITS_PER_DAY_MAX * days).contains(&caller.minutes.len()))
                .collect();
            if callers.len() >= self.settings.members_min {
                groups.extend(on_port(port[0].port, &callers, &self.settings));
            }
        }
        let mut alerts: Vec<Alert> = join_ports(groups).into_iter().map(|group| group.alert()).collect();
        alerts.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.sources.cmp(&b.sources)));
        alerts
    }
}

/// SplitMix64's finisher: spreads every bit.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A source's visits to one port.
struct Caller {
    source: Addr,
    /// First minutes of visits, ascending.
    minutes: Vec<u32>,
}

/// A group on one or several ports.
struct Group {
    ports: BTreeSet<u16>,
    members: BTreeSet<Addr>,
    /// Minutes in which at least half of the members act.
    bursts: BTreeSet<u32>,
}

/// Groups on one port.
fn on_port(port: u16, callers: &[Caller], settings: &Settings) -> Vec<Group> {
    let mut linked = Linked((0..callers.len()).collect());
    let mut buckets: HashMap<(u64, u64, u64), Vec<usize>> = HashMap::new();
    for (at, caller) in callers.iter().enumerate() {
        for grid in [0, GRID_MINUTES / 2] {
            for band in 0..BANDS {
                let least = |row: u64| {
                    let hash = |minute: &u32| {
                        let slot = u64::from((minute + grid) / GRID_MINUTES);
                        mix(slot ^ mix(band * 2 + row + 1))
                    };
                    caller.minutes.iter().map(hash).min().unwrap_or(0)
                };
                let key = (u64::from(grid) << 32 | band, least(0), least(1));
                let met = buckets.entry(key).or_default();
                for &other in met.iter().rev().take(NEIGHBOURS) {
                    if linked.root(at) != linked.root(other) && coincide(caller, &callers[other], settings) {
                        linked.link(at, other);
                    }
                }
                met.push(at);
            }
        }
    }
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for at in 0..callers.len() {
        members.entry(linked.root(at)).or_default().push(at);
    }
    let mut groups: Vec<Group> = members
        .into_values()
        .filter(|members| members.len() >= settings.members_min)
        .map(|members| Group {
            ports: BTreeSet::from([port]),
            bursts: bursts(members.iter().map(|&at| &callers[at])),
            members: members.iter().map(|&at| callers[at].source).collect(),
        })
        .filter(|group| group.bursts.len() >= settings.shared_min)
        .collect();
    groups.sort_by(|a, b| a.members.cmp(&b.members));
    groups
}

/// Whether the visits of two sources coincide to the minute beyond what their slow trends explain.
fn coincide(a: &Caller, b: &Caller, settings: &Settings) -> bool {
    let shared = overlap(&a.minutes, &b.minutes, 0);
    let shorter = a.minutes.len().min(b.minutes.len());
    if shared < settings.shared_min || (shared as f64) < settings.share_min * shorter as f64 {
        return false;
    }
    let shifted: usize = SHIFTS.iter().map(|&shift| overlap(&a.minutes, &b.minutes, shift)).sum();
    let mean = (shifted as f64 / SHIFTS.len() as f64).max(EXPECTED_MIN);
    CountModel { mean, size: f64::INFINITY }.tail(shared as f64) <= settings.probability
}

/// Visits of `a` that have one of `b`, moved by `shift` minutes, beside them.
fn overlap(a: &[u32], b: &[u32], shift: i64) -> usize {
    let mut others = b.iter().map(|minute| i64::from(*minute) + shift).peekable();
    a.iter()
        .filter(|minute| {
            let minute = i64::from(**minute);
            while others.next_if(|other| *other < minute - i64::from(WITHIN)).is_some() {}
            others.peek().is_some_and(|other| *other <= minute + i64::from(WITHIN))
        })
        .count()
}

/// Minutes in which at least half of the callers act, one per burst.
fn bursts<'a>(callers: impl Iterator<Item = &'a Caller>) -> BTreeSet<u32> {
    let mut acting: HashMap<u32, usize> = HashMap::new();
    let mut members = 0;
    for caller in callers {
        members += 1;
        let near: BTreeSet<u32> =
            caller.minutes.iter().flat_map(|m| m.saturating_sub(WITHIN)..=m.saturating_add(WITHIN)).collect();
        near.into_iter().for_each(|minute| *acting.entry(minute).or_default() += 1);
    }
    let full: BTreeSet<u32> = acting.into_iter().filter(|(_, count)| count * 2 >= members).map(|(m, _)| m).collect();
    // Neighbouring minutes are one burst, named by its middle.
    let mut found = BTreeSet::new();
    let mut run: Vec<u32> = Vec::new();
    for minute in full {
        if run.last().is_some_and(|last| minute > last + 1) {
            found.insert(run[run.len() / 2]);
            run.clear();
        }
        run.push(minute);
    }
    if !run.is_empty() {
        found.insert(run[run.len() / 2]);
    }
    found
}

/// Groups whose members are mostly the same are one, whatever their ports.
fn join_ports(mut groups: Vec<Group>) -> Vec<Group> {
    let mut joined: Vec<Group> = Vec::new();
    groups.sort_by(|a, b| b.members.len().cmp(&a.members.len()).then(a.ports.cmp(&b.ports)));
    for group in groups {
        let same = joined.iter_mut().find(|other| {
            let shared = group.members.intersection(&other.members).count();
            let all = group.members.len() + other.members.len() - shared;
            shared as f64 >= PORTS_JOIN * all as f64
        });
        match same {
            Some(other) => {
                other.ports.extend(group.ports);
                other.members.extend(group.members);
                other.bursts.extend(group.bursts);
            }
            None => joined.push(group),
        }
    }
    joined
}

impl Group {
    fn alert(&self) -> Alert {
        let at = |minute: &u32| Nanos(i64::from(*minute) * 60 * SECOND);
        let hosts = self.members.len();
        let share = |port: &u16| PortShare { port: *port, hosts, share: 1.0, level: Level::Attack };
        let ports: Vec<PortShare> = self.ports.iter().map(share).collect();
        let bursts: Vec<Nanos> = self.bursts.iter().map(at).collect();
        let start = bursts.first().copied().unwrap_or_default();
        let end = bursts.last().map_or(start, |last| Nanos(last.0 + 60 * SECOND));
        let reason = format!(
            "{hosts} sources knocked at port {} in the same minutes, {} times from {} to {}",
            port_list(&ports),
            bursts.len(),
            start.rfc3339(),
            end.rfc3339()
        );
        let (sources, weight) = (self.members.iter().copied().collect(), (hosts * bursts.len()) as f64);
        Alert { engine: "pulses", start, end, ports, sources, hosts, bursts, weight, reason }
    }
}

/// Union-find with path halving.
struct Linked(Vec<usize>);

impl Linked {
    fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn link(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}
