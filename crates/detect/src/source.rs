//! What each source did: counts, tools, and its probes of each port.

use crate::config::Scale;
use crate::payload::Payloads;
use crate::scan::probe::{Probe, ProbeKey, ProbeType};
use crate::scan::{Closed, campaign::Records};
use crate::set::{self, AddrSet, PortSet};
use foldhash::fast::RandomState;
use hashbrown::hash_map::Entry;
use hashbrown::hash_table::Entry as TableEntry;
use hashbrown::{HashMap, HashTable};
use noroshi_model::finding::{Position, Tool};
use noroshi_model::packet::{Has, Packet, PacketBatch, ToolBits, Transport};
use noroshi_model::{Addr, Nanos};
use std::hash::BuildHasher;

/// Probes that must agree before a tool is named (methods G).
pub const TOOL_PROBES_MIN: u16 = 3;
/// Share of a source's SYNs that must carry a sixteen-bit relation. By chance 1 in 65,536 does, so a source with a
/// million probes shows fifteen.
pub const TOOL_SHARE_MIN: f64 = 0.1;
/// Share that must have a shape that many stacks could have.
pub const TOOL_SHAPE_SHARE_MIN: f64 = 0.5;

/// Packets that are looked up together.
pub(crate) const BLOCK: usize = 16;

/// Where a row of a batch stands in its input.
#[inline]
pub(crate) fn position_of(batch: &PacketBatch, row_at: u32) -> Position {
    Position { file: batch.file, packet: batch.first_position + u64::from(row_at) }
}

/// Adds one to the count of an input.
pub(crate) fn count_in_file(counts: &mut Vec<u64>, file: u32) {
    let file = file as usize;
    if counts.len() <= file {
        counts.resize(file + 1, 0);
    }
    counts[file] += 1;
}

/// Makes room in steps of an eighth: doubling would leave half of a large table empty.
pub(crate) fn grow_slowly<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 8).max(64));
    }
}

/// A run of probes is over: it leaves a record, and stays if something may come of it.
fn close(sources: &[Source], records: &mut Records, closed: &mut Vec<Closed>, over: (ProbeKey, Probe), scale: &Scale) {
    let (key, probe) = over;
    records.add(key, &probe);
    closed.extend(Closed::of(sources[key.source() as usize].addr, key, probe, scale));
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
    fn add(&mut self, row: &Packet) {
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
        let key = row.seq ^ set::key(row.src) ^ (u32::from(row.sport) << 16 | u32::from(row.dport));
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
    pub(crate) protocol: Transport,
    pub(crate) first: Nanos,
    pub(crate) last: Nanos,
    pub(crate) position: Option<Position>,
}

impl Vertical {
    fn add(&mut self, row: &Packet, position: Position) {
        if self.votes == 0 {
            *self = Vertical {
                destination: row.dst,
                protocol: row.transport,
                first: row.ts,
                position: Some(position),
                ..Vertical::default()
            };
        }
        if self.destination == row.dst {
            self.votes += 1;
            self.packets += 1;
            self.ports.insert(row.dport);
            self.last = row.ts;
        } else {
            self.votes -= 1;
        }
    }
}

/// One source.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) addr: Addr,
    pub(crate) packets: u64,
    pub(crate) first: Nanos,
    pub(crate) last: Nanos,
    pub(crate) destinations: AddrSet,
    pub(crate) tcp_ports: PortSet,
    /// Boxed, as most sources speak TCP only.
    udp_ports: Option<Box<PortSet>>,
    sctp_ports: u32,
    pub(crate) tools: ToolHits,
    /// Packets that answer rather than ask.
    pub(crate) answers: u64,
    pub(crate) vertical: Option<Box<Vertical>>,
    file: u32,
    has_time: bool,
}

impl Source {
    fn new(row: &Packet) -> Self {
        Source {
            addr: row.src,
            packets: 0,
            first: row.ts,
            last: row.ts,
            destinations: AddrSet::default(),
            tcp_ports: PortSet::default(),
            udp_ports: None,
            sctp_ports: 0,
            tools: ToolHits::default(),
            answers: 0,
            vertical: None,
            file: u32::MAX,
            has_time: false,
        }
    }

    /// First and last packet, when any carried a time.
    pub(crate) fn times(&self) -> Option<(Nanos, Nanos)> {
        self.has_time.then_some((self.first, self.last))
    }

    /// Distinct destination ports, each protocol by itself.
    pub(crate) fn port_count(&self) -> u64 {
        self.tcp_ports.len() + self.udp_port_count() + u64::from(self.sctp_ports)
    }

