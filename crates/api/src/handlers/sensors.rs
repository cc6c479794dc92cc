//! Sensors: health, policy with both hands, adding one.

use super::Reply;
use crate::guard::Caller;
use crate::problem::Problem;
use crate::routes::Door;
use crate::views::{Enrolment, Page, Policy, PolicyPreview, SensorView};
use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::ToSchema;

/// A sensor to be added.
#[derive(Deserialize, ToSchema)]
pub struct NewSensor {
    /// Its name: 2 to 40 characters, a to z, 0 to 9, dash.
    pub name: String,
}

/// Sensors that the caller may see, by name.
#[utoipa::path(get, path = "/api/v1/sensors", responses((status = 200, body = Page<SensorView>)))]
pub async fn sensors(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<Page<SensorView>>> {
    Ok(Json(door.backend.sensors(&who.scope()).await?))
}

/// One sensor.
#[utoipa::path(get, path = "/api/v1/sensors/{name}", params(("name" = String, Path, description = "Sensor name")),
    responses((status = 200, body = SensorView), (status = 404, body = Problem)))]
pub async fn sensor(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Reply<Json<SensorView>> {
    Ok(Json(door.backend.sensor(&who.scope(), &name).await?))
}

/// Makes a one-time token for a new sensor, and the line to paste there.
#[utoipa::path(post, path = "/api/v1/sensors", request_body = NewSensor,
    responses((status = 200, body = Enrolment), (status = 409, body = Problem)))]
pub async fn add(State(door): State<Door>, Caller(who): Caller, Json(body): Json<NewSensor>) -> Reply<Json<Enrolment>> {
    let fits = (2..=40).contains(&body.name.len())
        && body.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits {
        return Err(Problem::bad("name: 2 to 40 characters, a to z, 0 to 9, dash"));
    }
    door.people.audit.append(door.backend.now(), &who.name, "add-sensor", &body.name).await.map_err(audit)?;
    Ok(Json(door.backend.add_sensor(&who.scope(), &body.name).await?))
}

/// Changes what the hub asks of a sensor. The host's ceiling still holds.
#[utoipa::path(put, path = "/api/v1/sensors/{name}/policy", request_body = Policy,
    params(("name" = String, Path, description = "Sensor name")), responses((status = 200, body = SensorView)))]
pub async fn set_policy(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Json(policy): Json<Policy>,
) -> Reply<Json<SensorView>> {
    check(&policy)?;
    door.people.audit.append(door.backend.now(), &who.name, "set-policy", &name).await.map_err(audit)?;
    Ok(Json(door.backend.set_policy(&who.scope(), &name, policy).await?))
}

/// What a policy would do to one real record, before it is set.
#[utoipa::path(post, path = "/api/v1/sensors/{name}/preview", request_body = Policy,
    params(("name" = String, Path, description = "Sensor name")), responses((status = 200, body = PolicyPreview)))]
pub async fn preview(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Json(policy): Json<Policy>,
) -> Reply<Json<PolicyPreview>> {
    check(&policy)?;
    Ok(Json(door.backend.preview_policy(&who.scope(), &name, &policy).await?))
}

fn audit(error: crate::people::RecordsError) -> Problem {
    crate::people::PeopleError::from(error).into()
}

fn check(policy: &Policy) -> Reply<()> {
    if !(0.0..=1.0).contains(&policy.sampling) {
        return Err(Problem::bad("sampling: a share from 0 to 1"));
    }
    if policy.payload_bytes > 65_535 {
        return Err(Problem::bad("payload_bytes: at most 65535"));
    }
    if policy.prefixes.len() > 256 || policy.honeypots.len() > 64 || policy.honeypots.iter().any(|h| h.len() > 40) {
        return Err(Problem::bad("at most 256 prefixes and 64 honeypots"));
    }
    match policy.prefixes.iter().find_map(|text| text.parse::<noroshi_model::Prefix>().err()) {
        Some(error) => Err(Problem::bad(format!("prefixes: {error}"))),
        None => Ok(()),
    }
}
