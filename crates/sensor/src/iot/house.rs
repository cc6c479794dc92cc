//! The doors of the device: sockets of all its services, how many visitors may be inside, and one loop for dialogues
//! that are state machines over bytes.

use super::device::{Device, DeviceError, Dressed};
use super::dialogue::{Ends, Finished};
use super::limits::Limits;
#[cfg(feature = "ssh")]
use super::ssh;
use super::{adb, http, redis, telnet, upnp};
use crate::amplification::Persona;
use noroshi_model::lure::Lure;
use noroshi_model::{Addr, Nanos};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Longest wait for a visitor to take bytes: one who reads nothing must not hold memory.
const WRITE_SECONDS: u64 = 20;

/// Settings of the device honeypot. By default it listens nowhere.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Sensor name, for rows.
    pub sensor: String,
    /// Seed of the persona: secret, and kept.
    pub seed: u64,
    /// Persona: one that ships, or the text of a TOML file.
    pub persona: String,
    /// Which services, and where they listen.
    pub listen: Vec<(Lure, SocketAddr)>,
    /// Bounds.
    pub limits: Limits,
    /// Leaves out the waits of a real device. For tests and load measurements.
    pub hasty: bool,
}

/// The honeypot could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port could not be taken.
    #[error("cannot listen for {lure} on {listen}: {source}; is the port free, and may this user open it?")]
    Listen {
        /// Service.
        lure: Lure,
        /// Address.
        listen: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Not in this program.
    #[error("this program was built without the lure {0} (cargo feature of the same name)")]
    Missing(Lure),
    /// The persona is no persona.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Sockets that are open, not yet served.
pub struct Bound {
    listeners: Vec<(Lure, std::net::TcpListener)>,
    house: Arc<House>,
}

/// The device and who is inside.
pub(super) struct House {
    pub config: Config,
    pub device: Arc<Dressed>,
    #[cfg(feature = "ssh")]
    pub ssh: ssh::Identity,
    open: Mutex<HashMap<IpAddr, usize>>,
    serial: AtomicU64,
    refused: AtomicU64,
}

/// What to do with the visitor next.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reply {
    /// Bytes to send.
    pub bytes: Vec<u8>,
    /// Seconds that the device takes before.
    pub seconds: u32,
    /// Milliseconds more.
    pub millis: u32,
    /// The connection ends.
    pub close: bool,
}

/// A dialogue as a state machine: bytes and time in, bytes out.
pub trait Talking: Send {
    /// Bytes came.
    fn feed(&mut self, bytes: &[u8], now: Nanos) -> Reply;
    /// The row will say that something is missing.
    fn truncate(&mut self);
    /// The visitor went, or had to.
    fn finish(self: Box<Self>, now: Nanos) -> Finished;
}

/// Opens all sockets, or none.
pub fn bind(config: Config) -> Result<Bound, ServeError> {
    let text = &config.persona;
    let device = if text.contains('=') {
        Device::parse(text)?
    } else {
        Device::shipped(if text.is_empty() { "router" } else { text })?
    };
    let persona = Persona::new(config.seed);
    let device = device.dress(&persona);
    let mut listeners = Vec::new();
    for (lure, listen) in &config.listen {
        if *lure == Lure::Ssh && cfg!(not(feature = "ssh")) {
            return Err(ServeError::Missing(*lure));
        }
        let open = || -> io::Result<std::net::TcpListener> {
            let listener = std::net::TcpListener::bind(listen)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        listeners.push((*lure, open().map_err(|source| ServeError::Listen { lure: *lure, listen: *listen, source })?));
    }
    let house = House {
        #[cfg(feature = "ssh")]
        ssh: ssh::Identity::new(&device, config.limits, config.hasty),
        config,
        device,
        open: Mutex::default(),
        serial: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    };
    Ok(Bound { listeners, house: Arc::new(house) })
}

/// Opens the sockets and serves until `shutdown`. Dialogues that are over go to `finished`.
pub async fn serve(
    config: Config,
    finished: mpsc::Sender<Finished>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    bind(config)?.run(finished, shutdown).await;
    Ok(())
}

impl Bound {
    /// Where each service listens.
    pub fn addresses(&self) -> Vec<(Lure, SocketAddr)> {
        self.listeners.iter().filter_map(|(lure, listener)| Some((*lure, listener.local_addr().ok()?))).collect()
    }

    /// Serves until `shutdown`; open dialogues then end and are delivered.
    pub async fn run(self, finished: mpsc::Sender<Finished>, shutdown: CancellationToken) {
        let mut doors = tokio::task::JoinSet::new();
        for (lure, listener) in self.listeners {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    doors.spawn(self.house.clone().door(lure, listener, finished.clone(), shutdown.clone()));
                }
                Err(error) => tracing::error!(%lure, %error, "a door stays shut"),
            }
        }
        while doors.join_next().await.is_some() {}
    }
}

