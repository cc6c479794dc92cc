//! What partners and members tell us, and what they take: TAXII 2.1, `POST /api/v1/findings`, answers to warnings.
//!
//! | route | for whom |
//! |---|---|
//! | `GET /taxii2/`, `/noroshi/…` | who may see findings; the collections show what the caller's label allows |
//! | `POST`, `DELETE /noroshi/…` | partners: accounts that may see findings and are more than readers |
//! | `POST /api/v1/findings` | partners |
//! | `POST /api/v1/incidents/{id}/feedback` | the member whose incident it is, and operators |
//! | `GET`, `POST /answer/{ticket}`, `POST /api/v1/answers/{ticket}` | who holds the link of a message |
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
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use noroshi_model::Nanos;
pub use noroshi_share::answer::Verdict;
use noroshi_share::intake::PartnerFinding;
use noroshi_share::taxii;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use utoipa::ToSchema;

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
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Refused {
    /// Its place in the request, from 0.
    pub index: usize,
    /// Why.
    pub reason: String,
}

/// The body of an answer to a warning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// `true`, `false`, `already-known` or `mitigated`.
    #[schema(value_type = String)]
    pub verdict: Verdict,
    /// Since when it is dealt with [default: the present].
    #[schema(value_type = Option<String>)]
    pub at: Option<Nanos>,
}

/// What the form of an answer's page sends, as it came.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
pub struct Sent {
    /// A verdict's name.
    #[serde(default)]
    pub verdict: String,
    /// Minutes as a browser writes them, in universal time; empty for the present.
    #[serde(default)]
    pub at: String,
}

/// The page behind a message's link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerPage {
    /// What becomes of the request.
    pub kind: AnswerKind,
    /// The page.
    pub html: String,
}

/// What became of a request for an answer's page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerKind {
    /// Shown.
    Shown,
    /// The answer was kept; the page is to be asked for again.
    Kept,
    /// The answer does not fit; the page says why.
    Unfit,
    /// No ticket of ours.
    Foreign,
    /// Too old.
    Expired,
}

/// How good the warnings of one rule were, by what members said.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
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
    /// Of the right ones: known before the message came.
    pub known: u64,
    /// Right ones among those answered; none without answers.
    pub precision: Option<f64>,
    /// Median seconds from the message to being dealt with; none when nobody said so.
    pub mitigated_seconds: Option<f64>,
}

/// Announcements of attacks from their small tests, and what became of them, over everybody's addresses.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PrecursorScores {
    /// Announced.
    pub announced: u64,
    /// The attack came within a day.
    pub came: u64,
    /// It did not.
    pub stayed_away: u64,
    /// Likely enough, but over the day's number.
    pub held_back: u64,
    /// Those that came among those that are decided; none while none is.
    pub precision: Option<f64>,
    /// How often an attack followed a small event of any kind, announced or not.
    pub base_rate: Option<f64>,
    /// Median seconds from the announcement to the attack, of the latest thousand that came.
    pub median_lead_seconds: Option<f64>,
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
    /// The page behind a message's link, as HTML; with what was just sent in its form, which is kept when it fits.
    async fn answer_page(&self, ticket: &str, sent: Option<Sent>) -> Answered<AnswerPage>;
    /// Keeps what the holder of a ticket says; tells whom the ticket was for, and about which incident.
    async fn answer(&self, ticket: &str, said: Feedback) -> Answered<()>;
    /// How good announcements of attacks were.
    async fn precursors(&self, who: &Principal) -> Answered<PrecursorScores>;
    /// How good the rules are.
    async fn precision(&self, who: &Principal) -> Answered<Vec<RulePrecision>>;
}

/// The routes of TAXII with the right each needs; the others stand in [`crate::routes`]. Tests walk it.
pub const ROUTES: [(&str, &str, Right); 4] = [
    ("GET", "/taxii2/", Right::Findings),
    ("GET", "/noroshi/", Right::Findings),
    ("POST", "/noroshi/collections/intake/objects/", Right::Findings),
    ("DELETE", "/noroshi/collections/intake/objects/x/", Right::Findings),
];

