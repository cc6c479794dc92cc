//! Splitting a batch by source, destination and victim.

use crate::ddos::{backscatter, vectors};
use noroshi_model::Addr;
use noroshi_model::packet::{Has, PacketBatch};

/// Fixed, so that results do not depend on the number of threads. With thirty-two, the tables of one shard of a large
/// darknet day (a million sources) fit a core's second-level cache.
pub(crate) const SHARDS: usize = 32;

/// Row numbers of a batch, grouped by shard and in their own order within each.
pub(crate) struct Order {
    offsets: [u32; SHARDS + 1],
    rows: Vec<u32>,
}

/// The three orders of one batch.
pub(crate) struct Partition {
    pub(crate) by_source: Order,
    pub(crate) by_destination: Order,
    pub(crate) by_victim: Order,
}

/// The shard of an address: the top bits of a multiplicative hash, so that neighbours of one prefix spread.
#[inline]
pub(crate) fn shard_of(addr: Addr) -> usize {
    let folded = (addr.0 as u64) ^ ((addr.0 >> 64) as u64).rotate_left(32);
    (folded.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 59) as usize
}

const _: () = assert!(SHARDS == 1 << (64 - 59));

impl Order {
    fn new(keys: &[u8], count: usize) -> Self {
        let mut offsets = [0u32; SHARDS + 1];
        for key in keys {
            if (*key as usize) < SHARDS {
                offsets[*key as usize + 1] += 1;
            }
        }
        for shard in 0..SHARDS {
            offsets[shard + 1] += offsets[shard];
        }
        let mut next = offsets;
        let mut rows = vec![0u32; count];
        for (row, key) in keys.iter().enumerate() {
            if (*key as usize) < SHARDS {
                rows[next[*key as usize] as usize] = row as u32;
                next[*key as usize] += 1;
            }
        }
        Order { offsets, rows }
    }

    /// Rows of one shard, ascending.
    pub(crate) fn rows(&self, shard: usize) -> &[u32] {
        &self.rows[self.offsets[shard] as usize..self.offsets[shard + 1] as usize]
    }
}

/// A key that belongs to no shard.
const NONE: u8 = u8::MAX;

impl Partition {
    pub(crate) fn of(batch: &PacketBatch, keep: impl Fn(&noroshi_model::packet::Packet) -> bool) -> Self {
        let count = batch.rows.len();
        let (mut sources, mut destinations, mut victims) = (vec![NONE; count], vec![NONE; count], vec![NONE; count]);
        let (mut kept, mut answers) = (0, 0);
        for (i, row) in batch.rows.iter().enumerate() {
            if !row.has.has(Has::IP) || !keep(row) {
                continue;
            }
            kept += 1;
            sources[i] = shard_of(row.src) as u8;
            destinations[i] = shard_of(row.dst) as u8;
            if vectors::is_backscatter(row) {
                answers += 1;
                let quoted = batch.rare(row).and_then(|rare| rare.quoted.as_ref());
                victims[i] = shard_of(backscatter::victim_of(row, quoted)) as u8;
            }
        }
        Partition {
            by_source: Order::new(&sources, kept),
            by_destination: Order::new(&destinations, kept),
            by_victim: Order::new(&victims, answers),
        }
    }
}
