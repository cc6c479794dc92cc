//! STIX 2.0 and 2.1 objects.
//!
//! An `indicator` whose STIX pattern names addresses says that these attack, unless its types say that it is harmless.
//! An `incident` that is related to observed addresses, as this program writes them, says what its label `kind:` says.

use super::{Claim, Foreign, IntakeError, OBJECTS_MAX, SUBJECTS_MAX, Taken, subject, text};
use crate::stix::marking;
use noroshi_model::Nanos;
use noroshi_model::alert::Severity;
use noroshi_model::finding::Victim;
use noroshi_model::tlp::Tlp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Longest pattern that is looked through, in bytes.
const PATTERN_MAX: usize = 65_536;
/// Confidence of a finding whose maker does not say how sure it is: as likely as not, so that it wakes nobody alone.
const CONFIDENCE_UNSAID: f64 = 0.5;
/// Types of indicators that accuse nobody.
const HARMLESS: [&str; 3] = ["benign", "unknown", "anonymization"];

/// Reads objects; each is accounted for.
pub fn stix_objects(objects: &[Value], now: Nanos) -> Result<Taken, IntakeError> {
    if objects.len() > OBJECTS_MAX {
        return Err(IntakeError::TooMany(objects.len()));
    }
    let mut taken = Taken { objects: objects.len() as u64, ..Taken::default() };
    let world = World::of(objects);
    for object in objects {
        match checked(object) {
            Ok((kind, id)) => {
                *taken.by_type.entry(text(kind)).or_default() += 1;
                match kind {
                    "indicator" => taken.foreign.extend(indicator(object, id, &world, now)),
                    "incident" => taken.foreign.extend(incident(object, id, &world, now)),
                    _ => {}
                }
            }
            Err(reason) => {
                let id = object.get("id").and_then(Value::as_str).unwrap_or("without id");
                taken.refused.push((text(id), reason.to_owned()));
            }
        }
    }
    Ok(taken)
}

/// Type and id of an object that has the form of one.
fn checked(object: &Value) -> Result<(&str, &str), &'static str> {
    let word = |name: &str| object.get(name).and_then(Value::as_str);
    let kind = word("type").ok_or("no property \"type\"")?;
    let id = word("id").ok_or("no property \"id\"")?;
    let fits = id.strip_prefix(kind).and_then(|rest| rest.strip_prefix("--"));
    if fits.is_none_or(|uuid| uuid::Uuid::try_parse(uuid).is_err()) {
        return Err("\"id\" is not the type, two hyphens and a UUID");
    }
    // What has a beginning has versions, except markings, which never change (STIX 2.1, section 3.2).
    if kind != "marking-definition" && word("created").is_some() {
        let modified = word("modified").ok_or("\"created\" without \"modified\"")?;
        let (created, modified) = (time(object, "created"), modified.parse::<Nanos>().ok());
        match (created, modified) {
            (Some(created), Some(modified)) if modified >= created => {}
            (Some(_), Some(_)) => return Err("\"modified\" is before \"created\""),
            _ => return Err("\"created\" or \"modified\" is not a time"),
        }
    }
    Ok((kind, id))
}

/// What objects of one input say about each other.
struct World<'o> {
    by_id: BTreeMap<&'o str, &'o Value>,
    related: BTreeMap<&'o str, Vec<&'o str>>,
}

impl<'o> World<'o> {
    fn of(objects: &'o [Value]) -> Self {
        let mut world = World { by_id: BTreeMap::new(), related: BTreeMap::new() };
        for object in objects {
            let word = |name: &str| object.get(name).and_then(Value::as_str);
            if let Some(id) = word("id") {
                world.by_id.insert(id, object);
            }
            if let (Some("relationship"), Some(from), Some(to)) = (word("type"), word("source_ref"), word("target_ref"))
            {
                world.related.entry(from).or_default().push(to);
            }
        }
        world
    }

    /// The strictest label on an object; one that cannot be read counts as red.
    fn label(&self, object: &Value) -> Tlp {
        let Some(refs) = object["object_marking_refs"].as_array().filter(|refs| !refs.is_empty()) else {
            return Tlp::Amber;
        };
        let known = |reference: &Value| {
            let id = reference.as_str()?;
            let published = id.strip_prefix("marking-definition--").and_then(marking::by_id);
            published.or_else(|| self.by_id.get(id).and_then(|definition| marking::read(definition)))
        };
        let labels: Vec<Option<Tlp>> = refs.iter().map(known).collect();
        // Version 1 says red where version 2 says amber+strict: the newer marking is the sender's own word.
        if labels.contains(&Some(Tlp::AmberStrict)) && labels.iter().all(|label| *label >= Some(Tlp::AmberStrict)) {
            return Tlp::AmberStrict;
        }
        labels.into_iter().map(|label| label.unwrap_or(Tlp::Red)).max().unwrap_or(Tlp::Red)
    }
}

fn time(object: &Value, name: &str) -> Option<Nanos> {
    object.get(name)?.as_str()?.parse().ok()
}

