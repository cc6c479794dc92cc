//! Who is told what: members, rules, messages and what was withheld.

use crate::scope::Tlp;
use noroshi_model::Nanos;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An organisation that is warned.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// Short name.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Its networks.
    pub prefixes: Vec<String>,
    /// Parts of them that nobody uses.
    pub dark: Vec<String>,
    /// Its autonomous systems.
    pub asns: Vec<u32>,
    /// People or desks.
    pub contacts: Vec<String>,
    /// Ways in which it is told, with the kind and the worst that passes.
    pub channels: Vec<ChannelView>,
    /// `en` or `ja`.
    pub language: String,
    /// Time zone.
    pub time_zone: String,
    /// Hours in which only what cannot wait is sent, local time.
    pub quiet_hours: Option<String>,
    /// The strictest label that may be sent to it.
    pub tlp_ceiling: Tlp,
    /// Messages in the last seven days.
    pub messages: u64,
}

/// A way in which a member is told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChannelView {
    /// Name within the member.
    pub name: String,
    /// `mail`, `webhook`, `syslog`.
    pub kind: String,
    /// Least severity that goes this way.
    pub severity_min: String,
}

/// Which incidents are told at once, which wait, which are nobody's concern. The first that matches decides.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleView {
    /// Name.
    pub name: String,
    /// `alert`, `daily` or `ignore`.
    pub action: String,
    /// What must hold, in words; empty when it always holds.
    pub conditions: Vec<String>,
    /// Whether it comes with the program.
    pub built_in: bool,
    /// Messages of the last seven days that it decided.
    pub messages: u64,
    /// Incidents of it that members called right.
    pub confirmed: u64,
    /// Incidents of it that members called wrong.
    pub false_alarms: u64,
    /// Median seconds from the message to being dealt with; none when nobody said so.
    pub mitigated_seconds: Option<f64>,
}

/// One message to one recipient.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// Id.
    pub id: String,
    /// `member/channel`.
    pub recipient: String,
    /// The member.
    pub member: String,
    /// `immediate`, `digest`, `continuing` or `test`.
    pub kind: String,
    /// The worst inside.
    pub severity: String,
    /// The strictest label inside.
    pub tlp: Tlp,
    /// When it was decided.
    #[schema(value_type = String)]
    pub created: Nanos,
    /// Which rule decided it.
    pub rule: String,
    /// `queued`, `delivered`, `failed` or `withheld`.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Why it was not delivered, or withheld.
    pub reason: Option<String>,
    /// What it tells, worst first.
    pub incidents: Vec<IncidentLine>,
}

/// An incident in one line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct IncidentLine {
    /// Id.
    pub id: String,
    /// Kind.
    pub kind: String,
    /// Address or prefix.
    pub subject: String,
    /// Severity.
    pub severity: String,
    /// How sure, 0 to 1.
    pub confidence: f64,
}

/// How warning goes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct WarningView {
    /// Whether there is anybody to warn.
    pub configured: bool,
    /// Messages waiting for their first or next attempt.
    pub queued: u64,
    /// Messages that the other side accepted.
    pub delivered: u64,
    /// Messages that were given up.
    pub failed: u64,
    /// Messages that the gate kept back.
    pub withheld: u64,
    /// Incidents that members called right.
    pub confirmed: u64,
    /// Incidents that members called wrong.
    pub false_alarms: u64,
    /// Rules in their order.
    pub rules: Vec<RuleView>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// A rule to be tried on what was found.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RuleTrial {
    /// At least so sure, 0 to 1.
    #[serde(default)]
    pub confidence_min: f64,
    /// At least so many packets.
    #[serde(default)]
    pub packets_min: u64,
    /// Only these kinds of attack; all when empty.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Only victims inside these networks; all when empty.
    #[serde(default)]
    pub networks: Vec<String>,
}

/// What a rule would have done with the findings that are kept.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RulePreview {
    /// Findings that fit.
    pub fits: u64,
    /// Findings that were looked at.
    pub of: u64,
    /// Findings that fit, per day of the last week, oldest first.
    pub per_day: Vec<u64>,
    /// The newest that fit.
    pub examples: Vec<IncidentLine>,
}
