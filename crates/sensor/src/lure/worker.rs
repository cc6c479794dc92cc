//! A lure process: takes its order, opens its sockets, gives up its rights, serves until its sensor goes away.

use super::confine::{self, Role};
use super::message::{Kept, Left, Order, Place, Said, Tell, write};
use crate::amplification::{self, Honeypot, Protocol, Service};
use crate::first::Responder;
use crate::iot::{self, Finished};
use noroshi_model::Nanos;
use noroshi_model::lure::Lure;
use noroshi_model::request::Request;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, Interest};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Batches of rows that may wait for the pipe.
const WAITING: usize = 256;
/// Longest order.
const ORDER_BYTES: usize = 1 << 20;
/// How often losses are told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The UDP service that a lure is.
fn protocol(lure: Lure) -> Option<Protocol> {
    Some(match lure {
        Lure::Dns => Protocol::Dns,
        Lure::Ntp => Protocol::Ntp,
        Lure::Ssdp => Protocol::Ssdp,
        Lure::Cldap => Protocol::Cldap,
        Lure::Memcached => Protocol::Memcached,
        Lure::Snmp => Protocol::Snmp,
        Lure::Coap => Protocol::Coap,
        Lure::WsDiscovery => Protocol::WsDiscovery,
        Lure::Generic => Protocol::Generic,
        Lure::Telnet | Lure::Ssh | Lure::Http | Lure::Adb | Lure::Redis | Lure::Upnp | Lure::Tcp => return None,
    })
}

fn lure(protocol: Protocol) -> Lure {
    let found = Lure::ALL.into_iter().find(|lure| self::protocol(*lure) == Some(protocol));
    found.expect("each service is a lure")
}

/// Sockets of an order, open.
pub struct Bound {
    datagrams: amplification::Bound,
    dialogues: iot::Bound,
    device: Option<(OwnedFd, Responder)>,
}

/// Opens all sockets of an order, or none.
pub fn bind(order: &Order) -> Result<Bound, String> {
    let services = order
        .places
        .iter()
        .filter_map(|place| protocol(place.lure).map(|protocol| Service { protocol, listen: place.listen }));
    let datagrams = amplification::bind(&amplification::Config {
        sensor: String::new(),
        seed: order.seed,
        services: services.collect(),
        bounds: order.bounds,
        payload_bytes: order.payload_bytes,
        selection_secret: None,
    });
    let doors = order.places.iter().filter(|place| place.lure.is_dialogue());
    let dialogues = iot::bind(iot::Config {
        sensor: String::new(),
        seed: order.seed,
        persona: order.persona.clone(),
        listen: doors.map(|place| (place.lure, place.listen)).collect(),
        limits: order.limits,
        hasty: false,
    });
    let device = match &order.device {
        None => None,
        Some((name, prefixes)) => {
            let wrong = |error| format!("TUN device {name}: {error}; make it with: ip tuntap add dev {name} mode tun");
            let secret = rand::random();
            let responder = Responder::new(secret, crate::first::Bounds::default(), prefixes.clone());
            Some((crate::first::device::open(name).map_err(wrong)?, responder))
        }
    };
    Ok(Bound {
        device,
        datagrams: datagrams.map_err(|error| error.to_string())?,
        dialogues: dialogues.map_err(|error| error.to_string())?,
    })
}

impl Bound {
    fn places(&self) -> Vec<Place> {
        // A device has no address of its own.
        let anywhere = Place { lure: Lure::Tcp, listen: std::net::SocketAddr::from(([0, 0, 0, 0], 0)) };
        let datagrams = self.datagrams.addresses().into_iter().map(|(at, listen)| Place { lure: lure(at), listen });
        let dialogues = self.dialogues.addresses().into_iter().map(|(lure, listen)| Place { lure, listen });
        datagrams.chain(dialogues).chain(self.device.as_ref().map(|_| anywhere)).collect()
    }
}

/// The program of a lure process: order on standard input, frames on standard output. Returns when the sensor is gone.
pub fn main() -> Result<(), String> {
    // The sensor may be killed; nothing must go on pretending without it.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(|error| error.to_string())?;
    let text = |error: std::io::Error| error.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    let _entered = runtime.enter();
    let order: Order = serde_json::from_slice(&order()?).map_err(|error| error.to_string())?;
    let input = std::io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd).map_err(text)?;
    let output = std::io::stdout().as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd).map_err(text)?;
    let ready = prepare(&order);
    runtime.block_on(async move {
        let mut output = output;
        match ready {
            Ok((bound, confined)) => serve(bound, confined, input, output).await,
            Err(reason) => write(&mut output, &Said::Failed(reason)).await.map_err(text),
        }
    })
}

