//! Towards whom all lures fall silent: networks in whose name several sensors are asked at once.
//!
//! A forged burst goes to many reflectors at the same time. Each lure's own budget bounds what one of them sends; this
//! bounds what the fleet sends together (goal H1: hit on three sensors, no reply anywhere ten seconds later). A scanner
//! that asks many sensors within a minute is muted too, which costs it replies and us nothing.

use super::requests::kept;
use noroshi_model::request::Request;
use noroshi_model::time::SECOND;
use noroshi_model::{Nanos, Prefix};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Sensors that must be asked. Fewer: two sensors of one provider are scanned together all the time.
pub const SENSORS_MIN: usize = 3;
/// Seconds within which they are (methods C1).
pub const WITHIN_SECONDS: i64 = 60;
/// Seconds of silence, as long as a lure's own mute.
pub const MUTE_SECONDS: u32 = 3_600;
/// Networks followed at once; one takes about 200 bytes. Beyond, the one that was quiet longest is forgotten.
const NETWORKS: usize = 65_536;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Network {
    /// Sensors that were asked, and when last; at most [`SENSORS_MIN`].
    sensors: Vec<(String, Nanos)>,
    muted_until: Nanos,
    last: Nanos,
}

/// The watch over all sensors. Its state is plain data, as that of [`super::requests::Requests`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Mutes {
    #[serde(with = "kept")]
    networks: HashMap<Prefix, Network>,
}

impl Mutes {
    /// Takes a request; the network to mute, when it is time to. A mute is renewed at half its time while requests go on.
    pub fn push(&mut self, request: &Request) -> Option<Prefix> {
        let (prefix, now) = (request.src.network(), request.ts);
        if self.networks.len() >= NETWORKS && !self.networks.contains_key(&prefix) {
            self.make_room();
        }
        let network = self.networks.entry(prefix).or_default();
        network.last = network.last.max(now);
        let near = |at: &Nanos| now.0.saturating_sub(at.0).abs() <= WITHIN_SECONDS * SECOND;
        network.sensors.retain(|(sensor, at)| near(at) && *sensor != request.sensor);
        network.sensors.push((request.sensor.clone(), now));
        if network.sensors.len() > SENSORS_MIN {
            network.sensors.remove(0);
        }
        let half = i64::from(MUTE_SECONDS) * SECOND / 2;
        if network.sensors.len() < SENSORS_MIN || now.0.saturating_add(half) < network.muted_until.0 {
            return None;
        }
        network.muted_until = Nanos(now.0.saturating_add(2 * half));
        Some(prefix)
    }

    /// Networks that are muted now, and until when.
    pub fn muted(&self, now: Nanos) -> Vec<(Prefix, Nanos)> {
        let muted = self.networks.iter().filter(|(_, network)| network.muted_until > now);
        let mut muted: Vec<_> = muted.map(|(prefix, network)| (*prefix, network.muted_until)).collect();
        muted.sort();
        muted
    }

    /// The quarter that was quiet longest leaves: one sweep pays for many.
    fn make_room(&mut self) {
        let mut lasts: Vec<(Nanos, Prefix)> = self.networks.iter().map(|(prefix, n)| (n.last, *prefix)).collect();
        lasts.sort();
        for (_, prefix) in lasts.into_iter().take(NETWORKS / 4) {
            self.networks.remove(&prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_model::Addr;
    use noroshi_model::finding::Vector;
    use noroshi_model::request::Withheld;

    fn request(sensor: &str, src: &str, seconds: i64) -> Request {
        Request {
            ts: Nanos::from_seconds(seconds),
            sensor: sensor.into(),
            src: src.parse().unwrap(),
            dst: Addr::v4(1),
            sport: 80,
            dport: 53,
            vector: Vector::Dns,
            method: String::new(),
            name: String::new(),
            request_bytes: 40,
            reply_bytes: 0,
            withheld: Withheld::No,
            request_hash: 0,
            ttl: None,
            payload: Vec::new(),
        }
    }

    #[test]
    fn three_sensors_within_a_minute_mute_a_network() {
        let mut mutes = Mutes::default();
        assert_eq!(mutes.push(&request("a", "192.0.2.1", 0)), None);
        assert_eq!(mutes.push(&request("a", "192.0.2.2", 1)), None);
        assert_eq!(mutes.push(&request("b", "192.0.2.3", 2)), None);
        assert_eq!(mutes.push(&request("c", "192.0.3.3", 3)), None, "another network");
        assert_eq!(mutes.push(&request("c", "192.0.2.9", 4)), Some("192.0.2.0/24".parse().unwrap()));
        assert_eq!(mutes.push(&request("d", "192.0.2.9", 5)), None, "it is muted already");
        assert_eq!(mutes.push(&request("a", "192.0.2.9", 1_900)), None, "one sensor now");
        assert_eq!(mutes.push(&request("b", "192.0.2.9", 1_901)), None);
        assert!(mutes.push(&request("c", "192.0.2.9", 1_902)).is_some(), "renewed at half its time");
    }

    #[test]
    fn slow_sensors_do_not_mute() {
        let mut mutes = Mutes::default();
        for n in 0..40 {
            let sensor = ["a", "b", "c"][n as usize % 3];
            assert_eq!(mutes.push(&request(sensor, "192.0.2.1", n * 40)), None);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut mutes = Mutes::default();
        for n in 0..200_000u32 {
            let mut one = request("a", "192.0.2.1", i64::from(n));
            one.src = Addr::v4(n << 8);
            mutes.push(&one);
        }
        assert!(mutes.networks.len() <= NETWORKS);
    }
}
