//! `noroshi alert`: who of the members must know, told now.

mod live;
mod precursors;

use crate::commands::export::{gate, read_report};
use crate::failure::{Failure, REFUSED};
use crate::inputs::{self, Input};
use crate::output::Output;
use crate::progress::Progress;
use crate::terminal::{Paint, escape};
use noroshi_alert::config::{self, Config};
use noroshi_detect::Engine;
use noroshi_hub::warning::Warner;
use noroshi_model::alert::{Alert, AlertKind, RecipientId, Severity};
use noroshi_model::finding::Attack;
use noroshi_model::member::Member;
use noroshi_model::time::Clock;
use noroshi_model::tlp::Tlp;
use noroshi_model::{Nanos, Prefix};
use noroshi_packet::decode::decode;
use noroshi_share::delivery::{Delivery, Settings, SmtpSecurity, SmtpServer};
use noroshi_share::gate::Gate;
use noroshi_share::mail::Sender;
use noroshi_share::outbox::{Commit, Outbox};
use noroshi_share::ssrf::Guard;
use noroshi_share::stix::marking::Markings;
use noroshi_share::stix::{Exporter, Producer};
use noroshi_share::ticket::Links;
use noroshi_share::webhook::Courier;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  noroshi alert check members.toml
  noroshi alert run --members members.toml --smtp localhost:25 --from noroshi@example.org capture.pcap.gz
  noroshi alert run --members members.toml --dry-run --stix incidents.json report.json
  noroshi alert test --members members.toml --smtp localhost:25 --from noroshi@example.org example-net/mail
  noroshi alert outbox
  noroshi alert preview members.toml

A running hub warns by itself. It reads members.toml in its data folder, or what its configuration names:
  [warning]
  members = \"members.toml\"
  smtp = \"mail.example.org:587\"
  smtp_security = \"starttls\"
  from = \"Noroshi <noroshi@example.org>\"
  base = \"https://noroshi.example.org\"";

/// Members and their warnings: check the members' file, replay captures or reports, try a channel, see what a hub sent.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Reads a members' file and says what it understood, or every mistake with its line.
    #[command(after_help = "Example:\n  noroshi alert check members.toml")]
    Check {
        /// The members' file.
        members: PathBuf,
    },
    /// Replays captures or reports, decides who must know, and tells them.
    #[command(after_help = EXAMPLES)]
    Run(Box<RunArgs>),
    /// Shows what a hub's warnings came to: waiting, delivered, failed, and why.
    #[command(
        after_help = "Examples:\n  noroshi alert outbox\n  noroshi alert outbox --data /srv/noroshi --format json"
    )]
    Outbox(live::OutboxArgs),
    /// Looks for small tests that announce large attacks, and scores them where the truth is known.
    #[command(
        after_help = "Example:\n  noroshi simulate precursor-week --output week\n  noroshi alert precursors week/day.pcap --truth week/truth.json"
    )]
    Precursors(precursors::PrecursorArgs),
    /// Says how many of a hub's incidents each rule would have told.
    #[command(
        after_help = "Example:\n  noroshi alert preview members.toml --days 7\n\nEach rule is put in front of the others, so its count is the most it could decide."
    )]
    Preview(live::PreviewArgs),
    /// Sends a test message to one recipient.
    #[command(
        after_help = "Example:\n  noroshi alert test --members members.toml --smtp localhost:25 --from noroshi@example.org example-net/mail"
    )]
    Test(Box<TestArgs>),
}

#[derive(clap::Args)]
struct TestArgs {
    #[command(flatten)]
    way: Way,
    /// Member and channel, such as example-net/mail.
    recipient: String,
}

#[derive(clap::Args)]
struct RunArgs {
    #[command(flatten)]
    way: Way,
    /// Captures, directories of them, or reports (*.json) of noroshi analyze.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Observed space; may be given several times [default: every destination in the captures].
    #[arg(long, short, value_name = "CIDR")]
    monitored: Vec<Prefix>,
    /// Decide and print, send nothing and keep nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write the incidents as a STIX 2.1 bundle.
    #[arg(long, value_name = "FILE")]
    stix: Option<PathBuf>,
    /// How the messages are listed on standard output.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One line for each message.
    Text,
    /// One JSON object for each message: noroshi.alert/1.
    Json,
}

