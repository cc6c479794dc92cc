//! The one gate that everything passes on its way out.
//!
//! Exporters and couriers take [`Cleared`] values, and only [`Gate`] makes them. It
//! - withholds what is labelled above the reader's ceiling;
//! - never lets a source be named as an attacker on spoofable evidence, nor when a list says that it is harmless;
//! - replaces sensor addresses and names in free text, and withholds what is about a sensor.

use crate::safe;
use noroshi_model::alert::Alert;
use noroshi_model::finding::Victim;
use noroshi_model::incident::Incident;
use noroshi_model::packet::Evidence;
use noroshi_model::tlp::Tlp;
use noroshi_model::{Addr, Prefix};
use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Stands where a sensor's address or name stood.
pub const REDACTED: &str = "[sensor]";

/// Longest text of an address: an IPv6 address that ends in an IPv4 one.
const ADDRESS_TEXT_MAX: usize = 45;
/// Shortest: `::`.
const ADDRESS_TEXT_MIN: usize = 2;
/// Longest free text that is looked through, in characters; the rest is cut, since it would be cut when shown anyway.
const TEXT_MAX: usize = 4_096;

type Benign = dyn Fn(Addr) -> Option<String> + Send + Sync;

/// What may leave, and in which form.
pub struct Gate {
    ours: RwLock<Ours>,
    benign: Box<Benign>,
}

/// What must not be named.
struct Ours {
    sensors: Vec<Prefix>,
    sensor_names: Vec<String>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("sensors", &self.ours().sensors.len()).finish_non_exhaustive()
    }
}

/// Why something does not leave.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Withheld {
    /// Its label exceeds the reader's ceiling.
    #[error("{label} exceeds the reader's ceiling {ceiling}", label = .0.label(), ceiling = .1.label())]
    Label(Tlp, Tlp),
    /// The address may be forged.
    #[error("the source is known from spoofable evidence only")]
    Spoofable,
    /// A list says that it is harmless.
    #[error("the source is on the list \"{0}\"")]
    Benign(String),
    /// It is one of ours.
    #[error("the address belongs to a sensor")]
    Sensor,
}

/// Something that passed the gate.
#[derive(Clone, PartialEq, Debug)]
pub struct Cleared<T>(T);

impl<T> Cleared<T> {
    /// What passed.
    pub fn get(&self) -> &T {
        &self.0
    }
}

impl Cleared<Alert> {
    /// The same message about one of its incidents; none when it tells of no such one.
    pub fn only(&self, incident: &str) -> Option<Cleared<Alert>> {
        let found = self.0.incidents.iter().find(|one| one.id == incident)?.clone();
        Some(Cleared(Alert { severity: found.severity, incidents: vec![found], ..self.0.clone() }))
    }
}

impl<T> std::ops::Deref for Cleared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl Gate {
    /// A gate that protects these sensor networks and names; `benign` names the false-positive list an address is on.
    pub fn new(
        sensors: Vec<Prefix>,
        sensor_names: Vec<String>,
        benign: impl Fn(Addr) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let ours = Ours { sensors: Vec::new(), sensor_names: Vec::new() };
        let gate = Gate { ours: RwLock::new(ours), benign: Box::new(benign) };
        gate.learn(sensors, sensor_names);
        gate
    }

    /// More sensor networks and names to protect, from now on.
    pub fn learn(&self, sensors: Vec<Prefix>, sensor_names: Vec<String>) {
        let mut ours = self.ours.write().unwrap_or_else(PoisonError::into_inner);
        for sensor in sensors {
            if !ours.sensors.contains(&sensor) {
                ours.sensors.push(sensor);
            }
        }
        // Very short names would blank out ordinary words.
        for name in sensor_names.into_iter().filter(|name| name.len() >= 3).map(|name| name.to_lowercase()) {
            if !ours.sensor_names.contains(&name) {
                ours.sensor_names.push(name);
            }
        }
    }

