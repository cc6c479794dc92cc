//! A finding addressed to someone.
//!
//! An [`Alert`] is one message to one recipient: it names the incidents it tells of and everything a writer of mail,
//! webhooks or logs needs, so that it can be stored, sent later and sent again byte for byte.

use crate::finding::named;
use crate::incident::Incident;
use crate::member::{Language, MemberId};
use crate::{Nanos, tlp::Tlp};
use serde::{Deserialize, Serialize};
use std::fmt;

named! {
    /// How bad, for the person who has to get up.
    Severity {
        /// Worth knowing.
        Info = "info",
        /// Worth a look this week.
        Low = "low",
        /// Worth a look today.
        Medium = "medium",
        /// Act now in office hours.
        High = "high",
        /// Act now.
        Critical = "critical",
    }
}

named! {
    /// Why this message is sent.
    AlertKind {
        /// One new incident, at once.
        Immediate = "immediate",
        /// New incidents, gathered because of a limit, a storm or quiet hours.
        Digest = "digest",
        /// Incidents that were told before and go on.
        Continuing = "continuing",
        /// Sent by a person to see whether the channel works.
        Test = "test",
    }
}

/// One channel of one member: `member/channel-name`. Limits and the promise "exactly once" count per recipient.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecipientId(pub String);

impl RecipientId {
    /// The recipient behind a member's channel.
    pub fn new(member: &MemberId, channel: &str) -> Self {
        RecipientId(format!("{member}/{channel}"))
    }

    /// Member and channel name.
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }
}

impl fmt::Display for RecipientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One message to one recipient.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Alert {
    /// UUID, the same for the same incidents, recipient and kind; mail message ids and idempotency keys come from it.
    pub id: String,
    /// Whom it is for.
    pub recipient: RecipientId,
    /// Whose incidents these are.
    pub member: MemberId,
    /// Why it is sent.
    pub kind: AlertKind,
    /// The worst severity inside.
    pub severity: Severity,
    /// The strictest label inside.
    pub tlp: Tlp,
    /// In what language to write.
    pub language: Language,
    /// When it was decided.
    pub created: Nanos,
    /// Which rule decided it.
    pub rule: String,
    /// What it tells, worst first.
    pub incidents: Vec<Incident>,
}