#[derive(clap::Args)]
struct Way {
    /// The members' file.
    #[arg(long, value_name = "FILE")]
    members: PathBuf,
    /// Where undelivered messages and the desk's state are kept [default: in memory, for this run].
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Mail server as host:port. Without it mails stay in the queue.
    #[arg(long, value_name = "HOST:PORT")]
    smtp: Option<String>,
    /// How the mail server is reached.
    #[arg(long, value_enum, default_value = "plain")]
    smtp_security: SecurityArg,
    /// Sender of mails.
    #[arg(long, value_name = "ADDRESS", default_value = "Noroshi <noroshi@localhost>")]
    from: String,
    /// Public address of the portal, for links in messages.
    #[arg(long, value_name = "URL")]
    base: Option<String>,
    /// Name of the organisation that publishes.
    #[arg(long, default_value = "Noroshi")]
    producer: String,
    /// A network of sensors that must not be named; may be given several times.
    #[arg(long, value_name = "CIDR")]
    sensor: Vec<Prefix>,
    /// A webhook receiver on this machine that may be reached without TLS, as address:port.
    #[arg(long, value_name = "SOCKET")]
    allow_webhook: Vec<SocketAddr>,
    /// Seconds to go on trying what was put off before the run ends.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum SecurityArg {
    /// No protection: for a server on this machine.
    Plain,
    /// STARTTLS, required.
    Starttls,
    /// TLS from the first byte.
    Tls,
}

/// The computer's clock.
struct Wall;

impl Clock for Wall {
    fn now(&self) -> Nanos {
        Nanos(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64))
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.what {
        What::Check { members } => check(&members),
        What::Outbox(args) => runtime.block_on(live::outbox(&args)),
        What::Precursors(args) => precursors::run(&args),
        What::Preview(args) => {
            let config = read_members(&args.members)?;
            runtime.block_on(live::preview(&args, &config))
        }
        What::Run(args) => runtime.block_on(replay(&args)),
        What::Test(args) => runtime.block_on(test(&args.way, &args.recipient)),
    }
}

fn read_members(path: &Path) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::refused(format!("cannot read the members' file: {error}")).at(path.display()))?;
    config::parse(&text).map_err(|error| {
        let mut lines = error.problems.iter().map(|p| format!("{}:{}: {}", path.display(), p.line, p.text));
        let first = lines.next().unwrap_or_default();
        for line in lines {
            eprintln!("{} {}", Paint::stderr().error("noroshi:"), escape(&line));
        }
        Failure::refused(first).hint("correct the lines named and run noroshi alert check again")
    })
}

fn check(path: &Path) -> Result<ExitCode, Failure> {
    let config = read_members(path)?;
    let mut out = std::io::stdout().lock();
    for member in config.registry.members() {
        let channels: Vec<&str> = member.channels.iter().map(|c| c.name.as_str()).collect();
        writeln!(
            out,
            "{}: {}, {} prefixes, {} dark, {}, {}, up to {}",
            member.id,
            escape(&member.name),
            member.prefixes.len(),
            member.dark.len(),
            channels.join(" "),
            member.language,
            member.tlp_ceiling.label()
        )?;
    }
    for overlap in config.registry.overlaps() {
        let (winner, loser) = (&overlap.winner, &overlap.loser);
        writeln!(
            out,
            "overlap: {} of {winner} lies in {} of {loser}; {winner} is told",
            overlap.winning, overlap.losing
        )?;
    }
    let (rules, silent) = (config.rules.len(), config.suppressions.len());
    let rules = if rules == 0 { "default rules".to_owned() } else { format!("{rules} rules") };
    writeln!(out, "{} members, {rules}, {silent} suppressions", config.registry.members().len())?;
    Ok(ExitCode::SUCCESS)
}

