//! The last acknowledged number, in two slots written in turn: a torn write leaves the other slot, and writing needs no
//! free space.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

const SLOT: u64 = 4096;

pub(super) struct Cursor {
    file: File,
    turn: Cell<u64>,
}

impl Cursor {
    /// Opens or makes the file and reads the last number; 0 when there is none.
    pub fn open(path: &Path) -> std::io::Result<(Cursor, u64)> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut best = (0, 0);
        for slot in 0..2 {
            let mut bytes = [0; 20];
            if file.read_exact_at(&mut bytes, slot * SLOT).is_err() {
                continue;
            }
            let turn = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
            let seq = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes"));
            if crc32c::crc32c(&bytes[..16]).to_le_bytes() == bytes[16..] && turn > best.0 {
                best = (turn, seq);
            }
        }
        let cursor = Cursor { file, turn: Cell::new(best.0) };
        if best.0 == 0 {
            // Both slots get their blocks now, while a full disk is still an error that a person sees.
            cursor.write(0)?;
            cursor.write(0)?;
        }
        Ok((cursor, best.1))
    }

    pub fn write(&self, seq: u64) -> std::io::Result<()> {
        let turn = self.turn.get() + 1;
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&turn.to_le_bytes());
        bytes[8..16].copy_from_slice(&seq.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..16]);
        bytes[16..].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all_at(&bytes, turn % 2 * SLOT)?;
        self.file.sync_data()?;
        self.turn.set(turn);
        Ok(())
    }
}
