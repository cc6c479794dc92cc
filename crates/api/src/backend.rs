//! What the routes need from the rest of the house. `hub` implements it over journal and lake; [`crate::memory`] over
//! packets and a report in memory.
//!
//! Every method that returns data takes the caller's [`Scope`] and must apply it: the trait is the one place where rows
//! are let through.

use crate::filter::Expr;
use crate::live::Live;
use crate::query::{Answer, Query};
use crate::scope::Scope;
use crate::views::{
    AttackView, CampaignView, CauseView, Enrolment, Known, MemberView, MessageView, NowView, OutlookView, PacketView,
    Page, Policy, PolicyPreview, PolicyRevision, RulePreview, RuleTrial, SampleView, ScanView, SensorView,
    SessionDetail, SessionView, SurgeView, WarningView,
};
use async_trait::async_trait;
use noroshi_model::Nanos;
use std::sync::Arc;

/// Why the house behind the API did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BackendError {
    /// There is no such thing, or the scope hides it: the caller cannot tell which.
    #[error("there is no {0} that you may see")]
    NotFound(&'static str),
    /// The scope does not reach that far.
    #[error("{0}")]
    NotAllowed(String),
    /// The request does not fit; the text says what would.
    #[error("{0}")]
    Refused(String),
    /// It exists already.
    #[error("{0}")]
    Conflict(String),
    /// It was there, and is no longer to be had.
    #[error("{0}")]
    Gone(String),
    /// More is asked at the moment than the house answers at once.
    #[error("too much is asked at the moment")]
    Busy {
        /// Seconds until a new try makes sense.
        again_seconds: u64,
    },
    /// A part failed. The text goes to the log; the caller is told that the part is unavailable.
    #[error("{part} is unavailable: {cause}")]
    Unavailable {
        /// Which part.
        part: &'static str,
        /// What happened.
        cause: String,
    },
}

/// Result of a backend method.
pub type Answered<T> = Result<T, BackendError>;

/// A slice of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Items to skip.
    pub skip: usize,
    /// Items to return.
    pub take: usize,
}

/// What packets to return.
#[derive(Clone, Debug, PartialEq)]
pub struct PacketQuery {
    /// Which.
    pub filter: Option<Expr>,
    /// Start, inclusive.
    pub from: Nanos,
    /// End, exclusive.
    pub to: Nanos,
    /// At most so many, newest first.
    pub take: usize,
}

/// The house behind the API.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Nanos;
    /// Whether what is shown is a replayed sample and not the present.
    fn sample(&self) -> bool;
    /// The live feed.
    fn live(&self) -> Arc<Live>;

    /// Figures of the first page.
    async fn overview(&self, scope: &Scope) -> Answered<NowView>;
    /// Statistics.
    async fn explore(&self, scope: &Scope, query: &Query) -> Answered<Answer>;
    /// Single packets.
    async fn packets(&self, scope: &Scope, query: &PacketQuery) -> Answered<Page<PacketView>>;

    /// Attacks, newest first.
    async fn attacks(&self, scope: &Scope, slice: Slice) -> Answered<Page<AttackView>>;
    /// One attack.
    async fn attack(&self, scope: &Scope, id: &str) -> Answered<AttackView>;
    /// Campaigns, largest first; members cut to ten.
    async fn campaigns(&self, scope: &Scope, slice: Slice) -> Answered<Page<CampaignView>>;
    /// One campaign with all members.
    async fn campaign(&self, scope: &Scope, id: &str) -> Answered<CampaignView>;
    /// Which malware may be behind a campaign.
    async fn campaign_cause(&self, scope: &Scope, id: &str) -> Answered<CauseView>;
    /// Which malware may be behind a dialogue.
    async fn session_cause(&self, scope: &Scope, id: &str) -> Answered<CauseView>;
    /// Scans, largest first.
    async fn scans(&self, scope: &Scope, slice: Slice) -> Answered<Page<ScanView>>;
    /// Everything known about a value.
    async fn lookup(&self, scope: &Scope, value: &str) -> Answered<Known>;

    /// Sensors by name.
    async fn sensors(&self, scope: &Scope) -> Answered<Page<SensorView>>;
    /// One sensor.
    async fn sensor(&self, scope: &Scope, name: &str) -> Answered<SensorView>;
    /// Changes what the hub requests of a sensor.
    async fn set_policy(&self, scope: &Scope, name: &str, policy: Policy) -> Answered<SensorView>;
    /// What a policy would do to one real record.
    async fn preview_policy(&self, scope: &Scope, name: &str, policy: &Policy) -> Answered<PolicyPreview>;
    /// What was requested of a sensor so far, newest first.
    async fn policies(&self, scope: &Scope, name: &str) -> Answered<Page<PolicyRevision>>;
    /// Requests an earlier policy again.
    async fn roll_back(&self, scope: &Scope, name: &str, revision: u64) -> Answered<SensorView>;
    /// Says where a sensor stands: longitude and latitude in degrees.
    async fn place(&self, scope: &Scope, name: &str, place: [f64; 2]) -> Answered<SensorView>;
    /// Makes a one-time enrolment token for a new sensor.
    async fn add_sensor(&self, scope: &Scope, name: &str) -> Answered<Enrolment>;
    /// Cuts a sensor off for good.
    async fn revoke_sensor(&self, scope: &Scope, name: &str) -> Answered<()>;
    /// Removes everything that came from the replayed sample.
    async fn remove_sample(&self, scope: &Scope) -> Answered<()>;

    /// Dialogues with honeypots, newest first.
    async fn sessions(&self, scope: &Scope, filter: &SessionFilter, slice: Slice) -> Answered<Page<SessionView>>;
    /// One dialogue with all its steps.
    async fn session(&self, scope: &Scope, id: &str) -> Answered<SessionDetail>;
    /// Files that were seen, most frequent first.
    async fn samples(&self, scope: &Scope, slice: Slice) -> Answered<Page<SampleView>>;
    /// Unusual rises, newest first.
    async fn surges(&self, scope: &Scope) -> Answered<Page<SurgeView>>;
    /// What is expected next, and how good such forecasts were.
    async fn outlook(&self, scope: &Scope) -> Answered<Page<OutlookView>>;

    /// How warning goes.
    async fn warning(&self, scope: &Scope) -> Answered<WarningView>;
    /// Messages, newest first.
    async fn messages(&self, scope: &Scope, slice: Slice) -> Answered<Page<MessageView>>;
    /// What a rule would have done.
    async fn try_rule(&self, scope: &Scope, rule: &RuleTrial) -> Answered<RulePreview>;
    /// Organisations that are warned.
    async fn members(&self, scope: &Scope) -> Answered<Page<MemberView>>;
}

/// Which dialogues.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionFilter {
    /// Words that must occur in a command, a login, a URL or a hash.
    pub text: String,
    /// Only from this source.
    pub src: Option<noroshi_model::Addr>,
}
