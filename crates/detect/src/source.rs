//! What each source did: counts, tools, and its probes of each port.

use crate::chunks::Chunks;
use crate::config::Scale;
use crate::index::{AddrIndex, Sought};
use crate::payload::Payloads;
use crate::placed::{self, Placed, row_of, source_of};
use crate::prefetch;
use crate::scan::probe::{ProbeKey, ProbeType};
use crate::scan::probes::{Over, Probes, Wanted, What};
use crate::scan::{Closed, campaign::Records};
use crate::set::{AddrSet, PortSet};
use crate::shard::{Kept, Prepared, Sent, V4, unpacked};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use noroshi_model::finding::{Position, Tool};
use noroshi_model::packet::{ToolBits, Transport};
use noroshi_model::{Addr, Nanos};

/// Probes that must agree before a tool is named (methods G).
pub const TOOL_PROBES_MIN: u16 = 3;
/// Share of a source's SYNs that must carry a sixteen-bit relation. By chance 1 in 65,536 does, so a source with a
/// million probes shows fifteen.
pub const TOOL_SHARE_MIN: f64 = 0.1;
/// Share that must have a shape that many stacks could have.
pub const TOOL_SHAPE_SHARE_MIN: f64 = 0.5;

/// Packets that are looked up together: about as many trips to memory as a core keeps under way.
pub(crate) const BLOCK: usize = 16;

/// One source in so many is asked what it holds.
const SAMPLED: usize = 64;

/// Adds one to the count of an input.
pub(crate) fn count_in_file(counts: &mut Vec<u64>, file: u32) {
    let file = file as usize;
    if counts.len() <= file {
        counts.resize(file + 1, 0);
    }
    counts[file] += 1;
}

/// A run of probes is over: it leaves a record, and stays if something may come of it. A single packet never does.
#[inline]
fn close(addr: impl FnOnce(usize) -> Addr, records: &mut Records, closed: &mut Vec<Closed>, over: Over, scale: &Scale) {
    let Over { key, last, what } = over;
    match what {
        What::One(consistent) => records.add(key, (last, last), 1, consistent),
        What::Many(probe) => {
            records.add(key, (probe.first, last), probe.packets, probe.consistent);
            closed.extend(Closed::of(addr(key.source() as usize), key, probe, last, scale));
        }
    }
}

/// Counts of SYNs that satisfy each test. Saturating.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ToolHits {
    syn: u32,
    mirai: u16,
    zmap_old: u16,
    zmap_new: u16,
    masscan: u16,
    nmap: u16,
    /// `seq ^ src ^ (sport << 16 | dport)` of the first SYN, and how many later ones repeat it (unicornscan).
    unicorn_key: u32,
    unicorn: u16,
}

impl ToolHits {
    #[inline]
    fn add<A: Kept>(&mut self, row: &Sent<A>) {
        self.syn = self.syn.saturating_add(1);
        let bits = row.tool_bits;
        if bits.any() {
            let hit = |bit| u16::from(bits.has(bit));
            self.mirai = self.mirai.saturating_add(hit(ToolBits::MIRAI));
            self.zmap_old = self.zmap_old.saturating_add(hit(ToolBits::ZMAP_OLD));
            self.zmap_new = self.zmap_new.saturating_add(hit(ToolBits::ZMAP_NEW));
            self.masscan = self.masscan.saturating_add(hit(ToolBits::MASSCAN));
            self.nmap = self.nmap.saturating_add(hit(ToolBits::NMAP_SYN));
        }
        let key = row.seq ^ row.src.key() ^ (u32::from(row.sport) << 16 | u32::from(row.dport));
        if self.syn == 1 {
            self.unicorn_key = key;
        }
        self.unicorn = self.unicorn.saturating_add(u16::from(key == self.unicorn_key));
    }

    /// Tools named with at least [`TOOL_PROBES_MIN`] agreeing probes.
    pub(crate) fn tools(&self) -> Vec<Tool> {
        // Counters stop at 65,535; so does what they are compared with.
        let syn = f64::from(self.syn.min(u32::from(u16::MAX)));
        let at_least = |hits: u16, share: f64| hits >= TOOL_PROBES_MIN && f64::from(hits) >= syn * share;
        let zmap = at_least(self.zmap_old, TOOL_SHARE_MIN) || at_least(self.zmap_new, TOOL_SHAPE_SHARE_MIN);
        [
            (Tool::Zmap, zmap),
            (Tool::Masscan, at_least(self.masscan, TOOL_SHARE_MIN)),
            (Tool::Mirai, at_least(self.mirai, 0.0)),
            (Tool::Nmap, at_least(self.nmap, TOOL_SHAPE_SHARE_MIN)),
            // The relation holds for a first packet by definition, so one more is asked for.
            (Tool::Unicornscan, at_least(self.unicorn.saturating_sub(1), TOOL_SHAPE_SHARE_MIN)),
        ]
        .into_iter()
        .filter_map(|(tool, named)| named.then_some(tool))
        .collect()
    }
}

