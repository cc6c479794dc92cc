//! What arrives, by destination.

use super::arrival::{Account, Arrival, Slot};
use crate::chunks::Chunks;
use crate::index::{AddrIndex, Sought};
use crate::shard::{Arrived, Kept, unpacked};
use crate::source::{BLOCK, count_in_file};
use noroshi_model::{Addr, Nanos};

/// One destination: two cache lines.
#[derive(Clone)]
#[repr(align(64))]
pub(crate) struct Receiver {
    arrival: Arrival,
    pub(crate) packets: u64,
    file: u32,
}

const _: () = assert!(size_of::<Receiver>() == 128);

/// Arrivals of one shard of destinations.
#[derive(Clone)]
pub(crate) struct DestinationShard {
    index: AddrIndex,
    pub(crate) addrs: Vec<Addr>,
    pub(crate) all: Chunks<Receiver>,
    pub(crate) by_file: Vec<u64>,
    pub(crate) closed: Vec<(Addr, Box<Account>)>,
    /// Places with an open account: few, so that looking after them costs less than looking at every destination.
    open: Vec<u32>,
}

impl DestinationShard {
    pub(crate) fn new() -> Self {
        let (addrs, all, by_file, closed) = (Vec::new(), Chunks::default(), Vec::new(), Vec::new());
        DestinationShard { index: AddrIndex::new(), addrs, all, by_file, closed, open: Vec::new() }
    }

    /// Adds rows, in blocks as [`crate::source::SourceShard::add_all`] does.
    pub(crate) fn add_all<A: Kept>(&mut self, rows: &[Arrived<A>], watched: &impl Fn(Addr) -> bool) {
        let mut before: &[Arrived<A>] = &[];
        let mut placed = [0u32; BLOCK];
        for block in rows.chunks(BLOCK) {
            let sought: [Sought; BLOCK] =
                std::array::from_fn(|i| self.index.seek_kept(block[i.min(block.len() - 1)].dst));
            sought.iter().for_each(|sought| self.index.prefetch(*sought));
            // While those lines are under way: the rows before, whose destinations were asked for a block ago.
            before.iter().zip(placed).for_each(|(row, at)| self.add(row, at, watched));
            for ((at, row), sought) in placed.iter_mut().zip(block).zip(sought) {
                *at = self.locate(row.dst, sought);
                self.all.prefetch(*at as usize);
            }
            before = block;
        }
        before.iter().zip(placed).for_each(|(row, at)| self.add(row, at, watched));
    }

    #[inline]
    fn locate<A: Kept>(&mut self, addr: A, sought: Sought) -> u32 {
        let addrs = &self.addrs;
        let found = self.index.find_kept(addr, sought, |at| addrs[at as usize] == addr.addr());
        found.unwrap_or_else(|| self.open_place(addr.addr(), sought))
    }

    #[cold]
    fn open_place(&mut self, addr: Addr, sought: Sought) -> u32 {
        let at = self.addrs.len() as u32;
        self.index.insert(sought, at);
        self.addrs.push(addr);
        self.all.push(Receiver { packets: 0, file: u32::MAX, arrival: Arrival::default() });
        at
    }

    #[inline]
    fn add<A: Kept>(&mut self, row: &Arrived<A>, at: u32, watched: &impl Fn(Addr) -> bool) {
        let receiver = &mut self.all[at as usize];
        receiver.packets += 1;
        let file = unpacked(row.slot.position).file;
        if receiver.file != file {
            receiver.file = file;
            count_in_file(&mut self.by_file, file);
        }
        if watched(row.dst.addr()) && !receiver.arrival.add_calm(&row.slot) {
            self.add_busy(row.dst.addr(), at, &row.slot);
        }
    }

    /// A packet of which its destination may have, or get, an account.
    fn add_busy(&mut self, addr: Addr, at: u32, slot: &Slot) {
        let arrival = &mut self.all[at as usize].arrival;
        let was_open = arrival.account().is_some();
        let closed = arrival.add(slot);
        if was_open != arrival.account().is_some() {
            self.opened_or_closed(addr, at, closed);
        }
    }

    #[cold]
    fn opened_or_closed(&mut self, addr: Addr, at: u32, closed: Option<Box<Account>>) {
        match closed {
            None => self.open.push(at),
            Some(account) => {
                self.open.retain(|open| *open != at);
                self.closed.push((addr, account));
            }
        }
    }

    /// Packets that arrived at an address.
    pub(crate) fn received(&self, addr: Addr) -> u64 {
        let at = self.index.find(self.index.seek(addr), |at| self.addrs[at as usize] == addr);
        at.map_or(0, |at| self.all[at as usize].packets)
    }

    pub(crate) fn expire(&mut self, now: Nanos) {
        self.close(now);
        // What could not become an attack whatever follows is let go.
        self.closed.retain(|(victim, account)| !account.findings(*victim, 0).is_empty());
    }

    /// Closes the accounts that are over by `now`, in the order of their destinations.
    pub(crate) fn close(&mut self, now: Nanos) {
        let mut open = std::mem::take(&mut self.open);
        open.sort_unstable();
        open.retain(|at| match self.all[*at as usize].arrival.expire(now) {
            Some(account) => {
                self.closed.push((self.addrs[*at as usize], account));
                false
            }
            None => true,
        });
        self.open = open;
    }

    pub(crate) fn bytes(&self) -> u64 {
        let flat = self.all.bytes() + self.addrs.capacity() * 16 + self.index.bytes();
        let accounts = self.open.iter().filter_map(|at| self.all[*at as usize].arrival.account());
        flat as u64 + accounts.map(Account::heap_bytes).sum::<u64>()
    }
}
