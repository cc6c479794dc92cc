//! MISP events (core format): attributes that name addresses, alone and inside objects.
//!
//! `ip-src` for detection (`to_ids`) says that the address attacks; `ip-dst` of an object `ddos` says that it suffers.
//! Any other address is kept and accuses nobody: a contacted server is no attacker of ours.

use super::{Claim, Foreign, IntakeError, OBJECTS_MAX, Taken, subject, text};
use noroshi_model::Nanos;
use noroshi_model::alert::Severity;
use noroshi_model::tlp::Tlp;
use serde_json::Value;

/// MISP has no confidence: as likely as not.
const CONFIDENCE: f64 = 0.5;

/// Reads one event; each attribute and object is accounted for.
pub fn misp_event(event: &Value, now: Nanos) -> Result<Taken, IntakeError> {
    let list = |of: &Value, name: &str| of.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    if !event.is_object() {
        return Err(IntakeError::Shape("\"Event\" is not an object"));
    }
    let mut taken = Taken::default();
    let (attributes, objects) = (list(event, "Attribute"), list(event, "Object"));
    let total = attributes.len() + objects.iter().map(|object| 1 + list(object, "Attribute").len()).sum::<usize>();
    if total > OBJECTS_MAX {
        return Err(IntakeError::TooMany(total));
    }
    taken.objects = total as u64;
    let label = label(event);
    let about = event.get("info").and_then(Value::as_str).unwrap_or_default();
    for attribute in &attributes {
        take(attribute, None, label, about, now, &mut taken);
    }
    for object in &objects {
        let name = object.get("name").and_then(Value::as_str).unwrap_or("object");
        *taken.by_type.entry(format!("object:{}", text(name))).or_default() += 1;
        for attribute in list(object, "Attribute") {
            take(&attribute, Some(name), label, about, now, &mut taken);
        }
    }
    Ok(taken)
}

fn take(attribute: &Value, object: Option<&str>, event: Option<Tlp>, about: &str, now: Nanos, taken: &mut Taken) {
    let word = |name: &str| attribute.get(name).and_then(Value::as_str);
    let id = word("uuid").unwrap_or_default();
    let (Some(kind), Some(value)) = (word("type"), word("value")) else {
        taken.refused.push((text(id), "an attribute without \"type\" or \"value\"".into()));
        return;
    };
    *taken.by_type.entry(text(kind)).or_default() += 1;
    // Port and address stand in one attribute, with a bar between.
    let (kind, value) = match kind {
        "ip-src|port" => ("ip-src", value.split('|').next().unwrap_or(value)),
        "ip-dst|port" => ("ip-dst", value.split('|').next().unwrap_or(value)),
        _ => (kind, value),
    };
    let detects = attribute.get("to_ids").is_some_and(|flag| flag == true || flag == "1" || flag == 1);
    let claim = match (kind, object) {
        ("ip-dst", Some("ddos")) => Claim::Attack,
        ("ip-src", _) if detects => Claim::Infection,
        _ => return,
    };
    let Some(subject) = subject(value) else {
        taken.refused.push((text(id), format!("\"{}\" is not an address", text(value))));
        return;
    };
    let changed = seconds(attribute.get("timestamp")).unwrap_or(now);
    let time = |name: &str| word(name).and_then(|text| text.parse::<Nanos>().ok());
    let first = time("first_seen").unwrap_or(changed);
    let said = word("comment").filter(|comment| !comment.is_empty()).unwrap_or(about);
    taken.foreign.push(Foreign {
        id: text(id),
        modified: changed,
        claim,
        subject,
        severity: Severity::Medium,
        tlp: label(attribute).or(event).unwrap_or(Tlp::Amber),
        first,
        last: time("last_seen").unwrap_or(changed).max(first),
        count: 1,
        confidence: CONFIDENCE,
        valid_until: None,
        revoked: attribute.get("deleted").is_some_and(|flag| flag == true),
        text: text(said),
    });
}

fn seconds(value: Option<&Value>) -> Option<Nanos> {
    let seconds = match value? {
        Value::String(text) => text.parse().ok()?,
        Value::Number(number) => number.as_i64()?,
        _ => return None,
    };
    (0..=i64::MAX / 1_000_000_000).contains(&seconds).then(|| Nanos::from_seconds(seconds))
}

/// The strictest TLP tag; one that cannot be read counts as red.
fn label(of: &Value) -> Option<Tlp> {
    let tags = of.get("Tag").and_then(Value::as_array)?.iter().filter_map(|tag| tag.get("name")?.as_str());
    let labels = tags.filter(|name| name.to_ascii_lowercase().starts_with("tlp:"));
    labels
        .map(|name| match name.to_ascii_lowercase().as_str() {
            "tlp:clear" | "tlp:white" => Tlp::Clear,
            "tlp:green" => Tlp::Green,
            "tlp:amber" => Tlp::Amber,
            "tlp:amber+strict" => Tlp::AmberStrict,
            _ => Tlp::Red,
        })
        .max()
}
