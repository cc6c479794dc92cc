//! The messages, as JSON inside Flight's actions and batch metadata.
//!
//! Both ends ignore fields they do not know, so either may be newer; the one exception is the policy, where a setting
//! that a sensor does not know must be refused (it could be a restriction that it would then not honour).

use noroshi_model::Prefix;
use noroshi_model::policy::Policy;
use noroshi_model::stream::{Gap, GapReason, SchemaId};
use serde::{Deserialize, Serialize};

/// Names of the actions.
pub mod action {
    /// Token and signing request to certificate; the only one that works without a client certificate.
    pub const ENROL: &str = "enrol";
    /// Signing request to a fresh certificate.
    pub const RENEW: &str = "renew";
    /// Opens the control stream.
    pub const ATTACH: &str = "attach";
    /// Counters and the policy in force.
    pub const REPORT: &str = "report";
}

/// 128 random bits, new with each spool, as lower-case hex in messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Epoch(pub [u8; 16]);

impl Epoch {
    /// A new epoch.
    pub fn generate() -> Self {
        Epoch(rand::random())
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Epoch> for String {
    fn from(epoch: Epoch) -> String {
        epoch.to_string()
    }
}

impl TryFrom<String> for Epoch {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16)
            .ok()
            .filter(|_| text.len() == 32 && !text.starts_with('+'))
            .map(|bits| Epoch(bits.to_be_bytes()))
            .ok_or("an epoch is 32 hexadecimal digits")
    }
}

/// Sensor to hub: let me join.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// Version of the messages.
    pub protocol: u32,
    /// Token text.
    pub token: String,
    /// The name in the invitation.
    pub name: String,
    /// Signing request, DER.
    #[serde(with = "base64_bytes")]
    pub request: Vec<u8>,
}

/// Sensor to hub: a fresh certificate, please.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewRequest {
    /// Signing request, DER.
    #[serde(with = "base64_bytes")]
    pub request: Vec<u8>,
}

/// Hub to sensor: your certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateReply {
    /// Certificate, DER.
    #[serde(with = "base64_bytes")]
    pub certificate: Vec<u8>,
    /// End of validity, seconds since 1970.
    pub not_after: i64,
    /// The hub's clock, nanoseconds since 1970.
    pub hub_time: i64,
}

/// One stream of a sensor and how far it got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StreamState {
    /// Which spool.
    pub epoch: Epoch,
    /// Last sequence number; 0 before the first.
    pub last_seq: u64,
}

/// Sensor to hub, opens the control stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the messages.
    pub protocol: u32,
    /// Version of the sensor program.
    pub version: String,
    /// The spool it will send from.
    pub stream: StreamState,
    /// The sensor's clock, nanoseconds since 1970.
    pub sensor_time: i64,
}

/// Hub to sensor, the first message of the control stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// Version of the messages that the hub chose.
    pub protocol: u32,
    /// Everything up to here is stored.
    pub watermark: u64,
    /// The hub's clock, nanoseconds since 1970.
    pub hub_time: i64,
}

/// Hub to sensor, on the control stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Control {
    /// First message.
    Welcome(Welcome),
    /// The policy the hub requests from now on.
    Policy {
        /// Counts up with each change of this sensor's policy.
        revision: u64,
        /// The request.
        request: Policy,
    },
    /// Many ask lures in the name of this network: nothing may be sent to it for so long.
    Mute {
        /// The network.
        network: Prefix,
        /// Seconds.
        seconds: u32,
    },
    /// The hub is stopping; come back after this long.
    Later {
        /// Milliseconds.
        retry_after_ms: u64,
    },
}

/// Why records were lost, and how many in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Loss {
    /// Why.
    pub reason: GapReason,
    /// Records in this stream.
    pub count: u64,
}

/// How the remark of a sensor begins that does not follow the newest request.
pub const REQUEST_REFUSED: &str = "request refused";

/// Sensor to hub: how it is, and which policy it obeys. Sent after each change and every few seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Version of the sensor program.
    pub version: String,
    /// Revision of the request that the policy in force answers.
    pub policy_revision: u64,
    /// Hash of the policy in force ([`policy_hash`]).
    pub policy_hash: String,
    /// The policy in force: the stricter of both hands.
    pub effective: Policy,
    /// What the policy in force leaves out of the request, and anything in the request that could not be honoured.
    pub remarks: Vec<String>,
    /// Which spool.
    pub epoch: Option<Epoch>,
    /// Records numbered so far.
    pub produced: u64,
    /// Losses declared so far.
    pub losses: Vec<Loss>,
    /// Last sequence number that the hub acknowledged.
    pub acknowledged: u64,
    /// Bytes in the spool.
    pub spool_bytes: u64,
    /// Where packets come from, for people.
    pub source: String,
    /// The source is read to its end (replays).
    pub source_ended: bool,
    /// Time of the newest packet, nanoseconds since 1970.
    pub newest: Option<i64>,
    /// The sensor's clock, nanoseconds since 1970.
    pub sensor_time: i64,
    /// Key exchange of the connection.
    pub key_exchange: String,
    /// Lures that run, as `telnet on 192.0.2.7:23`.
    #[serde(default)]
    pub lures: Vec<String>,
}

