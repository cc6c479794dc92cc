//! `noroshi up`: everything on this machine, as an ordinary user.

mod sample;
mod visitors;

use super::hub::{runtime, serve};
use crate::failure::Failure;
use noroshi_hub::{Config, Hub, services};
use noroshi_model::Nanos;
use noroshi_store::journal::Recorder;
use sample::Sample;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use tokio::process::{Child, Command};
use visitors::{Visitors, record};

const EXAMPLES: &str = "\
Examples:
  noroshi up
  noroshi up --demo
  noroshi up --data /srv/noroshi --listen 0.0.0.0:7443 --advertise hub.example.net:7443

Then, in another terminal:
  noroshi fleet token kyoto-1";

const DEMO_SENSOR: &str = noroshi_hub::portal::SAMPLE_SENSOR;
/// How often the demo looks whether it was removed.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// The demo's honeypot gets a visitor so often.
const VISITOR_EVERY: std::time::Duration = std::time::Duration::from_secs(45);

/// Start everything on this machine: hub, journal, lake, detectors, warnings, portal, sensor endpoint. Members are read
/// from members.toml in the data folder, when it is there; without one nobody is told anything.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder for everything the hub keeps.
    #[arg(long, value_name = "DIR", env = "NOROSHI_DATA")]
    data: Option<PathBuf>,
    /// Address and port for sensors; port 0 takes any free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = noroshi_hub::config::SENSOR_LISTEN)]
    listen: SocketAddr,
    /// HOST:PORT that goes into invitations, where it differs from --listen.
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Replay a generated sample day through a real sensor on this machine, and let sample traffic go on. The portal
    /// removes it with one click, `noroshi fleet forget sample` with one command.
    #[arg(long)]
    demo: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    crate::heap::one_arena_a_core();
    let mut config = Config { listen: args.listen, advertise: args.advertise, ..Config::default() };
    let mut demo = None;
    config.data = args.data.unwrap_or(config.data);
    if args.demo {
        let sample = Sample::make(&config.data.join("sample"))?;
        sample.countries(&config.data.join("knowledge"))?;
        sample.profiles(&noroshi_hub::cause::profiles_folder(&config.data))?;
        config.warning.members = Some(sample.members()?);
        config.warning.mailbox = Some(sample.folder.join("mailbox"));
        demo = Some(sample);
    }
    runtime()?.block_on(async {
        let hub = Hub::start(config, services::standard()).await?;
        let demo = match demo {
            Some(sample) => Some(Demo::start(&hub, &sample).await?),
            None => None,
        };
        let outcome = serve(hub).await;
        drop(demo);
        outcome
    })
}

/// The sample sensor: a process of its own, ended with the hub, or when the sample is removed.
struct Demo(tokio::task::JoinHandle<()>);

impl Drop for Demo {
    fn drop(&mut self) {
        self.0.abort(); // and with the task the process that it holds
    }
}

impl Demo {
    async fn start(hub: &Hub, sample: &Sample) -> Result<Demo, Failure> {
        let state = sample.folder.join("sensor");
        let visitors = sample.visitors()?;
        let recorder = hub.context().journal.recorder(DEMO_SENSOR);
        if !state.join("identity.json").exists() || is_revoked(hub.context()).await {
            let name = DEMO_SENSOR.parse().map_err(Failure::failed)?;
            let address = hub.context().sensor_address.to_string();
            let (place, secret) = hub.context().fleet.token(&name, &address).await?.words();
            let enrolled = sensor(&state)?.args(["enroll", &place, &secret, "--replace"]).output().await?;
            if !enrolled.status.success() {
                return Err(Failure::failed(String::from_utf8_lossy(&enrolled.stderr).trim())
                    .hint("start again; if it repeats, move the sample folder away")
                    .at(sample.folder.display()));
            }
            record(&recorder, &visitors.day(now())).await?;
        }
        let mut command = sensor(&state)?;
        command.args(["run", "--until-now", "--stay", "--replay"]);
        command.arg(&sample.day).arg("--then").arg(&sample.living);
        let running = command.spawn()?;
        let line = format!(
            "SAMPLE DATA: sensor \"{DEMO_SENSOR}\" replays a generated day, and its honeypot has scripted visitors; nothing of it was observed"
        );
        drop(hub.context().notices.send(line));
        Ok(Demo(tokio::spawn(until_removed(running, hub.context().clone(), visitors, recorder))))
    }
}

async fn is_revoked(context: &noroshi_hub::Context) -> bool {
    let sensors = context.fleet.list().await.unwrap_or_default();
    sensors.iter().any(|sensor| sensor.name == DEMO_SENSOR && sensor.status == "revoked")
}

async fn until_removed(mut running: Child, context: noroshi_hub::Context, mut visitors: Visitors, recorder: Recorder) {
    let mut visit = tokio::time::interval(VISITOR_EVERY);
    visit.tick().await; // the first tick is at once
    let mut look = tokio::time::interval(LOOK_EVERY);
    while !is_revoked(&context).await {
        tokio::select! {
            _ = look.tick() => continue,
            _ = visit.tick() => {}
        }
        let visitor = visitors.next(now());
        if let Err(failure) = record(&recorder, visitor.as_slice()).await {
            drop(context.notices.send(format!("a visitor of the sample is not shown: {failure}")));
        }
    }
    drop(running.kill().await);
}

fn now() -> Nanos {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Nanos(since.map_or(0, |since| since.as_nanos() as i64))
}

fn sensor(state: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("sensor").env("NOROSHI_SENSOR_STATE", state).env("RUST_LOG", "warn");
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    Ok(command)
}
