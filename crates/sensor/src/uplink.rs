//! The uplink: spool to hub, policy from hub, for ever.
//!
//! There is no retry limit. A connection that breaks is made again after a random wait that grows to half a minute
//! (full jitter), or after what the hub asked for. Nothing leaves the spool before the hub has acknowledged it.

use crate::SensorError;
use crate::capture;
use crate::enrol::now_nanos;
use crate::lure::message::Tell;
use crate::lure::{Kind, Place};
use crate::policy::InForce;
use crate::spool::Spool;
use crate::state::{Identity, StateDir};
use futures::StreamExt;
use ipcrypt_rs::IpcryptPfx;
use noroshi_model::policy::Policy;
use noroshi_wire::client::PutStream;
use noroshi_wire::message::{Loss, Outcome, REQUEST_REFUSED, Remedy, RenewRequest};
use noroshi_wire::{Ack, ConnectError, Connection, Control, Hello, PROTOCOL, Refusal, Report, Welcome};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};

/// First bound of the random wait.
const BACKOFF_BASE: Duration = Duration::from_millis(200);
/// Last bound of the random wait.
const BACKOFF_CAP: Duration = Duration::from_secs(30);
/// Wait when a person must act on the hub's refusal.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// Records sent and not yet acknowledged, in bytes; bounds memory and what a broken connection sends again.
const IN_FLIGHT_BYTES: usize = 16 << 20;
/// A report is due at least this often.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// A clock further than this from the hub's marks what it dates as suspect. The way there and back is part of it.
const CLOCK_OFFSET_MAX: Duration = Duration::from_secs(5);
/// Share of a certificate's life after which it is renewed.
const RENEW_AT: f64 = 0.5;

/// What the uplink works with.
pub struct Uplink {
    /// Identity and renewals.
    pub state: StateDir,
    /// What to send.
    pub spool: Arc<Spool>,
    /// The capture thread.
    pub capture: Arc<capture::Shared>,
    /// Where the policy is set.
    pub policy: watch::Sender<Arc<InForce>>,
    /// The host's hand.
    pub ceiling: Policy,
    /// Cipher for pseudonyms.
    pub pseudonyms: Arc<IpcryptPfx>,
    /// Where packets come from, for people.
    pub source: String,
    /// Packets are dated by this machine's clock.
    pub dated_here: bool,
    /// Last number the hub acknowledged in this run.
    pub acknowledged: watch::Sender<u64>,
    /// Networks that lures must not answer.
    pub mutes: broadcast::Sender<Tell>,
    /// Lures that run, by kind of process.
    pub lures: Arc<Mutex<BTreeMap<Kind, Vec<Place>>>>,
}

/// Batches sent and not yet acknowledged.
#[derive(Default)]
struct InFlight {
    /// Last sequence number and bytes of each, oldest first.
    batches: VecDeque<(u64, usize)>,
    bytes: usize,
}

enum End {
    /// Connect again at once.
    Again,
    /// Connect again after the usual wait.
    Broken(ConnectError),
}

impl Uplink {
    /// Runs until the spool fails; everything else is tried again.
    pub async fn run(&self, mut identity: Identity) -> Result<(), SensorError> {
        let mut attempt = 0u32;
        loop {
            let before = *self.acknowledged.borrow();
            let connected = Instant::now();
            let end = self.session(&mut identity).await?;
            // A connection that was of use was no failed attempt.
            if *self.acknowledged.borrow() > before || connected.elapsed() > BACKOFF_CAP {
                attempt = 0;
            }
            let wait = match end {
                End::Again => Duration::ZERO,
                End::Broken(error) => {
                    tracing::warn!(hub = %identity.hub, %error, "not connected; everything is kept, trying again");
                    pause(&error, attempt)
                }
            };
            attempt = attempt.saturating_add(1);
            tokio::time::sleep(wait).await;
        }
    }

