//! What others say about members, in the words of the desk; and what they said before, so that a repetition tells
//! nobody anything and a correction replaces what it corrects.

use noroshi_alert::Statement;
use noroshi_model::Nanos;
use noroshi_model::incident::{IncidentKind, Testimony, Witness};
use noroshi_model::member::MemberId;
use noroshi_model::packet::Evidence;
use noroshi_share::intake::{Claim, Foreign};
use noroshi_share::outbox::{Outbox, OutboxError};
use std::collections::BTreeMap;

/// Prefix of the keys under which versions are kept.
const KEY: &str = "foreign/";

/// The newest version of everything that others said about members: bounded by members' space and what is kept.
#[derive(Clone, Debug, Default)]
pub struct Foreigners(BTreeMap<String, Nanos>);

fn key(sender: &str, one: &Foreign) -> String {
    format!("{KEY}{sender}|{}|{}", one.id, one.subject)
}

impl Foreigners {
    /// What the outbox keeps.
    pub async fn load(outbox: &Outbox) -> Result<Self, OutboxError> {
        let kept = outbox.stored().await?.kept.into_iter();
        let versions = kept.filter(|(key, _)| key.starts_with(KEY));
        Ok(Foreigners(versions.filter_map(|(key, text)| Some((key, text.parse().ok()?))).collect()))
    }

    /// Whether anything was said about it by them before.
    pub fn knows(&self, sender: &str, one: &Foreign) -> bool {
        self.0.contains_key(&key(sender, one))
    }

    /// Whether it is new or a later version.
    pub fn is_news(&self, sender: &str, one: &Foreign) -> bool {
        self.0.get(&key(sender, one)).is_none_or(|known| one.modified > *known)
    }

    /// Remembers it; what to keep.
    pub fn note(&mut self, sender: &str, one: &Foreign) -> (String, Option<String>) {
        let key = key(sender, one);
        self.0.insert(key.clone(), one.modified);
        (key, Some(one.modified.rfc3339()))
    }
}

/// What a partner says, as a statement about one member. Their proof is theirs: here the address stays unproven.
pub fn said(one: &Foreign, sender: &str, member: &MemberId, now: Nanos) -> Statement {
    let holds = one.holds(now);
    let text = match holds {
        true => one.text.clone(),
        false => format!("taken back, or no longer valid: {}", one.text),
    };
    Statement {
        member: member.clone(),
        kind: match one.claim {
            Claim::Infection => IncidentKind::Infection,
            Claim::Attack => IncidentKind::Attack,
        },
        subject: one.subject,
        severity: one.severity,
        tlp: one.tlp,
        over: false,
        peers: 0,
        ports: Default::default(),
        attack: None,
        tool: None,
        class: None,
        peak_pps: 0.0,
        estimated_pps: None,
        probability: None,
        testimony: Testimony {
            witness: Witness::Partner,
            by: format!("{sender} {}", one.id),
            first: one.first,
            last: one.last,
            count: one.count,
            confidence: if holds { one.confidence } else { 0.0 },
            proof: Evidence::Spoofable,
            text,
        },
    }
}
