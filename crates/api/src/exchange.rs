//! What partners and members tell us, and what they take: TAXII 2.1, `POST /api/v1/findings`, answers to warnings.
//!
//! | route | for whom |
//! |---|---|
//! | `GET /taxii2/`, `/noroshi/…` | who may see findings; the collections show what the caller's label allows |
//! | `POST`, `DELETE /noroshi/…` | partners: accounts that may see findings and are more than readers |
//! | `POST /api/v1/findings` | partners |
//! | `POST /api/v1/incidents/{id}/feedback` | the member whose incident it is, and operators |
//! | `GET /api/v1/warnings/precision` | who may see findings |
//!
//! TAXII clients send HTTP Basic: the account's name and one of its API tokens.

use crate::backend::{Answered, BackendError};
use crate::guard::{self, Caller};
use crate::handlers::Reply;
use crate::problem::{Code, Problem};
use crate::routes::Door;
use crate::scope::{Principal, Right, Role};
use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use noroshi_model::Nanos;
use noroshi_share::intake::PartnerFinding;
use noroshi_share::taxii;
use serde::{Deserialize, Serialize};

/// Largest body that partners may send, bytes.
const BODY_MAX: usize = taxii::CONTENT_MAX;
/// Findings in one request.
const FINDINGS_MAX: usize = 10_000;

/// A TAXII request, as it came.
#[derive(Clone, Debug)]
pub struct TaxiiAsk {
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// After the question mark.
    pub query: String,
    /// Header Accept.
    pub accept: Option<String>,
    /// Header Content-Type.
    pub content_type: Option<String>,
    /// Address of this server as the caller knows it.
    pub base: String,
    /// Body.
    pub body: Vec<u8>,
}

/// What became of findings that a partner pushed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PushAnswer {
    /// Taken in, or a correction of what was known.
    pub taken: u64,
    /// Known already, in this version or a later one.
    pub duplicates: u64,
    /// About nobody who is warned here.
    pub about_nobody: u64,
    /// No longer valid when they came.
    pub expired: u64,
    /// Which are refused, and why.
    pub refused: Vec<Refused>,
}

/// One finding that is refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Its place in the request, from 0.
    pub index: usize,
    /// Why.
    pub reason: String,
}

/// What a member says about a warning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was so.
    True,
    /// It was not.
    False,
    /// It was so, and known before.
    AlreadyKnown,
    /// It is dealt with.
    Mitigated,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Verdict; 4] = [Verdict::True, Verdict::False, Verdict::AlreadyKnown, Verdict::Mitigated];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::True => "true",
            Verdict::False => "false",
            Verdict::AlreadyKnown => "already-known",
            Verdict::Mitigated => "mitigated",
        }
    }
}

/// The body of an answer to a warning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// What is said.
    pub verdict: Verdict,
    /// Since when it is dealt with [default: the present].
    pub at: Option<Nanos>,
}

/// How good the warnings of one rule were, by what members said.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RulePrecision {
    /// The rule.
    pub rule: String,
    /// Incidents that it told of.
    pub told: u64,
    /// Incidents that somebody answered about.
    pub answered: u64,
    /// Said to be true, known before, or dealt with.
    pub right: u64,
    /// Said to be false.
    pub wrong: u64,
    /// Right ones among those answered; none without answers.
    pub precision: Option<f64>,
    /// Median seconds from the message to being dealt with; none when nobody said so.
    pub mitigated_seconds: Option<f64>,
}

/// What the house does with all this.
#[async_trait]
pub trait Exchange: Send + Sync + 'static {
    /// Answers a TAXII request.
    async fn taxii(&self, who: &Principal, ask: TaxiiAsk) -> taxii::Response;
    /// Takes findings of a partner.
    async fn push(&self, who: &Principal, findings: Vec<PartnerFinding>) -> Answered<PushAnswer>;
    /// Keeps what a member says about an incident of its own.
    async fn feedback(&self, who: &Principal, incident: &str, said: Feedback) -> Answered<()>;
    /// How good the rules are.
    async fn precision(&self, who: &Principal) -> Answered<Vec<RulePrecision>>;
}