    /// Distinct UDP destination ports.
    pub(crate) fn udp_port_count(&self) -> u64 {
        self.udp_ports.as_ref().map_or(0, |ports| ports.len())
    }

    fn heap_bytes(&self) -> u64 {
        let vertical = self.vertical.as_ref().map_or(0, |v| size_of::<Vertical>() as u64 + v.ports.heap_bytes());
        let udp = self.udp_ports.as_ref().map_or(0, |ports| size_of::<PortSet>() as u64 + ports.heap_bytes());
        self.destinations.heap_bytes() + self.tcp_ports.heap_bytes() + udp + vertical
    }
}

/// Packets and distinct sources by destination port: index is the port, plus 65,536 for UDP and twice that for SCTP.
pub(crate) struct PortCounts {
    pub(crate) packets: Vec<u32>,
    pub(crate) sources: Vec<u32>,
}

/// Slots of [`PortCounts`].
pub(crate) const PORT_SLOTS: usize = 3 * 65_536;

/// All sources of one shard.
pub(crate) struct SourceShard {
    /// Indexes into `sources`, by the hash of the address.
    index: HashTable<u32>,
    hasher: RandomState,
    pub(crate) sources: Vec<Source>,
    probes: HashMap<ProbeKey, Probe, RandomState>,
    /// Pairs of source and SCTP port; too rare to cost every source a set.
    sctp_ports: HashMap<u64, (), RandomState>,
    pub(crate) ports: PortCounts,
    pub(crate) closed: Vec<Closed>,
    pub(crate) records: Records,
    pub(crate) payloads: Payloads,
    /// Distinct sources per input.
    pub(crate) by_file: Vec<u64>,
}

impl SourceShard {
    pub(crate) fn new() -> Self {
        SourceShard {
            index: HashTable::new(),
            hasher: RandomState::default(),
            sources: Vec::new(),
            probes: HashMap::default(),
            sctp_ports: HashMap::default(),
            ports: PortCounts { packets: vec![0; PORT_SLOTS], sources: vec![0; PORT_SLOTS] },
            closed: Vec::new(),
            records: Records::default(),
            payloads: Payloads::default(),
            by_file: Vec::new(),
        }
    }

    /// The source of that address.
    pub(crate) fn get(&self, addr: Addr) -> Option<&Source> {
        let hash = self.hasher.hash_one(addr.0);
        self.index.find(hash, |at| self.sources[*at as usize].addr == addr).map(|at| &self.sources[*at as usize])
    }

    /// Adds rows of a batch, in blocks. Rows, sources and probes lie scattered over memory; looking up a whole block of
    /// each before any is changed lets the processor fetch them together instead of one after the other.
    pub(crate) fn add_all(&mut self, batch: &PacketBatch, rows: &[u32], scale: &Scale) {
        for block in rows.chunks(BLOCK) {
            let packets: [Packet; BLOCK] = std::array::from_fn(|i| batch.rows[block[i.min(block.len() - 1)] as usize]);
            let packets = &packets[..block.len()];
            let mut at = [0u32; BLOCK];
            for (at, row) in at.iter_mut().zip(packets) {
                *at = self.locate(row);
            }
            let keys: [u32; BLOCK] = std::array::from_fn(|i| packets.get(i).map_or(0, |row| set::key(row.dst)));
            let warm = |at: u32, key: u32| self.sources[at as usize].destinations.warm(key);
            std::hint::black_box(
                at.iter().zip(keys).take(packets.len()).fold(0, |sum, (at, key)| sum ^ warm(*at, key)),
            );
            let mut probes = [None; BLOCK];
            for (i, row) in packets.iter().enumerate() {
                probes[i] = self.count(batch, block[i], at[i], row);
            }
            let warm =
                |probe: &ProbeKey, key: u32| self.probes.get(probe).map_or(0, |probe| probe.destinations.warm(key));
            let both = probes.iter().zip(keys).filter_map(|(probe, key)| probe.as_ref().map(|probe| (probe, key)));
            std::hint::black_box(both.fold(0, |sum, (probe, key)| sum ^ warm(probe, key)));
            for (i, row) in packets.iter().enumerate() {
                if let Some(key) = probes[i] {
                    self.probe(key, row, position_of(batch, block[i]), scale);
                }
            }
        }
    }

    /// Index of a packet's source, which is new or old.
    #[inline]
    fn locate(&mut self, row: &Packet) -> u32 {
        let (hasher, sources) = (&self.hasher, &mut self.sources);
        let found = self.index.entry(
            hasher.hash_one(row.src.0),
            |at| sources[*at as usize].addr == row.src,
            |at| hasher.hash_one(sources[*at as usize].addr.0),
        );
        match found {
            TableEntry::Occupied(entry) => *entry.get(),
            TableEntry::Vacant(entry) => {
                let at = sources.len() as u32;
                entry.insert(at);
                grow_slowly(sources);
                sources.push(Source::new(row));
                at
            }
        }
    }

