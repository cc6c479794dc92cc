//! The commands of `noroshi-sensor`, which `noroshi sensor` shares.

use crate::amplification::Bounds;
use crate::enrol::enrol;
use crate::lure::LureOptions;
use crate::run::{Retime, RunOptions, SourceOptions, run};
use crate::source::{Interfaces, Keep, SourceError, drop_privileges};
use crate::spool::Spool;
use crate::state::StateDir;
use crate::{SensorError, ceiling};
use noroshi_wire::invitation::Invitation;
use std::io::Write;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// What a sensor's host can do.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Join a hub with the line that `noroshi fleet token` printed.
    #[command(after_help = "Example:\n  noroshi-sensor enroll kyoto-1@hub.example.net:7443 nrs1-…")]
    Enroll {
        /// NAME@HOST:PORT; the host may be edited when the hub is reached another way.
        place: String,
        /// The token.
        secret: String,
        /// Forget the identity this folder has.
        #[arg(long)]
        replace: bool,
        /// Where this sensor keeps its state.
        #[command(flatten)]
        state: StateArg,
    },
    /// Observe, and deliver to the hub.
    #[command(
        after_help = "Examples:\n  noroshi-sensor run --interface eth0 --ceiling ceiling.toml\n  noroshi-sensor run --replay day.pcap.gz --speed 10\n  noroshi-sensor run --replay captures/ --ceiling ceiling.toml\n  noroshi-sensor run --lure telnet=192.0.2.7:23 --lure dns=192.0.2.7:53 --ceiling ceiling.toml"
    )]
    Run {
        /// Captures (files or folders) to replay; may be given several times.
        #[arg(long, value_name = "PATH", required_unless_present_any = ["interface", "lures", "lure_device"])]
        replay: Vec<PathBuf>,
        /// Interfaces to capture from; may be given several times. Needs root or CAP_NET_RAW, given up once they are open.
        #[arg(long, value_name = "NAME", conflicts_with = "replay")]
        interface: Vec<String>,
        /// Multiple of the captures' own pace; without it as fast as possible.
        #[arg(long, value_name = "N", value_parser = speed)]
        speed: Option<f64>,
        /// Move capture times so that the first packet is now.
        #[arg(long)]
        from_now: bool,
        /// Move capture times so that the latest packet is now.
        #[arg(long, conflicts_with = "from_now")]
        until_now: bool,
        /// Replay from the start, even if this folder has delivered it before.
        #[arg(long)]
        again: bool,
        /// After the replay, let these captures go round for ever at their own pace, their times moved to the present.
        #[arg(long, value_name = "PATH", requires = "replay")]
        then: Vec<PathBuf>,
        /// Go on after the replay, obeying the hub.
        #[arg(long)]
        stay: bool,
        /// The host's ceiling: no policy of the hub goes beyond it.
        #[arg(long, value_name = "FILE")]
        ceiling: Option<PathBuf>,
        /// Lures that this host allows to run.
        #[command(flatten)]
        lures: HostLures,
        /// Where this sensor keeps its state.
        #[command(flatten)]
        state: StateArg,
    },
    /// Show both hands of the policy and what is in force.
    #[command(after_help = "Example:\n  noroshi-sensor policy --ceiling ceiling.toml")]
    Policy {
        /// The host's ceiling.
        #[arg(long, value_name = "FILE")]
        ceiling: Option<PathBuf>,
        /// Where this sensor keeps its state.
        #[command(flatten)]
        state: StateArg,
    },
    /// The honeypots alone, on chosen ports, their rows as NDJSON: for trials.
    #[command(
        after_help = "Example:\n  noroshi-sensor lure --service dns=127.0.0.1:5300 --telnet 127.0.0.1:2323 --warm-up 0"
    )]
    Lure {
        /// What to pretend, and where.
        #[command(flatten)]
        args: crate::lure::LureArgs,
    },
    /// One lure process; started by a running sensor only.
    #[command(hide = true)]
    LureProcess,
    /// Is this sensor healthy? Identity, certificate, spool, the way to the hub.
    #[command(after_help = "Example:\n  noroshi-sensor doctor")]
    Doctor {
        /// Where this sensor keeps its state.
        #[command(flatten)]
        state: StateArg,
    },
}

