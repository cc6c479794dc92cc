//! Who talks with whom: what was asked for is no attack, and an ordinary host's unanswered calls are no scan.

use super::Engine;
use crate::scan::Closed;
use crate::scan::probe::ProbeType;
use crate::shard::shard_of;
use crate::source::Source;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use noroshi_model::Addr;

/// Destinations from which on calls are no accident: whoever calls so many on one port, or on as many ports, looks for
/// something.
const CALLS_MAX: u64 = 64;
/// An incidental run is at most one part in so many of what its source sends.
const INCIDENTAL_PARTS_MIN: u64 = 4;
/// A source with which at least this share of its destinations talk is an ordinary host. Of the relays and peers that a
/// voice call or a swarm tries, most are gone.
const TALK_SHARE_MIN: f64 = 0.25;
/// Destinations of a source past which it is no ordinary host, whoever answers it.
const PEERS_MAX: u64 = 10_000;

impl Engine {
    pub(super) fn source(&self, addr: Addr) -> Option<&Source> {
        self.sources[shard_of(addr)].get(addr)
    }

    /// Packets of its own that an address sent: neither answers nor errors.
    pub(super) fn spoke(&self, addr: Addr) -> u64 {
        self.source(addr).map_or(0, |source| source.packets - source.answers)
    }

    /// Whether most of the sampled destinations spoke back to the source: then it was a conversation.
    pub(super) fn answered(&self, run: &Closed) -> bool {
        let spoke = run.samples.iter().filter(|addr| self.spoke(*addr) > 0).count();
        spoke * 2 > run.samples.len()
    }
}

/// Which share of their destinations sources talk with; each is asked for once, as one source may have 65,536 runs.
pub(super) struct TalkShares<'a> {
    engine: &'a Engine,
    known: HashMap<Addr, f64, RandomState>,
}

impl<'a> TalkShares<'a> {
    pub(super) fn new(engine: &'a Engine) -> Self {
        TalkShares { engine, known: HashMap::default() }
    }

    /// Whether a run is a few unanswered calls of a host that talks with others: a game that looks for a server, a
    /// voice call whose relays come and go.
    pub(super) fn incidental(&mut self, run: &Closed) -> bool {
        if run.kind != ProbeType::Udp || run.destinations >= CALLS_MAX {
            return false;
        }
        let source = self.engine.source(run.source).filter(|of| run.packets * INCIDENTAL_PARTS_MIN <= of.packets);
        source.is_some_and(|source| self.of(source) >= TALK_SHARE_MIN)
    }

    /// Whether a source that called many ports of many addresses takes part in a swarm, each of whose peers listens on a
    /// port of its own: some of them talk.
    pub(super) fn in_a_swarm(&mut self, source: &Source) -> bool {
        source.destinations.len() < CALLS_MAX && self.of(source) >= TALK_SHARE_MIN
    }

    /// Zero in a darknet, where nobody was ever spoken to; for a source of more destinations than swarms have; and for IPv6,
    /// whose addresses sets do not know.
    fn of(&mut self, source: &Source) -> f64 {
        let engine = self.engine;
        let received = || engine.destinations[shard_of(source.addr)].received(source.addr);
        if !source.addr.is_v4() || source.destinations.len() > PEERS_MAX || received() == 0 {
            return 0.0;
        }
        *self.known.entry(source.addr).or_insert_with(|| {
            let peers = source.destinations.keys();
            let talk = peers.iter().filter(|peer| engine.spoke(Addr::v4(**peer)) > 0).count();
            talk as f64 / peers.len().max(1) as f64
        })
    }
}