async fn replay(args: &RunArgs) -> Result<ExitCode, Failure> {
    let config = read_members(&args.way.members)?;
    let outbox = outbox(if args.dry_run { None } else { args.way.state.as_deref() }).await?;
    let mut warner = Warner::open(&config, args.monitored.clone(), outbox.clone()).await?;
    let reports: Vec<&PathBuf> = args.paths.iter().filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    let captures: Vec<PathBuf> = args.paths.iter().filter(|p| !reports.contains(p)).cloned().collect();
    let mut sensors = args.way.sensor.clone();
    sensors.extend(&args.monitored);
    for path in reports {
        let report = read_report(path)?;
        sensors.extend(&report.monitored);
        warner.campaign_members(report.campaigns.iter().flat_map(|c| c.members.iter().copied()));
        warner.attacks(&report.attacks);
    }
    let mut refused = 0;
    if !captures.is_empty() {
        let inputs = inputs::expand(&captures)?;
        let found = read_captures(&inputs, args, &mut warner, &mut refused)?;
        sensors.extend(&found.1);
        warner.attacks(&found.0);
    }
    warner.finish();
    let committed = warner.commit(Wall.now(), None).await?;
    let gate = Arc::new(gate(sensors, None, Wall.now())?);
    if let Some(path) = &args.stix {
        let mut incidents = committed.closed;
        incidents.extend(warner.desk().incidents().map(|t| t.incident.clone()));
        incidents.sort_by(|a, b| (a.first, &a.id).cmp(&(b.first, &b.id)));
        write_stix(path, &incidents, &gate, &args.way)?;
    }
    print(&committed.alerts, args.format)?;
    if args.dry_run {
        eprintln!("dry run: {} messages not sent", committed.alerts.len());
    } else {
        deliver(&args.way, &config, gate, &outbox).await?;
    }
    Ok(if refused > 0 { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

/// Captures through the decoder into the watch and the detectors, as they are read. Gives the attacks and the observed
/// space.
fn read_captures(
    inputs: &[Input],
    args: &RunArgs,
    warner: &mut Warner,
    refused: &mut usize,
) -> Result<(Vec<Attack>, Vec<Prefix>), Failure> {
    let progress = Progress::bytes(inputs::total_bytes(inputs));
    let detectors = noroshi_detect::Config { monitored: args.monitored.clone(), ..noroshi_detect::Config::default() };
    let mut engine = Engine::new(detectors);
    for (file, input) in inputs.iter().enumerate() {
        let mut reader = match input.open() {
            Ok(reader) => reader,
            Err(problem) => {
                eprintln!("{} {}: {}", Paint::stderr().warn("noroshi:"), escape(&input.path), escape(&problem.text));
                *refused += 1;
                continue;
            }
        };
        let mut taken = 0;
        while let Some(raw) = reader.next_batch() {
            let packets = raw.records.len() as u64;
            let batch = decode(raw, file as u32);
            warner.observe(&batch);
            engine.observe(batch);
            let now = reader.bytes_taken();
            progress.advance(now - std::mem::replace(&mut taken, now), packets);
        }
    }
    let found = engine.finish(1);
    Ok((found.attacks, found.monitored))
}

fn write_stix(
    path: &Path,
    incidents: &[noroshi_model::incident::Incident],
    gate: &Gate,
    way: &Way,
) -> Result<(), Failure> {
    let tlp = incidents.iter().map(|i| i.tlp).max().unwrap_or(Tlp::Amber);
    let created = incidents.iter().map(|i| i.last).max().unwrap_or_default();
    let mut exporter = Exporter::new(Producer { name: way.producer.clone(), tlp, markings: Markings::Both, created });
    for incident in incidents {
        match gate.own_incident(incident, tlp) {
            Ok(cleared) => exporter.incident(&cleared),
            Err(reason) => eprintln!("{} an incident is withheld: {reason}", Paint::stderr().faint("noroshi:")),
        }
    }
    let bundle = exporter.finish("Incidents of members", &format!("{} incidents", incidents.len()));
    let mut output = Output::open(Some(path))?;
    output.write_all(serde_json::to_string_pretty(&bundle)?.as_bytes())?;
    output.finish()
}

fn print(alerts: &[Alert], format: Format) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for alert in alerts {
        match format {
            Format::Json => writeln!(out, "{}", serde_json::to_string(alert)?)?,
            Format::Text => {
                let told: Vec<String> =
                    alert.incidents.iter().take(5).map(|i| format!("{} {}", i.kind, i.subject)).collect();
                let more = alert.incidents.len().saturating_sub(5);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                writeln!(
                    out,
                    "{} {} {} {}: {}{more}",
                    Nanos::from_seconds(alert.created.seconds()).rfc3339(),
                    alert.recipient,
                    alert.kind,
                    alert.severity,
                    told.join(", ")
                )?;
            }
        }
    }
    Ok(())
}

async fn outbox(path: Option<&Path>) -> Result<Outbox, Failure> {
    Ok(match path {
        Some(path) => Outbox::open(path).await.map_err(|error| Failure::from(error).at(path.display()))?,
        None => Outbox::in_memory().await?,
    })
}

fn delivery(way: &Way, config: &Config, gate: Arc<Gate>) -> Result<Delivery, Failure> {
    let sender = Sender::parse(&way.from)
        .map_err(|error| Failure::usage(format!("--from: {error}")).hint("write Name <name@example.org>"))?;
    let smtp = way.smtp.as_deref().map(|text| smtp_server(text, way.smtp_security)).transpose()?;
    Ok(Delivery::new(Settings {
        registry: Arc::new(config.registry.clone()),
        gate,
        sender,
        smtp,
        mailbox: None,
        webhooks: Courier { guard: Guard { allowed: way.allow_webhook.clone() } },
        // Tickets are a hub's: without one, answers need an account.
        links: way.base.as_deref().map(|base| Links { base: base.trim_end_matches('/').to_owned(), tickets: None }),
        producer: way.producer.clone(),
    })?)
}

fn smtp_server(text: &str, security: SecurityArg) -> Result<SmtpServer, Failure> {
    let refused = || Failure::usage(format!("\"{text}\" is not host:port")).hint("for example localhost:25");
    let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
    let security = match security {
        SecurityArg::Plain => SmtpSecurity::Plain,
        SecurityArg::Starttls => SmtpSecurity::StartTls,
        SecurityArg::Tls => SmtpSecurity::Tls,
    };
    let login = match (std::env::var("NOROSHI_SMTP_USER"), std::env::var("NOROSHI_SMTP_PASSWORD")) {
        (Ok(user), Ok(password)) => Some((user, password)),
        _ => None,
    };
    Ok(SmtpServer { host: host.to_owned(), port: port.parse().map_err(|_| refused())?, security, login })
}

/// Delivers what is due, and tries again what was put off while patience lasts.
async fn deliver(way: &Way, config: &Config, gate: Arc<Gate>, outbox: &Outbox) -> Result<(), Failure> {
    let delivery = delivery(way, config, gate)?;
    let until = tokio::time::Instant::now() + Duration::from_secs(way.patience);
    loop {
        delivery.round(outbox, &Wall).await?;
        let Some(next) = outbox.next_due().await? else { break };
        let wait = Duration::from_secs_f64(next.seconds_since(Wall.now()).max(0.0));
        if way.smtp.is_none() || tokio::time::Instant::now() + wait > until {
            break;
        }
        tokio::time::sleep(wait).await;
    }
    let counts = outbox.counts().await?;
    eprintln!("delivered {}, waiting {}, failed {}", counts.delivered, counts.queued, counts.failed);
    for (recipient, state, attempts, reason) in outbox.latest(20).await? {
        if let (true, Some(reason)) = (state != "delivered", reason) {
            let paint = Paint::stderr();
            eprintln!("{} {recipient} {state} after {attempts} attempts: {}", paint.warn("noroshi:"), escape(&reason));
        }
    }
    if counts.failed > 0 {
        return Err(Failure::failed("some messages could not be delivered").hint("see the reasons above"));
    }
    if counts.queued > 0 {
        let hint = match way.state {
            Some(_) => "run the command again to try once more; nothing is sent twice",
            None => "keep undelivered messages with --state FILE",
        };
        return Err(Failure::failed(format!("{} messages were not delivered", counts.queued)).hint(hint));
    }
    Ok(())
}

async fn test(way: &Way, recipient: &str) -> Result<ExitCode, Failure> {
    let config = read_members(&way.members)?;
    let recipient = RecipientId(recipient.to_owned());
    let member = find(&config, &recipient)?;
    let now = Wall.now();
    let alert = Alert {
        // A test is a new message each time.
        id: noroshi_share::outbox::fresh_id(),
        recipient,
        member: member.id.clone(),
        kind: AlertKind::Test,
        severity: Severity::Info,
        tlp: Tlp::Clear,
        language: member.language,
        created: now,
        rule: "test".into(),
        incidents: Vec::new(),
    };
    let outbox = outbox(None).await?;
    let alerts = [alert];
    outbox.commit(&Commit { now, alerts: &alerts, ..Commit::default() }).await?;
    let gate = Arc::new(gate(way.sensor.clone(), None, now)?);
    deliver(way, &config, gate, &outbox).await?;
    Ok(ExitCode::SUCCESS)
}

fn find<'c>(config: &'c Config, recipient: &RecipientId) -> Result<&'c Member, Failure> {
    let (member, channel) = recipient.parts();
    let known = config.registry.members().iter().find(|m| m.id.0 == member);
    match known {
        Some(found) if found.channels.iter().any(|c| c.name == channel) => Ok(found),
        Some(found) => {
            let names: Vec<&str> = found.channels.iter().map(|c| c.name.as_str()).collect();
            Err(Failure::usage(format!("{member} has no channel \"{channel}\""))
                .hint(format!("its channels are {}", names.join(", "))))
        }
        None => Err(Failure::usage(format!("no member is called \"{member}\"")).hint("write member/channel")),
    }
}