/// What the host lets lures be.
#[derive(clap::Args, Debug, Default)]
pub struct HostLures {
    /// A lure and where it may listen, several times: telnet, ssh, http, dns, ntp, ssdp, cldap, memcached, snmp, coap,
    /// ws-discovery, generic. It runs when the hub's policy and the ceiling name it as well.
    #[arg(long = "lure", id = "lures", value_name = "NAME=ADDR:PORT", conflicts_with = "replay")]
    places: Vec<crate::lure::Place>,
    /// TUN device for whose traffic the lure tcp answers: a handshake and the first payload on every port.
    #[arg(long, value_name = "DEVICE", conflicts_with = "replay")]
    lure_device: Option<String>,
    /// Device persona: router, camera, recorder, or a TOML file.
    #[arg(long, value_name = "PERSONA", default_value = "router")]
    lure_persona: String,
    /// User that lure processes become when root starts the sensor.
    #[arg(long, value_name = "NAME", default_value = "nobody")]
    lure_user: String,
    /// Seconds without any UDP reply after a start. Shorter than an hour: restarts let replies of two hours add up.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    lure_warm_up: u32,
}

impl HostLures {
    fn any(&self) -> bool {
        !self.places.is_empty() || self.lure_device.is_some()
    }

    fn options(self) -> Result<LureOptions, SensorError> {
        let persona = match self.lure_persona.contains(['/', '.']) {
            true => std::fs::read_to_string(&self.lure_persona).map_err(|source| SensorError::State {
                path: self.lure_persona.clone().into(),
                doing: "read the persona",
                source,
            })?,
            false => self.lure_persona,
        };
        Ok(LureOptions {
            places: self.places,
            device: self.lure_device,
            persona,
            user: Some(self.lure_user),
            bounds: Bounds { warm_up: self.lure_warm_up, ..Bounds::default() },
            ..LureOptions::default()
        })
    }
}

/// Where the sensor keeps its identity and spool.
#[derive(clap::Args, Debug)]
pub struct StateArg {
    /// Folder for identity and spool, for one sensor.
    #[arg(long, value_name = "DIR", env = "NOROSHI_SENSOR_STATE")]
    state: Option<PathBuf>,
}

impl StateArg {
    fn path(&self) -> PathBuf {
        let home = |name: &str, tail: &str| std::env::var_os(name).map(|dir| Path::new(&dir).join(tail));
        self.state
            .clone()
            .or_else(|| home("XDG_STATE_HOME", "noroshi-sensor"))
            .or_else(|| home("HOME", ".local/state/noroshi-sensor"))
            .unwrap_or_else(|| "/var/lib/noroshi-sensor".into())
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("expected a number above 0, such as 1 or 60".into()),
    }
}

/// Runs a command; results go to `out`.
pub fn execute(command: Command, out: &mut dyn Write) -> Result<(), SensorError> {
    if let Command::LureProcess = command {
        return crate::lure::worker::main().map_err(SensorError::LureProcess);
    }
    let live = open_interfaces(&command)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let failed = |source| SensorError::Source(SourceError::Io { place: "runtime".into(), doing: "start", source });
    let runtime = runtime.map_err(failed)?;
    let outcome = runtime.block_on(dispatch(command, live, out));
    // Name lookups block a thread that nothing can interrupt; they are not waited for.
    runtime.shutdown_background();
    outcome
}

/// Opens what needs privileges, then gives them up, while there is one thread only.
fn open_interfaces(command: &Command) -> Result<Option<Interfaces>, SensorError> {
    match command {
        Command::Run { interface, lures, .. } if !interface.is_empty() || lures.any() => {
            let interfaces = (!interface.is_empty()).then(|| Interfaces::open(interface)).transpose()?;
            drop_privileges(if lures.any() { Keep::ForLures } else { Keep::Nothing })?;
            Ok(interfaces)
        }
        _ => Ok(None),
    }
}

fn say(out: &mut dyn Write, line: std::fmt::Arguments<'_>) {
    // A closed pipe ends nothing: the sensor's work is not what it prints.
    drop(writeln!(out, "{line}"));
}

