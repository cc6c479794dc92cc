//! Campaigns: sources that begin to probe the same port with the same tool at the same time.
//!
//! Every run of probes ([`super::probe`]) leaves one small record: who, which port, when, what it looked like. A campaign
//! shows as a port on which far more sources begin within a few slots of time than the port's own history explains
//! (methods A5 and A6; the history is the mean of the quieter three quarters of the slots, so a campaign does not
//! explain itself). Sources that come back keep the campaign's identity; campaigns of the same sources on several ports
//! are one.

use super::probe::{ProbeKey, ProbeType};
use crate::chunks::Chunks;
use crate::config::thresholds;
use noroshi_model::finding::{Campaign, Position, Tool};
use noroshi_model::packet::ToolBits;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Sources that a campaign must have.
pub const SOURCES_MIN: usize = 10;
/// Sources beginning in one slot over the port's usual number: this factor ...
pub const SURGE_FACTOR: f64 = 3.0;
/// ... plus this many standard deviations of a Poisson count.
pub const SURGE_DEVIATIONS: f64 = 6.0;
/// Share of members that may be there by chance, at most.
pub const CHANCE_SHARE_MAX: f64 = 0.1;
/// Share of members that two surges on one port must share to be one campaign.
pub const RECURRENCE_MIN: f64 = 0.3;
/// Jaccard similarity of members from which campaigns on different ports are one.
pub const PORTS_JOIN_MIN: f64 = 0.5;
/// Factor that surges at the very start of the data must reach: there everything seems to begin.
const CENSORED_FACTOR: f64 = 20.0;
/// Slots of time that the data is cut into, at most, and how short one may be, seconds.
const SLOTS_MAX: usize = 288;
const SLOT_SECONDS_MIN: u32 = 60;
const SLOT_SECONDS_MAX: u32 = 600;
/// TCP ports, then UDP ports.
const PORTS: usize = 2 * 65_536;

/// One run of probes, small enough to keep by the million.
#[derive(Clone, Copy, Debug)]
struct Record {
    source: u32,
    first_seconds: u32,
    packets: u16,
    minutes: u16,
    port: u16,
    /// Tool in the low bits, UDP in the highest.
    class: u8,
}

const CLASSES: [Tool; 5] = [Tool::Unknown, Tool::Mirai, Tool::Zmap, Tool::Masscan, Tool::Nmap];
const UDP: u8 = 0x80;

/// Place in [`CLASSES`] of the tool that some fingerprints speak for.
#[inline]
fn class_of(consistent: ToolBits) -> u8 {
    if !consistent.any() {
        return 0;
    }
    let tool = super::tool_of(consistent);
    CLASSES.iter().position(|class| *class == tool).unwrap_or(0) as u8
}

impl Record {
    /// TCP ports first, UDP ports behind them.
    fn slot(&self) -> usize {
        usize::from(self.port) + if self.class & UDP != 0 { 65_536 } else { 0 }
    }

    fn tool(&self) -> Tool {
        CLASSES[usize::from(self.class & !UDP)]
    }
}

/// Records of one shard of sources, in no order that means anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    all: Chunks<Record>,
    /// Runs of a single packet, nine in ten of a darknet's, half as long ([`Single`]).
    singles: Chunks<Single>,
    /// What the seconds of singles count from.
    base: Option<u32>,
    /// Only sources whose index has this many trailing zero bits are kept; grows when memory is short.
    thinned: u32,
}

/// The record of one packet in a word: source, seconds since [`Records::base`], port, and tool with UDP in its highest bit.
#[derive(Clone, Copy, Debug)]
struct Single(u64);

impl Single {
    const SOURCE_BITS: u32 = 22;
    const SECONDS_BITS: u32 = 22;
    const PORT_BITS: u32 = 16;
    const CLASS_BITS: u32 = 4;
    const UDP: u8 = 1 << (Self::CLASS_BITS - 1);

