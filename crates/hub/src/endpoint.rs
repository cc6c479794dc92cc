//! The sensor endpoint: the calls of the protocol, answered by fleet and ingest.

use crate::Fleet;
use crate::fleet::{check_protocol, failed, nanos, now};
use arrow_flight::FlightData;
use futures::stream::{BoxStream, StreamExt};
use noroshi_ingest::Ingest;
use noroshi_model::Prefix;
use noroshi_wire::identity::Identity;
use noroshi_wire::message::{CertificateReply, EnrolRequest, RenewRequest};
use noroshi_wire::server::{Hub, Peer};
use noroshi_wire::{Ack, BatchHead, Control, Hello, PROTOCOL, Refusal, Report, Welcome};
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Sensors come back after a random time up to this when the hub stops.
const STOP_RETRY_MS: u64 = 500;

/// What sensors talk to.
pub struct Endpoint {
    /// Who they are.
    pub fleet: Arc<Fleet>,
    /// Where their batches go.
    pub ingest: Arc<Ingest>,
    /// Ends control streams, so that sensors know before the connection goes.
    pub stop: CancellationToken,
}

/// The next mute. A sensor that read too slowly has missed some; its own budget still holds.
async fn next_mute(mutes: &mut broadcast::Receiver<(Prefix, u32)>) -> Option<(Prefix, u32)> {
    loop {
        match mutes.recv().await {
            Ok(mute) => return Some(mute),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

impl Hub for Endpoint {
    fn admit(&self, who: &Identity) -> Result<(), Refusal> {
        self.fleet.admit(who)
    }

    async fn enrol(&self, request: EnrolRequest, peer: &Peer) -> Result<CertificateReply, Refusal> {
        let name: String = request.name.chars().filter(char::is_ascii_graphic).take(40).collect();
        let outcome = self.fleet.enrol(request).await;
        if let Err(refusal) = &outcome {
            tracing::warn!(sensor = name, peer = %peer.address, %refusal, "enrolment refused");
        }
        outcome
    }

    async fn renew(&self, who: &Identity, request: RenewRequest) -> Result<CertificateReply, Refusal> {
        self.fleet.renew(who, request).await
    }

    async fn attach(&self, who: &Identity, hello: Hello, peer: &Peer) -> Result<BoxStream<'static, Control>, Refusal> {
        check_protocol(hello.protocol)?;
        let watermark = self.ingest.watermark(who.name.as_str(), hello.stream.epoch).await?;
        let mut requests = self.fleet.requests(&who.name).await.map_err(failed)?;
        tracing::info!(
            sensor = %who.name, peer = %peer.address, key_exchange = peer.key_exchange, watermark, "sensor connected"
        );
        let welcome = Control::Welcome(Welcome { protocol: PROTOCOL, watermark, hub_time: nanos(now()) });
        requests.mark_changed();
        let stop = self.stop.clone();
        let (held, mutes) = self.fleet.mutes();
        let mute = |(network, seconds)| Control::Mute { network, seconds };
        let held = held.into_iter().map(mute);
        let changes = futures::stream::unfold(Some((requests, mutes, stop)), move |open| async move {
            let (mut requests, mut mutes, stop) = open?;
            let changed = tokio::select! {
                changed = requests.changed() => changed.is_ok(),
                Some(muted) = next_mute(&mut mutes) => return Some((mute(muted), Some((requests, mutes, stop)))),
                () = stop.cancelled() => false,
            };
            if !changed {
                return Some((Control::Later { retry_after_ms: STOP_RETRY_MS }, None));
            }
            let (revision, request) = requests.borrow_and_update().clone();
            Some((Control::Policy { revision, request }, Some((requests, mutes, stop))))
        });
        Ok(futures::stream::iter([welcome].into_iter().chain(held)).chain(changes).boxed())
    }

    async fn put(&self, who: &Identity, head: BatchHead, messages: Vec<FlightData>) -> Result<Ack, Refusal> {
        self.ingest.put(who.name.as_str(), head, messages).await
    }

    async fn report(&self, who: &Identity, report: Report) -> Result<(), Refusal> {
        self.fleet.report(&who.name, report).await.map_err(failed)
    }
}