/// Ports of the destination that takes most of a source's probes (Boyer and Moore's majority vote).
#[derive(Clone, Debug, Default)]
pub(crate) struct Vertical {
    pub(crate) destination: Addr,
    votes: u64,
    pub(crate) packets: u64,
    pub(crate) ports: PortSet,
    /// Lowest and highest of them.
    pub(crate) port_range: (u16, u16),
    pub(crate) protocol: Transport,
    pub(crate) first: Nanos,
    pub(crate) last: Nanos,
    pub(crate) position: Option<Position>,
}

impl Vertical {
    fn add<A: Kept>(&mut self, row: &Sent<A>) {
        let dst = row.dst.addr();
        if self.votes == 0 {
            *self = Vertical {
                destination: dst,
                protocol: row.transport(),
                first: row.ts,
                position: Some(unpacked(row.position)),
                port_range: (row.dport, row.dport),
                ..Vertical::default()
            };
        }
        if self.destination == dst {
            self.votes += 1;
            self.packets += 1;
            self.ports.insert(row.dport);
            self.port_range = (self.port_range.0.min(row.dport), self.port_range.1.max(row.dport));
            self.last = row.ts;
        } else {
            self.votes -= 1;
        }
    }
}

/// One source: two cache lines.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Source {
    pub(crate) addr: Addr,
    pub(crate) packets: u64,
    /// Packets that answer rather than ask.
    pub(crate) answers: u64,
    /// After `last` until a packet carried a time.
    first: Nanos,
    last: Nanos,
    pub(crate) destinations: AddrSet,
    pub(crate) tcp_ports: PortSet,
    /// Boxed, as most sources speak TCP only.
    other_ports: Option<Box<OtherPorts>>,
    pub(crate) vertical: Option<Box<Vertical>>,
    pub(crate) tools: ToolHits,
    file: u32,
}

const _: () = assert!(size_of::<Source>() == 128);

/// Ports of protocols other than TCP.
#[derive(Clone, Debug, Default)]
struct OtherPorts {
    udp: PortSet,
    sctp: u32,
}

impl Source {
    fn new(addr: Addr) -> Self {
        Source {
            addr,
            packets: 0,
            answers: 0,
            first: Nanos(i64::MAX),
            last: Nanos(i64::MIN),
            destinations: AddrSet::default(),
            tcp_ports: PortSet::default(),
            other_ports: None,
            vertical: None,
            tools: ToolHits::default(),
            file: u32::MAX,
        }
    }

    /// Counts one packet.
    #[inline]
    fn count<A: Kept>(&mut self, row: &Sent<A>, by_file: &mut Vec<u64>) {
        self.packets += 1;
        self.answers += u64::from(row.answers());
        let file = unpacked(row.position).file;
        if self.file != file {
            self.file = file;
            count_in_file(by_file, file);
        }
        if row.timed() {
            self.first = self.first.min(row.ts);
            self.last = self.last.max(row.ts);
        }
        self.destinations.insert_key(row.dst.key());
    }

    /// Whether the port of a packet is new to the source, which stands at the place `at`; none when it is of a protocol
    /// whose ports are not counted.
    #[inline]
    fn port<A: Kept>(&mut self, at: usize, row: &Sent<A>, sctp_ports: &mut SctpPorts) -> Option<bool> {
        match row.transport() {
            Transport::Tcp => Some(self.tcp_ports.insert(row.dport)),
            Transport::Udp => Some(self.other_ports.get_or_insert_default().udp.insert(row.dport)),
            Transport::Sctp => {
                let fresh = sctp_ports.insert((at as u64) << 16 | u64::from(row.dport), ()).is_none();
                self.other_ports.get_or_insert_default().sctp += u32::from(fresh);
                Some(fresh)
            }
            _ => None,
        }
    }