    /// None for what is not a single packet or lies outside of what a word holds.
    #[inline]
    fn of(record: &Record, base: u32) -> Option<Self> {
        let seconds = record.first_seconds.wrapping_sub(base);
        let single = record.packets == 1 && record.minutes == 0;
        if !single || record.source >> Self::SOURCE_BITS != 0 || seconds >> Self::SECONDS_BITS != 0 {
            return None;
        }
        let class = record.class & !UDP | if record.class & UDP != 0 { Self::UDP } else { 0 };
        let upper = u64::from(record.source) << Self::SECONDS_BITS | u64::from(seconds);
        Some(Single((upper << Self::PORT_BITS | u64::from(record.port)) << Self::CLASS_BITS | u64::from(class)))
    }

    #[inline]
    fn record(self, base: u32) -> Record {
        let take = |shift: u32, bits: u32| (self.0 >> shift) as u32 & ((1 << bits) - 1);
        let class = take(0, Self::CLASS_BITS) as u8;
        let above = Self::CLASS_BITS + Self::PORT_BITS;
        Record {
            source: take(above + Self::SECONDS_BITS, Self::SOURCE_BITS),
            first_seconds: take(above, Self::SECONDS_BITS).wrapping_add(base),
            packets: 1,
            minutes: 0,
            port: take(Self::CLASS_BITS, Self::PORT_BITS) as u16,
            class: class & !Self::UDP | if class & Self::UDP != 0 { UDP } else { 0 },
        }
    }
}

const _: () = assert!(Single::SOURCE_BITS + Single::SECONDS_BITS + Single::PORT_BITS + Single::CLASS_BITS == 64);
const _: () = assert!(CLASSES.len() <= Single::UDP as usize);
/// Seconds before the first record that a word may speak of: twelve days.
const EARLIER_SECONDS: u32 = 1 << (Single::SECONDS_BITS - 2);

impl Records {
    #[inline]
    pub(crate) fn add(&mut self, key: ProbeKey, times: (Nanos, Nanos), packets: u32, consistent: ToolBits) {
        let udp = match key.kind() {
            ProbeType::Syn => 0,
            ProbeType::Udp => UDP,
            _ => return,
        };
        if key.source().trailing_zeros() < self.thinned {
            return;
        }
        let (first, last) = times;
        self.keep(Record {
            source: key.source(),
            first_seconds: first.0.div_euclid(SECOND).clamp(0, i64::from(u32::MAX)) as u32,
            packets: packets.min(u32::from(u16::MAX)) as u16,
            minutes: (last.seconds_since(first) / 60.0).min(65_535.0) as u16,
            port: key.port(),
            class: class_of(consistent) | udp,
        });
    }

    #[inline]
    fn keep(&mut self, record: Record) {
        let base = *self.base.get_or_insert(record.first_seconds.saturating_sub(EARLIER_SECONDS));
        match Single::of(&record, base) {
            Some(single) => self.singles.push(single),
            None => self.all.push(record),
        }
    }

