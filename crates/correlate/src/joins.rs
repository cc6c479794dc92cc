//! What needs no judgement: equal file hashes, places, hosts and credential lists.

use crate::profile::Exact;
use hashbrown::HashMap;
use serde::Serialize;

/// Distinct passwords below which a list says nothing: `root:root` is everybody's.
const CREDENTIALS_MIN: usize = 3;
/// Owners that one value keeps; a value that everybody has joins nobody.
const OWNERS_MAX: usize = 1000;

/// What is equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// SHA-256 of a file.
    Hash,
    /// A place files are fetched from.
    Url,
    /// A host that is called.
    Host,
    /// The same logins, all of them.
    Credentials,
}

/// Whose value it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Owner {
    /// Sample, session, source or campaign.
    pub name: String,
    /// Family, where it is known.
    pub label: Option<String>,
}

/// Two things that share a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Join {
    /// What is equal.
    pub kind: Kind,
    /// The value, as it is compared.
    pub value: String,
    /// With whom.
    pub owner: Owner,
}

/// Values and their owners.
#[derive(Clone, Debug, Default)]
pub struct Joins {
    owners: HashMap<(Kind, String), Vec<Owner>>,
}

impl Joins {
    /// Adds the values of one owner.
    pub fn add(&mut self, owner: &Owner, exact: &Exact) {
        for key in keys(exact) {
            let owners = self.owners.entry(key).or_default();
            if owners.len() < OWNERS_MAX && !owners.contains(owner) {
                owners.push(owner.clone());
            }
        }
    }

    /// Everyone who shares a value with these, each value and owner once.
    pub fn find(&self, exact: &Exact) -> Vec<Join> {
        let found = keys(exact).into_iter().filter_map(|key| self.owners.get_key_value(&key));
        let mut joins: Vec<Join> = found
            .flat_map(|((kind, value), owners)| {
                owners.iter().map(|owner| Join { kind: *kind, value: value.clone(), owner: owner.clone() })
            })
            .collect();
        joins.sort();
        joins.dedup();
        joins
    }
}

/// The values as they are compared.
fn keys(exact: &Exact) -> Vec<(Kind, String)> {
    let hashes = exact.hashes.iter().filter_map(|text| hash(text)).map(|text| (Kind::Hash, text));
    let urls = exact.urls.iter().filter_map(|text| url(text)).map(|text| (Kind::Url, text));
    let hosts = exact.hosts.iter().filter_map(|text| host(text)).map(|text| (Kind::Host, text));
    let mut all: Vec<(Kind, String)> = hashes.chain(urls).chain(hosts).collect();
    let mut logins: Vec<&str> = exact.credentials.iter().map(String::as_str).collect();
    logins.sort_unstable();
    logins.dedup();
    if logins.len() >= CREDENTIALS_MIN {
        all.push((Kind::Credentials, logins.join("\n")));
    }
    all
}

fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

/// Scheme and host in lower case; defanged text (`hxxp`, `[.]`) is made whole.
fn url(text: &str) -> Option<String> {
    let text = text.trim().replace("[.]", ".").replace("hxxp", "http");
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some(format!("{}://{}{path}", scheme.to_ascii_lowercase(), host(authority)?))
}

/// In lower case, without user and final dot; addresses that name nobody are left out.
fn host(text: &str) -> Option<String> {
    let text = text.trim().replace("[.]", ".").to_ascii_lowercase();
    let text = text.rsplit('@').next().unwrap_or_default().trim_end_matches('.');
    let bare = text.split(':').next().unwrap_or_default();
    let nobody = bare.is_empty() || bare == "localhost" || bare.starts_with("127.") || bare == "0.0.0.0";
    (!nobody).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn equal_values_join_however_they_are_written() {
        let hash = "AB".repeat(32);
        let sample = Owner { name: "sample".into(), label: Some("gafgyt".into()) };
        let mut joins = Joins::default();
        joins.add(
            &sample,
            &Exact {
                hashes: vec![hash.clone()],
                urls: list(&["hxxp://Evil[.]example./x.sh"]),
                hosts: list(&["c2.example:6667", "127.0.0.1"]),
                credentials: list(&["root:vizxv", "root:xc3511", "admin:admin"]),
            },
        );
        let session = Exact {
            hashes: vec![hash.to_lowercase()],
            urls: list(&["http://evil.example/x.sh"]),
            hosts: list(&["C2.example.:6667", "127.0.0.1", "C2.EXAMPLE:6667"]),
            credentials: list(&["admin:admin", "root:xc3511", "root:vizxv", "root:vizxv"]),
        };
        let kinds: Vec<Kind> = joins.find(&session).iter().map(|join| join.kind).collect();
        assert_eq!(kinds, [Kind::Hash, Kind::Url, Kind::Host, Kind::Credentials]);
    }

    #[test]
    fn what_everybody_has_joins_nobody() {
        let mut joins = Joins::default();
        let owner = Owner { name: "a".into(), label: None };
        joins.add(&owner, &Exact { credentials: list(&["root:root"]), hashes: list(&["short"]), ..Exact::default() });
        let same = Exact { credentials: list(&["root:root"]), hashes: list(&["short"]), ..Exact::default() };
        assert!(joins.find(&same).is_empty());
        assert!(joins.find(&Exact::default()).is_empty());
    }
}
