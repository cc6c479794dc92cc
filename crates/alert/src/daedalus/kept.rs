//! The watch's state as text under keys, so that whoever stores what was decided can store in the same transaction how
//! it came about.

use super::backscatter::Victimhood;
use super::host::Host;
use super::{HostKey, Watch};
use noroshi_model::infection::InfectionClass;
use noroshi_model::member::MemberId;
use noroshi_model::{Addr, Nanos};
use std::collections::BTreeSet;

/// Key of the watch's own clock.
const CLOCK: &str = "clock";

/// Stored state that does not read back.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// No such kind of key.
    #[error("the watch's state has a key \"{0}\" that it does not know")]
    Key(String),
    /// The text under a key.
    #[error("the watch's state under \"{key}\" cannot be read: {source}")]
    Value {
        /// Which.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Watch {
    /// What changed since the last call: text by key; none when it is gone.
    pub fn changes(&mut self) -> Vec<(String, Option<String>)> {
        let hosts = std::mem::take(&mut self.touched);
        let victims = std::mem::take(&mut self.replies.touched);
        if hosts.is_empty() && victims.is_empty() {
            return Vec::new();
        }
        let mut changes = vec![(CLOCK.to_owned(), text(&(self.now, self.next_sweep)))];
        changes.extend(hosts.into_iter().map(|key| (name_of(&key), self.hosts.get(&key).and_then(text))));
        let states = victims.into_iter().map(|addr| (format!("reply|{addr}"), self.replies.victims.get(&addr)));
        changes.extend(states.map(|(key, state)| (key, state.and_then(text))));
        changes
    }

    /// Takes back what [`Watch::changes`] gave.
    pub fn restore(&mut self, kept: impl IntoIterator<Item = (String, String)>) -> Result<(), KeptError> {
        for (key, value) in kept {
            let wrong = |source| KeptError::Value { key: key.clone(), source };
            if key == CLOCK {
                (self.now, self.next_sweep) = serde_json::from_str::<(Nanos, Nanos)>(&value).map_err(wrong)?;
            } else if let Some(addr) = key.strip_prefix("reply|").and_then(|addr| addr.parse::<Addr>().ok()) {
                self.replies.victims.insert(addr, serde_json::from_str::<Victimhood>(&value).map_err(wrong)?);
            } else if let Some(host) = host_named(&key) {
                // A member that is no longer one is not watched any more.
                if self.registry.get(&host.0).is_some() {
                    self.hosts.insert(host, serde_json::from_str::<Host>(&value).map_err(wrong)?);
                }
            } else {
                return Err(KeptError::Key(key));
            }
        }
        self.touched = BTreeSet::new();
        Ok(())
    }
}

fn text(value: &impl serde::Serialize) -> Option<String> {
    // Plain data with text keys: it always has a JSON form.
    serde_json::to_string(value).ok()
}

fn name_of((member, addr, class): &HostKey) -> String {
    format!("host|{member}|{addr}|{class}")
}

fn host_named(key: &str) -> Option<HostKey> {
    let mut parts = key.strip_prefix("host|")?.split('|');
    let member = MemberId(parts.next()?.to_owned());
    let addr = parts.next()?.parse().ok()?;
    let class = parts.next()?;
    Some((member, addr, InfectionClass::ALL.iter().copied().find(|known| known.name() == class)?))
}

/// Maps whose keys are no text, as lists of pairs.
pub mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(map: &BTreeMap<K, V>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(map)
    }

    pub fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        d: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Vec::<(K, V)>::deserialize(d).map(|pairs| pairs.into_iter().collect())
    }
}

/// Names of payload rules, which are constants of the program.
pub mod rule {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(rule: &Option<&'static str>, s: S) -> Result<S::Ok, S::Error> {
        rule.serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<&'static str>, D::Error> {
        // A rule that this version no longer has is forgotten.
        Ok(Option::<String>::deserialize(d)?.and_then(|name| crate::daedalus::host::rule_named(&name)))
    }
}
