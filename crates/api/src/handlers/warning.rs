//! Who is told what.

use super::{Paging, Reply};
use crate::guard::Caller;
use crate::problem::Problem;
use crate::routes::Door;
use crate::views::{MemberView, MessageView, Page, RulePreview, RuleTrial, WarningView};
use axum::Json;
use axum::extract::{Query, State};

/// How warning goes: rules, and messages by what became of them.
#[utoipa::path(get, path = "/api/v1/warning", responses((status = 200, body = WarningView)))]
pub async fn warning(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<WarningView>> {
    Ok(Json(door.backend.warning(&who.scope()).await?))
}

/// Messages, newest first. A member sees its own.
#[utoipa::path(get, path = "/api/v1/messages", params(Paging), responses((status = 200, body = Page<MessageView>)))]
pub async fn messages(
    State(door): State<Door>,
    Caller(who): Caller,
    Query(paging): Query<Paging>,
) -> Reply<Json<Page<MessageView>>> {
    Ok(Json(door.backend.messages(&who.scope(), paging.slice()).await?))
}

/// What a rule would have done with the findings that are kept; nothing is sent.
#[utoipa::path(post, path = "/api/v1/warning/preview", request_body = RuleTrial,
    responses((status = 200, body = RulePreview), (status = 400, body = Problem)))]
pub async fn try_rule(
    State(door): State<Door>,
    Caller(who): Caller,
    Json(rule): Json<RuleTrial>,
) -> Reply<Json<RulePreview>> {
    if !(0.0..=1.0).contains(&rule.confidence_min) || rule.kinds.len() > 20 || rule.networks.len() > 256 {
        return Err(Problem::bad("confidence_min: 0 to 1; at most 20 kinds and 256 networks"));
    }
    Ok(Json(door.backend.try_rule(&who.scope(), &rule).await?))
}

/// Organisations that are warned.
#[utoipa::path(get, path = "/api/v1/members", responses((status = 200, body = Page<MemberView>)))]
pub async fn members(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<Page<MemberView>>> {
    Ok(Json(door.backend.members(&who.scope()).await?))
}
