//! How a source, a campaign, a session or a sample behaves on the network: one type for all of them, and its file.

use crate::feature::{Dimension, Token};
use noroshi_model::Nanos;
use serde_json::{Map, Value, json};

/// Name and version of a profile in files: one JSON object per line.
pub const SCHEMA: &str = "noroshi.profile/1";
/// Bytes of one line of a profile file; longer ones are refused.
pub const LINE_BYTES_MAX: usize = 256 << 10;
/// Values of behaviour that one profile may have.
const FEATURES_MAX: usize = 256;
/// Exact values of one kind that a profile may have.
pub const EXACT_MAX: usize = 1024;

/// What a profile was made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Packets that a darknet or a capture saw.
    #[default]
    Darknet,
    /// A dialogue with a honeypot.
    Session,
    /// The traffic of a sample in the sandbox.
    Sandbox,
}

/// Values that are joined only when they are equal.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exact {
    /// SHA-256 of files, lower case.
    pub hashes: Vec<String>,
    /// Places files are fetched from.
    pub urls: Vec<String>,
    /// Hosts that are called: names or addresses, with a port after a colon where one is known.
    pub hosts: Vec<String>,
    /// `user:password` in the order tried.
    pub credentials: Vec<String>,
}

/// How something behaves on the network.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Profile {
    /// Whose: an address, a campaign, a session, the SHA-256 of a sample.
    pub name: String,
    /// Family, where it is known.
    pub label: Option<String>,
    /// What it was made from.
    pub origin: Origin,
    /// Packets behind it.
    pub packets: u64,
    /// Distinct sources behind it.
    pub sources: u64,
    /// First and last packet.
    pub first: Nanos,
    /// Last packet.
    pub last: Nanos,
    /// Shares of values, ordered by token.
    pub features: Vec<(Token, f32)>,
    /// What is joined exactly.
    pub exact: Exact,
}

/// Why a line is not a profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Too long.
    #[error("it has {0} bytes; at most {LINE_BYTES_MAX} are read")]
    Long(usize),
    /// Something in it is not as it must be.
    #[error("{0}")]
    Content(String),
}

impl Profile {
    /// The values of one dimension.
    pub fn values(&self, dimension: Dimension) -> &[(Token, f32)] {
        let from = self.features.partition_point(|(token, _)| token.dimension() < dimension as usize);
        let to = self.features.partition_point(|(token, _)| token.dimension() <= dimension as usize);
        &self.features[from..to]
    }

    /// As one JSON object.
    pub fn to_json(&self) -> Value {
        let mut behaviour = Map::new();
        for dimension in Dimension::ALL {
            let values = self.values(dimension);
            if values.is_empty() {
                continue;
            }
            let shares = values.iter().map(|(token, share)| {
                (dimension.write(token.value()), json!((f64::from(*share) * 10_000.0).round() / 10_000.0))
            });
            behaviour.insert(dimension.name().to_owned(), Value::Object(shares.collect()));
        }
        json!({
            "schema": SCHEMA, "name": self.name, "label": self.label, "origin": self.origin, "packets": self.packets,
            "sources": self.sources, "first": self.first.rfc3339(), "last": self.last.rfc3339(),
            "behaviour": behaviour, "exact": self.exact,
        })
    }

    /// From one line of a profile file.
    pub fn from_json(line: &[u8]) -> Result<Self, ProfileError> {
        if line.len() > LINE_BYTES_MAX {
            return Err(ProfileError::Long(line.len()));
        }
        let value: Value = serde_json::from_slice(line)?;
        if value["schema"] != SCHEMA {
            return Err(ProfileError::Content(format!("\"schema\" must be \"{SCHEMA}\"")));
        }
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let time = |key: &str| value[key].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
        let number = |key: &str| value[key].as_u64().unwrap_or_default();
        let exact: Exact = match value.get("exact") {
            None | Some(Value::Null) => Exact::default(),
            Some(exact) => serde_json::from_value(exact.clone())?,
        };
        if [&exact.hashes, &exact.urls, &exact.hosts, &exact.credentials].iter().any(|list| list.len() > EXACT_MAX) {
            return Err(ProfileError::Content(format!("a list in \"exact\" has more than {EXACT_MAX} values")));
        }
        Ok(Profile {
            name: text("name").ok_or_else(|| ProfileError::Content("\"name\" is missing".into()))?,
            label: text("label"),
            origin: serde_json::from_value(value["origin"].clone())?,
            packets: number("packets"),
            sources: number("sources"),
            first: time("first"),
            last: time("last"),
            features: read_behaviour(&value["behaviour"])?,
            exact,
        })
    }
}

fn read_behaviour(behaviour: &Value) -> Result<Vec<(Token, f32)>, ProfileError> {
    let mut features = Vec::new();
    for (name, values) in behaviour.as_object().into_iter().flatten() {
        // A dimension of a later version is no reason to refuse the rest.
        let Some(dimension) = Dimension::named(name) else { continue };
        for (value, share) in values.as_object().into_iter().flatten() {
            let read = dimension.read(value).zip(share.as_f64().filter(|share| (0.0..=1.0).contains(share)));
            let Some((value, share)) = read else {
                return Err(ProfileError::Content(format!(
                    "behaviour.{name}: {value} with {share} is no value and share"
                )));
            };
            features.push((Token::new(dimension, value), share as f32));
        }
        if features.len() > FEATURES_MAX {
            return Err(ProfileError::Content(format!("it has more than {FEATURES_MAX} values of behaviour")));
        }
    }
    features.sort_by_key(|(token, _)| *token);
    Ok(features)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_survives_its_file() {
        let profile = Profile {
            name: "192.0.2.1".into(),
            label: Some("gafgyt".into()),
            origin: Origin::Sandbox,
            packets: 12,
            sources: 1,
            first: Nanos::from_seconds(5),
            last: Nanos::from_seconds(9),
            features: vec![(Token::new(Dimension::Port, 23), 0.75), (Token::new(Dimension::Window, 5840), 1.0)],
            exact: Exact { hosts: vec!["c2.example:6667".into()], ..Exact::default() },
        };
        assert_eq!(Profile::from_json(profile.to_json().to_string().as_bytes()).unwrap(), profile);
        assert_eq!(profile.values(Dimension::Port).len(), 1);
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        for text in ["", "[]", "{}", r#"{"schema":"noroshi.profile/1"}"#] {
            assert!(Profile::from_json(text.as_bytes()).is_err(), "{text}");
        }
        let wrong =
            r#"{"schema":"noroshi.profile/1","name":"x","origin":"darknet","behaviour":{"port":{"tcp/99999":1}}}"#;
        assert!(Profile::from_json(wrong.as_bytes()).unwrap_err().to_string().contains("tcp/99999"));
        assert!(Profile::from_json(&vec![b' '; LINE_BYTES_MAX + 1]).is_err());
    }
}