pub(super) fn now() -> Nanos {
    Nanos(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64))
}

impl House {
    async fn door(
        self: Arc<Self>,
        lure: Lure,
        listener: TcpListener,
        finished: mpsc::Sender<Finished>,
        shutdown: CancellationToken,
    ) {
        let mut visits = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                // Ended visits are taken away as they end.
                Some(_) = visits.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, from)) = accepted else {
                // Out of descriptors, or a connection that was gone again: wait for others to end.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            if self.enter(from.ip()) {
                visits.spawn(self.clone().visit(lure, stream, from, finished.clone(), shutdown.clone()));
            } else {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        while visits.join_next().await.is_some() {}
    }

    fn enter(&self, from: IpAddr) -> bool {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let all: usize = open.values().sum();
        let limits = self.config.limits;
        if all >= limits.dialogues || open.get(&from).is_some_and(|count| *count >= limits.per_source) {
            return false;
        }
        *open.entry(from).or_default() += 1;
        true
    }

    fn leave(&self, from: IpAddr) {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(count) = open.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                open.remove(&from);
            }
        }
    }

    async fn visit(
        self: Arc<Self>,
        lure: Lure,
        stream: TcpStream,
        from: SocketAddr,
        finished: mpsc::Sender<Finished>,
        shutdown: CancellationToken,
    ) {
        let local = stream.local_addr().unwrap_or(from);
        let ends = Ends {
            sensor: self.config.sensor.clone(),
            src: Addr::from(from.ip().to_canonical()),
            sport: from.port(),
            dst: Addr::from(local.ip().to_canonical()),
            dport: local.port(),
            protocol: lure.name(),
        };
        let begun = now();
        let id = format!("{:x}-{:x}", begun.0, self.serial.fetch_add(1, Ordering::Relaxed));
        let (device, limits) = (self.device.clone(), self.config.limits);
        let over = match lure {
            #[cfg(feature = "ssh")]
            Lure::Ssh => ssh::visit(&self, stream, &ends, id, begun, shutdown).await,
            Lure::Http | Lure::Adb | Lure::Redis | Lure::Upnp => {
                let talk: Box<dyn Talking> = match lure {
                    Lure::Adb => Box::new(adb::Talk::new(device, limits, &ends, id, begun)),
                    Lure::Redis => Box::new(redis::Talk::new(device, limits, &ends, id, begun)),
                    Lure::Upnp => Box::new(upnp::Talk::new(device, limits, &ends, id, begun)),
                    _ => Box::new(http::Talk::new(device, limits, &ends, id, begun)),
                };
                self.converse(stream, talk, &[], shutdown).await
            }
            _ => {
                let (talk, first) = telnet::Talk::new(device, limits, &ends, id, begun);
                self.converse(stream, Box::new(talk), &first, shutdown).await
            }
        };
        self.leave(from.ip());
        // A receiver that is gone means that the program ends.
        drop(finished.send(over).await);
    }

    /// Seconds a whole dialogue may take.
    pub(super) fn patience(&self) -> Duration {
        let all = u64::from(self.config.limits.seconds);
        Duration::from_millis(all * 10 * u64::from(self.device.timing().end_percent))
    }

    async fn converse(
        &self,
        mut stream: TcpStream,
        mut talk: Box<dyn Talking>,
        first: &[u8],
        shutdown: CancellationToken,
    ) -> Finished {
        let talked = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            talked = tokio::time::timeout(self.patience(), self.talk(&mut stream, &mut *talk, first)) => talked,
        };
        if talked.is_err() {
            talk.truncate();
        }
        drop(stream);
        talk.finish(now())
    }

    async fn talk(&self, stream: &mut TcpStream, talk: &mut dyn Talking, first: &[u8]) {
        let silence = u64::from(self.config.limits.idle_seconds);
        let idle = Duration::from_millis(silence * 10 * u64::from(self.device.timing().idle_percent));
        let patience = Duration::from_secs(WRITE_SECONDS);
        if !matches!(tokio::time::timeout(patience, stream.write_all(first)).await, Ok(Ok(()))) {
            return;
        }
        let mut buffer = [0u8; 1_024];
        while let Ok(Ok(length @ 1..)) = tokio::time::timeout(idle, stream.read(&mut buffer)).await {
            let reply = talk.feed(&buffer[..length], now());
            if (reply.seconds, reply.millis) != (0, 0) && !self.config.hasty {
                let wait = u64::from(reply.seconds.min(60)) * 1_000 + u64::from(reply.millis.min(60_000));
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            if !matches!(tokio::time::timeout(patience, stream.write_all(&reply.bytes)).await, Ok(Ok(())))
                || reply.close
            {
                return;
            }
        }
    }
}
