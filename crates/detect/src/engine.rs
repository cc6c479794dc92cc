//! The engine: batches in order, findings out.

mod peers;

use self::peers::TalkShares;
use crate::brute_force;
use crate::config::{Config, Scale};
use crate::ddos::receivers::DestinationShard;
use crate::ddos::victims::VictimShard;
use crate::ddos::{amplification, carpet};
use crate::monitored::{self, Destination};
use crate::payload::Payloads;
use crate::scan::{self, Closed, campaign};
use crate::shard::{Prepared, Preparer, SHARDS, Shelf};
use crate::source::{Lane, PORT_SLOTS, PortTally, Source, SourceShard, Vertical};
use crate::tally::Tally;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use noroshi_model::finding::{Attack, AttackKind, Campaign, Label, Scan, Tool, Victim};
use noroshi_model::packet::PacketBatch;
use noroshi_model::report::{BruteForce, FileSummary, PayloadCluster, PortCount, PortProtocol, Timeline, Totals};
use noroshi_model::{Addr, Nanos, Prefix};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Packets that are worked on together: the more there are, the more of them share what is fetched from memory of their
/// source and destination, and the more memory waits (80 bytes each). 640,000 instead of 160,000 took 5.4 instead of 6.1
/// seconds of user time for ten million packets; fewer than half of that many keep the memory within bounds.
const GROUP_PACKETS: usize = 256_000;
/// Bytes that a waiting packet takes, with the slack of lists that grow.
const PACKET_BYTES: usize = 120;
/// Records for campaigns are thinned while they are at least one part in so many of what is held: below, it would cost
/// campaigns and free next to nothing.
const RECORDS_SHARE_MIN: u64 = 8;
/// Packets of the first group, from which the gap that ends a scan is known.
const FIRST_PACKETS: usize = 160_000;

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The monitored space, given or inferred.
    pub monitored: Vec<Prefix>,
    /// Whether it was inferred.
    pub monitored_inferred: bool,
    /// Whether a memory bound made counts approximate.
    pub approximate: bool,
    /// Full counts.
    pub totals: Totals,
    /// Destination ports by packets, then protocol and port.
    pub ports: Vec<PortCount>,
    /// Sources by packets, then address; cut to the number asked for.
    pub sources: Vec<SourceFacts>,
    /// Scans by packets.
    pub scans: Vec<Scan>,
    /// Campaigns by sources.
    pub campaigns: Vec<Campaign>,
    /// Attacks by packets.
    pub attacks: Vec<Attack>,
    /// First payloads by packets.
    pub payloads: Vec<PayloadCluster>,
    /// Repeated logins by attempts.
    pub brute_force: Vec<BruteForce>,
    /// Packets per slot of time.
    pub timeline: Timeline,
    /// Oddity code to packets.
    pub oddities: BTreeMap<String, u64>,
}

/// What was seen of one source, before anything is looked up about it.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceFacts {
    /// Address.
    pub address: Addr,
    /// Packets sent.
    pub packets: u64,
    /// Distinct destination ports.
    pub ports: u64,
    /// Distinct destinations.
    pub destinations: u64,
    /// Tools named by three or more probes.
    pub tools: Vec<Tool>,
    /// What its packets make of it.
    pub labels: Vec<Label>,
    /// First packet that carried a time.
    pub first: Option<Nanos>,
    /// Last packet that carried a time.
    pub last: Option<Nanos>,
}

/// A batch that waits to be worked on.
#[derive(Clone)]
enum Pending {
    Raw(PacketBatch),
    Ready(Box<Prepared>),
}

/// Detectors over a stream of packets. A copy may be finished to look at what was found so far.
pub struct Engine {
    config: Config,
    scale: Option<Scale>,
    pending: Vec<Pending>,
    pending_packets: usize,
    shelf: Shelf,
    /// One for each thread, as most of it is in use all the time.
    lanes: Vec<Mutex<Lane>>,
    sources: Vec<SourceShard>,
    victims: Vec<VictimShard>,
    destinations: Vec<DestinationShard>,
    tally: Tally,
    swept: Nanos,
    /// An instant that the groups so far have passed.
    passed: Nanos,
    approximate: bool,
}

