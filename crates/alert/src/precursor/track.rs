//! One address under one vector: a small event, and what follows.

use super::{Class, Place, Precursor, Settings, Sighting};
use noroshi_model::finding::AttackKind;
use noroshi_model::{Addr, Nanos};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Destinations of a small event that are told apart; it is small.
const DESTINATIONS_MAX: usize = 64;
/// Hosts begin with a TTL of 64 or 128; what arrives with more began with 255, as raw sockets of attack tools send and
/// few hosts do (methods C4, evidence of forgery).
const TTL_MOST_HOSTS: u8 = 128;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Track {
    pub kind: AttackKind,
    place: Place,
    /// The first about its network for long.
    fresh: bool,
    pub first: Nanos,
    pub last: Nanos,
    pub test_packets: u64,
    sport: Option<u16>,
    one_sport: bool,
    destinations: BTreeSet<Addr>,
    repeated: bool,
    /// Every packet's TTL began at 255.
    high_ttl: bool,
    /// What was asked first, at lures.
    request: Option<u64>,
    /// Its class, once it was silent and judged; then packets are counted for the main attack.
    pub judged: Option<Class>,
    pub judged_at: Nanos,
    pub announced: Option<Precursor>,
    /// It became large: an attack of its own, or the main attack after a test.
    pub is_main: bool,
    pub main_begin: Nanos,
    main_packets: u64,
    minute: (i64, u64),
    pub peak_ppm: u64,
}

impl Track {
    pub fn new(kind: AttackKind, place: Place, fresh: bool, at: Nanos) -> Self {
        Track {
            kind,
            place,
            fresh,
            first: at,
            last: at,
            test_packets: 0,
            sport: None,
            one_sport: true,
            destinations: BTreeSet::new(),
            repeated: false,
            high_ttl: true,
            request: None,
            judged: None,
            judged_at: at,
            announced: None,
            is_main: false,
            main_begin: at,
            main_packets: 0,
            minute: (i64::MIN, 0),
            peak_ppm: 0,
        }
    }

    /// Takes in a sighting; true when with it a judged event has its main attack.
    pub fn see(&mut self, packet: &Sighting, settings: &Settings) -> bool {
        self.last = self.last.max(packet.ts);
        if self.is_main {
            return false;
        }
        if self.judged.is_some() {
            return self.follow(packet, settings);
        }
        self.test_packets += 1;
        let long = self.last.seconds_since(self.first) > settings.burst_seconds as f64;
        if self.test_packets > settings.packets_max || long {
            // Not small: an attack without a test, or a host that goes on asking. Nothing is expected after it.
            self.is_main = true;
            return false;
        }
        if let Some(sport) = packet.sport {
            self.one_sport &= self.sport.is_none_or(|known| known == sport);
            self.sport = Some(sport);
        }
        self.high_ttl &= packet.ttl.is_some_and(|ttl| ttl > TTL_MOST_HOSTS);
        self.request = self.request.or(packet.request);
        if self.destinations.len() < DESTINATIONS_MAX {
            self.repeated |= !self.destinations.insert(packet.at);
        }
        false
    }

    fn follow(&mut self, packet: &Sighting, settings: &Settings) -> bool {
        let minute = packet.ts.seconds().div_euclid(60);
        if self.main_packets == 0
            || packet.ts.seconds_since(Nanos(self.minute.0.saturating_mul(60_000_000_000))) > 3_600.0
        {
            // An hour of silence ends what had begun.
            (self.main_begin, self.main_packets) = (packet.ts, 0);
        }
        self.main_packets += 1;
        if self.minute.0 != minute {
            self.minute = (minute, 0);
        }
        self.minute.1 += 1;
        self.peak_ppm = self.peak_ppm.max(self.minute.1);
        let large = self.peak_ppm >= settings.main_factor * self.test_packets;
        self.is_main = large && self.main_packets >= settings.main_packets_min;
        self.is_main
    }

    /// What kind of small event it was; none when it was none that says anything. `requests` are those of large attacks
    /// of the last day.
    pub fn class(&self, settings: &Settings, requests: &BTreeMap<u64, Nanos>) -> Option<Class> {
        if !self.fresh || self.test_packets < settings.packets_min {
            return None;
        }
        match self.kind {
            // Few observed addresses that get replies may have asked for them.
            AttackKind::Backscatter => (self.destinations.len() >= 2).then_some(Class::Replies),
            _ if self.request.is_some_and(|request| requests.contains_key(&request)) => Some(Class::KnownRequest),
            // A scanner that looks for reflectors asks each lure once, often from one port: only who asks again is none.
            _ if self.place == Place::Lures && !self.repeated => None,
            _ if self.one_sport => Some(Class::FixedPort),
            _ if self.repeated => Some(Class::Repeated),
            _ if self.high_ttl => Some(Class::HighTtl),
            _ => None,
        }
    }

    pub fn judge(&mut self, class: Class, at: Nanos) {
        self.judged = Some(class);
        self.judged_at = at;
    }
}
