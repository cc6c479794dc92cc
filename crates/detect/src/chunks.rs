//! A list that grows without moving: pieces of fixed size.
//!
//! A list of millions that doubles copies itself and leaves half its memory empty; one that grows in small steps copies
//! itself again and again, and leaves holes that nothing fits into. This one does neither; what it costs is one more
//! pointer to follow, which stays in the nearest cache.

use crate::prefetch;
use std::ops::{Index, IndexMut};

/// Entries of a piece.
const PIECE: usize = 1_024;

/// A list of entries that stay where they are.
#[derive(Clone, Debug)]
pub(crate) struct Chunks<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Chunks { pieces: Vec::new() }
    }
}

impl<T> Chunks<T> {
    pub(crate) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    #[inline]
    pub(crate) fn push(&mut self, entry: T) {
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(entry),
            _ => self.push_piece(entry),
        }
    }

    #[cold]
    fn push_piece(&mut self, entry: T) {
        let mut piece = Vec::with_capacity(PIECE);
        piece.push(entry);
        self.pieces.push(piece);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.pieces.iter().flatten()
    }

    /// Asks for an entry's lines.
    #[inline]
    pub(crate) fn prefetch(&self, at: usize) {
        if let Some(piece) = self.pieces.get(at / PIECE) {
            prefetch::ahead(piece, at % PIECE);
        }
    }

    /// Bytes of its pieces.
    pub(crate) fn bytes(&self) -> usize {
        self.pieces.len() * PIECE * size_of::<T>()
    }
}

impl<T> Index<usize> for Chunks<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.pieces[at / PIECE][at % PIECE]
    }
}

impl<T> IndexMut<usize> for Chunks<T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.pieces[at / PIECE][at % PIECE]
    }
}

impl<T> FromIterator<T> for Chunks<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut list = Chunks::default();
        entries.into_iter().for_each(|entry| list.push(entry));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_where_they_were_put() {
        let mut list = Chunks::default();
        for n in 0..PIECE * 3 + 7 {
            assert_eq!(list.len(), n);
            list.push(n);
        }
        list[PIECE] = 5;
        assert_eq!((list[0], list[PIECE - 1], list[PIECE], list[PIECE * 3 + 6]), (0, PIECE - 1, 5, PIECE * 3 + 6));
        assert_eq!(list.iter().count(), PIECE * 3 + 7);
    }
}
