//! May this reply leave? The pure state machine that keeps the lure from helping an attack.
//!
//! Bounds that hold for every sequence of requests and every clock, over all protocols together:
//!
//! - at most [`Bounds::replies`] replies and [`Bounds::bytes`] bytes to one network (/24, /48) in any hour;
//! - at most [`Bounds::second_bytes`] bytes from the sensor in any second;
//! - nothing at all for [`Bounds::warm_up`] after a start: what was sent before it is unknown, so the budgets count as
//!   spent. Restarting refills nothing.
//!
//! Bytes are counted as on the wire, link and IP headers included. Windows slide; they are no token buckets, which
//! would let twice the bound pass around a refill. Time is a parameter and should be monotonic; a clock that jumps back
//! only makes the budget stricter.

use noroshi_model::request::Withheld;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, Prefix};
use std::collections::{HashMap, VecDeque};

/// The settings. Raising any of them makes the sensor more useful to an attacker.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Replies to one network per window.
    pub replies: usize,
    /// Bytes on the wire to one network per window.
    pub bytes: u64,
    /// The window, in seconds.
    pub window: u32,
    /// Bytes on the wire from the whole sensor in any second. 2,000 are 16 kbit/s.
    pub second_bytes: u64,
    /// Silence after a start, in seconds. Shorter than the window: restarts let replies of two windows add up.
    pub warm_up: u32,
    /// Requests of one network within `mute_within` that mute it.
    pub mute_requests: usize,
    /// Seconds within which they must fall.
    pub mute_within: u32,
    /// Seconds that a mute lasts.
    pub mute_for: u32,
    /// Networks remembered at once; beyond, nobody new is answered. 65,536 take about 15 MiB.
    pub networks: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            replies: 5,
            bytes: 4_096,
            window: 3_600,
            second_bytes: 2_000,
            warm_up: 3_600,
            mute_requests: 5,
            mute_within: 10,
            mute_for: 3_600,
            networks: 65_536,
        }
    }
}

fn seconds(count: u32) -> i64 {
    i64::from(count) * SECOND
}

/// Ethernet, IP and UDP headers of a reply, in bytes.
pub fn overhead(destination: Addr) -> u64 {
    if destination.is_v4() { 14 + 20 + 8 } else { 14 + 40 + 8 }
}

#[derive(Default)]
struct Network {
    /// Replies of the last window: when, and how many bytes.
    sent: VecDeque<(i64, u64)>,
    /// Last requests, at most as many as mute.
    asked: VecDeque<i64>,
    muted_until: i64,
}

impl Network {
    fn is_idle(&self, now: i64, bounds: &Bounds) -> bool {
        self.muted_until <= now
            && self.sent.back().is_none_or(|(at, _)| now - at >= seconds(bounds.window))
            && self.asked.back().is_none_or(|at| now - at >= seconds(bounds.mute_within))
    }
}

/// The budget of one sensor.
pub struct Budget {
    bounds: Bounds,
    started: i64,
    now: i64,
    networks: HashMap<Prefix, Network>,
    /// Replies of the last second, all networks.
    second: VecDeque<(i64, u64)>,
    swept: i64,
}

impl Budget {
    /// An empty budget: it fills from `start` on.
    pub fn new(bounds: Bounds, start: Nanos) -> Self {
        Budget {
            bounds,
            started: start.0,
            now: start.0,
            networks: HashMap::new(),
            second: VecDeque::new(),
            swept: start.0,
        }
    }

    /// Networks remembered.
    pub fn networks(&self) -> usize {
        self.networks.len()
    }

    /// A request arrived. To be called once for each, answered or not: many requests mute their network.
    pub fn asked(&mut self, now: Nanos, source: Addr) {
        let now = self.clock(now);
        let bounds = self.bounds;
        let Some(network) = self.network(source) else { return };
        network.asked.push_back(now);
        while network.asked.len() > bounds.mute_requests.max(1) {
            network.asked.pop_front();
        }
        let first = network.asked.front().copied().unwrap_or(now);
        if network.asked.len() >= bounds.mute_requests.max(1) && now - first <= seconds(bounds.mute_within) {
            network.muted_until = network.muted_until.max(now.saturating_add(seconds(bounds.mute_for)));
        }
    }

