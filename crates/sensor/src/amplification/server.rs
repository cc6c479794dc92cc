//! The sockets: datagrams in by the dozen (recvmmsg), rows to a channel, the few replies out.

use super::Protocol;
use super::budget::Bounds;
use super::honeypot::{Arrival, Honeypot};
use super::persona::Persona;
use super::selective::Selection;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmsg, setsockopt,
    sockopt,
};
use noroshi_model::request::{Request, Withheld};
use noroshi_model::{Addr, Nanos};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::io::Interest;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Datagrams taken from the system at once.
const BATCH: usize = 64;
/// Largest datagram that is looked at whole; of larger ones the rest is cut off by the system.
const DATAGRAM: usize = 2_048;
/// Receive buffer of each socket, in bytes: a burst of some ten thousand requests.
const RECEIVE_BUFFER: usize = 4 << 20;

/// One service to listen for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What to pretend.
    pub protocol: Protocol,
    /// Where.
    pub listen: SocketAddr,
}

/// Settings of the reflector honeypot. By default it listens nowhere.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Sensor name, for rows.
    pub sensor: String,
    /// Seed of the persona: secret, and kept, so that the sensor stays the same device.
    pub seed: u64,
    /// Services.
    pub services: Vec<Service>,
    /// Bounds of what may be answered.
    pub bounds: Bounds,
    /// Payload bytes kept of each request; policy may allow fewer.
    pub payload_bytes: usize,
    /// The fleet's secret for selective response; none answers every scanner.
    pub selection_secret: Option<String>,
}

/// The honeypot could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port could not be taken.
    #[error("cannot listen for {protocol} on {listen}: {source}; is the port free, and may this user open it?")]
    Listen {
        /// Service.
        protocol: &'static str,
        /// Address.
        listen: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Receiving failed for good.
    #[error("cannot receive for {protocol}: {source}")]
    Receive {
        /// Service.
        protocol: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

/// What happened, counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests received.
    pub requests: AtomicU64,
    /// Replies sent.
    pub replies: AtomicU64,
    /// Payload bytes of those replies.
    pub reply_bytes: AtomicU64,
    /// Rows lost because the channel was full: to be declared as a gap.
    pub lost: AtomicU64,
}

/// Sockets that are open, not yet served.
pub struct Bound {
    sockets: Vec<(Protocol, UdpSocket)>,
    honeypot: Arc<Mutex<Honeypot>>,
    tally: Arc<Tally>,
    start: Instant,
}

/// Opens all sockets, or none.
pub fn bind(config: &Config) -> Result<Bound, ServeError> {
    let mut sockets = Vec::new();
    for service in &config.services {
        let wrong = |source| ServeError::Listen { protocol: service.protocol.name(), listen: service.listen, source };
        sockets.push((service.protocol, open(service.listen).map_err(wrong)?));
    }
    let persona = Persona::new(config.seed);
    let mut honeypot = Honeypot::new(&config.sensor, persona, config.bounds, Nanos(0), config.payload_bytes);
    if let Some(secret) = &config.selection_secret {
        honeypot = honeypot.with_selection(Selection::new(secret.as_bytes(), &config.sensor));
    }
    Ok(Bound { sockets, honeypot: Arc::new(Mutex::new(honeypot)), tally: Arc::default(), start: Instant::now() })
}

fn open(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(listen)?;
    socket.set_nonblocking(true)?;
    // Best effort: where the limit is lower, bursts are lost sooner, and the system counts them.
    let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    if listen.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
    }
    Ok(socket)
}

/// Opens the sockets and serves until `shutdown`. Rows go to `rows`; when it is full they are counted as lost.
pub async fn serve(
    config: Config,
    rows: mpsc::Sender<Vec<Request>>,
    shutdown: CancellationToken,
) -> Result<Arc<Tally>, ServeError> {
    bind(&config)?.run(rows, shutdown).await
}

impl Bound {
    /// Where each service listens.
    pub fn addresses(&self) -> Vec<(Protocol, SocketAddr)> {
        self.sockets.iter().filter_map(|(protocol, socket)| Some((*protocol, socket.local_addr().ok()?))).collect()
    }

    /// Counters, which go on while it runs.
    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// The sockets, from which alone anything is sent.
    pub fn sockets(&self) -> Vec<RawFd> {
        self.sockets.iter().map(|(_, socket)| socket.as_raw_fd()).collect()
    }

    /// Zero of the clock by which the budget counts.
    pub fn started(&self) -> Instant {
        self.start
    }

    /// The honeypot, for mutes by the hub.
    pub fn honeypot(&self) -> Arc<Mutex<Honeypot>> {
        self.honeypot.clone()
    }

