//! Members of a set that are more than a handful, in the two forms of DataSketches' HyperLogLog: the hashes themselves, and
//! past [`MOST`] of them registers.
//!
//! The library makes a sketch of its own of whatever is merged, and adds up its registers again after each merge; roll-ups
//! merge hundreds of thousands of sets for one answer. So these two forms are merged here as they are stored, and the
//! library estimates the result, and takes the sets of other programs.

use super::sketch::{LG_K, NotASketch};
use datasketches::hll::{HllSketch, HllType, HllUnion};

/// Number of registers.
const REGISTERS: usize = 1 << LG_K;
/// Members of which the hashes are kept: with one more DataSketches makes registers of them.
const MOST: usize = 3 << (LG_K - 5);
/// The largest register: the hash has 64 bits beside the number of the register, and the first of them counts as one.
const HIGHEST: u8 = 63;

/// DataSketches' preamble of a set (`PreambleUtil` of its reference implementation): words of preamble, version, family,
/// [`LG_K`], binary logarithm of the set's room, flags (compact), not used, mode and target type. The number of members
/// follows, then they do.
const SET: [u8; 8] = [3, 1, 7, LG_K, 5, 8, 0, 9];
/// Where in it the binary logarithm of the set's room stands. A set begins with room for 32 and doubles it when more than
/// three quarters are taken.
const ROOM: usize = 4;
/// Of registers, with the flag that the order in which members came is not known; then follow the estimator of that order
/// (0), sums of 2⁻ʳ of the registers below 32 and of the others, the number of registers that are 0, and a number that is
/// 0 with registers of eight bits.
const HLL: [u8; 8] = [10, 1, 7, LG_K, 0, 16, 0, 10];
/// Bytes before the registers.
const HEAD: usize = 40;

/// More than a handful.
#[derive(Clone)]
pub(super) enum Members {
    Set(Coupons),
    Registers(Box<[u8; REGISTERS]>),
    /// Merged with a set that has another number of registers, or is not laid out as ours are.
    Foreign(Box<HllUnion>),
}

/// Coupons in open addressing; 0 is a free slot, and no coupon. They are hashes already.
#[derive(Clone)]
pub(super) struct Coupons {
    slots: Vec<u32>,
    len: usize,
}

impl Coupons {
    fn with_room(slots: usize) -> Coupons {
        Coupons { slots: vec![0; slots], len: 0 }
    }

    fn insert(&mut self, coupon: u32) {
        let last = self.slots.len() - 1;
        let mut at = coupon as usize & last;
        while self.slots[at] != coupon {
            if self.slots[at] == 0 {
                self.slots[at] = coupon;
                self.len += 1;
                return self.make_room();
            }
            at = (at + 1) & last;
        }
    }