    fn ours(&self) -> RwLockReadGuard<'_, Ours> {
        self.ours.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an address belongs to a sensor.
    pub fn is_sensor(&self, addr: Addr) -> bool {
        self.ours().sensors.iter().any(|prefix| prefix.contains(addr))
    }

    /// Whether a victim touches a sensor's network.
    pub fn touches_sensor(&self, victim: Victim) -> bool {
        match victim {
            Victim::Address(addr) => self.is_sensor(addr),
            Victim::Network(network) => self
                .ours()
                .sensors
                .iter()
                .any(|sensor| sensor.contains(network.first()) || network.contains(sensor.first())),
        }
    }

    /// Whether a label may be shown to a reader with that ceiling.
    pub fn label(&self, label: Tlp, ceiling: Tlp) -> Result<(), Withheld> {
        if label > ceiling { Err(Withheld::Label(label, ceiling)) } else { Ok(()) }
    }

    /// A source that is to be named as an attacker: proven, on no list of harmless ones, none of ours.
    pub fn attacker(&self, source: Addr, proof: Evidence) -> Result<Cleared<Addr>, Withheld> {
        if self.is_sensor(source) {
            return Err(Withheld::Sensor);
        }
        if proof == Evidence::Spoofable {
            return Err(Withheld::Spoofable);
        }
        match (self.benign)(source) {
            Some(list) => Err(Withheld::Benign(list)),
            None => Ok(Cleared(source)),
        }
    }

    /// A victim that is to be named to others.
    pub fn victim(&self, victim: Victim) -> Result<Cleared<Victim>, Withheld> {
        if self.touches_sensor(victim) { Err(Withheld::Sensor) } else { Ok(Cleared(victim)) }
    }

    /// An incident for a reader who is not its owner.
    pub fn incident(&self, incident: &Incident, ceiling: Tlp) -> Result<Cleared<Incident>, Withheld> {
        self.label(incident.tlp, ceiling)?;
        self.victim(incident.subject)?;
        Ok(Cleared(self.redacted(incident, None)))
    }

    /// An incident for its owner, whose own addresses are no secret to it.
    pub fn own_incident(&self, incident: &Incident, ceiling: Tlp) -> Result<Cleared<Incident>, Withheld> {
        self.label(incident.tlp, ceiling)?;
        Ok(Cleared(self.redacted(incident, Some(incident.subject))))
    }

    /// A message to the member that owns every incident in it: its own addresses are no secret to it.
    pub fn alert(&self, alert: &Alert, ceiling: Tlp) -> Result<Cleared<Alert>, Withheld> {
        self.label(alert.incidents.iter().fold(alert.tlp, |tlp, i| tlp.join(i.tlp)), ceiling)?;
        let incidents = alert.incidents.iter().map(|i| self.redacted(i, Some(i.subject))).collect();
        Ok(Cleared(Alert { incidents, ..alert.clone() }))
    }

    /// The incidents of a message that passed, one by one.
    pub fn incidents_of(&self, alert: &Cleared<Alert>) -> Vec<Cleared<Incident>> {
        alert.incidents.iter().cloned().map(Cleared).collect()
    }

    /// The incident without sensor addresses; times keep whole seconds, since finer ones identify single packets.
    fn redacted(&self, incident: &Incident, own: Option<Victim>) -> Incident {
        let mut out = incident.clone();
        for said in &mut out.testimonies {
            // Also where it is data for programs: whoever shows it later should not have to know that it is foreign.
            said.text = safe::shown(&self.text_except(&said.text, own));
            said.by = safe::shown(&self.text_except(&said.by, own));
        }
        out
    }

    /// Free text without sensor addresses and names.
    pub fn text(&self, text: &str) -> String {
        self.text_except(text, None)
    }