impl Clone for Engine {
    fn clone(&self) -> Self {
        let lane = |lane: &Mutex<Lane>| Mutex::new(lane.lock().unwrap_or_else(PoisonError::into_inner).clone());
        Engine {
            config: self.config.clone(),
            scale: self.scale,
            pending: self.pending.clone(),
            pending_packets: self.pending_packets,
            // What is kept to be filled again needs no copy.
            shelf: Shelf::default(),
            lanes: self.lanes.iter().map(lane).collect(),
            sources: self.sources.clone(),
            victims: self.victims.clone(),
            destinations: self.destinations.clone(),
            tally: self.tally.clone(),
            swept: self.swept,
            passed: self.passed,
            approximate: self.approximate,
        }
    }
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(config: Config) -> Self {
        Engine {
            config,
            scale: None,
            pending: Vec::new(),
            pending_packets: 0,
            shelf: Shelf::default(),
            lanes: Vec::new(),
            sources: (0..SHARDS).map(|_| SourceShard::new()).collect(),
            victims: (0..SHARDS).map(|_| VictimShard::default()).collect(),
            destinations: (0..SHARDS).map(|_| DestinationShard::new()).collect(),
            tally: Tally::default(),
            swept: Nanos(i64::MIN),
            passed: Nanos(i64::MIN),
            approximate: false,
        }
    }

    /// Takes the next packets. Work is done in groups, on the threads of the current rayon pool.
    pub fn observe(&mut self, batch: PacketBatch) {
        self.pend(batch.rows.len(), Pending::Raw(batch));
    }

    /// Takes the next packets after [`Preparer::prepare`], which is best done right after they were decoded, while the
    /// core's cache still holds them.
    pub fn observe_prepared(&mut self, batch: Prepared) {
        self.pend(batch.packets, Pending::Ready(Box::new(batch)));
    }

    /// What makes batches ready for this engine.
    pub fn preparer(&self) -> Preparer {
        let (since, until) = (self.config.since, self.config.until);
        Preparer { since, until, first: self.scale.is_none(), shelf: self.shelf.clone() }
    }

    fn pend(&mut self, packets: usize, pending: Pending) {
        self.pending_packets += packets;
        self.pending.push(pending);
        let group = if self.scale.is_some() { GROUP_PACKETS } else { FIRST_PACKETS };
        if self.pending_packets >= group {
            self.work();
        }
    }

    /// Counts of the inputs so far, in their order, written into their summaries.
    pub fn summarise(&self, files: &mut [FileSummary]) {
        for (i, summary) in files.iter_mut().enumerate() {
            if let Some(tally) = self.tally.files.get(i) {
                tally.write(summary);
            }
            let of_file = |counts: &[u64]| counts.get(i).copied().unwrap_or(0);
            summary.unique_sources = self.sources.iter().map(|shard| of_file(&shard.by_file)).sum();
            summary.unique_destinations = self.destinations.iter().map(|shard| of_file(&shard.by_file)).sum();
        }
    }