/// Stands before each batch: its place in the stream and what it leaves out.
///
/// `last_seq - first_seq + 1 = rows + sum of gap counts`, and `first_seq` follows the stored watermark directly; the
/// hub refuses anything else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BatchHead {
    /// Which spool.
    pub epoch: Epoch,
    /// First sequence number of the batch.
    pub first_seq: u64,
    /// Last one, inclusive.
    pub last_seq: u64,
    /// Which fixed schema its rows follow; [`SchemaId::NONE`] when it has no rows.
    pub schema: SchemaId,
    /// Rows in it.
    pub rows: u64,
    /// Records of the range that are lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

/// Most gap entries in one batch.
pub const GAPS_MAX: usize = 1024;

impl BatchHead {
    /// Whether rows and gaps account for every number of the range exactly.
    pub fn accounts(&self) -> bool {
        let Some(width) = self.last_seq.checked_sub(self.first_seq).and_then(|w| w.checked_add(1)) else {
            return false;
        };
        let inside = |g: &Gap| {
            g.first_seq >= self.first_seq
                && g.last_seq <= self.last_seq
                && g.count >= 1
                && g.width().is_some_and(|w| g.count <= w)
        };
        let lost = self.gaps.iter().try_fold(0u64, |sum, gap| sum.checked_add(gap.count));
        self.first_seq >= 1
            && width <= crate::BATCH_RECORDS_MAX
            && self.gaps.len() <= GAPS_MAX
            && self.gaps.iter().all(inside)
            && lost.and_then(|lost| lost.checked_add(self.rows)) == Some(width)
    }
}

/// Hub to sensor: what became of a batch. Sent only after the batch is durable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ack {
    /// Which spool.
    pub epoch: Epoch,
    /// First sequence number of the batch.
    pub first_seq: u64,
    /// Last one.
    pub last_seq: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Durable now.
    Stored,
    /// Durable before; this copy was dropped.
    Duplicate,
    /// Will never be stored; declare its rows as lost.
    Refused(Refusal),
}

/// Why the hub said no. The variant alone tells a sensor what to do: see [`Refusal::remedy`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Refusal {
    /// No client certificate.
    #[error("the hub wants a client certificate: enrol first")]
    NoCertificate,
    /// Nobody of that name.
    #[error("the hub does not know this sensor: enrol with a new token")]
    UnknownSensor,
    /// Revoked by the operator.
    #[error("the hub's operator has revoked this sensor")]
    Revoked,
    /// Token is not known.
    #[error("the token is not known to this hub: ask for a new line (noroshi fleet token NAME)")]
    TokenUnknown,
    /// Token was used with another key.
    #[error("the token has been used already: ask for a new line (noroshi fleet token NAME)")]
    TokenUsed,
    /// Token is too old.
    #[error("the token has expired (tokens live for one hour): ask for a new line (noroshi fleet token NAME)")]
    TokenExpired,
    /// Token is bound to another name.
    #[error("the token is for another sensor name: paste the line unchanged")]
    TokenName,
    /// Message versions do not meet.
    #[error("sensor speaks protocol {sensor}, hub speaks {oldest} to {newest}: update the older one")]
    Protocol {
        /// The sensor's.
        sensor: u32,
        /// The hub's oldest.
        oldest: u32,
        /// The hub's newest.
        newest: u32,
    },
    /// Not readable as the message it should be.
    #[error("malformed {what}")]
    Malformed {
        /// Which part.
        what: String,
    },
    /// Rows do not follow the schema, or do not decode.
    #[error("the batch does not fit: {what}")]
    Batch {
        /// What is wrong.
        what: String,
    },
    /// Larger than allowed.
    #[error("{what} is larger than {max} bytes")]
    TooLarge {
        /// Which part.
        what: String,
        /// The bound.
        max: u64,
    },
    /// Numbers do not follow the watermark.
    #[error("sequence {got} does not follow the stored {watermark}")]
    Order {
        /// What is stored.
        watermark: u64,
        /// What came.
        got: u64,
    },
    /// Rows and gaps do not account for the range.
    #[error("rows and declared gaps do not account for every sequence number")]
    Unaccounted,
    /// The same numbers with other content: two copies of one sensor are running.
    #[error("two sensors send the same stream (a copied disk or key): revoke one and enrol it again")]
    Forked,
    /// Cannot store right now.
    #[error("the hub cannot store at the moment ({what})")]
    Busy {
        /// Why.
        what: String,
        /// Milliseconds to wait at least.
        retry_after_ms: u64,
    },
    /// Something failed on the hub.
    #[error("the hub failed: {what}")]
    Internal {
        /// What, for its operator.
        what: String,
    },
}