    fn iter(&self) -> impl Iterator<Item = Record> + Clone {
        let base = self.base.unwrap_or(0);
        self.all.iter().copied().chain(self.singles.iter().map(move |single| single.record(base)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.all.bytes() + self.singles.bytes()
    }

    /// Keeps every other source only. True when something was dropped.
    pub(crate) fn thin(&mut self) -> bool {
        self.thinned += 1;
        let (thinned, base) = (self.thinned, self.base.unwrap_or(0));
        let kept = |record: &Record| record.source.trailing_zeros() >= thinned;
        let before = self.all.len() + self.singles.len();
        self.all = self.all.iter().filter(|record| kept(record)).copied().collect();
        self.singles = self.singles.iter().filter(|single| kept(&single.record(base))).copied().collect();
        self.all.len() + self.singles.len() < before
    }
}

/// A record with its source's address.
#[derive(Clone, Copy)]
struct Start {
    addr: Addr,
    record: Record,
}

/// Time cut into slots.
struct Slots {
    begin: u32,
    seconds: u32,
    count: usize,
}

impl Slots {
    fn over(records: impl Iterator<Item = Record>) -> Option<Self> {
        let (begin, end) =
            records.fold((u32::MAX, 0), |(low, high), r| (low.min(r.first_seconds), high.max(r.first_seconds)));
        if begin > end {
            return None;
        }
        let span = end - begin + 1;
        let fitting = span.div_ceil(SLOTS_MAX as u32);
        let seconds = (span / 144).clamp(SLOT_SECONDS_MIN, SLOT_SECONDS_MAX).max(fitting);
        Some(Slots { begin, seconds, count: span.div_ceil(seconds) as usize })
    }

    fn of(&self, record: &Record) -> usize {
        ((record.first_seconds - self.begin) / self.seconds) as usize
    }
}

/// A surge on one port: first and last slot.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Surge {
    from: usize,
    to: usize,
}

impl Surge {
    fn holds(self, slot: usize) -> bool {
        (self.from..=self.to).contains(&slot)
    }
}

/// The campaigns in all shards' records. `address` gives a source's address by shard and index.
pub(crate) fn campaigns<'a>(
    shards: impl Iterator<Item = &'a Records> + Clone,
    address: impl Fn(usize, u32) -> Addr,
) -> Vec<Campaign> {
    let Some(slots) = Slots::over(shards.clone().flat_map(Records::iter)) else { return Vec::new() };
    let mut counts = vec![0u16; PORTS * slots.count];
    shards.clone().flat_map(Records::iter).for_each(|record| {
        let cell = &mut counts[record.slot() * slots.count + slots.of(&record)];
        *cell = cell.saturating_add(1);
    });
    let mut surging: Vec<Surging> = counts
        .par_chunks_exact(slots.count)
        .enumerate()
        .filter_map(|(port, series)| Some((port, surges(series))).filter(|(_, found)| !found.is_empty()))
        .map(|(port, found)| Surging::new(port, found, slots.count))
        .collect();
    drop(counts);
    let mut place = vec![usize::MAX; PORTS];
    surging.iter().enumerate().for_each(|(at, port)| place[port.port] = at);
    for (shard, records) in shards.enumerate() {
        records.iter().for_each(|record| {
            if let Some(port) = surging.get_mut(place[record.slot()]) {
                port.add(&record, slots.of(&record), || address(shard, record.source));
            }
        });
    }
    let drafts = surging.iter().flat_map(|port| recurring(port.drafts())).collect();
    let mut found: Vec<Campaign> = across_ports(drafts).into_iter().map(|draft| draft.finding(&slots)).collect();
    found.sort_by(|a, b| b.sources.cmp(&a.sources).then_with(|| a.id.cmp(&b.id)));
    found
}

/// Intervals in which far more sources begin than the rest of the series explains.
fn surges(series: &[u16]) -> Vec<Surge> {
    let total: u64 = series.iter().map(|count| u64::from(*count)).sum();
    if total < SOURCES_MIN as u64 || series.len() < 3 {
        return Vec::new();
    }
    // No slot with its neighbours reaches the least that a surge must have: so it is for nearly all ports.
    if series.iter().all(|count| usize::from(*count) * 3 < SOURCES_MIN) {
        return Vec::new();
    }
    let usual = usual(series);
    let bar = |slots: f64| SURGE_FACTOR * usual * slots + SURGE_DEVIATIONS * (usual * slots + 1.0).sqrt();
    let around =
        |at: usize| series[at.saturating_sub(1)..(at + 2).min(series.len())].iter().map(|c| f64::from(*c)).sum::<f64>();
    let stands_out = |at: usize| {
        let censored = at < 2 && f64::from(series[at]) < CENSORED_FACTOR * usual;
        !censored
            && (f64::from(series[at]) >= bar(1.0) || series[at] > 0 && around(at) >= bar(3.0).max(SOURCES_MIN as f64))
    };
    let goes_on = |at: usize| f64::from(series[at]) > 2.0 * usual + 2.0 * usual.sqrt() + 0.5;
    let mut found: Vec<Surge> = Vec::new();
    let mut at = 0;
    while at < series.len() {
        if !stands_out(at) {
            at += 1;
            continue;
        }
        let (mut from, mut to) = (at, at);
        while from > 0 && goes_on(from - 1) {
            from -= 1;
        }
        // One quiet slot does not end it.
        while to + 1 < series.len() && (goes_on(to + 1) || to + 2 < series.len() && goes_on(to + 2)) {
            to += 1;
        }
        match found.last_mut() {
            Some(last) if last.to + 1 >= from => last.to = last.to.max(to),
            _ => found.push(Surge { from, to }),
        }
        at = to + 1;
    }
    found
}

