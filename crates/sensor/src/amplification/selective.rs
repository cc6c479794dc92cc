//! Which sensors answer which scanner (Krupp et al. 2016, methods C5): each scanner learns of its own half of the
//! sensors, so that the set used in an attack later tells whose list it came from.

use hmac::{Hmac, KeyInit, Mac};
use noroshi_model::Addr;
use sha2::Sha256;

/// The choice of one sensor. The secret is the fleet's; without it nobody can foresee who answers whom.
#[derive(Clone)]
pub struct Selection {
    secret: Vec<u8>,
    sensor: String,
}

impl Selection {
    /// For the sensor of that name.
    pub fn new(secret: &[u8], sensor: &str) -> Self {
        Selection { secret: secret.to_vec(), sensor: sensor.to_owned() }
    }

    /// Whether this sensor answers that scanner, for this protocol, in this epoch (a counter of days or weeks).
    pub fn answers(&self, scanner: Addr, protocol: &str, epoch: u32) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(&scanner.bytes());
        mac.update(&epoch.to_be_bytes());
        mac.update(&[protocol.len() as u8]);
        mac.update(protocol.as_bytes());
        mac.update(self.sensor.as_bytes());
        mac.finalize().into_bytes()[0] & 1 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scanner_gets_its_own_half() {
        let sensors: Vec<Selection> = (0..40).map(|n| Selection::new(b"fleet", &format!("s{n}"))).collect();
        let set =
            |scanner: u32| sensors.iter().map(|sensor| sensor.answers(Addr::v4(scanner), "ntp", 1)).collect::<Vec<_>>();
        let sizes: Vec<usize> =
            (0..500).map(|scanner| set(scanner).iter().filter(|answers| **answers).count()).collect();
        let mean = sizes.iter().sum::<usize>() as f64 / 500.0;
        // 500 means of 40 fair coins: standard error 0.14, so five of them.
        assert!((mean - 20.0).abs() < 0.75, "{mean}");
        assert!((0..500u32).all(|scanner| scanner == 7 || set(scanner) != set(7)));
        assert_eq!(set(7), set(7));
    }
}
