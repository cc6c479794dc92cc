//! Attacks, campaigns, scans.

use super::{Paging, Reply};
use crate::guard::Caller;
use crate::problem::Problem;
use crate::routes::Door;
use crate::views::{AttackView, CampaignView, CauseView, Page, ScanView};
use axum::Json;
use axum::extract::{Path, Query, State};

/// Denial-of-service attacks, newest first.
#[utoipa::path(get, path = "/api/v1/attacks", params(Paging), responses((status = 200, body = Page<AttackView>)))]
pub async fn attacks(
    State(door): State<Door>,
    Caller(who): Caller,
    Query(paging): Query<Paging>,
) -> Reply<Json<Page<AttackView>>> {
    Ok(Json(door.backend.attacks(&who.scope(), paging.slice()).await?))
}

/// One attack with evidence and thresholds.
#[utoipa::path(get, path = "/api/v1/attacks/{id}", params(("id" = String, Path, description = "Stable id")),
    responses((status = 200, body = AttackView), (status = 404, body = Problem)))]
pub async fn attack(State(door): State<Door>, Caller(who): Caller, Path(id): Path<String>) -> Reply<Json<AttackView>> {
    Ok(Json(door.backend.attack(&who.scope(), &id).await?))
}

/// Campaigns, largest first; members cut to ten.
#[utoipa::path(get, path = "/api/v1/campaigns", params(Paging), responses((status = 200, body = Page<CampaignView>)))]
pub async fn campaigns(
    State(door): State<Door>,
    Caller(who): Caller,
    Query(paging): Query<Paging>,
) -> Reply<Json<Page<CampaignView>>> {
    Ok(Json(door.backend.campaigns(&who.scope(), paging.slice()).await?))
}

/// One campaign with all its members.
#[utoipa::path(get, path = "/api/v1/campaigns/{id}", params(("id" = String, Path, description = "Stable id")),
    responses((status = 200, body = CampaignView), (status = 404, body = Problem)))]
pub async fn campaign(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Reply<Json<CampaignView>> {
    Ok(Json(door.backend.campaign(&who.scope(), &id).await?))
}

/// Which malware may be behind a campaign: families with calibrated probability and reasons, or why none is named.
#[utoipa::path(get, path = "/api/v1/campaigns/{id}/cause", params(("id" = String, Path, description = "Stable id")),
    responses((status = 200, body = CauseView), (status = 404, body = Problem)))]
pub async fn campaign_cause(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Reply<Json<CauseView>> {
    Ok(Json(door.backend.campaign_cause(&who.scope(), &id).await?))
}

/// Scans, largest first.
#[utoipa::path(get, path = "/api/v1/scans", params(Paging), responses((status = 200, body = Page<ScanView>)))]
pub async fn scans(
    State(door): State<Door>,
    Caller(who): Caller,
    Query(paging): Query<Paging>,
) -> Reply<Json<Page<ScanView>>> {
    Ok(Json(door.backend.scans(&who.scope(), paging.slice()).await?))
}
