//! Findings as partners' engines push them: `POST /api/v1/findings`.

use super::{Claim, Foreign, subject, text};
use noroshi_model::Nanos;
use noroshi_model::alert::Severity;
use noroshi_model::tlp::Tlp;
use serde::{Deserialize, Serialize};

/// Longest id, in characters.
const ID_MAX: usize = 200;

/// One finding of a partner.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnerFinding {
    /// The partner's own id, the same for a correction.
    pub id: String,
    /// What is claimed: `infection` or `attack`.
    pub claim: Claim,
    /// Address or prefix.
    pub subject: String,
    /// When the finding was last changed [default: the present].
    pub modified: Option<Nanos>,
    /// First seen.
    pub first: Nanos,
    /// Last seen.
    pub last: Nanos,
    /// Packets, requests or dialogues [default: 1].
    pub count: Option<u64>,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// How bad [default: medium].
    pub severity: Option<Severity>,
    /// How far it may travel [default: TLP:AMBER].
    pub tlp: Option<Tlp>,
    /// Not valid from then on.
    pub valid_until: Option<Nanos>,
    /// Taken back.
    #[serde(default)]
    pub revoked: bool,
    /// One sentence.
    pub text: String,
}

/// Each finding, or why it is refused.
pub fn partner_findings(pushed: &[PartnerFinding], now: Nanos) -> Vec<Result<Foreign, String>> {
    pushed.iter().map(|finding| one(finding, now)).collect()
}

fn one(finding: &PartnerFinding, now: Nanos) -> Result<Foreign, String> {
    let id = text(&finding.id);
    if id.is_empty() || finding.id.chars().count() > ID_MAX {
        return Err(format!("id: 1 to {ID_MAX} characters"));
    }
    let about = subject(&finding.subject)
        .ok_or_else(|| format!("subject: \"{}\" is neither an address nor a prefix", text(&finding.subject)))?;
    if !(0.0..=1.0).contains(&finding.confidence) {
        return Err("confidence: 0 to 1".into());
    }
    if finding.last < finding.first {
        return Err("last: earlier than first".into());
    }
    Ok(Foreign {
        id,
        modified: finding.modified.unwrap_or(now),
        claim: finding.claim,
        subject: about,
        severity: finding.severity.unwrap_or(Severity::Medium),
        tlp: finding.tlp.unwrap_or(Tlp::Amber),
        first: finding.first,
        last: finding.last,
        count: finding.count.unwrap_or(1).max(1),
        confidence: finding.confidence,
        valid_until: finding.valid_until,
        revoked: finding.revoked,
        text: text(&finding.text),
    })
}
