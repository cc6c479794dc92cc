//! Rows by the place of their source, so that the rows of one source are worked on in one visit.

/// A row and the place of its source, the place above so that they sort by it.
pub(crate) type Placed = u64;

#[inline]
pub(crate) fn source_of(placed: Placed) -> usize {
    (placed >> 32) as usize
}

#[inline]
pub(crate) fn row_of(placed: Placed) -> usize {
    placed as u32 as usize
}

/// Sorts by place, stably: a counting sort for each byte that `places` have, with `other` to move to.
pub(crate) fn sort(placed: &mut Vec<Placed>, other: &mut Vec<Placed>, places: usize) {
    other.resize(placed.len(), 0);
    let mut shift = 32;
    while shift < 64 && places >> (shift - 32) > 0 {
        let mut next = [0usize; 256];
        for word in placed.iter() {
            next[usize::from((word >> shift) as u8)] += 1;
        }
        let mut start = 0;
        for count in &mut next {
            start += std::mem::replace(count, start);
        }
        for word in placed.iter() {
            let at = &mut next[usize::from((word >> shift) as u8)];
            other[*at] = *word;
            *at += 1;
        }
        std::mem::swap(placed, other);
        shift += 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_and_rows_keep_their_order() {
        for places in [1usize, 255, 256, 257, 70_000, 20_000_000] {
            let mut placed: Vec<Placed> = (0..5_000u64)
                .map(|i| (((i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % places as u64) << 32) | i)
                .collect();
            let mut expected = placed.clone();
            expected.sort_unstable();
            sort(&mut placed, &mut Vec::new(), places);
            assert_eq!(placed, expected);
        }
    }
}