    /// Works on what is pending.
    pub fn work(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.pending_packets = 0;
        if pending.is_empty() {
            return;
        }
        let preparer = self.preparer();
        let mut parts: Vec<Prepared> = pending
            .into_par_iter()
            .map(|pending| {
                let mut prepared = match pending {
                    Pending::Raw(batch) => preparer.prepare(&batch),
                    Pending::Ready(prepared) => *prepared,
                };
                prepared.sort();
                prepared
            })
            .collect();
        for part in &mut parts {
            part.tally.finish();
            self.tally.add(&part.tally);
        }
        let scale = *self.scale.get_or_insert_with(|| first_scale(&self.config, &parts));
        let watermark = watermark(&parts);
        let sweep = watermark.0.saturating_sub(self.swept.0) > scale.scan_gap / 4;
        if sweep {
            self.swept = watermark;
        }
        let monitored = &self.config.monitored;
        let watched = |addr: Addr| monitored.is_empty() || monitored.iter().any(|prefix| prefix.contains(addr));
        self.lanes.resize_with(rayon::current_num_threads().max(self.lanes.len()), Mutex::default);
        let lanes = &self.lanes;
        let passed = self.passed;
        let shards = self.sources.par_iter_mut().zip(&mut self.victims).zip(&mut self.destinations).enumerate();
        // One by one, so that no thread is left with many of them at the end.
        shards.with_max_len(1).for_each(|(shard, ((sources, victims), destinations))| {
            // Whichever is free: what they count is added up in the end.
            let lane = rayon::current_thread_index().unwrap_or(0) % lanes.len();
            let mut lane = lanes[lane].lock().unwrap_or_else(PoisonError::into_inner);
            sources.add_all(&parts, shard, &mut lane, passed, &scale);
            drop(lane);
            for (answer, quoted) in parts.iter().flat_map(|part| part.lists.answers(shard)) {
                victims.add(answer, quoted, &watched);
            }
            for part in &parts {
                destinations.add_all(&part.lists.v4.arrived[shard], &watched);
                destinations.add_all(&part.lists.any.arrived[shard], &watched);
            }
            if sweep {
                victims.expire(watermark, &scale);
                destinations.expire(watermark);
            }
        });
        self.passed = watermark;
        parts.into_iter().for_each(|part| part.recycle(&self.shelf));
        if sweep {
            self.bound_memory();
        }
    }

    /// Past the memory bound, campaigns are judged from every other source (and so on); the result says so.
    fn bound_memory(&mut self) {
        let sources: u64 = self.sources.par_iter().map(SourceShard::bytes).sum();
        let destinations: u64 = self.destinations.par_iter().map(DestinationShard::bytes).sum();
        let waiting = (GROUP_PACKETS * PACKET_BYTES) as u64;
        let held = sources + destinations + self.victim_bytes() + waiting;
        let records: u64 = self.sources.iter().map(|shard| shard.records.bytes() as u64).sum();
        if held > self.config.memory_bytes * 3 / 4 && records > held / RECORDS_SHARE_MIN {
            let thinned: Vec<bool> = self.sources.par_iter_mut().map(|shard| shard.records.thin()).collect();
            self.approximate |= thinned.into_iter().any(|dropped| dropped);
        }
    }

    fn victim_bytes(&self) -> u64 {
        self.victims.iter().map(VictimShard::bytes).sum()
    }

    /// Bytes held by the tables, by what they hold; walks them, so it costs time.
    pub fn memory(&self) -> Vec<(&'static str, u64)> {
        let sum = |of: fn(&SourceShard) -> u64| self.sources.iter().map(of).sum::<u64>();
        vec![
            ("sources", sum(SourceShard::source_bytes)),
            ("probes", sum(SourceShard::probe_bytes)),
            ("records", sum(|shard| shard.records.bytes() as u64)),
            ("sets", sum(SourceShard::heap_bytes)),
            ("closed", sum(|shard| (shard.closed.capacity() * size_of::<Closed>()) as u64)),
            ("destinations", self.destinations.iter().map(DestinationShard::bytes).sum()),
            ("victims", self.victim_bytes()),
        ]
    }