    /// Looks at a packet that probes.
    #[inline]
    fn probe<A: Kept>(&mut self, kind: ProbeType, row: &Sent<A>) {
        if kind == ProbeType::Syn {
            self.tools.add(row);
        }
        // More ports than destinations: from here on the ports of its main destination are followed.
        let narrow = self.vertical.is_some() || self.port_count() > self.destinations.len();
        if narrow && row.has_ports() && kind.can_scan() {
            self.vertical.get_or_insert_default().add(row);
        }
    }

    /// First and last packet, when any carried a time.
    pub(crate) fn times(&self) -> Option<(Nanos, Nanos)> {
        (self.first <= self.last).then_some((self.first, self.last))
    }

    /// Distinct destination ports, each protocol by itself.
    #[inline]
    pub(crate) fn port_count(&self) -> u64 {
        self.tcp_ports.len() + self.other_ports.as_ref().map_or(0, |other| other.udp.len() + u64::from(other.sctp))
    }

    /// Distinct UDP destination ports.
    pub(crate) fn udp_port_count(&self) -> u64 {
        self.other_ports.as_ref().map_or(0, |other| other.udp.len())
    }

    fn heap_bytes(&self) -> u64 {
        let vertical = self.vertical.as_ref().map_or(0, |v| size_of::<Vertical>() as u64 + v.ports.heap_bytes());
        let other =
            self.other_ports.as_ref().map_or(0, |other| size_of::<OtherPorts>() as u64 + other.udp.heap_bytes());
        self.destinations.heap_bytes() + self.tcp_ports.heap_bytes() + other + vertical
    }
}

/// Packets and distinct sources of one destination port.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PortTally {
    pub(crate) packets: u32,
    pub(crate) sources: u32,
}

/// Ports that are counted: index is the port, plus 65,536 for UDP and twice that for SCTP.
pub(crate) const PORT_SLOTS: usize = 3 * 65_536;

/// Where a packet's port is counted.
#[inline]
fn port_slot<A: Kept>(row: &Sent<A>) -> usize {
    const PROTOCOLS: [u8; 8] = {
        let mut protocols = [0; 8];
        protocols[Transport::Udp as usize] = 1;
        protocols[Transport::Sctp as usize] = 2;
        protocols
    };
    usize::from(PROTOCOLS[row.transport_number()]) << 16 | usize::from(row.dport)
}

/// All sources of one shard.
#[derive(Clone)]
pub(crate) struct SourceShard {
    index: AddrIndex,
    pub(crate) sources: Chunks<Source>,
    probes: Probes,
    /// Pairs of source and SCTP port; too rare to cost every source a set.
    sctp_ports: SctpPorts,
    pub(crate) closed: Vec<Closed>,
    pub(crate) records: Records,
    pub(crate) payloads: Payloads,
    /// Distinct sources per input.
    pub(crate) by_file: Vec<u64>,
}

/// Pairs of source and SCTP port.
type SctpPorts = HashMap<u64, (), RandomState>;

impl SourceShard {
    pub(crate) fn new() -> Self {
        SourceShard {
            index: AddrIndex::new(),
            sources: Chunks::default(),
            probes: Probes::new(),
            sctp_ports: HashMap::default(),
            closed: Vec::new(),
            records: Records::default(),
            payloads: Payloads::default(),
            by_file: Vec::new(),
        }
    }

    /// The source of that address.
    pub(crate) fn get(&self, addr: Addr) -> Option<&Source> {
        let at = self.index.find(self.index.seek(addr), |at| self.sources[at as usize].addr == addr)?;
        Some(&self.sources[at as usize])
    }

    /// Adds the rows of some batches that belong to this shard; what is silent since long before `passed` may be closed.
    pub(crate) fn add_all(&mut self, parts: &[Prepared], shard: usize, lane: &mut Lane, passed: Nanos, scale: &Scale) {
        let Lane { ports, scratch, v4, any } = lane;
        self.add_rows(parts.iter().map(|part| &part.lists.v4.sent[shard]), v4, scratch, ports, (passed, scale));
        self.add_rows(parts.iter().map(|part| &part.lists.any.sent[shard]), any, scratch, ports, (passed, scale));
        for part in parts {
            for said in part.lists.said.of(shard) {
                self.payloads.add(said, || part.lists.samples.of(said));
            }
        }
    }

