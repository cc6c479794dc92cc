//! A batch made ready: split by source, destination and victim, each row cut to what its tables ask of it.
//!
//! One pass over the rows while they are in a core's cache. What comes out is read in order, shard by shard, so the rows
//! themselves (112 bytes each, in the order of their capture) need not be gathered from memory again.

use crate::ddos::arrival::Slot;
use crate::ddos::{backscatter, vectors};
use crate::deal::Dealt;
use crate::payload::{Said, Samples};
use crate::prefetch;
use crate::scan::probe::ProbeType;
use crate::set;
use crate::tally::BatchTally;
use noroshi_model::finding::Position;
use noroshi_model::packet::{Has, Packet, PacketBatch, Quoted, ToolBits, Transport};
use noroshi_model::{Addr, Nanos};
use std::sync::{Arc, Mutex};

/// Fixed, so that results do not depend on the number of threads. With thirty-two, the tables of one shard of a large
/// darknet day (a million sources) fit a core's second-level cache.
pub(crate) const SHARDS: usize = 32;

/// The shard of an address: the top bits of a multiplicative hash, so that neighbours of one prefix spread.
#[inline]
pub(crate) fn shard_of(addr: Addr) -> usize {
    let folded = (addr.0 as u64) ^ ((addr.0 >> 64) as u64).rotate_left(32);
    (folded.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 59) as usize
}

const _: () = assert!(SHARDS == 1 << (64 - 59));

/// Bits of a packed position that number the packet; the rest number the file.
const PACKET_BITS: u32 = 40;

/// A position in one word.
#[inline]
pub(crate) fn packed(file: u32, packet: u64) -> u64 {
    u64::from(file) << PACKET_BITS | packet & ((1 << PACKET_BITS) - 1)
}

/// The position again.
#[inline]
pub(crate) fn unpacked(position: u64) -> Position {
    Position { file: (position >> PACKET_BITS) as u32, packet: position & ((1 << PACKET_BITS) - 1) }
}

/// An address as rows keep it. Rows are written once and read once, out of any cache on a large day, so that their
/// length is their cost: where a packet's addresses are IPv4, as nearly all are, each takes four bytes.
pub(crate) trait Kept: Copy + PartialEq {
    /// The address itself.
    fn addr(self) -> Addr;
    /// The 32-bit value when it is IPv4.
    fn v4(self) -> Option<u32>;
    /// As sets keep it.
    fn key(self) -> u32;
}

/// An IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct V4(u32);

impl Kept for V4 {
    #[inline]
    fn addr(self) -> Addr {
        Addr::v4(self.0)
    }

    #[inline]
    fn v4(self) -> Option<u32> {
        Some(self.0)
    }

    #[inline]
    fn key(self) -> u32 {
        self.0
    }
}

impl Kept for Addr {
    #[inline]
    fn addr(self) -> Addr {
        self
    }

    #[inline]
    fn v4(self) -> Option<u32> {
        self.as_v4()
    }

    #[inline]
    fn key(self) -> u32 {
        set::key(self)
    }
}

/// What the tables of sources ask of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<A> {
    pub(crate) src: A,
    pub(crate) dst: A,
    pub(crate) ts: Nanos,
    pub(crate) position: u64,
    pub(crate) seq: u32,
    pub(crate) wire_len: u32,
    pub(crate) sport: u16,
    pub(crate) dport: u16,
    pub(crate) tool_bits: ToolBits,
    /// What it probes as, if it does.
    pub(crate) kind: Option<ProbeType>,
    pub(crate) marks: u8,
}

const _: () = assert!(size_of::<Sent<V4>>() == 40 && size_of::<Sent<Addr>>() == 64);

/// The transport stands in the low bits of the marks.
const TRANSPORT: u8 = 7;
const TIMED: u8 = 1 << 3;
const PORTS: u8 = 1 << 4;
const ANSWER: u8 = 1 << 5;

#[cfg(test)]
impl Sent<Addr> {
    /// A packet of which nothing is known.
    pub(crate) const BLANK: Sent<Addr> = Sent {
        src: Addr::NONE,
        dst: Addr::NONE,
        ts: Nanos(0),
        position: 0,
        seq: 0,
        wire_len: 0,
        sport: 0,
        dport: 0,
        tool_bits: ToolBits::EMPTY,
        kind: None,
        marks: 0,
    };
}

impl<A: Kept> Sent<A> {
    #[inline]
    fn of(row: &Packet, (src, dst): (A, A), position: u64, answer: bool) -> Self {
        let mark = |set: bool, bit: u8| if set { bit } else { 0 };
        Sent {
            src,
            dst,
            ts: row.ts,
            position,
            seq: row.seq,
            wire_len: row.wire_len,
            sport: row.sport,
            dport: row.dport,
            tool_bits: row.tool_bits,
            kind: if answer { None } else { ProbeType::of(row) },
            marks: row.transport as u8
                | mark(row.has.has(Has::TIME), TIMED)
                | mark(row.has.has(Has::PORTS), PORTS)
                | mark(answer, ANSWER),
        }
    }

