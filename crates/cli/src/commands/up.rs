//! `noroshi up`: everything on this machine, as an ordinary user.

use super::hub::{runtime, serve};
use crate::failure::Failure;
use noroshi_hub::{Config, Hub, services};
use noroshi_model::finding::{AttackKind, Tool, Victim};
use noroshi_model::{Addr, Prefix};
use noroshi_simulate::{Scenario, Truth, World, write_day};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use tokio::process::{Child, Command};

const EXAMPLES: &str = "\
Examples:
  noroshi up
  noroshi up --demo
  noroshi up --data /srv/noroshi --listen 0.0.0.0:7443 --advertise hub.example.net:7443

Then, in another terminal:
  noroshi fleet token kyoto-1";

/// Packets of the sample day: enough for every screen to have something to show, sent in seconds.
const DEMO_PACKETS: u64 = 200_000;
const DEMO_SCENARIO: &str = "darknet-day";
/// What goes round for ever afterwards, at its own pace: about a hundred packets a second.
const LIVING_SCENARIO: &str = "living-hour";
const LIVING_PACKETS: u64 = 200_000;
/// Countries of the sample's sources, coarse: enough for a map. Only taken where no table is there yet.
const COUNTRIES: &str = include_str!("up/countries.csv");
const COUNTRIES_NAME: &str = "sample-countries";
const DEMO_SENSOR: &str = noroshi_hub::portal::SAMPLE_SENSOR;
/// How often the demo looks whether it was removed.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

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
    let mut config = Config { listen: args.listen, advertise: args.advertise, ..Config::default() };
    config.data = args.data.unwrap_or(config.data);
    if args.demo {
        let folder = config.data.join("sample");
        sample_countries(&config.data.join("knowledge"))?;
        sample(&folder, "", DEMO_SCENARIO, DEMO_PACKETS)?;
        config.warning.members = Some(sample_members(&folder)?);
        config.warning.mailbox = Some(folder.join("mailbox"));
    }
    runtime()?.block_on(async {
        let hub = Hub::start(config, services::standard()).await?;
        let demo = if args.demo { Some(Demo::start(&hub).await?) } else { None };
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
    async fn start(hub: &Hub) -> Result<Demo, Failure> {
        let folder = hub.context().config.data.join("sample");
        let state = folder.join("sensor");
        let capture = sample(&folder, "", DEMO_SCENARIO, DEMO_PACKETS)?;
        let living = sample(&folder, "living", LIVING_SCENARIO, LIVING_PACKETS)?;
        if !state.join("identity.json").exists() || is_revoked(hub.context()).await {
            let name = DEMO_SENSOR.parse().map_err(Failure::failed)?;
            let address = hub.context().sensor_address.to_string();
            let (place, secret) = hub.context().fleet.token(&name, &address).await?.words();
            let enrolled = sensor(&state)?.args(["enroll", &place, &secret, "--replace"]).output().await?;
            if !enrolled.status.success() {
                return Err(Failure::failed(String::from_utf8_lossy(&enrolled.stderr).trim())
                    .hint("start again; if it repeats, move the sample folder away")
                    .at(folder.display()));
            }
        }
        let mut command = sensor(&state)?;
        command.args(["run", "--until-now", "--stay", "--replay"]).arg(&capture).arg("--then").arg(&living);
        let running = command.spawn()?;
        let line = format!("SAMPLE DATA: sensor \"{DEMO_SENSOR}\" replays a generated day; nothing of it was observed");
        drop(hub.context().notices.send(line));
        Ok(Demo(tokio::spawn(until_removed(running, hub.context().clone()))))
    }
}

async fn is_revoked(context: &noroshi_hub::Context) -> bool {
    let sensors = context.fleet.list().await.unwrap_or_default();
    sensors.iter().any(|sensor| sensor.name == DEMO_SENSOR && sensor.status == "revoked")
}

async fn until_removed(mut running: Child, context: noroshi_hub::Context) {
    while !is_revoked(&context).await {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    drop(running.kill().await);
}

/// Takes the coarse table of countries where there is none.
fn sample_countries(knowledge: &Path) -> Result<(), Failure> {
    use noroshi_enrich::{ImportOptions, Knowledge};
    let known = knowledge.is_dir() && Knowledge::open(knowledge).is_ok_and(|known| known.has_country());
    if known {
        return Ok(());
    }
    std::fs::create_dir_all(knowledge)?;
    let file = knowledge.join("sample-countries.csv.new");
    std::fs::write(&file, COUNTRIES)?;
    let options = ImportOptions { name: Some(COUNTRIES_NAME.into()), ..ImportOptions::default() };
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let imported = noroshi_enrich::import(knowledge, &file, &options, noroshi_model::Nanos(since.as_nanos() as i64));
    std::fs::remove_file(&file)?;
    imported.map(drop).map_err(|error| Failure::failed(error).at(knowledge.display()))
}

fn sensor(state: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("sensor").env("NOROSHI_SENSOR_STATE", state).env("RUST_LOG", "warn");
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// Two organisations of the sample day: one with an infected host, one whose server is flooded.
fn sample_members(folder: &Path) -> Result<PathBuf, Failure> {
    let path = folder.join("members.toml");
    if path.exists() {
        return Ok(path);
    }
    let truth: Truth = serde_json::from_slice(&std::fs::read(folder.join("truth.json"))?)?;
    let mirai = truth.groups.iter().find(|group| group.tool == Tool::Mirai);
    let host = mirai.and_then(|group| group.members.iter().find(|addr| addr.is_v4()));
    let flooded = |attack: &&noroshi_simulate::truth::Attack| attack.kind == AttackKind::Backscatter;
    let victim = truth.attacks.iter().filter(flooded).max_by_key(|attack| attack.sent.packets);
    let mut text =
        "# Made for the sample day. Warnings about these networks are laid down as files in mailbox.\n".to_owned();
    let mut member = |id: &str, name: &str, language: &str, addr: Addr| {
        let network = Prefix::new(addr, if addr.is_v4() { 24 } else { 48 });
        text.push_str(&format!(
            "\n[[member]]\nid = \"{id}\"\nname = \"{name}\"\nlanguage = \"{language}\"\nprefixes = [\"{network}\"]\n\
             contacts = [{{ name = \"NOC\", mail = \"noc@{id}.example\" }}]\n"
        ));
    };
    if let Some(host) = host {
        member("sample-university", "Sample University", "en", *host);
    }
    if let Some(Victim::Address(addr)) = victim.map(|attack| attack.victim)
        && host.is_none_or(|host| !Prefix::new(*host, 24).contains(addr))
    {
        member("sample-shop", "Sample Shop", "ja", addr);
    }
    std::fs::write(&path, text)?;
    Ok(path)
}

/// A sample world's capture, generated once.
fn sample(folder: &Path, below: &str, scenario: &str, packets: u64) -> Result<PathBuf, Failure> {
    let folder = folder.join(below);
    let (capture, whole) = (folder.join("day.pcap"), folder.join("complete"));
    if whole.exists() {
        return Ok(capture);
    }
    writeln!(std::io::stderr(), "generating sample traffic ({scenario}, {packets} packets) …")?;
    let world = World::new(&Scenario::load(scenario)?, 1, packets);
    let written = write_day(&world, &folder, &mut |_| {})?;
    std::fs::write(&whole, b"")?;
    Ok(written.capture)
}
