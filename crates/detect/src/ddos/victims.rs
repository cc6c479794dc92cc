//! Backscatter by victim: what is open, and what is over.

use super::backscatter::{self, Victimised};
use crate::config::Scale;
use crate::shard::Answer;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use noroshi_model::packet::Quoted;
use noroshi_model::{Addr, Nanos};

/// Backscatter of one shard of victims.
#[derive(Clone, Default)]
pub(crate) struct VictimShard {
    pub(crate) open: HashMap<Addr, Victimised, RandomState>,
    pub(crate) closed: Vec<(Addr, Victimised)>,
}

impl VictimShard {
    pub(crate) fn add(&mut self, answer: &Answer, quoted: Option<&Quoted>, watched: &impl Fn(Addr) -> bool) {
        if !watched(answer.dst) {
            return;
        }
        let victim = backscatter::victim(answer.src, quoted);
        let seen = self.open.entry(victim).or_default();
        if seen.meter.packets > 0 && seen.over(answer.ts) {
            self.closed.push((victim, std::mem::take(seen)));
        }
        seen.add(answer, quoted);
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        let all = self.open.values().chain(self.closed.iter().map(|(_, seen)| seen));
        let slots = self.open.capacity() + self.closed.capacity();
        (slots * size_of::<(Addr, Victimised)>()) as u64 + all.map(Victimised::heap_bytes).sum::<u64>()
    }

    pub(crate) fn expire(&mut self, now: Nanos, scale: &Scale) {
        // The scale may still shrink a little once the whole space is known, so anything near it is kept.
        let near = Scale { backscatter_packets_min: 5, backscatter_ppm_min: 5, addresses: 1, ..*scale };
        self.closed.extend(self.open.extract_if(|_, seen| seen.over(now)).filter(|(_, seen)| seen.qualifies(&near)));
        self.closed.retain(|(_, seen)| seen.qualifies(&near));
    }
}