    async fn session(&self, identity: &mut Identity) -> Result<End, SensorError> {
        let certificate = identity.certificate.clone();
        let opened = Connection::open(&identity.hub, identity.pin, Some((&certificate, &identity.key))).await;
        let connection = match opened {
            Ok(connection) => connection,
            Err(error) => return Ok(End::Broken(error)),
        };
        let hello = Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            stream: self.spool.state(),
            sensor_time: now_nanos(),
        };
        let mut control = match connection.attach(&hello).await {
            Ok(control) => control,
            Err(error) => return Ok(End::Broken(error)),
        };
        let welcome = match control.next().await {
            Some(Ok(Control::Welcome(welcome))) => welcome,
            Some(Err(error)) => return Ok(End::Broken(error)),
            _ => return Ok(End::Broken(ConnectError::Broken("no welcome".into()))),
        };
        self.welcomed(&welcome)?;
        tracing::info!(hub = %identity.hub, key_exchange = connection.key_exchange, stored = welcome.watermark, "connected");
        let put = match connection.put().await {
            Ok(put) => put,
            Err(error) => return Ok(End::Broken(error)),
        };
        let in_flight = watch::channel(InFlight::default()).0;
        tokio::select! {
            end = self.send(&put, welcome.watermark, &in_flight) => end,
            end = self.collect(&put, &in_flight) => end,
            end = self.obey(&mut control, &connection) => end,
            end = self.report_regularly(&connection) => end,
            end = self.renew(&connection, identity) => end,
        }
    }

    fn welcomed(&self, welcome: &Welcome) -> Result<(), SensorError> {
        let offset = Duration::from_nanos(now_nanos().abs_diff(welcome.hub_time));
        let suspect = offset > CLOCK_OFFSET_MAX;
        if suspect {
            tracing::warn!(seconds = offset.as_secs(), "this machine's clock is far from the hub's: set it");
        }
        self.capture.clock_suspect.store(suspect && self.dated_here, Ordering::Relaxed);
        let state = self.spool.state();
        if welcome.watermark > state.last_seq {
            return Err(SensorError::Behind { hub: welcome.watermark, spool: state.last_seq });
        }
        self.spool.acknowledge(welcome.watermark)?;
        self.acknowledged.send_replace(welcome.watermark);
        Ok(())
    }

    /// Sends what the spool holds, then what it gets.
    async fn send(
        &self,
        put: &PutStream,
        watermark: u64,
        in_flight: &watch::Sender<InFlight>,
    ) -> Result<End, SensorError> {
        let mut produced = self.spool.produced();
        let mut changes = in_flight.subscribe();
        let mut last = watermark;
        loop {
            produced.mark_unchanged();
            while let Some((head, body)) = self.spool.next_after(last)? {
                // The window opens when acknowledgements come in.
                if changes.wait_for(|now| now.bytes < IN_FLIGHT_BYTES).await.is_err() {
                    return Ok(End::Again);
                }
                last = head.last_seq;
                in_flight.send_modify(|now| {
                    now.batches.push_back((last, body.len()));
                    now.bytes += body.len();
                });
                if let Err(error) = put.send(&head, body).await {
                    return Ok(End::Broken(self.cause(put, error).await));
                }
                if crate::trial::broken("delete-order") {
                    self.spool.acknowledge(last)?;
                }
            }
            if produced.changed().await.is_err() {
                return Ok(End::Again);
            }
        }
    }

    /// A stream that closes says why on its other half.
    async fn cause(&self, put: &PutStream, error: ConnectError) -> ConnectError {
        match put.ack().await {
            Err(cause) => cause,
            Ok(_) => error,
        }
    }

    /// Takes acknowledgements in.
    async fn collect(&self, put: &PutStream, in_flight: &watch::Sender<InFlight>) -> Result<End, SensorError> {
        loop {
            let ack = match put.ack().await {
                Ok(Some(ack)) => ack,
                Ok(None) => return Ok(End::Broken(ConnectError::Broken("the hub ended the stream".into()))),
                Err(error) => return Ok(End::Broken(error)),
            };
            let Ack { first_seq, last_seq, outcome, .. } = ack;
            in_flight.send_modify(|now| {
                while let Some((_, bytes)) = now.batches.pop_front_if(|(last, _)| *last <= last_seq) {
                    now.bytes -= bytes;
                }
            });
            match outcome {
                Outcome::Stored | Outcome::Duplicate => {
                    self.spool.acknowledge(last_seq)?;
                    self.acknowledged.send_replace(last_seq);
                }
                Outcome::Refused(refusal) if refusal.remedy() == Remedy::DropBatch => {
                    tracing::error!(first_seq, last_seq, %refusal, "the hub refused a batch; it is declared as lost");
                    self.spool.refused(first_seq, last_seq)?;
                    return Ok(End::Again);
                }
                Outcome::Refused(refusal) => return Ok(End::Broken(refusal.into())),
            }
        }
    }

    /// Puts policy changes into force, and says so.
    async fn obey(
        &self,
        control: &mut futures::stream::BoxStream<'static, Result<Control, ConnectError>>,
        connection: &Connection,
    ) -> Result<End, SensorError> {
        loop {
            match control.next().await {
                Some(Ok(Control::Policy { revision, request })) => {
                    let remarks = self.change(revision, &request).await?;
                    if let Err(error) = connection.report(&self.report(connection, revision, remarks)).await {
                        return Ok(End::Broken(error));
                    }
                }
                Some(Ok(Control::Later { retry_after_ms })) => {
                    let what = "it is restarting".to_owned();
                    return Ok(End::Broken(Refusal::Busy { what, retry_after_ms }.into()));
                }
                Some(Ok(Control::Mute { network, seconds })) => {
                    tracing::debug!(%network, seconds, "lures are silent towards a network");
                    // Without lures there is nobody to tell.
                    drop(self.mutes.send(Tell::Mute { network, seconds }));
                }
                Some(Ok(Control::Welcome(_))) => {}
                Some(Err(error)) => return Ok(End::Broken(error)),
                None => return Ok(End::Broken(ConnectError::Broken("the hub ended the control stream".into()))),
            }
        }
    }

    /// Joins a request with the ceiling and waits until the capture thread applies it. A request that cannot be
    /// honoured leaves the policy before it in force.
    async fn change(&self, revision: u64, request: &Policy) -> Result<Vec<String>, SensorError> {
        let force = match InForce::join(revision, request, &self.ceiling, self.pseudonyms.clone()) {
            Ok(force) => Arc::new(force),
            Err(reason) => {
                tracing::warn!(revision, %reason, "the hub's policy cannot be honoured; the one before stays in force");
                return Ok(vec![format!("{REQUEST_REFUSED}, the policy before it stays in force: {reason}")]);
            }
        };
        self.state.set_request(revision, request)?;
        let remarks = force.remarks.clone();
        tracing::info!(revision, hash = %force.hash, "policy changed");
        self.policy.send_replace(force.clone());
        let mut adopted = self.capture.adopted.subscribe();
        let mut ended = self.capture.ended.subscribe();
        tokio::select! {
            _ = adopted.wait_for(|now| now.hash == force.hash && now.revision == revision) => {}
            // A source that has ended applies nothing any more; the policy holds for the next one.
            _ = ended.wait_for(|ended| *ended) => {}
        }
        Ok(remarks)
    }

    fn report(&self, connection: &Connection, revision: u64, remarks: Vec<String>) -> Report {
        let stream = self.spool.state();
        let force = self.policy.borrow().clone();
        let newest = self.capture.newest.load(Ordering::Relaxed);
        let mut losses = self.capture.losses.lock().expect("no panic while held").clone();
        if self.spool.quota_losses() > 0 {
            losses.insert(noroshi_model::stream::GapReason::Quota, self.spool.quota_losses());
        }
        Report {
            version: env!("CARGO_PKG_VERSION").into(),
            policy_revision: revision,
            policy_hash: force.hash.clone(),
            effective: force.policy.clone(),
            remarks,
            epoch: Some(stream.epoch),
            produced: stream.last_seq,
            losses: losses.into_iter().map(|(reason, count)| Loss { reason, count }).collect(),
            acknowledged: self.spool.acknowledged(),
            spool_bytes: self.spool.bytes(),
            source: self.source.clone(),
            source_ended: *self.capture.ended.borrow(),
            newest: (newest != i64::MIN).then_some(newest),
            sensor_time: now_nanos(),
            key_exchange: connection.key_exchange.into(),
            lures: self
                .lures
                .lock()
                .expect("no panic while held")
                .values()
                .flatten()
                .map(ToString::to_string)
                .collect(),
        }
    }

    async fn report_regularly(&self, connection: &Connection) -> Result<End, SensorError> {
        loop {
            tokio::time::sleep(REPORT_EVERY).await;
            let force = self.policy.borrow().clone();
            let report = self.report(connection, force.revision, force.remarks.clone());
            if let Err(error) = connection.report(&report).await {
                return Ok(End::Broken(error));
            }
        }
    }

    /// Fetches a fresh certificate at half-life and connects anew with it.
    async fn renew(&self, connection: &Connection, identity: &mut Identity) -> Result<End, SensorError> {
        let lifetime = noroshi_wire::identity::SENSOR_CERTIFICATE_LIFETIME.as_secs_f64();
        let left = (identity.not_after - now_nanos() / 1_000_000_000) as f64;
        // Up to a tenth of the life is random, so that a fleet enrolled together does not renew together.
        let due = left - lifetime * (1.0 - RENEW_AT) + lifetime * 0.1 * rand::random::<f64>();
        tokio::time::sleep(Duration::from_secs_f64(due.max(1.0))).await;
        let request = RenewRequest { request: identity.key.request()? };
        let reply = match connection.renew(&request).await {
            Ok(reply) => reply,
            Err(error) => return Ok(End::Broken(error)),
        };
        identity.certificate = reply.certificate;
        identity.not_after = reply.not_after;
        self.state.set_identity(identity)?;
        tracing::info!("certificate renewed");
        Ok(End::Again)
    }
}

/// Full jitter: anything from nothing to a bound that doubles with each attempt. What the hub asks for comes on top.
fn pause(error: &ConnectError, attempt: u32) -> Duration {
    let bound = BACKOFF_BASE.saturating_mul(1 << attempt.min(10)).min(BACKOFF_CAP);
    let jitter = bound.mul_f64(rand::random());
    match error {
        ConnectError::Refused(Refusal::Busy { retry_after_ms, .. }) => {
            Duration::from_millis(*retry_after_ms).min(REFUSED_WAIT) + jitter
        }
        ConnectError::Refused(refusal) if refusal.remedy() == Remedy::Wait => REFUSED_WAIT + jitter,
        _ => jitter,
    }
}