    /// Serves until `shutdown`.
    pub async fn run(
        self,
        rows: mpsc::Sender<Vec<Request>>,
        shutdown: CancellationToken,
    ) -> Result<Arc<Tally>, ServeError> {
        let mut tasks = tokio::task::JoinSet::new();
        for (protocol, socket) in self.sockets {
            let worker = Worker {
                protocol,
                honeypot: self.honeypot.clone(),
                tally: self.tally.clone(),
                rows: rows.clone(),
                start: self.start,
            };
            let shutdown = shutdown.clone();
            tasks.spawn(async move {
                let wrong = |source| ServeError::Receive { protocol: protocol.name(), source };
                tokio::select! {
                    () = shutdown.cancelled() => Ok(()),
                    ended = worker.run(socket) => ended.map_err(wrong),
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        }
        Ok(self.tally)
    }
}

struct Worker {
    protocol: Protocol,
    honeypot: Arc<Mutex<Honeypot>>,
    tally: Arc<Tally>,
    rows: mpsc::Sender<Vec<Request>>,
    start: Instant,
}

struct Datagram {
    length: usize,
    from: SocketAddr,
    to: Option<Addr>,
    ttl: Option<u8>,
}

impl Worker {
    async fn run(self, socket: UdpSocket) -> io::Result<()> {
        let local = socket.local_addr()?;
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let mut buffers = vec![[0u8; DATAGRAM]; BATCH];
        loop {
            match socket.async_io(Interest::READABLE, || receive(socket.as_raw_fd(), &mut buffers)).await {
                Ok(datagrams) => self.handle(socket.as_raw_fd(), local, &datagrams, &buffers),
                // A destination that could not be reached reports back here; nothing is wrong with the socket.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn handle(&self, socket: RawFd, local: SocketAddr, datagrams: &[Datagram], buffers: &[[u8; DATAGRAM]]) {
        let clock = Nanos(self.start.elapsed().as_nanos() as i64);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        let mut rows = Vec::with_capacity(datagrams.len());
        {
            let mut honeypot = self.honeypot.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            for (datagram, buffer) in datagrams.iter().zip(buffers) {
                let dst = datagram.to.unwrap_or_else(|| local.ip().into());
                let arrival = Arrival {
                    clock,
                    now: Nanos(now),
                    src: canonical(datagram.from),
                    sport: datagram.from.port(),
                    dst,
                    dport: local.port(),
                    ttl: datagram.ttl,
                    payload: &buffer[..datagram.length],
                };
                let (mut row, reply) = honeypot.receive(self.protocol, &arrival);
                if let Some(reply) = reply {
                    self.send(socket, datagram, &reply, &mut row);
                }
                rows.push(row);
            }
        }
        let count = rows.len() as u64;
        self.tally.requests.fetch_add(count, Ordering::Relaxed);
        if self.rows.try_send(rows).is_err() {
            self.tally.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Sends from the address that was asked, also on a socket that listens on all.
    fn send(&self, socket: RawFd, datagram: &Datagram, reply: &[u8], row: &mut Request) {
        let data = [IoSlice::new(reply)];
        let to = SockaddrStorage::from(datagram.from);
        let source =
            datagram.to.and_then(Addr::as_v4).filter(|_| datagram.from.is_ipv4()).map(|bits| nix::libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: nix::libc::in_addr { s_addr: bits.to_be() },
                ipi_addr: nix::libc::in_addr { s_addr: 0 },
            });
        let source6 = datagram.to.filter(|_| datagram.from.is_ipv6()).map(|addr| nix::libc::in6_pktinfo {
            ipi6_addr: nix::libc::in6_addr { s6_addr: addr.bytes() },
            ipi6_ifindex: 0,
        });
        let mut control = Vec::new();
        control.extend(source.as_ref().map(ControlMessage::Ipv4PacketInfo));
        control.extend(source6.as_ref().map(ControlMessage::Ipv6PacketInfo));
        match sendmsg(socket, &data, &control, MsgFlags::MSG_DONTWAIT, Some(&to)) {
            Ok(sent) => {
                self.tally.replies.fetch_add(1, Ordering::Relaxed);
                self.tally.reply_bytes.fetch_add(sent as u64, Ordering::Relaxed);
            }
            Err(_) => {
                row.withheld = Withheld::Unsent;
                row.reply_bytes = 0;
            }
        }
    }
}

/// IPv4 also where an IPv6 socket received it.
fn canonical(from: SocketAddr) -> Addr {
    Addr::from(from.ip().to_canonical())
}

fn receive(socket: RawFd, buffers: &mut [[u8; DATAGRAM]]) -> io::Result<Vec<Datagram>> {
    // Made anew for each batch: headers hold raw pointers, so they cannot wait across an await.
    let space = cmsg_space!(nix::libc::in_pktinfo, nix::libc::in6_pktinfo, nix::libc::c_int, nix::libc::c_int);
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(space));
    let mut slices: Vec<[IoSliceMut; 1]> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
    let received = recvmmsg(socket, &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
    let messages = match received {
        Ok(messages) => messages,
        Err(Errno::EAGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => return Err(error.into()),
    };
    let mut out = Vec::with_capacity(BATCH);
    for message in messages {
        let from = message.address.and_then(|address: SockaddrStorage| {
            let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from(std::net::SocketAddrV4::from(*v4)));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::from(std::net::SocketAddrV6::from(*v6))))
        });
        let (mut to, mut ttl) = (None, None);
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => to = Some(Addr::v4(u32::from_be(info.ipi_addr.s_addr))),
                ControlMessageOwned::Ipv6PacketInfo(info) => to = Some(Addr::from_bytes(info.ipi6_addr.s6_addr)),
                ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => {
                    ttl = u8::try_from(hops).ok();
                }
                _ => {}
            }
        }
        // The order of buffers is the order of messages, so one without an address keeps its place.
        let from = from.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        out.push(Datagram { length: message.bytes.min(DATAGRAM), from, to, ttl });
    }
    Ok(out)
}