/// What is usual on a port: the mean over the quieter three quarters of its slots.
fn usual(series: &[u16]) -> f64 {
    let mut sorted = series.to_vec();
    let quieter = (sorted.len() * 3 / 4).max(1);
    // Their order among themselves does not matter.
    sorted.select_nth_unstable(quieter - 1);
    let quiet = &sorted[..quieter];
    quiet.iter().map(|count| f64::from(*count)).sum::<f64>() / quiet.len() as f64
}

/// A campaign before its members' addresses are sorted and its sentence is written.
#[derive(Clone, Debug)]
struct Draft {
    ports: BTreeSet<u16>,
    udp: bool,
    tool: Tool,
    members: BTreeSet<Addr>,
    packets: u64,
    first: u32,
    last: u32,
    /// Members expected by chance.
    chance: f64,
    surges: u32,
}

/// A port with surges. Only who began within one of them is kept by name: on a day of fifty million packets nearly all
/// sources begin at some such port, at some other time.
struct Surging {
    port: usize,
    surges: Vec<Surge>,
    /// Sources that began in each slot, by place in [`CLASSES`].
    series: [Vec<u16>; CLASSES.len()],
    /// Those within a surge, with their slots.
    starts: Vec<(usize, Start)>,
}

impl Surging {
    fn new(port: usize, surges: Vec<Surge>, slots: usize) -> Self {
        Surging { port, surges, series: std::array::from_fn(|_| vec![0; slots]), starts: Vec::new() }
    }

    fn add(&mut self, record: &Record, slot: usize, address: impl FnOnce() -> Addr) {
        let count = &mut self.series[usize::from(record.class & !UDP)][slot];
        *count = count.saturating_add(1);
        if self.surges.iter().any(|surge| surge.holds(slot)) {
            self.starts.push((slot, Start { addr: address(), record: *record }));
        }
    }

    /// One draft for each tool that stands out within a surge, for each surge.
    fn drafts(&self) -> Vec<Draft> {
        let tools = || CLASSES.into_iter().zip(&self.series);
        self.surges
            .iter()
            .flat_map(|surge| tools().filter_map(move |(tool, series)| self.draft(*surge, tool, series)))
            .collect()
    }

    fn draft(&self, surge: Surge, tool: Tool, series: &[u16]) -> Option<Draft> {
        let within = self.starts.iter().filter(|(slot, start)| surge.holds(*slot) && start.record.tool() == tool);
        let inside: Vec<&Start> = within.map(|(_, start)| start).collect();
        let members: BTreeSet<Addr> = inside.iter().map(|start| start.addr).collect();
        let chance = usual(series) * (surge.to - surge.from + 1) as f64;
        if members.len() < SOURCES_MIN || chance > members.len() as f64 * CHANCE_SHARE_MAX {
            return None;
        }
        let end = |record: &Record| record.first_seconds + u32::from(record.minutes) * 60;
        let record = &inside.first()?.record;
        Some(Draft {
            ports: BTreeSet::from([record.port]),
            udp: record.class & UDP != 0,
            tool,
            packets: inside.iter().map(|start| u64::from(start.record.packets)).sum(),
            first: inside.iter().map(|start| start.record.first_seconds).min()?,
            last: inside.iter().map(|start| end(&start.record)).max()?,
            members,
            chance,
            surges: 1,
        })
    }
}

/// Surges of one port and tool that share members are one campaign.
fn recurring(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut out: Vec<Draft> = Vec::new();
    for draft in drafts {
        let known = out.iter_mut().find(|known| {
            let shared = known.members.intersection(&draft.members).count();
            known.tool == draft.tool
                && shared as f64 >= RECURRENCE_MIN * known.members.len().min(draft.members.len()) as f64
        });
        match known {
            Some(known) => known.absorb(draft),
            None => out.push(draft),
        }
    }
    out
}

