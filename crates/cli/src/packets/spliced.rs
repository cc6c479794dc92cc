//! A column chunk in two pieces, its dictionary and its pages, that a file takes one after the other.
//!
//! The dictionary stands before the pages but is known only behind them. To join the two would copy every page once more
//! into memory that was never touched before, which costs as much as to encode it.

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::io::{Chain, Read};

/// The bytes of a column chunk.
#[derive(Default)]
pub struct Spliced {
    /// The dictionary page; empty where there is none.
    pub dictionary: Bytes,
    /// Data pages.
    pub pages: Bytes,
}

impl Spliced {
    /// The memory of the pages, to be filled again.
    pub fn into_memory(self) -> Vec<u8> {
        let mut memory = Vec::from(self.pages);
        memory.clear();
        memory
    }
}

impl Length for Spliced {
    fn len(&self) -> u64 {
        (self.dictionary.len() + self.pages.len()) as u64
    }
}

impl ChunkReader for Spliced {
    type T = Chain<Reader<Bytes>, Reader<Bytes>>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let start = usize::try_from(start).ok().filter(|start| *start as u64 <= self.len());
        let start = start.ok_or_else(|| ParquetError::EOF("behind the end of a column chunk".to_owned()))?;
        let split = start.min(self.dictionary.len());
        let pages = self.pages.slice(start - split..);
        Ok(self.dictionary.slice(split..).reader().chain(pages.reader()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = Vec::with_capacity(length.min(self.len() as usize));
        self.get_read(start)?.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_read_as_one() {
        let whole = Spliced { dictionary: Bytes::from_static(b"abc"), pages: Bytes::from_static(b"defgh") };
        for start in 0..=8usize {
            for length in 0..=8 - start {
                assert_eq!(whole.get_bytes(start as u64, length).unwrap(), b"abcdefgh"[start..start + length]);
            }
        }
        assert!(whole.get_read(9).is_err());
    }

    #[test]
    fn memory_is_kept() {
        let pages = Vec::with_capacity(1_000);
        let at = pages.as_ptr();
        let mut pages: Vec<u8> = pages;
        pages.extend([1, 2, 3]);
        let memory = Spliced { dictionary: Bytes::new(), pages: pages.into() }.into_memory();
        assert_eq!((memory.as_ptr(), memory.len(), memory.capacity()), (at, 0, 1_000));
    }
}