/// The routes, each behind the guard.
pub(crate) fn table(door: &Door) -> Router<Door> {
    Router::new()
        .route("/taxii2/", get(taxii))
        .route("/noroshi/", get(taxii))
        .route("/noroshi/{*rest}", get(taxii).post(taxii).delete(taxii))
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
    let closed = || Problem::new(Code::NotFound, "This hub exchanges nothing.");
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
    let scheme = guard::scheme(door.settings.https, &host);
    let ask = TaxiiAsk {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        accept: text(&parts.headers, header::ACCEPT),
        content_type: text(&parts.headers, header::CONTENT_TYPE),
        base: format!("{scheme}://{host}"),
        body: body.into(),
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
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Push {
    #[schema(value_type = Vec<Object>)]
    findings: Vec<PartnerFinding>,
}

/// Takes findings of a partner's engine; those about members join their incidents.
#[utoipa::path(post, path = "/api/v1/findings", request_body = Push,
    responses((status = 200, body = PushAnswer), (status = 400, body = Problem)))]
pub async fn findings(State(door): State<Door>, Caller(who): Caller, request: Request) -> Reply<Json<PushAnswer>> {
    let too_large = || Problem::new(Code::TooLarge, format!("At most {FINDINGS_MAX} findings and {BODY_MAX} bytes."));
    let body = to_bytes(request.into_body(), BODY_MAX).await.map_err(|_| too_large())?;
    let push: Push = serde_json::from_slice(&body).map_err(|error| Problem::bad(format!("findings: {error}")))?;
    partner(&who)?;
    if push.findings.len() > FINDINGS_MAX {
        return Err(too_large());
    }
    Ok(Json(exchange(&door)?.push(&who, push.findings).await?))
}

/// What a member says about an incident of its own; operators may about any.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/feedback", params(("id" = String, Path, description = "Incident")),
    request_body = Feedback, responses((status = 204), (status = 404, body = Problem)))]
pub async fn feedback(
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

/// The same by the link of a message, for programs without an account: whoever holds the ticket may answer.
#[utoipa::path(post, path = "/api/v1/answers/{ticket}", params(("ticket" = String, Path, description = "From a message")),
    request_body = Feedback, responses((status = 204), (status = 404, body = Problem), (status = 410, body = Problem)),
    security(()))]
pub async fn answer(
    State(door): State<Door>,
    Path(ticket): Path<String>,
    Json(said): Json<Feedback>,
) -> Reply<StatusCode> {
    exchange(&door)?.answer(&ticket, said).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The page behind a message's link. Programs that look through mails follow links, so looking changes nothing.
#[utoipa::path(get, path = "/answer/{ticket}", params(("ticket" = String, Path, description = "From a message")),
    responses((status = 200, body = String, content_type = "text/html"), (status = 404), (status = 410)), security(()))]
pub async fn answer_page(State(door): State<Door>, Path(ticket): Path<String>) -> Reply<Response> {
    Ok(page(&ticket, exchange(&door)?.answer_page(&ticket, None).await?))
}

/// The page's form.
#[utoipa::path(post, path = "/answer/{ticket}", params(("ticket" = String, Path, description = "From a message")),
    responses((status = 303), (status = 404), (status = 410), (status = 422)), security(()))]
pub async fn send_answer(
    State(door): State<Door>,
    Path(ticket): Path<String>,
    Form(sent): Form<Sent>,
) -> Reply<Response> {
    Ok(page(&ticket, exchange(&door)?.answer_page(&ticket, Some(sent)).await?))
}

/// Only the page's own style applies and only to itself may its form go. Its own address is sent along with the form, so
/// that the guard sees where it came from; to nobody else.
static PAGE_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64.encode(Sha256::digest(noroshi_share::answer::STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

fn page(ticket: &str, page: AnswerPage) -> Response {
    let status = match page.kind {
        AnswerKind::Shown => StatusCode::OK,
        AnswerKind::Kept => return Redirect::to(&format!("/answer/{ticket}")).into_response(),
        AnswerKind::Unfit => StatusCode::UNPROCESSABLE_ENTITY,
        AnswerKind::Foreign => StatusCode::NOT_FOUND,
        AnswerKind::Expired => StatusCode::GONE,
    };
    let policy = HeaderValue::from_str(&PAGE_POLICY).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let mut response = (status, Html(page.html)).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// How good announcements of attacks were: each is scored when the attack comes or does not.
#[utoipa::path(get, path = "/api/v1/warnings/precursors", responses((status = 200, body = PrecursorScores)))]
pub async fn precursors(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<PrecursorScores>> {
    Ok(Json(exchange(&door)?.precursors(&who).await?))
}

/// How good the rules are, by what members said.
#[utoipa::path(get, path = "/api/v1/warnings/precision", responses((status = 200, body = Vec<RulePrecision>)))]
pub async fn precision(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<Vec<RulePrecision>>> {
    Ok(Json(exchange(&door)?.precision(&who).await?))
}
