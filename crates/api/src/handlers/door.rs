//! Coming in and going out: one-time link, login, session, the API's own description.

use super::Reply;
use crate::guard::{Caller, Source, cookie_name};
use crate::people::{Opened, SESSION_SECONDS, Secrets};
use crate::problem::{Code, Problem};
use crate::routes::Door;
use crate::scope::{Principal, Right, Via};
use crate::views::{About, Me};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A name and a password.
#[derive(Deserialize, ToSchema)]
pub struct Credentials {
    /// Account name.
    pub name: String,
    /// Password.
    pub password: String,
    /// Code of the second factor, where the account has one.
    #[serde(default)]
    pub code: String,
}

/// A code of a second factor.
#[derive(Deserialize, ToSchema)]
pub struct FactorCode {
    /// Six digits.
    pub code: String,
}

/// A second factor to be confirmed.
#[derive(Serialize, ToSchema)]
pub struct Offered {
    /// What an authenticator app reads, as text or as a picture.
    pub uri: String,
}

/// What a one-time link needs.
#[derive(Deserialize, ToSchema)]
pub struct Welcome {
    /// The secret of the link.
    pub link: String,
    /// Name of the new account; ignored when the link is an invitation.
    #[serde(default)]
    pub name: String,
    /// Password of the account.
    pub password: String,
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses((status = 200, description = "OpenAPI 3.1")), security(()))]
pub async fn openapi_json() -> Response {
    Json(super::openapi()).into_response()
}

/// Version, and whether the first administrator is still to be made.
#[utoipa::path(get, path = "/api/v1/about", responses((status = 200, body = About)), security(()))]
pub async fn about(State(door): State<Door>) -> Reply<Json<About>> {
    Ok(Json(About {
        name: "noroshi".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        setup_needed: door.people.setup_needed().await?,
    }))
}

/// Uses a one-time link: makes the first administrator, or takes up an invitation. Opens a session.
#[utoipa::path(post, path = "/api/v1/welcome", request_body = Welcome,
    responses((status = 200, body = Me), (status = 410, body = Problem)), security(()))]
pub async fn welcome(State(door): State<Door>, Json(body): Json<Welcome>) -> Reply<Response> {
    let opened = door.people.welcome(door.backend.now(), &body.link, &body.name, &body.password).await?;
    signed_in(&door, opened).await
}

/// Opens a session. The cookie cannot be read by scripts and is not sent to other sites.
#[utoipa::path(post, path = "/api/v1/login", request_body = Credentials,
    responses((status = 200, body = Me), (status = 401, body = Problem), (status = 429, body = Problem)),
    security(()))]
pub async fn login(State(door): State<Door>, Source(source): Source, Json(body): Json<Credentials>) -> Reply<Response> {
    let secrets = Secrets { password: &body.password, code: &body.code };
    let opened = door.people.login(door.backend.now(), &source, &body.name, secrets).await?;
    signed_in(&door, opened).await
}

fn in_person(who: &Principal) -> Reply<()> {
    match who.via {
        Via::Session { .. } => Ok(()),
        Via::Token { .. } => Err(Problem::new(Code::NotAllowed, "A token cannot change how its owner signs in.")),
    }
}

/// Offers a second factor: time-based codes of an authenticator app. It counts once a code was confirmed.
#[utoipa::path(post, path = "/api/v1/me/second-factor",
    responses((status = 200, body = Offered), (status = 409, body = Problem)))]
pub async fn offer_factor(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<Offered>> {
    in_person(&who)?;
    Ok(Json(Offered { uri: door.people.offer_factor(door.backend.now(), &who.name).await? }))
}

/// Confirms the offered second factor with its first code.
#[utoipa::path(put, path = "/api/v1/me/second-factor", request_body = FactorCode,
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn confirm_factor(
    State(door): State<Door>,
    Caller(who): Caller,
    Json(body): Json<FactorCode>,
) -> Reply<StatusCode> {
    in_person(&who)?;
    door.people.settle_factor(door.backend.now(), &who.name, &body.code, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the second factor up, with a code of it.
#[utoipa::path(delete, path = "/api/v1/me/second-factor", request_body = FactorCode,
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn remove_factor(
    State(door): State<Door>,
    Caller(who): Caller,
    Json(body): Json<FactorCode>,
) -> Reply<StatusCode> {
    in_person(&who)?;
    door.people.settle_factor(door.backend.now(), &who.name, &body.code, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn signed_in(door: &Door, opened: Opened) -> Reply<Response> {
    let mut response = Json(me_of(door, &opened.principal).await?).into_response();
    response.headers_mut().insert(header::SET_COOKIE, set_cookie(door, &opened.cookie, SESSION_SECONDS)?);
    Ok(response)
}

fn set_cookie(door: &Door, value: &str, seconds: i64) -> Reply<HeaderValue> {
    let https = door.settings.https;
    let secure = if https { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}", cookie_name(https));
    HeaderValue::from_str(&text).map_err(|_| Problem::bad("the session cannot be written as a cookie"))
}

async fn me_of(door: &Door, principal: &Principal) -> Reply<Me> {
    Ok(Me {
        name: principal.name.clone(),
        role: principal.role,
        organisation: principal.organisation.clone(),
        rights: Right::ALL.into_iter().filter(|right| principal.has(*right)).collect(),
        csrf: match &principal.via {
            Via::Session { csrf, .. } => csrf.clone(),
            Via::Token { .. } => String::new(),
        },
        sample: door.backend.sample(),
        second_factor: door.people.has_factor(&principal.name).await?,
    })
}

/// Who is signed in, and what they may do.
#[utoipa::path(get, path = "/api/v1/me", responses((status = 200, body = Me), (status = 401, body = Problem)))]
pub async fn me(State(door): State<Door>, Caller(principal): Caller) -> Reply<Json<Me>> {
    Ok(Json(me_of(&door, &principal).await?))
}

/// Ends the session.
#[utoipa::path(post, path = "/api/v1/logout", responses((status = 204)))]
pub async fn logout(State(door): State<Door>, Caller(principal): Caller) -> Reply<Response> {
    door.people.logout(door.backend.now(), &principal).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::SET_COOKIE, set_cookie(&door, "", 0)?);
    Ok(response)
}

/// Browsers report here what the content security policy stopped. A report is a sign of an attack or a fault.
#[utoipa::path(post, path = "/api/v1/csp-report", request_body(content = String, content_type = "application/csp-report"),
    responses((status = 204)), security(()))]
pub async fn csp_report(headers: HeaderMap, body: Bytes) -> StatusCode {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Debug form: a report is foreign text and must not write control characters into the log.
    let start = String::from_utf8_lossy(&body[..body.len().min(1000)]).into_owned();
    tracing::warn!(kind = ?kind, report = ?start, "a page tried what its policy forbids");
    StatusCode::NO_CONTENT
}