    /// Mutes a network from outside: the hub saw its addresses asked for on several sensors.
    pub fn mute(&mut self, now: Nanos, destination: Addr, until: Nanos) {
        self.clock(now);
        if let Some(network) = self.network(destination) {
            network.muted_until = network.muted_until.max(until.0);
        }
    }

    /// Whether a reply of `payload` bytes may go to `destination` now. A yes is booked: it must be sent, or is lost.
    pub fn allow(&mut self, now: Nanos, destination: Addr, payload: usize) -> Withheld {
        let now = self.clock(now);
        let (bounds, size) = (self.bounds, payload as u64 + overhead(destination));
        if now.saturating_sub(self.started) < seconds(bounds.warm_up) {
            return Withheld::SensorBudget;
        }
        while self.second.front().is_some_and(|(at, _)| now - at >= SECOND) {
            self.second.pop_front();
        }
        let in_second: u64 = self.second.iter().map(|(_, size)| size).sum();
        let Some(network) = self.network(destination) else { return Withheld::TableFull };
        if network.muted_until > now {
            return Withheld::Muted;
        }
        while network.sent.front().is_some_and(|(at, _)| now - at >= seconds(bounds.window)) {
            network.sent.pop_front();
        }
        let in_window: u64 = network.sent.iter().map(|(_, size)| size).sum();
        if network.sent.len() >= bounds.replies || in_window + size > bounds.bytes {
            return Withheld::PrefixBudget;
        }
        if in_second + size > bounds.second_bytes {
            return Withheld::SensorBudget;
        }
        network.sent.push_back((now, size));
        self.second.push_back((now, size));
        Withheld::No
    }

    /// The clock never runs backwards here: windows would forget what they hold.
    fn clock(&mut self, now: Nanos) -> i64 {
        self.now = self.now.max(now.0);
        self.now
    }