    #[inline]
    pub(crate) fn transport(&self) -> Transport {
        const ALL: [Transport; 8] = {
            let mut all = [Transport::Other; 8];
            all[Transport::Tcp as usize] = Transport::Tcp;
            all[Transport::Udp as usize] = Transport::Udp;
            all[Transport::Icmp as usize] = Transport::Icmp;
            all[Transport::Icmpv6 as usize] = Transport::Icmpv6;
            all[Transport::Sctp as usize] = Transport::Sctp;
            all
        };
        ALL[self.transport_number()]
    }

    /// The transport as a number.
    #[inline]
    pub(crate) fn transport_number(&self) -> usize {
        usize::from(self.marks & TRANSPORT)
    }

    /// Whether it carries a time.
    #[inline]
    pub(crate) fn timed(&self) -> bool {
        self.marks & TIMED != 0
    }

    #[inline]
    pub(crate) fn has_ports(&self) -> bool {
        self.marks & PORTS != 0
    }

    /// Whether it answers rather than asks.
    #[inline]
    pub(crate) fn answers(&self) -> bool {
        self.marks & ANSWER != 0
    }
}

/// What the tables of destinations ask of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived<A> {
    pub(crate) dst: A,
    pub(crate) slot: Slot,
}

const _: () = assert!(size_of::<Arrived<V4>>() == 40);

/// Rows of packets whose addresses are kept in one way, by shard, in their own order within each.
#[derive(Clone, Debug)]
pub(crate) struct Rows<A> {
    pub(crate) sent: [Vec<Sent<A>>; SHARDS],
    pub(crate) arrived: [Vec<Arrived<A>>; SHARDS],
}

impl<A> Default for Rows<A> {
    fn default() -> Self {
        Rows { sent: [const { Vec::new() }; SHARDS], arrived: [const { Vec::new() }; SHARDS] }
    }
}

impl<A: Kept> Rows<A> {
    #[inline]
    fn add(&mut self, row: &Packet, (src, dst): (A, A), position: u64, answer: bool) {
        push_ahead(&mut self.sent[shard_of(row.src)], Sent::of(row, (src, dst), position, answer));
        push_ahead(&mut self.arrived[shard_of(row.dst)], Arrived { dst, slot: Slot::of(row, position) });
    }

    /// Ready to be filled again.
    fn clear(&mut self) {
        self.sent.iter_mut().for_each(empty);
        self.arrived.iter_mut().for_each(empty);
    }
}

/// Entries that an emptied list may keep room for: several times what a shard has of a batch. One that a burst made longer
/// gives its memory back, or in time every list would be as long as the longest.
const ROOM_MAX: usize = 128;

fn empty<T>(list: &mut Vec<T>) {
    if list.capacity() > ROOM_MAX {
        *list = Vec::new();
    }
    list.clear();
}

/// A packet that speaks of a victim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) src: Addr,
    pub(crate) dst: Addr,
    pub(crate) ts: Nanos,
    pub(crate) position: u64,
    pub(crate) wire_len: u32,
    pub(crate) sport: u16,
    pub(crate) dport: u16,
    /// Where the packet that it quotes stands in [`Lists::quotes`], or [`UNQUOTED`].
    quoted: u32,
    pub(crate) transport: Transport,
    pub(crate) tcp_flags: u8,
    pub(crate) icmp_type: u8,
}

const _: () = assert!(size_of::<Answer>() == 64);

const UNQUOTED: u32 = u32::MAX;

impl Answer {
    fn of(row: &Packet, position: u64, quoted: u32) -> Self {
        Answer {
            src: row.src,
            dst: row.dst,
            ts: row.ts,
            position,
            wire_len: row.wire_len,
            sport: row.sport,
            dport: row.dport,
            quoted,
            transport: row.transport,
            tcp_flags: row.tcp_flags,
            icmp_type: row.icmp_type,
        }
    }
}

/// A batch by shard, in its own order within each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    pub(crate) v4: Rows<V4>,
    /// Packets of which an address is not IPv4.
    pub(crate) any: Rows<Addr>,
    answers: Dealt<Answer>,
    /// Packets that answers quote.
    quotes: Vec<Quoted>,
    pub(crate) said: Dealt<Said>,
    pub(crate) samples: Samples,
}

impl Lists {
    /// Answers that speak of victims in a shard, and what they quote.
    pub(crate) fn answers(&self, shard: usize) -> impl Iterator<Item = (&Answer, Option<&Quoted>)> {
        self.answers.of(shard).map(|answer| (answer, self.quotes.get(answer.quoted as usize)))
    }

    fn clear(&mut self) {
        self.v4.clear();
        self.any.clear();
        self.answers.clear();
        self.quotes.clear();
        self.said.clear();
        self.samples.clear();
    }
}