    fn make_room(&mut self) {
        if self.len * 4 > self.slots.len() * 3 {
            let mut larger = Coupons::with_room(self.slots.len() * 2);
            self.iter().for_each(|coupon| larger.insert(coupon));
            *self = larger;
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().copied().filter(|coupon| *coupon != 0)
    }
}

/// A coupon is the number of a register, below the value that it has at least.
fn raise(registers: &mut [u8; REGISTERS], coupon: u32) {
    let register = &mut registers[coupon as usize % REGISTERS];
    *register = (*register).max((coupon >> 26) as u8);
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Coupons of a stored set, as they lie there; `None` when it is not one of ours.
fn stored_set(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_at_checked(SET.len() + 4)?;
    let (members, coupons) = (word(&head[SET.len()..]) as usize, rest);
    let ours = head[..ROOM] == SET[..ROOM] && head[ROOM + 1..SET.len()] == SET[ROOM + 1..];
    if !ours || members > MOST || coupons.len() != 4 * members {
        return None;
    }
    let mut last = 0;
    let ascend = coupons.chunks_exact(4).map(word).all(|coupon| {
        let fine = coupon > last && coupon >> 26 != 0;
        last = coupon;
        fine
    });
    ascend.then_some(coupons)
}

/// Registers of a stored sketch; `None` when it is not one of ours.
fn stored_registers(bytes: &[u8]) -> Option<&[u8; REGISTERS]> {
    let registers = bytes.strip_prefix(&HLL)?.get(HEAD - HLL.len()..)?;
    let registers = <&[u8; REGISTERS]>::try_from(registers).ok()?;
    (registers.iter().copied().fold(0, u8::max) <= HIGHEST).then_some(registers)
}

impl Members {
    /// Of the handful.
    pub fn of(coupons: &[u32]) -> Members {
        let mut set = Coupons::with_room(32);
        coupons.iter().for_each(|coupon| set.insert(*coupon));
        Members::Set(set)
    }

    pub fn add(&mut self, coupon: u32) {
        match self {
            Members::Registers(registers) => raise(registers, coupon),
            Members::Set(set) => {
                set.insert(coupon);
                if set.len > MOST {
                    let mut registers = Box::new([0; REGISTERS]);
                    set.iter().for_each(|coupon| raise(&mut registers, coupon));
                    *self = Members::Registers(registers);
                }
            }
            Members::Foreign(union) => {
                let one = Members::of(&[coupon]).library();
                union.update(&one);
            }
        }
    }

    fn raise_all(&mut self, others: &[u8; REGISTERS]) {
        match self {
            Members::Registers(registers) => {
                registers.iter_mut().zip(others).for_each(|(register, other)| *register = (*register).max(*other));
            }
            Members::Set(set) => {
                let mut registers = Box::new(*others);
                set.iter().for_each(|coupon| raise(&mut registers, coupon));
                *self = Members::Registers(registers);
            }
            Members::Foreign(union) => union.update(&Members::Registers(Box::new(*others)).library()),
        }
    }

    pub fn merge(&mut self, other: &Members) {
        match (&mut *self, other) {
            (_, Members::Set(others)) => others.iter().for_each(|coupon| self.add(coupon)),
            (_, Members::Registers(others)) => self.raise_all(others),
            (_, Members::Foreign(union)) => self.merge_foreign(&union.to_sketch(HllType::Hll8)),
        }
    }

    /// Adds the members of a stored sketch, of whatever program.
    pub fn merge_stored(&mut self, bytes: &[u8]) -> Result<(), NotASketch> {
        if !self.merge_ours(bytes) {
            let sketch = HllSketch::deserialize(bytes).map_err(|error| NotASketch(error.to_string()))?;
            self.merge_foreign(&sketch);
        }
        Ok(())
    }

    /// False, and nothing is done, when the sketch is not laid out as ours are.
    fn merge_ours(&mut self, bytes: &[u8]) -> bool {
        if let Some(coupons) = stored_set(bytes) {
            coupons.chunks_exact(4).for_each(|coupon| self.add(word(coupon)));
        } else if let Some(registers) = stored_registers(bytes) {
            self.raise_all(registers);
        } else {
            return false;
        }
        true
    }

    fn merge_foreign(&mut self, sketch: &HllSketch) {
        if let Members::Foreign(union) = self {
            return union.update(sketch);
        }
        let mut union = HllUnion::new(LG_K).expect("LG_K is between 4 and 21");
        union.update(sketch);
        if !self.merge_ours(&canonical(union.to_sketch(HllType::Hll8).serialize())) {
            if !matches!(self, Members::Set(Coupons { len: 0, .. })) {
                union.update(&self.library());
            }
            *self = Members::Foreign(Box::new(union));
        }
    }

    /// As the library knows it.
    fn library(&self) -> HllSketch {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        HllSketch::deserialize(&bytes).expect("a sketch as the library writes it")
    }

    pub fn estimate(&self) -> f64 {
        match self {
            Members::Foreign(union) => union.composite_estimate(),
            ours => ours.library().composite_estimate(),
        }
    }

    /// Puts the stored form at the end.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Members::Set(set) => {
                let mut head = SET;
                while 4 * set.len > 3 << head[ROOM] {
                    head[ROOM] += 1;
                }
                bytes.extend_from_slice(&head);
                bytes.extend_from_slice(&(set.len as u32).to_le_bytes());
                let mut coupons: Vec<u32> = set.iter().collect();
                coupons.sort_unstable();
                coupons.iter().for_each(|coupon| bytes.extend_from_slice(&coupon.to_le_bytes()));
            }
            Members::Registers(registers) => {
                let mut counts = [0u32; HIGHEST as usize + 1];
                registers.iter().for_each(|register| counts[usize::from(*register)] += 1);
                // Terms are powers of two no further apart than a double is long, so the sums are exact.
                let sum = |of: std::ops::Range<usize>| -> f64 {
                    of.map(|at| f64::from(counts[at]) / (1u64 << at) as f64).sum()
                };
                bytes.extend_from_slice(&HLL);
                bytes.extend_from_slice(&[0; 8]);
                bytes.extend_from_slice(&sum(0..32).to_le_bytes());
                bytes.extend_from_slice(&sum(32..counts.len()).to_le_bytes());
                bytes.extend_from_slice(&counts[0].to_le_bytes());
                bytes.extend_from_slice(&[0; 4]);
                bytes.extend_from_slice(&**registers);
            }
            Members::Foreign(union) => bytes.extend(canonical(union.to_sketch(HllType::Hll8).serialize())),
        }
    }

    /// Bytes of memory it takes beside itself.
    pub fn size(&self) -> usize {
        match self {
            Members::Set(set) => 4 * set.slots.len(),
            Members::Registers(_) => REGISTERS,
            Members::Foreign(union) => union.estimated_size(),
        }
    }
}

/// The mode stands in the low bits of byte 7, flags in byte 5; coupons follow at 8 (list) or 12 (set); in register mode
/// HIP is the double at 8.
pub(super) fn canonical(mut bytes: Vec<u8>) -> Vec<u8> {
    const OUT_OF_ORDER: u8 = 16;
    match bytes[7] & 3 {
        0 => sort_words(&mut bytes[8..]),
        1 => sort_words(&mut bytes[12..]),
        _ => {
            bytes[5] |= OUT_OF_ORDER;
            bytes[8..16].fill(0);
        }
    }
    bytes
}

fn sort_words(bytes: &mut [u8]) {
    let mut words: Vec<u32> = bytes.chunks_exact(4).map(word).collect();
    words.sort_unstable();
    bytes.chunks_exact_mut(4).zip(words).for_each(|(slot, word)| slot.copy_from_slice(&word.to_le_bytes()));
}
