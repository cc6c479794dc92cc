//! Address space cut into disjoint segments, each with one value: the shape every imported table is compiled to.
//!
//! Invariants: `starts` is strictly ascending; segment `i` reaches from `starts[i]` to `starts[i + 1] - 1` (the last
//! one to the end of the space); a segment without a value carries [`NO_VALUE`]; space before `starts[0]` has none.
//! Look-up is one step in an index over the top 16 bits and a binary search in the few segments that share them.

use std::fmt::Debug;

/// The value of a segment that nothing is known about.
pub const NO_VALUE: u32 = u32::MAX;
/// The prefix length of a segment that does not stem from a single prefix.
pub const NO_LENGTH: u8 = u8::MAX;
/// Below this many segments a plain binary search stays in the first cache lines and the index (256 KiB) is not built.
const INDEX_FROM: usize = 2048;

/// The number that an address is within its family.
pub trait Key: Copy + Ord + Debug {
    /// The first address of the family.
    const MIN: Self;
    /// The top 16 bits.
    fn top(self) -> usize;
    /// The next address; none after the last.
    fn next(self) -> Option<Self>;
}

impl Key for u32 {
    const MIN: Self = 0;
    #[inline]
    fn top(self) -> usize {
        (self >> 16) as usize
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Key for u128 {
    const MIN: Self = 0;
    #[inline]
    fn top(self) -> usize {
        (self >> 112) as usize
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// A range of addresses with a value, as a loader reads it; ranges may nest, overlap and repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<K> {
    /// Lowest address.
    pub first: K,
    /// Highest address, inclusive.
    pub last: K,
    /// Prefix length, or [`NO_LENGTH`].
    pub length: u8,
    /// Whatever the caller stores elsewhere under this number.
    pub value: u32,
}

/// Compiled, read-only segments of one address family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments<K> {
    starts: Vec<K>,
    values: Vec<u32>,
    lengths: Vec<u8>,
    /// `index[t]`: how many segments start below the top-16-bit value `t`; 65,537 entries, or none for small tables.
    index: Vec<u32>,
}

impl<K> Default for Segments<K> {
    fn default() -> Self {
        Segments { starts: Vec::new(), values: Vec::new(), lengths: Vec::new(), index: Vec::new() }
    }
}

impl<K: Key> Segments<K> {
    /// Compiles ranges: the narrowest range wins where they nest, the later of two equal ones, and of two that overlap
    /// without nesting the one that starts later. Cost n log n, whatever the overlaps.
    pub fn compile(mut spans: Vec<Span<K>>) -> Self {
        spans.retain(|span| span.first <= span.last);
        // Stable: of equal ranges the one read last comes last, lands on top of the stack and wins.
        spans.sort_by(|a, b| a.first.cmp(&b.first).then(b.last.cmp(&a.last)));
        let mut out = Segments::default();
        let mut open: Vec<Span<K>> = Vec::new();
        for span in spans {
            out.close_until(&mut open, Some(span.first));
            out.push(span.first, span.value, span.length);
            open.push(span);
        }
        out.close_until(&mut open, None);
        out.finish()
    }

    /// Ends the open ranges that end before `limit` (all of them for none) and resumes what lies beneath.
    fn close_until(&mut self, open: &mut Vec<Span<K>>, limit: Option<K>) {
        while let Some(top) = open.last().copied() {
            if limit.is_some_and(|limit| top.last >= limit) {
                return;
            }
            open.pop();
            let Some(resume) = top.last.next() else { return open.clear() };
            while open.last().is_some_and(|below| below.last < resume) {
                open.pop();
            }
            match open.last() {
                Some(below) => self.push(resume, below.value, below.length),
                None => self.push(resume, NO_VALUE, NO_LENGTH),
            }
        }
    }

    /// Appends a boundary; a boundary at the same place replaces the former one.
    fn push(&mut self, start: K, value: u32, length: u8) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
            self.lengths.pop();
        }
        if self.values.last().is_none() && value == NO_VALUE {
            return;
        }
        if self.values.last() == Some(&value) && self.lengths.last() == Some(&length) && length == NO_LENGTH {
            return;
        }
        self.starts.push(start);
        self.values.push(value);
        self.lengths.push(length);
    }

    /// From boundaries in ascending order, each with value and prefix length. Refuses what breaks the invariants.
    pub fn from_parts(starts: Vec<K>, values: Vec<u32>, lengths: Vec<u8>) -> Option<Self> {
        let fits = starts.len() == values.len() && starts.len() == lengths.len();
        if !fits || starts.len() > u32::MAX as usize || !starts.is_sorted_by(|a, b| a < b) {
            return None;
        }
        Some(Segments { starts, values, lengths, index: Vec::new() }.finish())
    }

    fn finish(mut self) -> Self {
        self.starts.shrink_to_fit();
        self.values.shrink_to_fit();
        self.lengths.shrink_to_fit();
        self.index.clear();
        if self.starts.len() >= INDEX_FROM {
            self.index.reserve_exact((1 << 16) + 1);
            let mut count = 0;
            for top in 0..=1usize << 16 {
                while count < self.starts.len() && self.starts[count].top() < top {
                    count += 1;
                }
                self.index.push(count as u32);
            }
        }
        self
    }

