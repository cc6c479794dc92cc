//! Who a sensor pretends to be: every name, version and number is drawn from the sensor's own seed, so that two sensors
//! cannot be linked by what they say.

/// The source of everything a lure claims about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Persona {
    seed: u64,
}

/// Finishing step of splitmix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
pub(crate) const fn mix(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

impl Persona {
    /// From a secret seed; the sensor keeps it, so that it stays the same device.
    pub fn new(seed: u64) -> Self {
        Persona { seed }
    }

    /// A number that belongs to `what`.
    pub fn number(&self, what: &str) -> u64 {
        let name = what.bytes().fold(self.seed ^ 0x9e37_79b9_7f4a_7c15, |state, byte| mix(state ^ u64::from(byte)));
        mix(name)
    }

    /// A number in `low..high` that belongs to `what`.
    pub fn between(&self, what: &str, low: u64, high: u64) -> u64 {
        low + self.number(what) % (high - low).max(1)
    }

    /// One of several.
    pub fn pick<'a, T: ?Sized>(&self, what: &str, choices: &[&'a T]) -> &'a T {
        choices[(self.number(what) % choices.len() as u64) as usize]
    }

    /// An identifier in the form of a UUID, version 1 with the node at its end, as devices of this kind have.
    pub fn uuid(&self, what: &str) -> String {
        let (high, low) = (self.number(&format!("{what}.high")), self.number(&format!("{what}.low")));
        format!(
            "{:08x}-{:04x}-1{:03x}-{:04x}-{}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            0x8000 | low >> 48 & 0x3fff,
            self.mac().replace(':', "")
        )
    }

    /// A MAC address under a prefix of makers of such devices.
    pub fn mac(&self) -> String {
        let maker = self.pick("mac.maker", &["00:1a:3f", "f4:f2:6d", "c8:3a:35", "e4:6f:13", "a4:2b:b0", "28:10:7b"]);
        let rest = self.number("mac");
        format!("{maker}:{:02x}:{:02x}:{:02x}", rest & 0xff, rest >> 8 & 0xff, rest >> 16 & 0xff)
    }

    /// A host name.
    pub fn host(&self) -> String {
        let kind = self.pick("host.kind", &["gw", "nvr", "router", "cam", "ap", "srv", "dvr", "box", "node"]);
        match self.number("host.form") % 3 {
            0 => format!("{kind}{}", self.between("host.number", 1, 90)),
            1 => format!("{kind}-{:04x}", self.number("host.number") & 0xffff),
            _ => format!("{kind}-{}", self.mac().replace(':', "").split_off(6)),
        }
    }

    /// Seconds that the device claims to have run when the sensor's clock says `now`.
    pub fn uptime(&self, what: &str, now: noroshi_model::Nanos) -> u64 {
        // Started at some moment of a period that differs per sensor: the claim grows, and starts over like a reboot.
        let period = self.between(&format!("{what}.period"), 20 * 86_400, 200 * 86_400);
        let phase = self.number(&format!("{what}.phase")) % period;
        (now.seconds().max(0) as u64 + phase) % period + 3_600
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_device_two_seeds_two_devices() {
        let said = |seed| {
            let persona = Persona::new(seed);
            (persona.host(), persona.mac(), persona.uuid("x"), persona.number("y"))
        };
        assert_eq!(said(7), said(7));
        let all: std::collections::HashSet<_> = (0..1000).map(|seed| said(seed).1).collect();
        assert_eq!(all.len(), 1000);
        assert_eq!(Persona::new(1).uuid("x").len(), 36);
    }
}
