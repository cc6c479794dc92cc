//! All runs of probes that are going on in one shard.
//!
//! In a darknet most runs are one packet long. A run stands in 32 bytes of a hash table, two to a cache line, until a
//! second packet comes; only then does it get the full account of [`Probe`]. Runs that are over leave the table in
//! place, without a trace: entries behind them move up, so that a search never crosses a grave.

use super::probe::{Probe, ProbeKey};
use crate::chunks::Chunks;
use crate::prefetch;
use crate::set::AddrSet;
use crate::shard::{Kept, Sent};
use foldhash::fast::RandomState;
use noroshi_model::Nanos;
use noroshi_model::packet::ToolBits;
use std::hash::BuildHasher;

/// One run. Empty when `word` is zero. Aligned, so that none lies across two cache lines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
struct Slot {
    /// Key, then the fingerprints of a single packet, then [`MANY`] and [`TAKEN`].
    word: u64,
    /// When the last packet came.
    last: Nanos,
    /// Of a single packet: file and number.
    position: u64,
    /// Of a single packet: its destination as a set keeps it. Of many: where their account stands.
    place: u32,
    /// Of a single packet.
    wire_len: u32,
}

const _: () = assert!(size_of::<Slot>() == 32);

const TAKEN: u64 = 1 << 63;
const MANY: u64 = 1 << 62;
const KEY: u64 = (1 << ProbeKey::BITS) - 1;
const _: () = assert!(ToolBits::NAMES.len() <= (62 - ProbeKey::BITS) as usize);

/// A run that is over.
pub(crate) struct Over {
    pub(crate) key: ProbeKey,
    pub(crate) last: Nanos,
    pub(crate) what: What,
}

/// How long it was.
pub(crate) enum What {
    One(ToolBits),
    Many(Probe),
}

/// Runs by source, port and type.
#[derive(Clone)]
pub(crate) struct Probes {
    slots: Vec<Slot>,
    used: usize,
    /// Accounts of runs of two packets and more; free ones are listed.
    many: Chunks<Probe>,
    free: Vec<u32>,
    /// What keys are hashed with.
    secrets: [u64; 2],
}

/// A run that is sought: its key, and where the search for it begins, which holds until the table grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    key: ProbeKey,
    home: u32,
}

impl Wanted {
    /// No run: the packet does not probe.
    pub(crate) const NONE: Wanted = Wanted { key: ProbeKey(u64::MAX), home: 0 };

    #[inline]
    pub(crate) fn any(self) -> bool {
        self.key.0 != u64::MAX
    }
}

/// Slots of an empty table; always a power of two.
const SLOTS_MIN: usize = 64;

impl Slot {
    #[inline]
    fn single<A: Kept>(key: ProbeKey, row: &Sent<A>) -> Self {
        Slot {
            word: TAKEN | u64::from(row.tool_bits.0) << ProbeKey::BITS | key.0,
            last: row.ts,
            position: row.position,
            place: row.dst.key(),
            wire_len: row.wire_len,
        }
    }

    fn bits(&self) -> ToolBits {
        ToolBits(((self.word & !(TAKEN | MANY)) >> ProbeKey::BITS) as u16)
    }

    #[inline]
    fn promoted(&self) -> Probe {
        let mut destinations = AddrSet::default();
        destinations.insert_key(self.place);
        Probe {
            first: self.last,
            bytes: u64::from(self.wire_len),
            position: self.position,
            destinations,
            packets: 1,
            consistent: self.bits(),
            long: None,
        }
    }
}

impl Probes {
    pub(crate) fn new() -> Self {
        let (slots, random) = (vec![Slot::default(); SLOTS_MIN], RandomState::default());
        let secrets = [random.hash_one(1), random.hash_one(2) | 1];
        Probes { slots, used: 0, many: Chunks::default(), free: Vec::new(), secrets }
    }