    /// Counts one packet of a source; gives the probe it belongs to, if any.
    #[inline]
    fn count(&mut self, batch: &PacketBatch, row_at: u32, at: u32, row: &Packet) -> Option<ProbeKey> {
        let source = &mut self.sources[at as usize];
        source.packets += 1;
        if source.file != batch.file {
            source.file = batch.file;
            count_in_file(&mut self.by_file, batch.file);
        }
        if row.has.has(Has::TIME) {
            if !source.has_time {
                (source.first, source.last, source.has_time) = (row.ts, row.ts, true);
            }
            source.first = source.first.min(row.ts);
            source.last = source.last.max(row.ts);
        }
        source.destinations.insert(row.dst);
        if row.payload_cap > 0 {
            self.payloads.add(batch, row);
        }
        if row.has.has(Has::PORTS) {
            self.port(at as usize, row);
        }
        let source = &mut self.sources[at as usize];
        if crate::ddos::vectors::is_backscatter(row) {
            source.answers += 1;
            return None;
        }
        let kind = ProbeType::of(row)?;
        if kind == ProbeType::Syn {
            source.tools.add(row);
        }
        // More ports than destinations: from here on the ports of its main destination are followed.
        let narrow = source.vertical.is_some() || source.port_count() > source.destinations.len();
        if narrow && row.has.has(Has::PORTS) && kind.can_scan() {
            source.vertical.get_or_insert_default().add(row, position_of(batch, row_at));
        }
        Some(ProbeKey::new(at, kind, row))
    }

    #[inline]
    fn port(&mut self, at: usize, row: &Packet) {
        let source = &mut self.sources[at];
        let (protocol, fresh) = match row.transport {
            Transport::Tcp => (0, source.tcp_ports.insert(row.dport)),
            Transport::Udp => (1, source.udp_ports.get_or_insert_default().insert(row.dport)),
            Transport::Sctp => {
                let fresh = self.sctp_ports.insert((at as u64) << 16 | u64::from(row.dport), ()).is_none();
                source.sctp_ports += u32::from(fresh);
                (2, fresh)
            }
            _ => return,
        };
        let slot = protocol << 16 | usize::from(row.dport);
        self.ports.packets[slot] = self.ports.packets[slot].saturating_add(1);
        self.ports.sources[slot] += u32::from(fresh);
    }

    #[inline]
    fn probe(&mut self, key: ProbeKey, row: &Packet, position: Position, scale: &Scale) {
        match self.probes.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Probe::new(row, position));
            }
            Entry::Occupied(mut entry) => {
                let probe = entry.get_mut();
                if row.ts.0.saturating_sub(probe.last.0) > scale.scan_gap {
                    let over = std::mem::replace(probe, Probe::new(row, position));
                    close(&self.sources, &mut self.records, &mut self.closed, (key, over), scale);
                } else {
                    probe.add(row, position);
                }
            }
        }
    }

    /// Closes the probes that have been silent for longer than the gap.
    pub(crate) fn expire(&mut self, now: Nanos, scale: &Scale) {
        for over in self.probes.extract_if(|_, probe| now.0.saturating_sub(probe.last.0) > scale.scan_gap) {
            close(&self.sources, &mut self.records, &mut self.closed, over, scale);
        }
    }

    /// Closes all probes.
    pub(crate) fn finish(&mut self, scale: &Scale) {
        for over in std::mem::take(&mut self.probes) {
            close(&self.sources, &mut self.records, &mut self.closed, over, scale);
        }
        self.closed.sort_by_key(|closed| (closed.first, closed.source, closed.port));
    }

    /// Bytes held, to within the slack of the allocator.
    pub(crate) fn bytes(&self) -> u64 {
        self.source_bytes() + self.probe_bytes() + self.records.bytes() as u64
    }

    pub(crate) fn source_bytes(&self) -> u64 {
        (self.index.capacity() * (size_of::<u32>() + 1) + self.sources.capacity() * size_of::<Source>()) as u64
    }

    pub(crate) fn probe_bytes(&self) -> u64 {
        (self.probes.capacity() * (size_of::<(ProbeKey, Probe)>() + 1)) as u64
    }

    /// Bytes behind pointers; walks every source, so it is asked for seldom.
    pub(crate) fn heap_bytes(&self) -> u64 {
        self.sources.iter().map(Source::heap_bytes).sum::<u64>()
            + self.probes.values().map(Probe::heap_bytes).sum::<u64>()
    }
}
