//! What rose unusually, and what is expected next.

use super::Reply;
use crate::guard::Caller;
use crate::routes::Door;
use crate::views::{OutlookView, Page, SurgeView};
use axum::Json;
use axum::extract::State;

/// Counts that history does not explain, newest first.
#[utoipa::path(get, path = "/api/v1/surges", responses((status = 200, body = Page<SurgeView>)))]
pub async fn surges(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<Page<SurgeView>>> {
    Ok(Json(door.backend.surges(&who.scope()).await?))
}

/// What is expected next, with intervals, and how good such forecasts were.
#[utoipa::path(get, path = "/api/v1/outlook", responses((status = 200, body = Page<OutlookView>)))]
pub async fn outlook(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<Page<OutlookView>>> {
    Ok(Json(door.backend.outlook(&who.scope()).await?))
}