    /// Keyed, as sources and ports are chosen by whoever sends.
    #[inline]
    fn home(&self, key: u64) -> usize {
        let product = u128::from(key ^ self.secrets[0]) * u128::from(self.secrets[1]);
        let mixed = (product >> 64) as u64 ^ product as u64;
        (mixed >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    /// What to search a run by.
    #[inline]
    pub(crate) fn want(&self, key: ProbeKey) -> Wanted {
        Wanted { key, home: self.home(key.0) as u32 }
    }

    /// Asks for the line where a search begins.
    #[inline]
    pub(crate) fn prefetch(&self, wanted: Wanted) {
        prefetch::ahead(&self.slots, wanted.home as usize);
    }

    /// Asks for the account of a run, whose slot should be at hand by now.
    #[inline]
    pub(crate) fn prefetch_account(&self, wanted: Wanted) {
        let slot = &self.slots[wanted.home as usize];
        if slot.word & MANY != 0 {
            self.many.prefetch(slot.place as usize);
        }
    }

    /// Asks for the place of a destination in the account of a run, which should be at hand by now.
    #[inline]
    pub(crate) fn prefetch_destination(&self, wanted: Wanted, destination: u32) {
        let slot = &self.slots[wanted.home as usize];
        if slot.word & MANY != 0 {
            self.many[slot.place as usize].destinations.prefetch(destination);
        }
    }

    /// Adds a packet to its run, for which there is room ([`Probes::make_room`]); gives back the run that it ended by
    /// coming after a gap. `known` is the run of the packet before, of the same source, and where it stands.
    #[inline]
    pub(crate) fn add<A: Kept>(
        &mut self,
        wanted: Wanted,
        known: &mut Option<(ProbeKey, usize)>,
        row: &Sent<A>,
        gap: i64,
    ) -> Option<Over> {
        let Wanted { key, home } = wanted;
        let at = match *known {
            Some((before, at)) if before == key => at,
            _ => {
                let at = self.search(key, home as usize);
                *known = Some((key, at));
                at
            }
        };
        let slot = self.slots[at];
        if slot.word == 0 {
            self.slots[at] = Slot::single(key, row);
            self.used += 1;
            return None;
        }
        if row.ts.0.saturating_sub(slot.last.0) > gap {
            self.slots[at] = Slot::single(key, row);
            return Some(self.over(slot));
        }
        let place = if slot.word & MANY == 0 { self.promote(at) } else { slot.place };
        self.slots[at].last = slot.last.max(row.ts);
        self.many[place as usize].add(row);
        None
    }

    /// Where a run stands, or would.
    #[inline]
    fn search(&self, key: ProbeKey, home: usize) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = home & mask;
        while self.slots[at].word != 0 && self.slots[at].word & KEY != key.0 {
            at = (at + 1) & mask;
        }
        at
    }

    /// Gives a run its account.
    fn promote(&mut self, at: usize) -> u32 {
        let account = self.slots[at].promoted();
        let place = match self.free.pop() {
            Some(place) => {
                self.many[place as usize] = account;
                place
            }
            None => {
                self.many.push(account);
                (self.many.len() - 1) as u32
            }
        };
        let slot = &mut self.slots[at];
        slot.word = slot.word & KEY | TAKEN | MANY;
        slot.place = place;
        place
    }

    /// What stood in a slot that has been given up.
    fn over(&mut self, slot: Slot) -> Over {
        let what = if slot.word & MANY == 0 {
            What::One(slot.bits())
        } else {
            self.free.push(slot.place);
            What::Many(std::mem::replace(&mut self.many[slot.place as usize], Slot::default().promoted()))
        };
        Over { key: ProbeKey(slot.word & KEY), last: slot.last, what }
    }

    /// Whether the table would be too full to search fast with so many runs more.
    pub(crate) fn crowded(&self, more: usize) -> bool {
        (self.used + more) * 4 >= self.slots.len() * 3
    }

    /// Makes room for so many runs more, which is more than will come, as most packets belong to runs that stand. When it
    /// takes most of the table it grows, so that it is not full again, and searched for runs that are over, before many
    /// packets have come.
    pub(crate) fn make_room(&mut self, more: usize) {
        while (self.used + more) * 16 >= self.slots.len() * 11 {
            self.grow();
        }
    }

    /// Takes out the runs whose last packet came longer ago than the gap.
    pub(crate) fn expire(&mut self, now: Nanos, gap: i64, mut each: impl FnMut(Over)) {
        let mut at = 0;
        while at < self.slots.len() {
            let slot = self.slots[at];
            if slot.word != 0 && now.0.saturating_sub(slot.last.0) > gap {
                self.remove(at);
                each(self.over(slot));
            } else {
                at += 1;
            }
        }
    }

    /// Empties a slot; what stands behind it moves up where its search allows.
    fn remove(&mut self, mut hole: usize) {
        let mask = self.slots.len() - 1;
        self.used -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.word == 0 {
                break;
            }
            // It may move when its search begins at the hole or before.
            let home = self.home(slot.word & KEY);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = Slot::default();
    }

    /// Takes out everything.
    pub(crate) fn finish(&mut self, each: impl FnMut(Over)) {
        let all = std::mem::replace(self, Probes::new());
        let mut all = Probes { used: 0, ..all };
        let slots = std::mem::take(&mut all.slots);
        slots.into_iter().filter(|slot| slot.word != 0).map(|slot| all.over(slot)).for_each(each);
    }

    #[cold]
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![Slot::default(); old.len() * 2];
        let mask = self.slots.len() - 1;
        for slot in old.into_iter().filter(|slot| slot.word != 0) {
            let mut at = self.home(slot.word & KEY);
            while self.slots[at].word != 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }

    /// Bytes held, without those behind the accounts.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.many.bytes()
    }