    /// Ends the stream and says what was found. `lists_max` bounds the lists of sources and scans; their totals are whole.
    pub fn finish(&mut self, lists_max: usize) -> Findings {
        self.work();
        let (monitored, inferred) = self.monitored();
        let destinations: u64 = self.destinations.iter().map(|shard| shard.all.len() as u64).sum();
        let first = self.scale.unwrap_or(Scale::of(1));
        let scale = Scale { scan_gap: first.scan_gap, ..Scale::of(monitored::size(&monitored, destinations)) };
        self.sources.par_iter_mut().for_each(|shard| shard.finish(&scale));
        self.close_attacks();
        let payloads: Vec<Payloads> =
            self.sources.iter_mut().map(|shard| std::mem::take(&mut shard.payloads)).collect();
        let this = &*self;
        // Campaigns take longest and go one record at a time; everything else is found beside them.
        let ((campaigns, payloads), ((attacks, sources), ((scan_count, scans), ports))) = rayon::join(
            || (this.campaigns(), clusters(payloads)),
            || {
                let attacks_and_sources = || {
                    let attacks = this.attacks(&scale, inferred);
                    let sources = this.facts(lists_max, &victims(&attacks), &scale);
                    (attacks, sources)
                };
                rayon::join(attacks_and_sources, || rayon::join(|| this.scans(&scale, lists_max), || this.ports()))
            },
        );
        Findings {
            totals: Totals {
                sources: self.sources.iter().map(|shard| shard.sources.len() as u64).sum(),
                destinations,
                ports: ports.len() as u64,
                scans: scan_count,
                campaigns: campaigns.len() as u64,
                attacks: attacks.len() as u64,
            },
            brute_force: brute_force::find(self.sources.iter().flat_map(|shard| &shard.closed)),
            sources,
            payloads,
            timeline: self.tally.slots.timeline(),
            oddities: self.tally.oddities(),
            approximate: self.approximate,
            monitored_inferred: inferred,
            monitored,
            ports,
            scans,
            campaigns,
            attacks,
        }
    }

    /// Every source with its packets, in no particular order; for sums that must not be cut, such as by country.
    pub fn source_packets(&self) -> impl Iterator<Item = (Addr, u64)> {
        self.sources.iter().flat_map(|shard| shard.sources.iter().map(|source| (source.addr, source.packets)))
    }

    fn monitored(&self) -> (Vec<Prefix>, bool) {
        if !self.config.monitored.is_empty() {
            return (self.config.monitored.clone(), false);
        }
        let seen = self.destinations.iter().flat_map(|shard| {
            shard.addrs.iter().zip(shard.all.iter()).map(|(addr, receiver)| Destination {
                addr: *addr,
                packets: receiver.packets,
                sends: self.source(*addr).is_some(),
            })
        });
        (monitored::infer(seen), true)
    }

    fn close_attacks(&mut self) {
        for shard in &mut self.victims {
            shard.closed.extend(shard.open.drain());
        }
        for shard in &mut self.destinations {
            shard.close(Nanos(i64::MAX));
        }
    }

    fn campaigns(&self) -> Vec<Campaign> {
        campaign::campaigns(self.sources.iter().map(|shard| &shard.records), |shard, index| {
            self.sources[shard].sources[index as usize].addr
        })
    }

    fn attacks(&self, scale: &Scale, inferred: bool) -> Vec<Attack> {
        let observed = self.tally.observed_seconds();
        let backscatter = self.victims.par_iter().flat_map_iter(|shard| {
            let attacks = shard.closed.iter().filter(|(_, seen)| seen.qualifies(scale) && !seen.continuous(observed));
            attacks.filter_map(|(victim, seen)| {
                // An address that speaks itself may have asked for the answer.
                let live = seen.sampled.iter().filter(|addr| self.spoke(**addr) > 0).count();
                (!inferred || live * 2 <= seen.sampled.len()).then(|| seen.finding(*victim, scale))
            })
        });
        let arrived = self.destinations.par_iter().flat_map_iter(|shard| {
            shard.closed.iter().flat_map(|(victim, account)| {
                let sent = self.source(*victim).map_or(0, |source| source.packets);
                account.findings(*victim, sent)
            })
        });
        let asked = self.sources.par_iter().flat_map_iter(|shard| {
            shard
                .closed
                .iter()
                .filter(|run| !self.answered(run))
                .filter_map(|run| run.requests().and_then(amplification::Requests::judge))
        });
        let found: Vec<Attack> = backscatter.chain(arrived).chain(asked).collect();
        let mut found = carpet::join(found);
        found.sort_by(|a, b| {
            b.packets
                .cmp(&a.packets)
                .then_with(|| (a.victim, a.kind, a.vector, a.first).cmp(&(b.victim, b.kind, b.vector, b.first)))
        });
        found
    }

