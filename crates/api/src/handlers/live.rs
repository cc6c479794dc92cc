//! The live feed as server-sent events.
//!
//! Events: `hello` once, then `tick` each slot, and `missed` when ticks were lost to this viewer. The id of an event
//! names run and tick; a browser that reconnects sends it as `Last-Event-ID` and continues there.

use super::Reply;
use crate::guard::Caller;
use crate::live::Prepared;
use crate::problem::{Code, Problem};
use crate::routes::Door;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use utoipa::{IntoParams, ToSchema};

/// After this time a stream ends and the viewer reconnects, so that a session that ended is noticed.
const STREAM_LASTS: Duration = Duration::from_secs(600);

/// Most ticks before the present that a viewer may ask for: a minute at two ticks a second.
const MOST_RECENT: usize = 120;

/// Where a stream begins.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Begin {
    /// Ticks before the present to start with, at most 120; one when missing.
    pub recent: Option<usize>,
}

/// First event of a stream.
#[derive(Serialize, ToSchema)]
pub struct Hello {
    /// Name of the hub's run; numbers count within it.
    pub run: String,
    /// Packets shown per tick, at most.
    pub sample: usize,
}

/// Ticks that this viewer did not get.
#[derive(Serialize, ToSchema)]
pub struct Missed {
    /// How many.
    pub ticks: u64,
}

/// What arrives this second, as server-sent events `hello`, `tick` and `missed`.
#[utoipa::path(get, path = "/api/v1/live",
    params(Begin, ("Last-Event-ID" = Option<String>, Header, description = "Continue after this event")),
    responses((status = 200, content_type = "text/event-stream", body = crate::live::Tick)))]
pub async fn live(
    State(door): State<Door>,
    Caller(who): Caller,
    Query(begin): Query<Begin>,
    headers: HeaderMap,
) -> Reply<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let seat = door.viewers.clone().try_acquire_owned();
    let seat = seat.map_err(|_| Problem::new(Code::Unavailable, "Too many viewers at the moment. Try again soon."))?;
    let feed = door.backend.live();
    let after = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|id| {
        let (run, number) = id.rsplit_once('-')?;
        (run == feed.run()).then(|| number.parse().ok())?
    });
    let full = who.scope().sensor_addresses();
    let (missed, kept, receiver) = feed.subscribe(after, begin.recent.unwrap_or(1).min(MOST_RECENT));
    let run: Arc<str> = feed.run().into();
    let hello = Hello { run: feed.run().to_owned(), sample: crate::live::SAMPLE };
    let mut first = vec![named("hello", &hello)];
    if missed > 0 {
        first.push(named("missed", &Missed { ticks: missed }));
    }
    first.extend(kept.iter().map(|tick| tick_event(&run, tick, full)));
    let viewer = Viewer { receiver, run, full, _seat: seat };
    let deadline = tokio::time::sleep(STREAM_LASTS);
    let rest = stream::unfold(viewer, next_event).take_until(deadline);
    let events = stream::iter(first).chain(rest).map(Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

struct Viewer {
    receiver: broadcast::Receiver<Arc<Prepared>>,
    run: Arc<str>,
    full: bool,
    /// Held as long as the stream lives.
    _seat: OwnedSemaphorePermit,
}

async fn next_event(mut viewer: Viewer) -> Option<(Event, Viewer)> {
    let event = match viewer.receiver.recv().await {
        Ok(tick) => tick_event(&viewer.run, &tick, viewer.full),
        Err(broadcast::error::RecvError::Lagged(ticks)) => named("missed", &Missed { ticks }),
        Err(broadcast::error::RecvError::Closed) => return None,
    };
    Some((event, viewer))
}

fn tick_event(run: &str, tick: &Prepared, full: bool) -> Event {
    Event::default().event("tick").id(format!("{run}-{}", tick.number)).data(&**tick.json(full))
}

fn named<T: Serialize>(name: &str, body: &T) -> Event {
    Event::default().event(name).data(serde_json::to_string(body).unwrap_or_default())
}