    /// Rows are worked on source by source, as what is kept of one source lies together; packets of one source stay in
    /// their order. They are copied to one place first, small enough to stay in the core's cache.
    fn add_rows<'a, A: Kept + 'a>(
        &mut self,
        lists: impl Iterator<Item = &'a Vec<Sent<A>>>,
        rows: &mut Vec<Sent<A>>,
        scratch: &mut Scratch,
        ports: &mut [PortTally],
        (passed, scale): (Nanos, &Scale),
    ) {
        rows.clear();
        lists.for_each(|list| rows.extend_from_slice(list));
        if rows.is_empty() {
            return;
        }
        if self.probes.crowded(rows.len()) {
            self.expire(passed, scale);
            self.probes.make_room(rows.len());
        }
        self.place(rows, &mut scratch.placed);
        placed::sort(&mut scratch.placed, &mut scratch.other, self.sources.len());
        self.work(rows, scratch, ports, scale);
    }

    /// Finds the sources of rows, whose places in the index are asked for a block ahead; new ones are given a place.
    fn place<A: Kept>(&mut self, rows: &[Sent<A>], placed: &mut Vec<Placed>) {
        placed.clear();
        let mut blocks = rows.chunks(BLOCK);
        let mut next = blocks.next();
        let mut asked = next.map_or_else(Default::default, |block| self.seek(block));
        while let Some(block) = next {
            let sought = asked;
            next = blocks.next();
            asked = next.map_or_else(Default::default, |block| self.seek(block));
            for (row, sought) in block.iter().zip(sought) {
                let (sources, src) = (&self.sources, row.src.addr());
                let at =
                    self.index.find_kept(row.src, sought, |at| sources[at as usize].addr == src).unwrap_or_else(|| {
                        let at = self.sources.len() as u32;
                        self.index.insert(sought, at);
                        self.sources.push(Source::new(src));
                        at
                    });
                placed.push(u64::from(at) << 32 | placed.len() as u64);
            }
        }
    }

    /// What to search a block's sources by; asks for the lines where the searches begin.
    #[inline]
    fn seek<A: Kept>(&self, block: &[Sent<A>]) -> [Sought; BLOCK] {
        let sought = std::array::from_fn(|i| self.index.seek_kept(block[i.min(block.len() - 1)].src));
        sought.iter().for_each(|sought| self.index.prefetch(*sought));
        sought
    }

    /// Works on rows, source by source. Each step asks for what the step after it needs, a block ahead: rows first, then
    /// what they name, then what that points to. Asked for in the block itself it would come too late.
    fn work<A: Kept>(&mut self, rows: &[Sent<A>], scratch: &mut Scratch, ports: &mut [PortTally], scale: &Scale) {
        let Scratch { placed, wanted, .. } = scratch;
        wanted.clear();
        wanted.reserve(placed.len());
        let mut at = 0;
        while at < placed.len() {
            let ahead =
                |blocks: usize| (at + blocks * BLOCK).min(placed.len())..(at + (blocks + 1) * BLOCK).min(placed.len());
            placed[ahead(3)].iter().for_each(|placed| prefetch::ahead(rows, row_of(*placed)));
            let named = if at == 0 { 0 } else { wanted.len() };
            for at in named..ahead(2).end {
                wanted.push(self.want(placed, at, rows, ports));
            }
            for at in ahead(1) {
                self.prefetch_sets(&placed[..=at], wanted[at], &rows[row_of(placed[at])]);
            }
            let block = ahead(0);
            at = block.end;
            self.work_block(&placed[block.clone()], &wanted[block], rows, ports, scale);
        }
    }

    /// Which run a row belongs to. Asks for the source of the row, its port's tally, and where the search for its run
    /// begins, unless the row before it has just asked for the same.
    #[inline]
    fn want<A: Kept>(&self, placed: &[Placed], at: usize, rows: &[Sent<A>], ports: &[PortTally]) -> Wanted {
        let (source, row) = (source_of(placed[at]), &rows[row_of(placed[at])]);
        prefetch::ahead(ports, port_slot(row));
        if at == 0 || source_of(placed[at - 1]) != source {
            self.sources.prefetch(source);
        }
        let Some(kind) = row.kind else { return Wanted::NONE };
        let wanted = self.probes.want(ProbeKey::new(source as u32, kind, row.dport));
        self.probes.prefetch(wanted);
        wanted
    }