    /// How many scans there are, and the largest of them. Only those are written out: a large day has a million.
    fn scans(&self, scale: &Scale, scans_max: usize) -> (u64, Vec<Scan>) {
        let mut found: Vec<ScanOf<'_>> =
            self.sources.par_iter().flat_map_iter(|shard| self.scans_of(shard, scale)).collect();
        let total = found.len() as u64;
        if found.len() > scans_max && scans_max > 0 {
            found.select_nth_unstable_by_key(scans_max - 1, ScanOf::rank);
            found.truncate(scans_max);
        }
        found.sort_unstable_by_key(ScanOf::rank);
        let write = |found: &ScanOf<'_>| match found {
            ScanOf::Run(run) => {
                let tools = self.source(run.source).map(|source| source.tools.tools()).unwrap_or_default();
                Some(run.scan(scale, &tools))
            }
            ScanOf::Vertical(source, refused) => scan::vertical(source, *refused),
            ScanOf::Block(source) => scan::block(source),
        };
        (total, found.iter().filter_map(write).collect())
    }

    fn scans_of<'a>(&'a self, shard: &'a SourceShard, scale: &Scale) -> Vec<ScanOf<'a>> {
        let mut talk = TalkShares::new(self);
        let runs = shard.closed.iter().filter(|run| run.is_scan(scale) && !self.answered(run) && !talk.incidental(run));
        let mut found: Vec<ScanOf<'a>> = runs.map(ScanOf::Run).collect();
        let wide: hashbrown::HashSet<Addr, RandomState> =
            shard.closed.iter().filter(|run| run.is_scan(scale)).map(|run| run.source).collect();
        for source in shard.sources.iter() {
            if let Some(refused) = source.vertical.as_ref().and_then(|vertical| self.vertical(source, vertical)) {
                found.push(ScanOf::Vertical(source, refused));
            } else if scan::is_block(source)
                && source.times().is_some()
                && !wide.contains(&source.addr)
                && !talk.in_a_swarm(source)
            {
                found.push(ScanOf::Block(source));
            }
        }
        found
    }

    /// Whether the target of a vertical scan refused and never spoke; none when there is no such scan.
    fn vertical(&self, source: &Source, vertical: &Vertical) -> Option<bool> {
        let target = self.source(vertical.destination);
        let refused = target.is_some_and(|target| target.packets == target.answers);
        let spoke = target.map_or(0, |target| target.packets - target.answers);
        (scan::is_vertical(source, refused) && spoke <= source.packets / 4).then_some(refused)
    }

    fn ports(&self) -> Vec<PortCount> {
        let lanes: Vec<_> = self.lanes.iter().map(|lane| lane.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        let mut out = Vec::new();
        for slot in 0..PORT_SLOTS {
            let sum = |field: fn(&PortTally) -> u32| lanes.iter().map(|lane| u64::from(field(&lane.ports[slot]))).sum();
            let packets = sum(|port| port.packets);
            if packets > 0 {
                let protocol = [PortProtocol::Tcp, PortProtocol::Udp, PortProtocol::Sctp][slot >> 16];
                out.push(PortCount { protocol, port: slot as u16, packets, sources: sum(|port| port.sources) });
            }
        }
        out.sort_by(|a, b| b.packets.cmp(&a.packets).then_with(|| (a.protocol, a.port).cmp(&(b.protocol, b.port))));
        out
    }

    fn facts(&self, sources_max: usize, victims: &BTreeSet<Addr>, scale: &Scale) -> Vec<SourceFacts> {
        let mut all: Vec<&Source> = self.sources.iter().flat_map(|shard| shard.sources.iter()).collect();
        let order = |a: &&Source, b: &&Source| b.packets.cmp(&a.packets).then_with(|| a.addr.cmp(&b.addr));
        if all.len() > sources_max && sources_max > 0 {
            all.select_nth_unstable_by(sources_max - 1, order);
            all.truncate(sources_max);
        }
        all.sort_unstable_by(order);
        all.into_iter().map(|source| facts_of(source, victims, scale)).collect()
    }
}