    /// Bytes behind one account in so many.
    pub(crate) fn heap_bytes_of_each(&self, step: usize) -> u64 {
        self.many.iter().step_by(step).map(Probe::heap_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::probe::ProbeType;
    use noroshi_model::Addr;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// A run as plain code keeps it: first, last, packets.
    type Plain = (i64, i64, u32);

    fn told(over: Over) -> (u64, Plain) {
        let (first, packets) = match &over.what {
            What::One(_) => (over.last, 1),
            What::Many(probe) => (probe.first, probe.packets),
        };
        (over.key.0, (first.0, over.last.0, packets))
    }

    proptest! {
        /// The table against a plain map, with expiry in between.
        #[test]
        fn runs_like_a_plain_map(steps in proptest::collection::vec((0u32..40, 0u16..6, 0i64..30, any::<bool>()), 1..2_000)) {
            let gap = 100;
            let (mut probes, mut plain) = (Probes::new(), HashMap::<u64, Plain>::new());
            let (mut seen, mut expected) = (Vec::new(), Vec::new());
            let mut now = 0;
            for (source, port, step, sweep) in steps {
                now += step;
                let key = ProbeKey::new(source, ProbeType::Syn, port);
                let row = Sent { ts: Nanos(now), dst: Addr::v4(source), ..Sent::BLANK };
                probes.make_room(1);
                seen.extend(probes.add(probes.want(key), &mut None, &row, gap).map(told));
                let entry = plain.entry(key.0).or_insert((now, now, 0));
                if now - entry.1 > gap {
                    expected.push((key.0, std::mem::replace(entry, (now, now, 0))));
                }
                (entry.1, entry.2) = (now, entry.2 + 1);
                if sweep && step == 0 {
                    probes.expire(Nanos(now), gap, |over| seen.push(told(over)));
                    expected.extend(plain.extract_if(|_, run| now - run.1 > gap));
                }
            }
            prop_assert_eq!(probes.used, plain.len());
            probes.finish(|over| seen.push(told(over)));
            expected.extend(plain);
            seen.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(seen, expected);
        }
    }
}