    /// Asks for the sets that a row's source points to, and for the account of its run.
    #[inline]
    fn prefetch_sets<A: Kept>(&self, placed: &[Placed], wanted: Wanted, row: &Sent<A>) {
        let source = &self.sources[source_of(placed[placed.len() - 1])];
        source.destinations.prefetch(row.dst.key());
        source.tcp_ports.prefetch(row.dport);
        if wanted.any() {
            self.probes.prefetch_account(wanted);
        }
    }

    /// Works on a block of rows, those of one source together.
    fn work_block<A: Kept>(
        &mut self,
        placed: &[Placed],
        wanted: &[Wanted],
        rows: &[Sent<A>],
        ports: &mut [PortTally],
        scale: &Scale,
    ) {
        for (placed, wanted) in placed.iter().zip(wanted).filter(|(_, wanted)| wanted.any()) {
            self.probes.prefetch_destination(*wanted, rows[row_of(*placed)].dst.key());
        }
        let SourceShard { sources, probes, sctp_ports, closed, records, by_file, .. } = self;
        let mut from = 0;
        while from < placed.len() {
            let at = source_of(placed[from]);
            let source = &mut sources[at];
            let mut known = None;
            while from < placed.len() && source_of(placed[from]) == at {
                let (row, wanted) = (&rows[row_of(placed[from])], wanted[from]);
                from += 1;
                source.count(row, by_file);
                if row.has_ports()
                    && let Some(fresh) = source.port(at, row, sctp_ports)
                {
                    let port = &mut ports[port_slot(row)];
                    port.packets = port.packets.saturating_add(1);
                    port.sources += u32::from(fresh);
                }
                let Some(kind) = row.kind else { continue };
                source.probe(kind, row);
                if let Some(over) = probes.add(wanted, &mut known, row, scale.scan_gap) {
                    close(|_| source.addr, records, closed, over, scale);
                }
            }
        }
    }

    /// Closes the probes that have been silent for longer than the gap.
    fn expire(&mut self, now: Nanos, scale: &Scale) {
        let (sources, records, closed) = (&self.sources, &mut self.records, &mut self.closed);
        self.probes.expire(now, scale.scan_gap, |over| close(|at| sources[at].addr, records, closed, over, scale));
    }

    /// Closes all probes.
    pub(crate) fn finish(&mut self, scale: &Scale) {
        let (sources, records, closed) = (&self.sources, &mut self.records, &mut self.closed);
        self.probes.finish(|over| close(|at| sources[at].addr, records, closed, over, scale));
        self.closed.sort_by_key(|closed| (closed.first, closed.source, closed.port, closed.kind));
    }

    /// Bytes held, to within the slack of the allocator.
    pub(crate) fn bytes(&self) -> u64 {
        let closed =
            self.closed.capacity() * size_of::<Closed>() + self.closed.iter().map(Closed::heap_bytes).sum::<usize>();
        let tables = self.source_bytes() + self.probe_bytes() + self.records.bytes() as u64;
        tables + closed as u64 + self.heap_bytes_about()
    }

    /// Bytes behind pointers, reckoned from one source and one account in so many: to visit all would fetch all of them.
    fn heap_bytes_about(&self) -> u64 {
        let sources: u64 = self.sources.iter().step_by(SAMPLED).map(Source::heap_bytes).sum();
        (sources + self.probes.heap_bytes_of_each(SAMPLED)) * SAMPLED as u64
    }

    pub(crate) fn source_bytes(&self) -> u64 {
        (self.index.bytes() + self.sources.bytes()) as u64
    }

    pub(crate) fn probe_bytes(&self) -> u64 {
        self.probes.bytes() as u64
    }

    /// Bytes behind pointers; walks every source, so it is asked for seldom.
    pub(crate) fn heap_bytes(&self) -> u64 {
        self.sources.iter().map(Source::heap_bytes).sum::<u64>() + self.probes.heap_bytes_of_each(1)
    }
}

/// Memory of one thread: what it counts, and what it fills anew for each shard.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) ports: Vec<PortTally>,
    scratch: Scratch,
    v4: Vec<Sent<V4>>,
    any: Vec<Sent<Addr>>,
}

impl Default for Lane {
    fn default() -> Self {
        let ports = vec![PortTally::default(); PORT_SLOTS];
        Lane { ports, scratch: Scratch::default(), v4: Vec::new(), any: Vec::new() }
    }
}

/// Rows by the place of their source.
#[derive(Clone, Debug, Default)]
struct Scratch {
    placed: Vec<Placed>,
    other: Vec<Placed>,
    /// The run of each of them.
    wanted: Vec<Wanted>,
}