async fn dispatch(command: Command, live: Option<Interfaces>, out: &mut dyn Write) -> Result<(), SensorError> {
    match command {
        Command::Enroll { place, secret, replace, state } => {
            let invitation = Invitation::parse(&place, &secret)?;
            let state = StateDir::open(&state.path())?;
            let done = enrol(&state, &invitation, replace).await?;
            say(out, format_args!("enrolled as {} (key exchange {})", done.name, done.key_exchange));
            if done.clock_offset_ms.abs() > 2_000 {
                let seconds = done.clock_offset_ms as f64 / 1000.0;
                say(out, format_args!("clock: this machine is {seconds:+.1} s off the hub; set it, times are wrong"));
            }
            say(out, format_args!("next: noroshi-sensor run --replay CAPTURE --state {}", state.path().display()));
            Ok(())
        }
        Command::Run { replay, interface: _, speed, from_now, until_now, again, then, stay, ceiling, lures, state } => {
            let retime = match (from_now, until_now) {
                (true, _) => Retime::FirstIsNow,
                (_, true) => Retime::LastIsNow,
                _ => Retime::Keep,
            };
            let source = match live {
                Some(interfaces) => SourceOptions::Open(Box::new(interfaces)),
                None if replay.is_empty() => SourceOptions::Nothing,
                None => SourceOptions::Replay { paths: replay, speed, retime, again, then },
            };
            let options = RunOptions { state: state.path(), source, ceiling, stay, lures: lures.options()? };
            let done = run(options, signals()).await?;
            say(out, format_args!("{} records numbered, {} at the hub", done.produced, done.acknowledged));
            Ok(())
        }
        Command::Policy { ceiling, state } => show_policy(&StateDir::open(&state.path())?, ceiling.as_deref(), out),
        Command::LureProcess => Ok(()),
        Command::Lure { args } => Ok(crate::lure::run(args, signals(), out).await?),
        Command::Doctor { state } => doctor(&StateDir::open(&state.path())?, out).await,
    }
}

/// A token that is cancelled by SIGINT and SIGTERM.
fn signals() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        if let Ok(mut stream) = signal(kind) {
            let token = token.clone();
            tokio::spawn(async move {
                stream.recv().await;
                token.cancel();
            });
        }
    }
    token
}

fn show_policy(state: &StateDir, ceiling: Option<&Path>, out: &mut dyn Write) -> Result<(), SensorError> {
    let ceiling = ceiling::load(ceiling)?;
    let (revision, request) = state.request()?.unwrap_or_default();
    let effective = request.stricter(&ceiling);
    say(out, format_args!("{:<22} {:<24} {:<24} in force", "setting", "hub requests", "host allows"));
    for (((key, hub), (_, host)), (_, now)) in request.lines().iter().zip(ceiling.lines()).zip(effective.lines()) {
        say(out, format_args!("{key:<22} {hub:<24} {host:<24} {now}"));
    }
    let hash = noroshi_wire::message::policy_hash(&effective);
    match revision {
        0 => say(out, format_args!("the hub has not spoken yet; nothing is recorded until it has")),
        _ => say(out, format_args!("revision {revision}, hash {hash}")),
    }
    Ok(())
}

async fn doctor(state: &StateDir, out: &mut dyn Write) -> Result<(), SensorError> {
    let identity = state.identity()?.ok_or_else(|| SensorError::NotEnrolled(state.path().to_owned()))?;
    say(out, format_args!("sensor       {}", identity.name));
    let hours = (identity.not_after - crate::enrol::now_nanos() / 1_000_000_000) as f64 / 3600.0;
    say(out, format_args!("certificate  valid for {hours:.1} h (renews itself while connected)"));
    match Spool::open(&state.spool(), u64::MAX) {
        Ok(spool) => {
            let stream = spool.state();
            let waiting = stream.last_seq - spool.acknowledged();
            say(out, format_args!("spool        {} bytes, {waiting} records not yet acknowledged", spool.bytes()));
        }
        Err(crate::spool::SpoolError::Locked(_)) => {
            say(out, format_args!("spool        in use: the sensor is running"))
        }
        Err(error) => return Err(error.into()),
    }
    let identity_pair = Some((&identity.certificate[..], &identity.key));
    let connection = noroshi_wire::Connection::open(&identity.hub, identity.pin, identity_pair).await?;
    say(out, format_args!("hub          {} answers, key exchange {}", identity.hub, connection.key_exchange));
    Ok(())
}