/// The routes of this module with the right each needs. Tests walk it.
pub const ROUTES: [(&str, &str, Right); 7] = [
    ("GET", "/taxii2/", Right::Findings),
    ("GET", "/noroshi/", Right::Findings),
    ("POST", "/noroshi/collections/intake/objects/", Right::Findings),
    ("DELETE", "/noroshi/collections/intake/objects/x/", Right::Findings),
    ("POST", "/api/v1/findings", Right::Findings),
    ("POST", "/api/v1/incidents/x/feedback", Right::Findings),
    ("GET", "/api/v1/warnings/precision", Right::Findings),
];

/// The routes, each behind the guard.
pub(crate) fn table(door: &Door) -> Router<Door> {
    Router::new()
        .route("/taxii2/", get(taxii))
        .route("/noroshi/", get(taxii))
        .route("/noroshi/{*rest}", get(taxii).post(taxii).delete(taxii))
        .route("/api/v1/findings", post(findings))
        .route("/api/v1/incidents/{id}/feedback", post(feedback))
        .route("/api/v1/warnings/precision", get(precision))
        .route_layer(from_fn_with_state((door.clone(), Right::Findings), guard::check))
        .route_layer(from_fn(challenge))
}

/// Programs that were not let in hear how to ask (RFC 9110, section 11.6.1).
async fn challenge(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        let ways = HeaderValue::from_static("Basic realm=\"noroshi\", Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ways);
    }
    response
}

fn exchange(door: &Door) -> Result<&dyn Exchange, Problem> {
    let closed = || Problem::new(Code::Unavailable, "This hub exchanges nothing.");
    door.exchange.as_deref().ok_or_else(closed)
}

/// Who is more than a reader may tell us something.
fn partner(who: &Principal) -> Result<(), Problem> {
    match who.role {
        Role::Administrator | Role::Analyst | Role::Member => Ok(()),
        Role::Reader | Role::SensorHost => Err(Problem::new(Code::NotAllowed, "A reader takes and does not give.")),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

async fn taxii(State(door): State<Door>, Caller(who): Caller, request: Request) -> Response {
    let house = match exchange(&door) {
        Ok(house) => house,
        Err(problem) => return problem.into_response(),
    };
    let (parts, body) = request.into_parts();
    if parts.method != axum::http::Method::GET
        && let Err(problem) = partner(&who)
    {
        return problem.into_response();
    }
    let Ok(body) = to_bytes(body, BODY_MAX + 1).await else {
        return Problem::new(Code::TooLarge, format!("At most {BODY_MAX} bytes.")).into_response();
    };
    let host = text(&parts.headers, header::HOST).unwrap_or_default();
    let scheme = if door.settings.https { "https" } else { "http" };
    let ask = TaxiiAsk {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        accept: text(&parts.headers, header::ACCEPT),
        content_type: text(&parts.headers, header::CONTENT_TYPE),
        base: format!("{scheme}://{host}"),
        body: body.to_vec(),
    };
    let answer = house.taxii(&who, ask).await;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The body of `POST /api/v1/findings`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Push {
    findings: Vec<PartnerFinding>,
}

async fn findings(State(door): State<Door>, Caller(who): Caller, request: Request) -> Reply<Json<PushAnswer>> {
    partner(&who)?;
    let too_large = || Problem::new(Code::TooLarge, format!("At most {FINDINGS_MAX} findings and {BODY_MAX} bytes."));
    let body = to_bytes(request.into_body(), BODY_MAX).await.map_err(|_| too_large())?;
    let push: Push = serde_json::from_slice(&body).map_err(|error| Problem::bad(format!("findings: {error}")))?;
    if push.findings.len() > FINDINGS_MAX {
        return Err(too_large());
    }
    Ok(Json(exchange(&door)?.push(&who, push.findings).await?))
}

async fn feedback(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(incident): Path<String>,
    Json(said): Json<Feedback>,
) -> Reply<StatusCode> {
    partner(&who)?;
    let now = door.backend.now();
    let noted = door.people.audit.append(now, &who.name, "feedback", &incident).await;
    noted.map_err(|error| BackendError::Unavailable { part: "audit log", cause: error.to_string() })?;
    exchange(&door)?.feedback(&who, &incident, said).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn precision(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<Vec<RulePrecision>>> {
    Ok(Json(exchange(&door)?.precision(&who).await?))
}
