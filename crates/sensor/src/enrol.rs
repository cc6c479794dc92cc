//! Enrolment: a pasted line becomes an identity, and the way to the hub is walked once from end to end.

use crate::SensorError;
use crate::state::{Identity, StateDir};
use futures::StreamExt;
use noroshi_wire::invitation::Invitation;
use noroshi_wire::message::{EnrolRequest, Hello};
use noroshi_wire::{ConnectError, Connection, Control, PROTOCOL, StreamState};
use std::time::SystemTime;

/// What enrolment found out, for people.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// Name of the sensor.
    pub name: String,
    /// Key exchange of the connection.
    pub key_exchange: &'static str,
    /// This machine's clock minus the hub's, in milliseconds.
    pub clock_offset_ms: i64,
}

/// Turns an invitation into an identity, then attaches with it once. The error names the hop that failed.
pub async fn enrol(state: &StateDir, invitation: &Invitation, replace: bool) -> Result<Enrolled, SensorError> {
    if let Some(identity) = state.identity()?
        && !replace
    {
        return Err(SensorError::Enrolled { dir: state.path().to_owned(), name: identity.name.to_string() });
    }
    let key = state.enrolment_key()?;
    let request = EnrolRequest {
        protocol: PROTOCOL,
        token: invitation.token.text(),
        name: invitation.name.to_string(),
        request: key.request()?,
    };
    let reply = Connection::open(&invitation.hub, invitation.pin, None).await?.enrol(&request).await?;
    let identity = Identity {
        name: invitation.name.clone(),
        hub: invitation.hub.clone(),
        pin: invitation.pin,
        key,
        certificate: reply.certificate,
        not_after: reply.not_after,
    };
    state.set_identity(&identity)?;
    state.forget_enrolment_key();
    let spool = crate::spool::Spool::open(&state.spool(), u64::MAX)?;
    let (key_exchange, hub_time) = walk(&identity, spool.state()).await?;
    let clock_offset_ms = (now_nanos() - hub_time) / 1_000_000;
    Ok(Enrolled { name: identity.name.to_string(), key_exchange, clock_offset_ms })
}

/// Attaches once over mutual TLS.
async fn walk(identity: &Identity, stream: StreamState) -> Result<(&'static str, i64), ConnectError> {
    let connection =
        Connection::open(&identity.hub, identity.pin, Some((&identity.certificate, &identity.key))).await?;
    let hello =
        Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").into(), stream, sensor_time: now_nanos() };
    match connection.attach(&hello).await?.next().await {
        Some(Ok(Control::Welcome(welcome))) => Ok((connection.key_exchange, welcome.hub_time)),
        Some(Err(error)) => Err(error),
        _ => Err(ConnectError::Broken("the hub did not welcome the sensor".into())),
    }
}

/// This machine's clock.
pub fn now_nanos() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
