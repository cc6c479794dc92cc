//! The honeypots alone, on chosen ports, their rows as NDJSON. For trials; in service they run under the policy.

use crate::amplification::{self, Bounds, Protocol, Service};
use crate::iot::{self, Finished};
use noroshi_model::lure::Lure;
use noroshi_model::request::Request;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Rows that may wait to be written; beyond, they are counted as lost.
const WAITING: usize = 1_024;

/// What to pretend, and where.
#[derive(clap::Args, Debug)]
pub struct LureArgs {
    /// A UDP service and where it listens; may be given several times: dns, ntp, ssdp, cldap, memcached, snmp, coap,
    /// ws-discovery, generic.
    #[arg(long, value_name = "NAME=ADDR:PORT", value_parser = service)]
    service: Vec<Service>,
    /// Where the device's telnet login listens; may be given several times.
    #[arg(long, value_name = "ADDR:PORT")]
    telnet: Vec<SocketAddr>,
    /// Where the device's SSH server listens; may be given several times.
    #[arg(long, value_name = "ADDR:PORT")]
    ssh: Vec<SocketAddr>,
    /// Where the device's web server listens; may be given several times.
    #[arg(long, value_name = "ADDR:PORT")]
    http: Vec<SocketAddr>,
    /// Where the device's debug bridge listens; may be given several times.
    #[arg(long, value_name = "ADDR:PORT")]
    adb: Vec<SocketAddr>,
    /// Where a Redis server listens; may be given several times.
    #[arg(long, value_name = "ADDR:PORT")]
    redis: Vec<SocketAddr>,
    /// Where the device's UPnP control endpoint listens; may be given several times.
    #[arg(long, value_name = "ADDR:PORT")]
    upnp: Vec<SocketAddr>,
    /// Device persona: router, camera, recorder, or a TOML file.
    #[arg(long, default_value = "router")]
    persona: String,
    /// Seed of names, versions and keys; another seed is another device.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds without any UDP reply after the start. Shorter than an hour: restarts let replies of two hours add up.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    warm_up: u32,
    /// Folder for recordings (asciicast version 2), named by their hash.
    #[arg(long, value_name = "DIR")]
    recordings: Option<PathBuf>,
    /// Listen on addresses that others can reach.
    #[arg(long)]
    beyond_loopback: bool,
}

/// The lures could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum LureError {
    /// Nothing was asked for.
    #[error("nothing to pretend; give --service dns=127.0.0.1:5300 or --telnet 127.0.0.1:2323")]
    Nothing,
    /// Others could reach it.
    #[error("{0} can be reached by others; add --beyond-loopback if that is meant")]
    Reachable(SocketAddr),
    /// The UDP services.
    #[error(transparent)]
    Amplification(#[from] amplification::ServeError),
    /// The device.
    #[error(transparent)]
    Device(#[from] iot::ServeError),
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

fn service(text: &str) -> Result<Service, String> {
    let (name, listen) = text.split_once('=').ok_or("expected NAME=ADDR:PORT, such as dns=127.0.0.1:5300")?;
    let listen = listen.parse().map_err(|_| format!("\"{listen}\" is not ADDR:PORT"))?;
    Ok(Service { protocol: name.parse::<Protocol>()?, listen })
}

/// Serves until `shutdown`; rows go to `out`.
pub async fn run(args: LureArgs, shutdown: CancellationToken, out: &mut dyn Write) -> Result<(), LureError> {
    noroshi_wire::raise_descriptors();
    let doors = [
        (Lure::Telnet, &args.telnet),
        (Lure::Ssh, &args.ssh),
        (Lure::Http, &args.http),
        (Lure::Adb, &args.adb),
        (Lure::Redis, &args.redis),
        (Lure::Upnp, &args.upnp),
    ];
    let doors: Vec<(Lure, SocketAddr)> =
        doors.into_iter().flat_map(|(lure, listens)| listens.iter().map(move |listen| (lure, *listen))).collect();
    let listens = args.service.iter().map(|service| service.listen).chain(doors.iter().map(|(_, listen)| *listen));
    if listens.clone().next().is_none() {
        return Err(LureError::Nothing);
    }
    if let Some(reachable) = listens.clone().find(|listen| !listen.ip().is_loopback()).filter(|_| !args.beyond_loopback)
    {
        return Err(LureError::Reachable(reachable));
    }
    let persona = match args.persona.contains(['/', '.']) {
        true => std::fs::read_to_string(&args.persona)
            .map_err(|source| LureError::Io { path: args.persona.clone().into(), source })?,
        false => args.persona.clone(),
    };
    let udp = amplification::bind(&amplification::Config {
        sensor: "lure".into(),
        seed: args.seed,
        services: args.service.clone(),
        bounds: Bounds { warm_up: args.warm_up, ..Bounds::default() },
        payload_bytes: 256,
        selection_secret: None,
    })?;
    let device = iot::bind(iot::Config {
        sensor: "lure".into(),
        seed: args.seed,
        persona,
        listen: doors,
        ..Default::default()
    })?;
    for (protocol, listen) in udp.addresses() {
        tracing::info!("{} on {listen}", protocol.name());
    }
    for (lure, listen) in device.addresses() {
        tracing::info!("{lure} on {listen}");
    }
    let (rows, mut requests) = mpsc::channel::<Vec<Request>>(WAITING);
    let (finished, mut sessions) = mpsc::channel::<Finished>(WAITING);
    let tally = udp.tally();
    let udp = tokio::spawn(udp.run(rows, shutdown.clone()));
    let device = tokio::spawn(device.run(finished, shutdown));
    let (mut udp_open, mut device_open) = (true, true);
    while udp_open || device_open {
        tokio::select! {
            batch = requests.recv(), if udp_open => match batch {
                Some(batch) => batch.iter().for_each(|request| line(out, "request", request)),
                None => udp_open = false,
            },
            session = sessions.recv(), if device_open => match session {
                Some(finished) => {
                    keep(&args, &finished)?;
                    line(out, "session", &finished.session);
                }
                None => device_open = false,
            },
        }
    }
    let lost = tally.lost.load(std::sync::atomic::Ordering::Relaxed);
    if lost > 0 {
        tracing::warn!("{lost} requests were not written: the output was too slow");
    }
    udp.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    device.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    Ok(())
}

fn keep(args: &LureArgs, finished: &Finished) -> Result<(), LureError> {
    let (Some(folder), Some(hash)) = (&args.recordings, &finished.session.recording) else { return Ok(()) };
    let path = folder.join(format!("{hash}.cast"));
    std::fs::write(&path, &finished.recording).map_err(|source| LureError::Io { path, source })
}

fn line(out: &mut dyn Write, table: &str, row: &impl serde::Serialize) {
    let row = serde_json::json!({"table": table, "row": row});
    // A closed pipe ends nothing: the lure goes on until it is told to stop.
    drop(writeln!(out, "{row}").and_then(|()| out.flush()));
}
