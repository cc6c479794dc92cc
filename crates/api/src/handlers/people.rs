//! People, API tokens, audit log.

use super::{Paging, Reply};
use crate::guard::Caller;
use crate::people::{AuditEntry, PersonView, TokenView, first_broken};
use crate::problem::{Code, Problem};
use crate::routes::Door;
use crate::scope::{Right, Role};
use crate::views::Page;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A person to be invited.
#[derive(Deserialize, ToSchema)]
pub struct Invite {
    /// Account name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Organisation.
    pub organisation: String,
    /// Prefixes of the organisation; a member is shown what concerns them.
    #[serde(default)]
    pub prefixes: Vec<String>,
}

/// The one-time link for an invited person, shown once.
#[derive(Serialize, ToSchema)]
pub struct Invited {
    /// Path of the link, to be put behind the portal's address.
    pub path: String,
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
pub struct NewToken {
    /// What it is for.
    pub label: String,
    /// What it may do, at most.
    pub rights: Vec<Right>,
    /// Days until it ends, at most 366.
    pub days: u32,
}

/// A token that was made. The secret is never shown again.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    /// The secret, to be sent as `Authorization: Bearer …`.
    pub secret: String,
    /// The token.
    pub token: TokenView,
}

fn whole<T>(items: Vec<T>) -> Json<Page<T>> {
    Json(Page { total: items.len() as u64, items, complete: true, notes: Vec::new() })
}

/// All accounts.
#[utoipa::path(get, path = "/api/v1/people", responses((status = 200, body = Page<PersonView>)))]
pub async fn list(State(door): State<Door>, Caller(_who): Caller) -> Reply<Json<Page<PersonView>>> {
    Ok(whole(door.people.list().await?))
}

/// Invites somebody and returns the one-time link.
#[utoipa::path(post, path = "/api/v1/people", request_body = Invite,
    responses((status = 200, body = Invited), (status = 409, body = Problem)))]
pub async fn invite(State(door): State<Door>, Caller(who): Caller, Json(body): Json<Invite>) -> Reply<Json<Invited>> {
    if body.organisation.is_empty() || body.organisation.len() > 100 || body.prefixes.len() > 1000 {
        return Err(Problem::bad("organisation: 1 to 100 characters; prefixes: at most 1000"));
    }
    let prefixes = body.prefixes.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>();
    let prefixes = prefixes.map_err(|error| Problem::bad(format!("prefixes: {error}")))?;
    let now = door.backend.now();
    let link = door.people.invite(now, &who.name, &body.name, body.role, &body.organisation, prefixes).await?;
    Ok(Json(Invited { path: link_path(&link) }))
}

/// Path of a one-time link. The secret stands behind `#`, so that it is in no server's log.
pub fn link_path(secret: &str) -> String {
    format!("/welcome#{secret}")
}

/// Removes an account with its sessions and tokens.
#[utoipa::path(delete, path = "/api/v1/people/{name}", params(("name" = String, Path, description = "Account name")),
    responses((status = 204)))]
pub async fn remove(State(door): State<Door>, Caller(who): Caller, Path(name): Path<String>) -> Reply<StatusCode> {
    door.people.remove(door.backend.now(), &who.name, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's API tokens.
#[utoipa::path(get, path = "/api/v1/tokens", responses((status = 200, body = Page<TokenView>)))]
pub async fn tokens(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<Page<TokenView>>> {
    Ok(whole(door.people.tokens(&who.name).await?))
}

/// Makes an API token for the caller.
#[utoipa::path(post, path = "/api/v1/tokens", request_body = NewToken, responses((status = 200, body = MadeToken)))]
pub async fn make_token(
    State(door): State<Door>,
    Caller(who): Caller,
    Json(body): Json<NewToken>,
) -> Reply<Json<MadeToken>> {
    if matches!(who.via, crate::scope::Via::Token { .. }) {
        return Err(Problem::new(Code::NotAllowed, "A token cannot make tokens. Sign in."));
    }
    let made = door.people.make_token(door.backend.now(), &who, &body.label, body.rights, body.days).await?;
    Ok(Json(MadeToken { secret: made.0, token: made.1 }))
}

/// Revokes one of the caller's tokens.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", params(("id" = String, Path, description = "Token id")),
    responses((status = 204)))]
pub async fn revoke_token(State(door): State<Door>, Caller(who): Caller, Path(id): Path<String>) -> Reply<StatusCode> {
    door.people.revoke_token(door.backend.now(), &who.name, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The audit log, newest first. `complete` is false when the chain of hashes is broken.
#[utoipa::path(get, path = "/api/v1/audit", params(Paging), responses((status = 200, body = Page<AuditEntry>)))]
pub async fn audit(
    State(door): State<Door>,
    Caller(_who): Caller,
    Query(paging): Query<Paging>,
) -> Reply<Json<Page<AuditEntry>>> {
    let entries = door.people.audit.entries().await.map_err(crate::people::PeopleError::from)?;
    let broken = first_broken(&entries);
    let slice = paging.slice();
    Ok(Json(Page {
        total: entries.len() as u64,
        items: entries.into_iter().rev().skip(slice.skip).take(slice.take).collect(),
        complete: broken.is_none(),
        notes: broken.map(|number| format!("the chain is broken at entry {number}")).into_iter().collect(),
    }))
}