    /// The value at an address and the prefix length it came from.
    #[inline]
    pub fn find(&self, key: K) -> Option<(u32, u8)> {
        let (from, to) = match self.index.is_empty() {
            true => (0, self.starts.len()),
            false => (self.index[key.top()] as usize, self.index[key.top() + 1] as usize),
        };
        let after = from + self.starts[from..to].partition_point(|start| *start <= key);
        let at = after.checked_sub(1)?;
        let value = self.values[at];
        (value != NO_VALUE).then(|| (value, self.lengths[at]))
    }

    /// Boundaries in ascending order: start, value ([`NO_VALUE`] for a hole), prefix length.
    pub fn iter(&self) -> impl Iterator<Item = (K, u32, u8)> + '_ {
        (0..self.starts.len()).map(|i| (self.starts[i], self.values[i], self.lengths[i]))
    }

    /// Number of boundaries.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// True when nothing is known anywhere.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.starts.capacity() * (size_of::<K>() + 5) + self.index.capacity() * 4
    }

    pub(crate) fn parts(&self) -> (&[K], &[u32], &[u8]) {
        (&self.starts, &self.values, &self.lengths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(first: u32, last: u32, value: u32) -> Span<u32> {
        Span { first, last, length: NO_LENGTH, value }
    }

    #[test]
    fn the_narrowest_wins_and_the_wider_resumes() {
        let s = Segments::compile(vec![span(10, 99, 1), span(20, 29, 2), span(20, 24, 3)]);
        let at = |key| s.find(key).map(|(value, _)| value);
        assert_eq!(
            [9, 10, 20, 24, 25, 29, 30, 99, 100].map(at),
            [None, Some(1), Some(3), Some(3), Some(2), Some(2), Some(1), Some(1), None]
        );
    }

    #[test]
    fn the_ends_of_the_space() {
        let s = Segments::compile(vec![span(0, 0, 1), span(u32::MAX, u32::MAX, 2)]);
        assert_eq!(s.find(0), Some((1, NO_LENGTH)));
        assert_eq!(s.find(1), None);
        assert_eq!(s.find(u32::MAX), Some((2, NO_LENGTH)));
        assert_eq!(Segments::<u128>::default().find(7), None);
    }

    #[test]
    fn broken_parts_are_refused() {
        assert!(Segments::from_parts(vec![1u32, 1], vec![0, 0], vec![0, 0]).is_none());
        assert!(Segments::from_parts(vec![1u32], vec![], vec![0]).is_none());
        assert!(Segments::from_parts(vec![1u32, 2], vec![0, 0], vec![0, 0]).is_some());
    }

    /// Prefixes never overlap without nesting, so "the longest that holds the address, the last read among equals" is
    /// the whole contract, and it can be said naively.
    fn naive(prefixes: &[(u32, u8)], key: u32) -> Option<u32> {
        let holds = |&(addr, length): &(u32, u8)| (u64::from(addr ^ key) >> (32 - length)) == 0;
        let best = prefixes.iter().enumerate().filter(|(_, p)| holds(p)).max_by_key(|(i, p)| (p.1, *i));
        best.map(|(i, _)| i as u32)
    }

    fn as_span(i: usize, (addr, length): (u32, u8)) -> Span<u32> {
        let mask = ((u64::from(u32::MAX) << (32 - length)) & u64::from(u32::MAX)) as u32;
        Span { first: addr & mask, last: addr & mask | !mask, length, value: i as u32 }
    }

    proptest! {
        #[test]
        fn longest_prefix_equals_the_naive_search(
            prefixes in prop::collection::vec((any::<u32>().prop_map(|a| a & 0xf00f_ff0f), 0u8..=32), 0..60),
            keys in prop::collection::vec(any::<u32>().prop_map(|a| a & 0xf00f_ff0f), 0..60),
        ) {
            let s = Segments::compile(prefixes.iter().enumerate().map(|(i, p)| as_span(i, *p)).collect());
            let edges = prefixes.iter().flat_map(|p| {
                let span = as_span(0, *p);
                [span.first, span.last, span.first.wrapping_sub(1), span.last.wrapping_add(1)]
            });
            for key in keys.iter().copied().chain(edges) {
                let expect = naive(&prefixes, key);
                prop_assert_eq!(s.find(key).map(|(value, _)| value), expect, "{:#x}", key);
                prop_assert_eq!(s.find(key).map(|(_, l)| l), expect.map(|i| prefixes[i as usize].1));
            }
        }

        #[test]
        fn any_ranges_keep_the_invariants(spans in prop::collection::vec((any::<u32>(), any::<u32>()), 0..80)) {
            let input = spans.iter().enumerate().map(|(i, (a, b))| span(*a.min(b), *a.max(b), i as u32)).collect();
            let s = Segments::compile(input);
            let (starts, _, _) = s.parts();
            prop_assert!(starts.is_sorted_by(|a, b| a < b));
            for (a, b) in &spans {
                prop_assert!(s.find(*a).is_some() && s.find(*b).is_some());
            }
        }

        #[test]
        fn the_index_changes_nothing(step in 1u32..200_000) {
            let spans: Vec<_> = (0..4000u32).map(|i| i.wrapping_mul(step)).map(|a| span(a, a, a)).collect();
            let indexed = Segments::compile(spans);
            let mut plain = indexed.clone();
            plain.index.clear();
            for key in (0..4000u32).map(|i| i.wrapping_mul(step / 2 + 1)) {
                prop_assert_eq!(indexed.find(key), plain.find(key));
            }
        }
    }
}
