//! Sensors: health, policy with both hands, adding one.

use super::Reply;
use crate::guard::Caller;
use crate::problem::Problem;
use crate::routes::Door;
use crate::views::{Enrolment, Page, Policy, PolicyPreview, PolicyRevision, PolicyShape, SensorView};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
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
#[utoipa::path(put, path = "/api/v1/sensors/{name}/policy", request_body = PolicyShape,
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
#[utoipa::path(post, path = "/api/v1/sensors/{name}/preview", request_body = PolicyShape,
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
    policy.check().map_err(|error| Problem::bad(error.to_string()))
}

/// A revision of a policy.
#[derive(Deserialize, ToSchema)]
pub struct Revision {
    /// Its number.
    pub revision: u64,
}

/// Where a sensor stands.
#[derive(Deserialize, ToSchema)]
pub struct Place {
    /// Degrees east.
    #[schema(minimum = -180, maximum = 180)]
    pub longitude: f64,
    /// Degrees north.
    #[schema(minimum = -90, maximum = 90)]
    pub latitude: f64,
}

/// What was requested of a sensor so far, newest first.
#[utoipa::path(get, path = "/api/v1/sensors/{name}/policies", params(("name" = String, Path, description = "Sensor name")),
    responses((status = 200, body = Page<PolicyRevision>), (status = 404, body = Problem)))]
pub async fn policies(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Reply<Json<Page<PolicyRevision>>> {
    Ok(Json(door.backend.policies(&who.scope(), &name).await?))
}

/// Requests an earlier policy again, as a new revision.
#[utoipa::path(post, path = "/api/v1/sensors/{name}/roll-back", request_body = Revision,
    params(("name" = String, Path, description = "Sensor name")),
    responses((status = 200, body = SensorView), (status = 404, body = Problem)))]
pub async fn roll_back(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Json(body): Json<Revision>,
) -> Reply<Json<SensorView>> {
    let object = format!("{name} to {}", body.revision);
    door.people.audit.append(door.backend.now(), &who.name, "roll-back-policy", &object).await.map_err(audit)?;
    Ok(Json(door.backend.roll_back(&who.scope(), &name, body.revision).await?))
}

/// Says where a sensor stands; the map draws it there. Give a town, not a rack.
#[utoipa::path(put, path = "/api/v1/sensors/{name}/place", request_body = Place,
    params(("name" = String, Path, description = "Sensor name")),
    responses((status = 200, body = SensorView), (status = 404, body = Problem)))]
pub async fn place(
    State(door): State<Door>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Json(body): Json<Place>,
) -> Reply<Json<SensorView>> {
    if !(-180.0..=180.0).contains(&body.longitude) || !(-90.0..=90.0).contains(&body.latitude) {
        return Err(Problem::bad("longitude: -180 to 180; latitude: -90 to 90"));
    }
    door.people.audit.append(door.backend.now(), &who.name, "place-sensor", &name).await.map_err(audit)?;
    Ok(Json(door.backend.place(&who.scope(), &name, [body.longitude, body.latitude]).await?))
}

/// Cuts a sensor off for good: it can neither connect nor send.
#[utoipa::path(delete, path = "/api/v1/sensors/{name}", params(("name" = String, Path, description = "Sensor name")),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn revoke(State(door): State<Door>, Caller(who): Caller, Path(name): Path<String>) -> Reply<StatusCode> {
    door.people.audit.append(door.backend.now(), &who.name, "revoke-sensor", &name).await.map_err(audit)?;
    door.backend.revoke_sensor(&who.scope(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the replayed sample and removes everything that came from it.
#[utoipa::path(delete, path = "/api/v1/sample", responses((status = 204), (status = 404, body = Problem)))]
pub async fn remove_sample(State(door): State<Door>, Caller(who): Caller) -> Reply<StatusCode> {
    door.people.audit.append(door.backend.now(), &who.name, "remove-sample", "sample").await.map_err(audit)?;
    door.backend.remove_sample(&who.scope()).await?;
    Ok(StatusCode::NO_CONTENT)
}
