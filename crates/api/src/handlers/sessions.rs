//! Dialogues with honeypots, and files.

use super::{Paging, Reply};
use crate::backend::SessionFilter;
use crate::guard::Caller;
use crate::problem::Problem;
use crate::routes::Door;
use crate::views::{CauseView, Page, SampleView, SessionDetail, SessionView, asciicast};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

/// Longest search text, bytes.
const MAX_TEXT: usize = 200;

/// Which dialogues.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Text that must occur in a command, a login, a URL or a hash.
    pub text: Option<String>,
    /// Only from this source address.
    pub src: Option<String>,
}

/// Dialogues with honeypots, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", params(Wanted, Paging),
    responses((status = 200, body = Page<SessionView>), (status = 400, body = Problem)))]
pub async fn sessions(
    State(door): State<Door>,
    Caller(who): Caller,
    Query(wanted): Query<Wanted>,
    Query(paging): Query<Paging>,
) -> Reply<Json<Page<SessionView>>> {
    let text = wanted.text.unwrap_or_default();
    if text.len() > MAX_TEXT {
        return Err(Problem::bad(format!("text: at most {MAX_TEXT} bytes")));
    }
    let src = wanted.src.filter(|src| !src.is_empty()).map(|src| src.parse()).transpose();
    let src = src.map_err(|error| Problem::bad(format!("src: {error}")))?;
    let filter = SessionFilter { text: text.trim().to_owned(), src };
    Ok(Json(door.backend.sessions(&who.scope(), &filter, paging.slice()).await?))
}

/// One dialogue with all its steps.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", params(("id" = String, Path, description = "Stable id")),
    responses((status = 200, body = SessionDetail), (status = 404, body = Problem)))]
pub async fn session(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Reply<Json<SessionDetail>> {
    Ok(Json(door.backend.session(&who.scope(), &id).await?))
}

/// Which malware may be behind a dialogue: what it shares exactly with known samples.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/cause", params(("id" = String, Path, description = "Stable id")),
    responses((status = 200, body = CauseView), (status = 404, body = Problem)))]
pub async fn session_cause(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Reply<Json<CauseView>> {
    Ok(Json(door.backend.session_cause(&who.scope(), &id).await?))
}

/// One dialogue as a terminal recording, asciicast version 2.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/recording", params(("id" = String, Path, description = "Stable id")),
    responses((status = 200, content_type = "application/x-asciicast", body = String), (status = 404, body = Problem)))]
pub async fn recording(State(door): State<Door>, Caller(who): Caller, Path(id): Path<String>) -> Reply<Response> {
    let detail = door.backend.session(&who.scope(), &id).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-asciicast"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"session.cast\""),
    ];
    Ok((headers, asciicast(&detail)).into_response())
}

/// Files that were left or fetched in dialogues, most frequent first.
#[utoipa::path(get, path = "/api/v1/samples", params(Paging), responses((status = 200, body = Page<SampleView>)))]
pub async fn samples(
    State(door): State<Door>,
    Caller(who): Caller,
    Query(paging): Query<Paging>,
) -> Reply<Json<Page<SampleView>>> {
    Ok(Json(door.backend.samples(&who.scope(), paging.slice()).await?))
}