/// The clusters of all shards.
fn clusters(shards: Vec<Payloads>) -> Vec<PayloadCluster> {
    let mut all = Payloads::default();
    shards.into_iter().for_each(|shard| all.merge(shard));
    all.into_clusters()
}

/// Addresses that send backscatter.
fn victims(attacks: &[Attack]) -> BTreeSet<Addr> {
    let backscatter = attacks.iter().filter(|attack| attack.kind == AttackKind::Backscatter);
    let victim = |attack: &Attack| match attack.victim {
        Victim::Address(addr) => Some(addr),
        Victim::Network(_) => None,
    };
    backscatter.filter_map(victim).collect()
}

/// A scan before it is written out.
enum ScanOf<'a> {
    Run(&'a Closed),
    Vertical(&'a Source, bool),
    Block(&'a Source),
}

impl ScanOf<'_> {
    /// Most packets first; ties by who, where and when.
    fn rank(&self) -> (std::cmp::Reverse<u64>, Addr, u8, u16, Nanos) {
        let times = |source: &Source| source.times().map(|times| times.0).unwrap_or_default();
        match self {
            ScanOf::Run(run) => (std::cmp::Reverse(run.packets), run.source, run.kind as u8, run.port, run.first),
            ScanOf::Vertical(source, _) => {
                let packets = source.vertical.as_ref().map_or(0, |vertical| vertical.packets);
                (std::cmp::Reverse(packets), source.addr, u8::MAX - 1, 0, times(source))
            }
            ScanOf::Block(source) => (std::cmp::Reverse(scan::asked(source)), source.addr, u8::MAX, 0, times(source)),
        }
    }
}

fn facts_of(source: &Source, victims: &BTreeSet<Addr>, scale: &Scale) -> SourceFacts {
    let tools = source.tools.tools();
    let mut labels = Vec::new();
    if victims.contains(&source.addr) || source.answers * 2 > source.packets {
        labels.push(Label::Backscatter);
    }
    if tools.contains(&Tool::Mirai) {
        labels.push(Label::Infected);
    }
    if scan::survey::is_survey(source, &tools, scale) {
        labels.push(Label::ResearchScanner);
    }
    labels.push(Label::Spoofable);
    let times = source.times();
    SourceFacts {
        address: source.addr,
        packets: source.packets,
        ports: source.port_count(),
        destinations: source.destinations.len(),
        tools,
        labels,
        first: times.map(|times| times.0),
        last: times.map(|times| times.1),
    }
}

/// Thresholds from the first group of packets; only the gap that ends a scan has to be known so early.
fn first_scale(config: &Config, parts: &[Prepared]) -> Scale {
    if !config.monitored.is_empty() {
        return Scale::of(monitored::size(&config.monitored, 1));
    }
    let mut senders: hashbrown::HashSet<Addr, RandomState> = hashbrown::HashSet::default();
    let mut packets: HashMap<Addr, u64, RandomState> = HashMap::default();
    for (src, dst) in parts.iter().flat_map(|part| &part.pairs) {
        senders.insert(*src);
        *packets.entry(*dst).or_default() += 1;
    }
    let seen = packets.len() as u64;
    let destinations =
        packets.into_iter().map(|(addr, packets)| Destination { addr, packets, sends: senders.contains(&addr) });
    Scale::of(monitored::size(&monitored::infer(destinations), seen))
}

/// An instant that the data has passed: the median of the batches' last times, so that one absurd time moves nothing.
fn watermark(parts: &[Prepared]) -> Nanos {
    let mut lasts: Vec<Nanos> = parts.iter().filter_map(|part| part.tally.last()).collect();
    lasts.sort_unstable();
    lasts.get(lasts.len() / 2).copied().unwrap_or(Nanos(i64::MIN))
}