/// One line, byte by byte: what follows belongs to the asynchronous reader.
fn order() -> Result<Vec<u8>, String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    // Unbuffered: the standard handle would read ahead.
    let mut input = std::fs::File::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(|e| e.to_string())?);
    while line.len() < ORDER_BYTES {
        match input.read(&mut byte) {
            Ok(1) if byte[0] != b'\n' => line.push(byte[0]),
            Ok(_) => return Ok(line),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("the order is too long".into())
}

fn prepare(order: &Order) -> Result<(Bound, String), String> {
    let user = confine::user(order.user.as_deref()).map_err(|error| error.to_string())?;
    let bound = bind(order)?;
    let sockets = bound.datagrams.sockets();
    let role = match (sockets.is_empty(), &bound.device) {
        (_, Some(_)) => Role::Segments,
        (true, None) => Role::Dialogues,
        (false, None) => Role::Datagrams(sockets),
    };
    let confined = confine::confine(&role, user.as_ref()).map_err(|error| error.to_string())?;
    Ok((bound, confined))
}

/// Serves until `input` ends or `output` is gone.
pub async fn serve(
    bound: Bound,
    confined: String,
    input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    write(&mut output, &Said::Ready { places: bound.places(), confined }).await.map_err(text)?;
    let shutdown = CancellationToken::new();
    let (rows, mut requests) = mpsc::channel::<Vec<Request>>(WAITING);
    let (finished, mut sessions) = mpsc::channel::<Finished>(WAITING);
    let (tally, honeypot) = (bound.datagrams.tally(), bound.datagrams.honeypot());
    let started = bound.datagrams.started();
    let datagrams = tokio::task::spawn(bound.datagrams.run(rows, shutdown.clone()));
    let segments = bound
        .device
        .map(|(device, responder)| tokio::task::spawn(answer(device, responder, finished.clone(), shutdown.clone())));
    let dialogues = tokio::task::spawn(bound.dialogues.run(finished, shutdown.clone()));
    let mut lines = BufReader::new(input).lines();
    let mut tick = tokio::time::interval(TELL_EVERY);
    let (mut told, mut open) = (0, (true, true));
    while open.0 || open.1 {
        let said = tokio::select! {
            batch = requests.recv(), if open.0 => match batch {
                Some(batch) => Some(Said::Requests(batch)),
                None => { open.0 = false; None }
            },
            session = sessions.recv(), if open.1 => match session {
                Some(finished) => Some(Said::Dialogue(Box::new(kept(finished)))),
                None => { open.1 = false; None }
            },
            line = lines.next_line(), if !shutdown.is_cancelled() => {
                match line {
                    Ok(Some(line)) => tell(&line, &honeypot, started),
                    // The sensor closed its end: dialogues are ended and delivered, then this process ends.
                    _ => shutdown.cancel(),
                }
                None
            }
            _ = tick.tick() => {
                let lost = tally.lost.load(Ordering::Relaxed);
                (lost > std::mem::replace(&mut told, lost)).then_some(Said::Lost(lost))
            }
        };
        if let Some(said) = said {
            write(&mut output, &said).await.map_err(text)?;
        }
    }
    let lost = tally.lost.load(Ordering::Relaxed);
    if lost > told {
        write(&mut output, &Said::Lost(lost)).await.map_err(text)?;
    }
    if let Ok(Err(error)) = datagrams.await {
        write(&mut output, &Said::Failed(error.to_string())).await.map_err(text)?;
    }
    drop(dialogues.await);
    if let Some(Ok(Err(error))) = join(segments).await {
        write(&mut output, &Said::Failed(format!("TUN device: {error}"))).await.map_err(text)?;
    }
    Ok(())
}

async fn join<T>(task: Option<tokio::task::JoinHandle<T>>) -> Option<Result<T, tokio::task::JoinError>> {
    match task {
        Some(task) => Some(task.await),
        None => None,
    }
}

/// Reads the device's packets and writes the answers, until `shutdown`.
async fn answer(
    device: OwnedFd,
    mut responder: Responder,
    finished: mpsc::Sender<Finished>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let device = crate::first::device::watch(device)?;
    let mut buffer = vec![0; 64 << 10];
    let mut tick = tokio::time::interval(TELL_EVERY);
    let row = |session| Finished { session, recording: String::new(), samples: Vec::new() };
    loop {
        let length = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = tick.tick() => {
                for session in responder.expire(now()) {
                    drop(finished.send(row(session)).await);
                }
                continue;
            }
            read = device.async_io(Interest::READABLE, |fd| Ok(nix::unistd::read(fd, &mut buffer)?)) => read?,
        };
        let done = responder.take(&buffer[..length], now());
        if let Some(reply) = done.reply {
            // A device that takes no more loses the reply, as a full link would.
            let _ = nix::unistd::write(device.get_ref(), &reply);
        }
        if let Some(session) = done.row {
            // A full channel loses no row: packets wait in the device, and the system drops what does not fit there.
            drop(finished.send(row(session)).await);
        }
    }
}

fn now() -> Nanos {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Nanos(since.map_or(0, |since| since.as_nanos() as i64))
}

fn tell(line: &str, honeypot: &Arc<Mutex<Honeypot>>, started: std::time::Instant) {
    // A line that does not parse is from a sensor of another version; lures go on without it.
    let Ok(Tell::Mute { network, seconds }) = serde_json::from_str(line) else { return };
    let mut honeypot = honeypot.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let now = Nanos(started.elapsed().as_nanos() as i64);
    let until = Nanos(now.0.saturating_add(i64::from(seconds) * noroshi_model::time::SECOND));
    honeypot.budget().mute(now, network.first(), until);
}

fn kept(finished: Finished) -> Kept {
    let left = finished.samples.into_iter().map(|sample| Left {
        hash: sample.hash,
        content: Arc::try_unwrap(sample.content).unwrap_or_else(|shared| shared.as_ref().clone()),
    });
    Kept { session: finished.session, recording: finished.recording, left: left.collect() }
}