    fn text_except(&self, text: &str, own: Option<Victim>) -> String {
        // Names first: a name may end where an address begins.
        let text = self.without_names(text.chars().take(TEXT_MAX).collect());
        let text = text.as_str();
        let mut out = String::with_capacity(text.len());
        let part = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '[' | ']');
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
            if end == 0 {
                let next = rest.find(part).unwrap_or(rest.len());
                out.push_str(&rest[..next]);
                rest = &rest[next..];
                continue;
            }
            let word = &rest[..end];
            if self.mentions_sensor(word, own) {
                out.push_str(REDACTED)
            } else {
                out.push_str(word)
            }
            rest = &rest[end..];
        }
        out
    }

    /// Whether a run of address characters holds an address of ours anywhere: defanged, with a port, in brackets, or
    /// glued to letters and digits before and after it.
    fn mentions_sensor(&self, word: &str, own: Option<Victim>) -> bool {
        let plain: String = word.chars().filter(|c| !matches!(c, '[' | ']')).collect();
        if plain.matches('.').count() < 3 && plain.matches(':').count() < 2 {
            return false;
        }
        (0..plain.len()).any(|start| {
            let end = plain.len().min(start + ADDRESS_TEXT_MAX);
            (start + ADDRESS_TEXT_MIN..=end).any(|end| {
                plain[start..end].parse::<std::net::IpAddr>().is_ok_and(|ip| {
                    let addr = Addr::from(ip);
                    self.is_sensor(addr) && own != Some(Victim::Address(addr))
                })
            })
        })
    }

    fn without_names(&self, text: String) -> String {
        let mut text = text;
        for name in &self.ours().sensor_names {
            while let Some(at) = find_ignoring_case(&text, name) {
                text.replace_range(at..at + name.len(), REDACTED);
            }
        }
        text
    }
}

/// Where `needle` (lower case) stands, ignoring ASCII case; never inside what is already redacted.
fn find_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find(needle) {
        let at = from + at;
        let inside = REDACTED.contains(needle) && text[..at].ends_with('[');
        if !inside {
            return Some(at);
        }
        from = at + needle.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gate() -> Gate {
        let sensors = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8:5::/48".parse().unwrap()];
        Gate::new(sensors, vec!["kyoto-3".into(), "x".into()], |addr| {
            (addr == "8.8.8.8".parse().unwrap()).then(|| "public resolvers".to_owned())
        })
    }

    #[test]
    fn sensors_vanish_from_text_in_any_spelling() {
        for text in [
            "to 192.0.2.77.",
            "to 192[.]0[.]2[.]77",
            "192.0.2.77:23",
            "[2001:DB8:5::1]:23",
            "2001:db8:5:0:0:0:0:1",
            "::ffff:192.0.2.77",
            "seen by Kyoto-3",
            "example192.0.2.77abc",
            "1192.0.2.777",
        ] {
            let out = gate().text(text);
            assert!(out.contains(REDACTED) && !out.contains("77") && !out.to_lowercase().contains("kyoto"), "{out}");
        }
        for text in ["198.51.100.7 sent 3 packets", "at 12:30:01", "version 1.2.3", "face of 2001:db8::1"] {
            assert_eq!(gate().text(text), text);
        }
    }

    #[test]
    fn attackers_are_named_only_when_proven_and_on_no_list() {
        let source = |text: &str| text.parse::<Addr>().unwrap();
        assert_eq!(gate().attacker(source("198.51.100.7"), Evidence::Spoofable), Err(Withheld::Spoofable));
        assert!(gate().attacker(source("198.51.100.7"), Evidence::Handshake).is_ok());
        assert!(matches!(gate().attacker(source("8.8.8.8"), Evidence::Handshake), Err(Withheld::Benign(_))));
        assert_eq!(gate().attacker(source("192.0.2.7"), Evidence::Handshake), Err(Withheld::Sensor));
    }

    proptest! {
        #[test]
        fn no_canary_survives(before in ".{0,20}", low in 0u8..=255, after in ".{0,20}") {
            let text = format!("{before}192.0.2.{low}{after}");
            let canary = format!("192.0.2.{low}");
            prop_assert!(!gate().text(&text).contains(&canary));
        }
    }
}