    /// The memory of a network; none when there is no room for one more.
    fn network(&mut self, addr: Addr) -> Option<&mut Network> {
        let (prefix, now, bounds) = (addr.network(), self.now, self.bounds);
        if self.networks.len() >= bounds.networks && !self.networks.contains_key(&prefix) {
            // At most once per second: a flood of forged sources must not buy a sweep with each packet.
            if now - self.swept < SECOND {
                return None;
            }
            self.swept = now;
            self.networks.retain(|_, network| !network.is_idle(now, &bounds));
            if self.networks.len() >= bounds.networks {
                return None;
            }
        }
        Some(self.networks.entry(prefix).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> Nanos {
        Nanos((seconds * SECOND as f64) as i64)
    }

    fn warm(bounds: Bounds) -> Budget {
        Budget::new(Bounds { warm_up: 0, ..bounds }, at(0.0))
    }

    fn v4(text: &str) -> Addr {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_leaves_before_the_warm_up_ends() {
        let mut budget = Budget::new(Bounds::default(), at(100.0));
        assert_eq!(budget.allow(at(3_699.9), v4("192.0.2.1"), 10), Withheld::SensorBudget);
        assert_eq!(budget.allow(at(3_700.0), v4("192.0.2.1"), 10), Withheld::No);
    }

    #[test]
    fn a_network_shares_five_replies_an_hour() {
        let mut budget = warm(Bounds::default());
        for host in 1..=5 {
            assert_eq!(budget.allow(at(host as f64 * 20.0), Addr::v4(0xc000_0200 + host), 100), Withheld::No);
        }
        assert_eq!(budget.allow(at(3_000.0), v4("192.0.2.77"), 1), Withheld::PrefixBudget);
        assert_eq!(budget.allow(at(3_619.9), v4("192.0.2.77"), 1), Withheld::PrefixBudget);
        assert_eq!(budget.allow(at(3_620.0), v4("192.0.2.77"), 1), Withheld::No);
        assert_eq!(budget.allow(at(3_621.0), v4("192.0.3.1"), 1), Withheld::No, "another network is free");
    }

    #[test]
    fn requests_in_a_burst_mute_their_network() {
        let mut budget = warm(Bounds::default());
        for n in 0..5 {
            budget.asked(at(f64::from(n)), v4("192.0.2.1"));
        }
        assert_eq!(budget.allow(at(5.0), v4("192.0.2.200"), 10), Withheld::Muted);
        assert_eq!(budget.allow(at(3_604.0), v4("192.0.2.200"), 10), Withheld::No);
    }

    #[test]
    fn slow_requests_do_not_mute() {
        let mut budget = warm(Bounds::default());
        for n in 0..50 {
            budget.asked(at(f64::from(n) * 3.0), v4("192.0.2.1"));
        }
        assert_eq!(budget.allow(at(200.0), v4("192.0.2.1"), 10), Withheld::No);
    }

    #[test]
    fn the_hub_can_mute() {
        let mut budget = warm(Bounds::default());
        budget.mute(at(1.0), v4("192.0.2.1"), at(50.0));
        assert_eq!(budget.allow(at(2.0), v4("192.0.2.9"), 10), Withheld::Muted);
        assert_eq!(budget.allow(at(50.0), v4("192.0.2.9"), 10), Withheld::No);
    }

    #[test]
    fn memory_is_bounded_and_a_full_table_answers_nobody_new() {
        let mut budget = warm(Bounds { networks: 100, second_bytes: u64::MAX, ..Bounds::default() });
        for n in 0..100u32 {
            assert_eq!(budget.allow(at(0.1), Addr::v4(n << 8), 10), Withheld::No);
        }
        assert_eq!(budget.allow(at(5.0), Addr::v4(1_000 << 8), 10), Withheld::TableFull);
        for n in 0..1_000_000u32 {
            budget.asked(at(6.0), Addr::v4(n << 8));
        }
        assert_eq!(budget.networks(), 100);
        assert_eq!(budget.allow(at(3_700.0), Addr::v4(1_000 << 8), 10), Withheld::No);
    }

    /// One step of a random sequence: seconds passed (also backwards), destination, size, and what was done.
    #[derive(Clone, Debug)]
    struct Step {
        passed: f64,
        host: u32,
        size: usize,
        ask: bool,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = (
            prop_oneof![Just(0.0), 0.0..0.2, 0.0..30.0, 0.0..2_000.0, -100.0..0.0],
            0u32..600,
            prop_oneof![0usize..200, 0usize..1_500],
            any::<bool>(),
        )
            .prop_map(|(passed, host, size, ask)| Step { passed, host, size, ask });
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn no_sequence_exceeds_any_bound(steps in steps(), restarts in proptest::collection::vec(0usize..400, 0..6)) {
            let bounds = Bounds { mute_requests: 50, ..Bounds::default() };
            let (mut clock, mut latest) = (10_000.0f64, 10_000.0f64);
            let mut budget = Budget::new(bounds, at(clock));
            let mut sent: Vec<(f64, Prefix, u64)> = Vec::new();
            for (n, step) in steps.iter().enumerate() {
                clock = (clock + step.passed).max(0.0);
                latest = latest.max(clock);
                if restarts.contains(&n) {
                    budget = Budget::new(bounds, at(latest));
                }
                // Addresses in three networks of IPv4 and one of IPv6.
                let addr = if step.host < 500 { Addr::v4(0xc000_0000 + step.host) } else { Addr((0x2001_0db8 << 96) + u128::from(step.host)) };
                if step.ask {
                    budget.asked(at(clock), addr);
                }
                if budget.allow(at(clock), addr, step.size) == Withheld::No {
                    sent.push((latest, addr.network(), step.size as u64 + overhead(addr)));
                }
            }
            for (i, (start, prefix, _)) in sent.iter().enumerate() {
                let hour = || sent[i..].iter().filter(|(at, p, _)| p == prefix && at - start < 3_600.0);
                prop_assert!(hour().count() <= 5);
                prop_assert!(hour().map(|(_, _, size)| size).sum::<u64>() <= 4_096);
                let second = sent[i..].iter().filter(|(at, _, _)| at - start < 1.0).map(|(_, _, size)| size).sum::<u64>();
                prop_assert!(second <= 2_000);
            }
        }
    }
}