/// A batch that was made ready for the tables.
#[derive(Clone)]
pub struct Prepared {
    pub(crate) packets: usize,
    pub(crate) tally: BatchTally,
    pub(crate) lists: Box<Lists>,
    /// Source and destination of every packet, when thresholds are yet to be found.
    pub(crate) pairs: Vec<(Addr, Addr)>,
}

/// Lists that have been worked on, to be filled again: memory that was used a moment ago is the cheapest.
pub(crate) type Shelf = Arc<Mutex<Vec<Box<Lists>>>>;

/// Rows that are gone over twice while they are in the nearest cache.
const PIECE_ROWS: usize = 256;

/// Makes batches ready; as many at a time as there are threads.
#[derive(Clone, Debug)]
pub struct Preparer {
    pub(crate) since: Option<Nanos>,
    pub(crate) until: Option<Nanos>,
    /// Thresholds are yet to be found.
    pub(crate) first: bool,
    pub(crate) shelf: Shelf,
}

impl Preparer {
    #[inline]
    fn keeps(&self, row: &Packet) -> bool {
        (self.since.is_none() && self.until.is_none())
            || row.has.has(Has::TIME)
                && self.since.is_none_or(|time| row.ts >= time)
                && self.until.is_none_or(|time| row.ts < time)
    }

    /// One pass over a batch, which is not needed any more.
    pub fn prepare(&self, batch: &PacketBatch) -> Prepared {
        let mut prepared = self.begin(batch.file);
        self.add(&mut prepared, batch);
        prepared
    }

    /// Begins with packets of an input, to which those that follow are added.
    pub fn begin(&self, file: u32) -> Prepared {
        let lists = self.shelf.lock().map_or(None, |mut shelf| shelf.pop()).unwrap_or_default();
        Prepared { packets: 0, tally: BatchTally::new(file), lists, pairs: Vec::new() }
    }

    /// Adds the packets that follow, of the same input.
    pub fn add(&self, prepared: &mut Prepared, batch: &PacketBatch) {
        let Prepared { packets, tally, lists, pairs } = prepared;
        *packets += batch.rows.len();
        // Counting and dealing by themselves: together they need more registers than there are.
        for (piece, rows) in batch.rows.chunks(PIECE_ROWS).enumerate() {
            let mut answers = [false; PIECE_ROWS];
            for (row, answer) in rows.iter().zip(&mut answers) {
                *answer = vectors::is_backscatter(row) && !is_tunnelled(batch, row);
                tally.add(row, *answer, self.keeps(row));
            }
            let position = packed(batch.file, batch.first_position + (piece * PIECE_ROWS) as u64);
            for ((row, answer), position) in rows.iter().zip(answers).zip(position..) {
                if row.has.has(Has::IP) && self.keeps(row) {
                    lists.add(batch, row, position, answer);
                }
            }
        }
        if self.first {
            let with_addresses = batch.rows.iter().filter(|row| row.has.has(Has::IP));
            pairs.extend(with_addresses.map(|row| (row.src, row.dst)));
        }
    }
}

/// Whether the transport stands inside a tunnel: then what answers is not the outer address, whose packet this is.
fn is_tunnelled(batch: &PacketBatch, row: &Packet) -> bool {
    batch.rare(row).is_some_and(|rare| rare.inner.is_some())
}

/// Appends, and asks for where the entry after the next will stand: more lists grow at once than a core keeps track of.
#[inline]
fn push_ahead<T>(list: &mut Vec<T>, entry: T) {
    list.push(entry);
    prefetch::ahead(list, list.len() + 1);
}

impl Lists {
    #[inline]
    fn add(&mut self, batch: &PacketBatch, row: &Packet, position: u64, answer: bool) {
        match (row.src.as_v4(), row.dst.as_v4()) {
            (Some(src), Some(dst)) => self.v4.add(row, (V4(src), V4(dst)), position, answer),
            _ => self.any.add(row, (row.src, row.dst), position, answer),
        }
        if row.payload_cap > 0 {
            let shard = shard_of(row.src);
            if let Some(said) = self.samples.look_at(batch, row, shard) {
                self.said.push(shard, said);
            }
        }
        if answer {
            self.add_answer(batch, row, position);
        }
    }

    fn add_answer(&mut self, batch: &PacketBatch, row: &Packet, position: u64) {
        let quoted = batch.rare(row).and_then(|rare| rare.quoted);
        let at = quoted.map_or(UNQUOTED, |_| self.quotes.len() as u32);
        self.quotes.extend(quoted);
        let victim = backscatter::victim(row.src, quoted.as_ref());
        self.answers.push(shard_of(victim), Answer::of(row, position, at));
    }
}

impl Prepared {
    /// Deals out what is not dealt out yet, once all rows are there.
    pub(crate) fn sort(&mut self) {
        self.lists.answers.sort();
        self.lists.said.sort();
    }

    /// Lets the lists be filled again.
    pub(crate) fn recycle(mut self, shelf: &Shelf) {
        self.lists.clear();
        if let Ok(mut shelf) = shelf.lock() {
            shelf.push(self.lists);
        }
    }
}