/// What a sensor does about a [`Refusal`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// Keep everything and come back later.
    Retry,
    /// Declare the batch as lost and go on with the next.
    DropBatch,
    /// Attach again; the welcome tells where to go on.
    Reattach,
    /// A person must act; keep everything and ask again rarely.
    Wait,
}

impl Refusal {
    /// What the sensor does.
    pub fn remedy(&self) -> Remedy {
        use Refusal::*;
        match self {
            Busy { .. } | Internal { .. } => Remedy::Retry,
            Batch { .. } | TooLarge { .. } | Unaccounted | Malformed { .. } => Remedy::DropBatch,
            Order { .. } => Remedy::Reattach,
            NoCertificate | UnknownSensor | Revoked | Forked | Protocol { .. } => Remedy::Wait,
            TokenUnknown | TokenUsed | TokenExpired | TokenName => Remedy::Wait,
        }
    }

    fn grpc(&self) -> tonic::Code {
        use Refusal::*;
        match self {
            NoCertificate | UnknownSensor => tonic::Code::Unauthenticated,
            Revoked | TokenUnknown | TokenUsed | TokenExpired | TokenName => tonic::Code::PermissionDenied,
            Protocol { .. } | Forked | Order { .. } => tonic::Code::FailedPrecondition,
            Malformed { .. } | Batch { .. } | TooLarge { .. } | Unaccounted => tonic::Code::InvalidArgument,
            Busy { .. } => tonic::Code::Unavailable,
            Internal { .. } => tonic::Code::Internal,
        }
    }
}

impl From<Refusal> for tonic::Status {
    fn from(refusal: Refusal) -> Self {
        let details = serde_json::to_vec(&refusal).unwrap_or_default();
        tonic::Status::with_details(refusal.grpc(), refusal.to_string(), details.into())
    }
}

impl Refusal {
    /// The refusal inside a status, when the hub gave one.
    pub fn from_status(status: &tonic::Status) -> Option<Refusal> {
        serde_json::from_slice(status.details()).ok()
    }
}

/// Hash by which both sides name a policy: SHA-256 of its JSON form, first 16 hex digits.
pub fn policy_hash(policy: &Policy) -> String {
    use sha2::Digest;
    let json = serde_json::to_vec(policy).unwrap_or_default();
    sha2::Sha256::digest(&json).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(d)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(first_seq: u64, last_seq: u64, rows: u64, gaps: Vec<Gap>) -> BatchHead {
        BatchHead { epoch: Epoch([1; 16]), first_seq, last_seq, schema: SchemaId::PACKETS, rows, gaps }
    }

    #[test]
    fn every_number_is_accounted_for() {
        let gap = |first_seq, last_seq, count| Gap { first_seq, last_seq, count, reason: GapReason::Filter };
        assert!(head(1, 10, 10, vec![]).accounts());
        assert!(head(1, 10, 7, vec![gap(1, 10, 3)]).accounts());
        assert!(head(5, 5, 0, vec![gap(5, 5, 1)]).accounts());
        assert!(!head(1, 10, 9, vec![]).accounts());
        assert!(!head(0, 9, 10, vec![]).accounts());
        assert!(!head(10, 1, 0, vec![]).accounts());
        assert!(!head(1, 10, 7, vec![gap(1, 11, 3)]).accounts());
        assert!(!head(1, 10, 7, vec![gap(1, 2, 3)]).accounts());
        assert!(!head(1, u64::MAX, 1, vec![gap(1, u64::MAX, u64::MAX)]).accounts());
        assert!(!head(u64::MAX, u64::MAX, 1, vec![gap(u64::MAX, u64::MAX, u64::MAX)]).accounts());
    }

    #[test]
    fn refusals_travel_in_a_status() {
        let refusal = Refusal::Order { watermark: 7, got: 9 };
        let status: tonic::Status = refusal.clone().into();
        assert_eq!(Refusal::from_status(&status), Some(refusal));
        assert_eq!(Refusal::from_status(&tonic::Status::unknown("x")), None);
    }
}