/// Campaigns of the same sources on several ports are one.
fn across_ports(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut out: Vec<Draft> = Vec::new();
    // Only drafts that share a member can be joined, so a member's latest draft is all that needs a look.
    let mut latest: HashMap<Addr, usize> = HashMap::new();
    for draft in drafts {
        let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
        for member in &draft.members {
            if let Some(at) = latest.get(member) {
                *shared.entry(*at).or_default() += 1;
            }
        }
        let same = shared.into_iter().find(|(at, count)| {
            let other = &out[*at];
            let union = other.members.len() + draft.members.len() - count;
            other.tool == draft.tool && other.udp == draft.udp && *count as f64 >= PORTS_JOIN_MIN * union as f64
        });
        let at = same.map_or(out.len(), |(at, _)| at);
        latest.extend(draft.members.iter().map(|member| (*member, at)));
        if at == out.len() { out.push(draft) } else { out[at].absorb(draft) }
    }
    out
}

impl Draft {
    fn absorb(&mut self, other: Draft) {
        self.ports.extend(other.ports);
        self.members.extend(other.members);
        self.packets += other.packets;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.chance += other.chance;
        self.surges += other.surges;
    }

    fn finding(self, slots: &Slots) -> Campaign {
        let protocol = if self.udp { "udp" } else { "tcp" };
        let sources = self.members.len();
        let ports: Vec<u16> = self.ports.into_iter().collect();
        let listed = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let share = (self.chance / sources as f64).min(1.0);
        let tool = if self.tool == Tool::Unknown { String::new() } else { format!(" with {}", self.tool) };
        let times = if self.surges > 1 { format!(", in {} waves", self.surges) } else { String::new() };
        Campaign {
            id: format!("{protocol}-{}-{}-{}", ports[0], self.tool, self.first),
            tool: self.tool,
            sources: sources as u64,
            packets: self.packets,
            first: Nanos(i64::from(self.first) * SECOND),
            last: Nanos(i64::from(self.last) * SECOND),
            confidence: (1.0 - share).clamp(0.5, 0.99),
            thresholds: thresholds([
                ("sources_min", SOURCES_MIN as f64),
                ("surge_factor", SURGE_FACTOR),
                ("surge_deviations", SURGE_DEVIATIONS),
                ("chance_share_max", CHANCE_SHARE_MAX),
                ("recurrence_min", RECURRENCE_MIN),
                ("slot_seconds", f64::from(slots.seconds)),
            ]),
            detector: crate::detector("campaign"),
            evidence: Vec::<Position>::new(),
            reason: format!(
                "{sources} sources began to probe {protocol}/{listed}{tool} together{times}; about {:.0} would have by chance.",
                self.chance
            ),
            members: self.members.into_iter().collect(),
            ports,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A record comes out as it was kept, in a word or not.
        #[test]
        fn records_come_out_as_they_were(
            kept in proptest::collection::vec(
                (any::<u32>(), 0u32..32, any::<u32>(), 0u32..32, any::<u16>(), 0u8..5, any::<bool>(), 0u16..3),
                1..100,
            ),
        ) {
            let kept = kept.into_iter().map(|(source, s, seconds, t, port, tool, udp, more)| Record {
                source: source >> s,
                first_seconds: seconds >> t,
                packets: 1 + more / 2,
                minutes: more % 2,
                port,
                class: tool | if udp { UDP } else { 0 },
            });
            let mut records = Records::default();
            let mut expected: Vec<String> = kept.map(|record| {
                records.keep(record);
                format!("{record:?}")
            }).collect();
            let mut found: Vec<String> = records.iter().map(|record| format!("{record:?}")).collect();
            expected.sort();
            found.sort();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_flat_series_has_no_surge() {
        assert!(surges(&[20; 144]).is_empty());
        let wave: Vec<u16> = (0..144).map(|slot| (100.0 + 35.0 * (slot as f64 / 23.0).sin()) as u16).collect();
        assert!(surges(&wave).is_empty(), "a daily rhythm is not a surge");
    }

    #[test]
    fn a_burst_on_a_quiet_port_is_one_surge() {
        let mut series = [0u16; 144];
        series[40..46].copy_from_slice(&[18, 9, 4, 0, 3, 1]);
        assert_eq!(surges(&series), [Surge { from: 40, to: 45 }]);
    }

    #[test]
    fn the_start_of_the_data_is_no_surge_on_a_busy_port() {
        let mut series = [30u16; 144];
        series[0] = 200;
        assert!(surges(&series).is_empty());
    }
}
