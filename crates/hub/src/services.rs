//! What runs inside a hub beside the sensor endpoint: mover, detectors, portal.
//!
//! A service is a name and a function from a [`Context`] to a future that runs until the context's `stop`. A service
//! that fails to start stops the hub's start; one that ends later is reported and leaves the others running.
//!
//! ```
//! use noroshi_hub::services::{self, Service};
//! let mut services = services::standard();
//! services.push(Service::new("watch", |context| async move {
//!     let mut durable = context.journal.subscribe();
//!     while durable.changed().await.is_ok() { /* read_after … */ }
//!     Ok(())
//! }));
//! ```

use crate::Fleet;
use crate::config::Config;
use futures::future::BoxFuture;
use noroshi_store::lake::Keeping;
use noroshi_store::{Journal, Lake, Mover};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Pause between moves, so that a journal is moved in few large commits: each costs some twenty tables a file. What must
/// not wait (detectors, the live picture) reads the journal.
const MOVE_EVERY: Duration = Duration::from_secs(5);
/// Pause between rounds of keeping the lake.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// What a service may use.
#[derive(Clone)]
pub struct Context {
    /// The configuration.
    pub config: Arc<Config>,
    /// Sensors and their policies.
    pub fleet: Arc<Fleet>,
    /// What has arrived.
    pub journal: Journal,
    /// What was moved; `None` when the lake is off.
    pub lake: Option<Lake>,
    /// Where findings of others, answers and questions reach the desk.
    pub desk: crate::live::DeskDoor,
    /// What the detectors found when they last looked, as [`crate::live`] tells it to whoever shows it: in what was
    /// observed, and in the sample.
    pub found: watch::Sender<Option<Arc<[noroshi_detect::engine::Findings; 2]>>>,
    /// Samples that findings are compared with.
    pub known: Arc<tokio::sync::Mutex<crate::cause::Known>>,
    /// Where sensors connect.
    pub sensor_address: SocketAddr,
    /// Lines for the person who started the hub, such as a set-up link.
    pub notices: tokio::sync::mpsc::UnboundedSender<String>,
    /// Cancelled when the hub stops; finish soon after.
    pub stop: CancellationToken,
}

/// Why a service ended.
pub type ServiceResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

type Start = Box<dyn FnOnce(Context) -> BoxFuture<'static, ServiceResult> + Send>;

/// Something that runs inside a hub.
pub struct Service {
    /// For messages.
    pub name: &'static str,
    pub(crate) start: Start,
}

impl Service {
    /// A service from its function.
    pub fn new<F: Future<Output = ServiceResult> + Send + 'static>(
        name: &'static str,
        start: impl FnOnce(Context) -> F + Send + 'static,
    ) -> Self {
        Service { name, start: Box::new(move |context| Box::pin(start(context))) }
    }
}

/// The services every hub has.
pub fn standard() -> Vec<Service> {
    // The live service comes first: it takes its hold on the journal before the mover deletes from it.
    vec![
        Service::new("live", crate::live::start),
        Service::new("mover", mover),
        Service::new("keeper", keeper),
        Service::new("watch", crate::watch::run),
        Service::new("portal", crate::portal::run),
        Service::new("cause", crate::cause::run),
        Service::new("flight sql", crate::questions::run),
    ]
}

/// Compacts, keeps tables within their budgets, removes files that no version needs.
async fn keeper(context: Context) -> ServiceResult {
    let Some(lake) = context.lake else { return Ok(()) };
    let (keeping, mut round) = (Keeping::default(), tokio::time::interval(KEEP_EVERY));
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            _ = round.tick() => {}
        }
        match lake.keep(&keeping, crate::questions::now()).await {
            Ok(kept) => {
                for freed in kept.freed {
                    let (rows, bytes) = (freed.rows, freed.bytes);
                    tracing::info!(table = freed.table, rows, bytes, "the oldest hours were given up");
                }
            }
            Err(error) => tracing::error!(%error, "the lake cannot be kept; trying again"),
        }
    }
}

async fn mover(context: Context) -> ServiceResult {
    let Some(lake) = context.lake else { return Ok(()) };
    let (stopping, stop) = watch::channel(false);
    let mover = Mover::new(lake, context.journal).await?;
    let moving = mover.run(MOVE_EVERY, stop);
    tokio::pin!(moving);
    tokio::select! {
        () = &mut moving => {}
        () = context.stop.cancelled() => {
            stopping.send_replace(true);
            moving.await;
        }
    }
    Ok(())
}