fn indicator(object: &Value, id: &str, world: &World<'_>, now: Nanos) -> Vec<Foreign> {
    let types = object.get("indicator_types").or_else(|| object.get("labels")).and_then(Value::as_array);
    let harmless = |kind: &Value| kind.as_str().is_some_and(|kind| HARMLESS.contains(&kind));
    if types.is_some_and(|types| !types.is_empty() && types.iter().all(harmless)) {
        return Vec::new();
    }
    if object.get("pattern_type").is_some_and(|kind| kind != "stix") {
        return Vec::new();
    }
    let pattern = object.get("pattern").and_then(Value::as_str).unwrap_or_default();
    let name = object.get("name").or_else(|| object.get("description")).and_then(Value::as_str);
    let from = time(object, "valid_from").or_else(|| time(object, "created")).unwrap_or(now);
    let last = time(object, "modified").unwrap_or(from).max(from);
    let said = Said { object, id, world, first: from, last, now };
    addresses(pattern)
        .into_iter()
        .map(|about| said.foreign(Claim::Infection, about, 1, name.unwrap_or(pattern)))
        .collect()
}

fn incident(object: &Value, id: &str, world: &World<'_>, now: Nanos) -> Vec<Foreign> {
    let labels = object.get("labels").and_then(Value::as_array);
    let says = |wanted: &str| labels.is_some_and(|labels| labels.iter().any(|label| label.as_str() == Some(wanted)));
    let claim = if says("kind:infection") {
        Claim::Infection
    } else if says("kind:attack")
        || labels.is_some_and(|l| l.iter().any(|l| l.as_str().is_some_and(|l| l.starts_with("attack-kind:"))))
    {
        Claim::Attack
    } else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for seen in world.related.get(id).into_iter().flatten().filter_map(|to| world.by_id.get(to)) {
        if seen["type"] != "observed-data" {
            continue;
        }
        let refs = seen.get("object_refs").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let about = refs.filter_map(|to| world.by_id.get(to)).filter_map(|seen| subject(seen.get("value")?.as_str()?));
        let count = seen.get("number_observed").and_then(Value::as_u64).unwrap_or(1);
        let first = time(seen, "first_observed").or_else(|| time(object, "created")).unwrap_or(now);
        let last = time(seen, "last_observed").unwrap_or(first).max(first);
        let said = Said { object, id, world, first, last, now };
        let name = object.get("description").or_else(|| object.get("name")).and_then(Value::as_str).unwrap_or_default();
        found.extend(about.take(SUBJECTS_MAX).map(|about| said.foreign(claim, about, count, name)));
    }
    found
}

/// What several findings of one object share.
struct Said<'s> {
    object: &'s Value,
    id: &'s str,
    world: &'s World<'s>,
    first: Nanos,
    last: Nanos,
    now: Nanos,
}

impl Said<'_> {
    fn foreign(&self, claim: Claim, about: Victim, count: u64, name: &str) -> Foreign {
        let confidence = self.object.get("confidence").and_then(Value::as_u64);
        let labels = self.object.get("labels").and_then(Value::as_array).into_iter().flatten();
        let said = labels.filter_map(|label| label.as_str()?.strip_prefix("severity:"));
        let severity = said.filter_map(|name| Severity::ALL.iter().copied().find(|known| known.name() == name)).max();
        Foreign {
            id: text(self.id),
            modified: time(self.object, "modified").or_else(|| time(self.object, "created")).unwrap_or(self.now),
            claim,
            subject: about,
            severity: severity.unwrap_or(Severity::Medium),
            tlp: self.world.label(self.object),
            first: self.first,
            last: self.last,
            count: count.max(1),
            confidence: confidence.map_or(CONFIDENCE_UNSAID, |percent| percent.min(100) as f64 / 100.0),
            valid_until: time(self.object, "valid_until"),
            revoked: self.object.get("revoked").and_then(Value::as_bool).unwrap_or(false),
            text: text(name),
        }
    }
}

/// Addresses that a pattern compares with by `=` or `ISSUBSET`. A pattern with `NOT` or `FOLLOWEDBY` accuses nobody by
/// itself and gives none.
fn addresses(pattern: &str) -> BTreeSet<Victim> {
    let mut found = BTreeSet::new();
    if pattern.len() > PATTERN_MAX
        || pattern.contains(" NOT ")
        || pattern.contains("FOLLOWEDBY")
        || pattern.contains("!=")
    {
        return found;
    }
    for path in ["ipv4-addr:value", "ipv6-addr:value", "network-traffic:src_ref.value"] {
        for after in pattern.split(path).skip(1) {
            let after = after.trim_start();
            let Some(value) = after.strip_prefix('=').or_else(|| after.strip_prefix("ISSUBSET")) else { continue };
            let value = value.trim_start().strip_prefix('\'').and_then(|rest| rest.split('\'').next());
            if let Some(about) = value.and_then(subject)
                && found.len() < SUBJECTS_MAX
            {
                found.insert(about);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_give_the_addresses_that_they_accuse() {
        let texts = |pattern: &str| addresses(pattern).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts("[ipv4-addr:value = '198.51.100.7']"), ["198.51.100.7"]);
        assert_eq!(texts("[ipv4-addr:value='198.51.100.7/32' OR ipv6-addr:value = '2001:db8::1']").len(), 2);
        assert_eq!(texts("[ipv4-addr:value ISSUBSET '198.51.100.0/24']"), ["198.51.100.0/24"]);
        for none in
            ["[domain-name:value = '198.51.100.7']", "[ipv4-addr:value != '198.51.100.7']", "", "[ipv4-addr:value = '"]
        {
            assert!(texts(none).is_empty(), "{none}");
        }
    }
}
