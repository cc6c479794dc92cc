//! The one authorisation point: who asks, whether the route is open to them, and whether the request really comes from
//! our own page.

use crate::people::{PeopleError, same};
use crate::problem::{Code, Problem};
use crate::routes::{Door, LOCAL};
use crate::scope::{Principal, Right, Via};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::net::SocketAddr;

/// Header that repeats the session's token on state changes.
pub const CSRF_HEADER: &str = "x-noroshi-csrf";

/// Name of the session cookie. The prefix makes browsers refuse it unless it is secure and for this host alone.
pub fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-noroshi" } else { "noroshi" }
}

/// The caller of a route, proven by [`check`].
pub struct Caller(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Principal>().cloned().map(Caller).ok_or_else(not_signed_in)
    }
}

/// Where a request came from, for limits and the log.
pub struct Source(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Source {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Source(peer.map_or_else(|| "local".to_owned(), |ConnectInfo(addr)| addr.ip().to_string())))
    }
}

fn not_signed_in() -> Problem {
    Problem::new(Code::NotSignedIn, "Sign in, or send an API token as \"Authorization: Bearer …\".")
}

/// Lets a request through to a route that needs `right`, or says why not.
pub async fn check(State((door, right)): State<(Door, Right)>, mut request: Request, next: Next) -> Response {
    match admit(&door, right, request.method().clone(), request.headers().clone()).await {
        Ok(principal) => {
            principal.map(|principal| request.extensions_mut().insert(principal));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Takes copies, because a request's body cannot be shared between threads while accounts are read.
async fn admit(door: &Door, right: Right, method: Method, headers: HeaderMap) -> Result<Option<Principal>, Problem> {
    let changes = !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
    let headers = &headers;
    if right == Right::Anyone {
        if changes {
            own_origin(headers, door.settings.https, false)?;
        }
        return Ok(None);
    }
    let principal = identify(door, headers).await?.ok_or_else(not_signed_in)?;
    if let Via::Session { csrf, .. } = &principal.via
        && changes
    {
        own_origin(headers, door.settings.https, true)?;
        let sent = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !same(sent, csrf) {
            return Err(Problem::new(
                Code::ForeignOrigin,
                "The request lacks the token of its session. Reload the page.",
            ));
        }
    }
    if principal.has(right) {
        return Ok(Some(principal));
    }
    Err(Problem::new(Code::NotAllowed, format!("Your role does not include this right: {right:?}.")))
}

async fn identify(door: &Door, headers: &HeaderMap) -> Result<Option<Principal>, Problem> {
    let now = door.backend.now();
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let found = match bearer {
        // A request that shows a token is judged by the token alone; a cookie beside it never helps.
        Some(text) => match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => door.people.by_token(now, token).await,
            // TAXII clients know Basic (RFC 7617): the account's name, and a token where others have a password.
            Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => match basic(pair) {
                Some((name, token)) => {
                    let found = door.people.by_token(now, &token).await;
                    found.map(|found| found.filter(|who| who.name == name))
                }
                None => Ok(None),
            },
            _ => Ok(None),
        },
        None => match cookie(headers, cookie_name(door.settings.https)) {
            Some(cookie) => door.people.by_cookie(now, cookie).await,
            None => Ok(None),
        },
    };
    found.map_err(Problem::from)
}

fn basic(pair: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64.decode(pair).ok()?).ok()?;
    let (name, token) = text.split_once(':')?;
    Some((name.to_owned(), token.to_owned()))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// A browser tells which page sent a request; it must be ours. Programs tell nothing, which is enough only where no
/// cookie is involved.
fn own_origin(headers: &HeaderMap, https: bool, required: bool) -> Result<(), Problem> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = || Problem::new(Code::ForeignOrigin, "The request comes from another site.");
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => {
            if origin == format!("{}://{host}", scheme(https, host)) {
                Ok(())
            } else {
                Err(foreign())
            }
        }
        (Some(_), None) => Err(foreign()),
        (None, _) if required => Err(foreign()),
        (None, _) => Ok(()),
    }
}

/// How a host is reached: by its public name through a proxy that speaks https, if people do so at all; by the names
/// that every machine has for itself without one.
pub(crate) fn scheme(https: bool, host: &str) -> &'static str {
    let local = LOCAL.iter().any(|name| name.eq_ignore_ascii_case(without_port(host)));
    if https && !local { "https" } else { "http" }
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(at) if !host.ends_with(']') => &host[..at],
        _ => host,
    }
}

/// Refuses requests for a host name that is not ours.
pub async fn known_host(State(door): State<Door>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str())).unwrap_or_default();
    let name = without_port(host);
    if door.settings.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return next.run(request).await;
    }
    Problem::new(Code::ForeignOrigin, "This name is not one of the hub's. Set its public name in the configuration.")
        .into_response()
}

/// Errors that the framework makes (bad JSON, wrong method, body too large) in the same form as ours.
pub async fn plain_errors(request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let response = next.run(request).await;
    let status = response.status();
    let ours = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"));
    if !api || ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let detail = match String::from_utf8_lossy(&text).trim() {
        "" => status.canonical_reason().unwrap_or("refused").to_owned(),
        text => text.to_owned(),
    };
    let code = if status.is_server_error() { Code::Unavailable } else { Code::BadRequest };
    let mut problem = Problem::new(code, detail);
    problem.status = status.as_u16();
    let mut response = problem.into_response();
    *response.status_mut() = status;
    // Headers such as `Allow` tell the caller what would work.
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    response.headers_mut().extend(parts.headers);
    response
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        let code = match &error {
            PeopleError::WrongCredentials => Code::WrongCredentials,
            PeopleError::CodeNeeded => Code::CodeNeeded,
            PeopleError::Wait(_) => Code::TooManyTries,
            PeopleError::LinkSpent => Code::LinkSpent,
            PeopleError::Refused(_) => Code::BadRequest,
            PeopleError::Exists(_) => Code::Conflict,
            PeopleError::Missing(_) => Code::NotFound,
            PeopleError::Records(cause) => {
                tracing::error!(%cause, "records of people failed");
                return Problem::new(Code::Unavailable, "Accounts are unavailable; nothing was changed. Try again.");
            }
        };
        let mut problem = Problem::new(code, error.to_string());
        if let PeopleError::Wait(seconds) = error {
            problem.retry_after_seconds = Some(seconds);
        }
        problem
    }
}
