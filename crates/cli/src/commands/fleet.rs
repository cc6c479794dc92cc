//! `noroshi fleet`: sensors of the running hub.

use crate::failure::Failure;
use crate::output::TextOrJson;
use noroshi_hub::HubError;
use noroshi_hub::admin::Client;
use noroshi_hub::fleet::{Changed, SensorDetail, SensorView};
use noroshi_hub::rollout::RollOut;
use noroshi_model::Nanos;
use noroshi_wire::SensorName;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi fleet token kyoto-1
  noroshi fleet list
  noroshi fleet set kyoto-1 payload_bytes=64 'filter=tcp or udp'
  noroshi fleet tag kyoto-1 universities
  noroshi fleet set @universities payload_bytes=64 --canaries 1
  noroshi fleet rollback kyoto-1
  noroshi fleet revoke kyoto-1";

/// Sensors: invite, list, show, steer, revoke.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// Data folder of the running hub.
    #[arg(long, value_name = "DIR", env = "NOROSHI_DATA", global = true)]
    data: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TextOrJson::Text, global = true)]
    format: TextOrJson,
}

#[derive(clap::Subcommand)]
enum What {
    /// One line to paste on the sensor: single use, one hour, bound to the name.
    #[command(after_help = "Example:\n  noroshi fleet token kyoto-1 --hub hub.example.net:7443")]
    Token {
        /// Name the sensor will have.
        name: SensorName,
        /// HOST:PORT by which the sensor reaches the hub.
        #[arg(long, value_name = "HOST:PORT")]
        hub: Option<String>,
    },
    /// Every sensor: status, rate, losses, spool, policy.
    #[command(after_help = "Example:\n  noroshi fleet list --format json")]
    List,
    /// One sensor, and the history of its policy.
    #[command(after_help = "Example:\n  noroshi fleet show kyoto-1")]
    Show {
        /// Its name.
        name: String,
    },
    /// Change the policy requested of a sensor, or of a group: a few first, the rest when those are well.
    #[command(
        after_help = "Examples:\n  noroshi fleet set kyoto-1 payload_bytes=0 destination_addresses=truncated\n  noroshi fleet set @universities payload_bytes=64 --canaries 2\n  noroshi fleet set @all sample_one_in=10\n  noroshi fleet set kyoto-1 lures=telnet,dns"
    )]
    Set {
        /// Its name, @TAG or @all.
        name: String,
        /// Settings, as key=value.
        #[arg(required = true, value_name = "KEY=VALUE")]
        assignments: Vec<String>,
        /// Connected sensors of a group that are changed first; 0 changes all at once.
        #[arg(long, value_name = "N", default_value_t = 1)]
        canaries: usize,
    },
    /// Put a sensor into a group.
    #[command(after_help = "Example:\n  noroshi fleet tag kyoto-1 universities")]
    Tag {
        /// Its name.
        name: String,
        /// The group.
        tag: String,
        /// Take it out instead.
        #[arg(long)]
        remove: bool,
    },
    /// Request an earlier policy again.
    #[command(after_help = "Example:\n  noroshi fleet rollback kyoto-1 --to 3")]
    Rollback {
        /// Its name.
        name: String,
        /// Revision; the one before the newest when not given.
        #[arg(long, value_name = "REVISION")]
        to: Option<u64>,
    },
    /// Cut a sensor off, at once and for good.
    #[command(after_help = "Example:\n  noroshi fleet revoke kyoto-1")]
    Revoke {
        /// Its name.
        name: String,
    },
    /// Cut a sensor off and remove everything that came from it. `sample` is the one of `noroshi up --demo`.
    #[command(after_help = "Example:\n  noroshi fleet forget sample")]
    Forget {
        /// Its name.
        name: String,
    },
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let data = args.data.unwrap_or_else(noroshi_hub::config::default_folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(act(Client(&data), args.what, args.format)).map_err(|error| match error {
        Trouble::Hub(error @ HubError::NotRunning(_)) => Failure::failed(error),
        Trouble::Hub(error @ HubError::Answer(_)) => Failure::refused(error),
        Trouble::Hub(error) => error.into(),
        Trouble::Print(error) => error.into(),
    })?;
    Ok(ExitCode::SUCCESS)
}

enum Trouble {
    Hub(HubError),
    Print(std::io::Error),
}

impl From<HubError> for Trouble {
    fn from(error: HubError) -> Self {
        Trouble::Hub(error)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Trouble::Print(error)
    }
}

async fn act(hub: Client<'_>, what: What, format: TextOrJson) -> Result<(), Trouble> {
    let json = format == TextOrJson::Json;
    match what {
        What::Token { name, hub: place } => {
            let token = hub.token(name, place).await?;
            if json {
                return print_json("noroshi.fleet-token/1", &token);
            }
            writeln!(stdout(), "noroshi-sensor enroll {}", token.line)?;
            let minutes = token.lifetime_seconds / 60;
            writeln!(std::io::stderr(), "paste that line on the sensor; it works once, for {minutes} minutes")?;
        }
        What::List => {
            let sensors = hub.list().await?;
            if json {
                return print_json("noroshi.fleet/1", &sensors);
            }
            list(&sensors)?;
        }
        What::Show { name } => {
            let detail = hub.show(name).await?;
            if json {
                return print_json("noroshi.fleet-sensor/1", &detail);
            }
            show(&detail)?;
        }
        What::Set { name, assignments, canaries } if name.starts_with('@') => {
            let outcome = hub.roll_out(name, assignments, canaries).await?;
            if json {
                return print_json("noroshi.fleet-rollout/1", &outcome);
            }
            rolled_out(&outcome)?;
        }
        What::Set { name, assignments, .. } => changed(&hub.set(name, assignments).await?, json)?,
        What::Tag { name, tag, remove } => {
            hub.tag(name.clone(), tag.clone(), !remove).await?;
            let tag = tag.trim_start_matches('@');
            writeln!(stdout(), "{name} is {} @{tag}", if remove { "no longer in" } else { "in" })?;
        }
        What::Rollback { name, to } => changed(&hub.rollback(name, to).await?, json)?,
        What::Revoke { name } => {
            let cut = hub.revoke(name.clone()).await?;
            writeln!(stdout(), "{name} is revoked; {cut} live connections were cut")?;
        }
        What::Forget { name } => {
            hub.forget(name.clone()).await?;
            writeln!(stdout(), "{name} is revoked, and nothing of it is left")?;
        }
    }
    Ok(())
}

fn print_json(schema: &str, value: &impl serde::Serialize) -> Result<(), Trouble> {
    let document = serde_json::json!({ "schema": schema, "result": value });
    Ok(writeln!(stdout(), "{document:#}")?)
}

fn time(seconds: Option<i64>) -> String {
    seconds.map_or("never".into(), |seconds| Nanos::from_seconds(seconds).rfc3339())
}

fn list(sensors: &[SensorView]) -> Result<(), Trouble> {
    let mut out = stdout().lock();
    if sensors.is_empty() {
        writeln!(out, "no sensor has enrolled yet; invite one with: noroshi fleet token NAME")?;
        return Ok(());
    }
    let columns = ("name", "status", "last report", "records", "lost", "waiting", "policy", "clock");
    let (a, b, c, d, e, f, g, h) = columns;
    writeln!(out, "{a:<16} {b:<10} {c:<21} {d:>12} {e:>9} {f:>9} {g:>9} {h:>8}")?;
    for sensor in sensors {
        let report = sensor.report.clone().unwrap_or_default();
        let lost: u64 = report.losses.iter().map(|loss| loss.count).sum();
        let waiting = report.produced.saturating_sub(report.acknowledged);
        let policy = format!("{}{}", sensor.policy_revision, if sensor.policy_in_force { "" } else { " asked" });
        let clock = sensor.clock_offset_ms.map_or("?".into(), |ms| format!("{:+.1} s", ms as f64 / 1000.0));
        let clock = if sensor.clock_suspect { format!("{clock} SUSPECT") } else { clock };
        let status = if sensor.silent_since.is_some() { "SILENT" } else { &sensor.status };
        writeln!(
            out,
            "{:<16} {:<10} {:<21} {:>12} {lost:>9} {waiting:>9} {policy:>9} {clock:>8}",
            sensor.name,
            status,
            time(sensor.reported_at),
            report.produced,
        )?;
    }
    Ok(())
}

fn show(detail: &SensorDetail) -> Result<(), Trouble> {
    let mut out = stdout().lock();
    let SensorDetail { sensor, policies } = detail;
    writeln!(out, "{} ({}), enrolled {}", sensor.name, sensor.status, time(Some(sensor.enrolled_at)))?;
    if !sensor.tags.is_empty() {
        writeln!(out, "groups        @{}", sensor.tags.join(" @"))?;
    }
    if let Some(since) = sensor.silent_since {
        writeln!(out, "SILENT        since {}", time(Some(since)))?;
    }
    if sensor.clock_suspect {
        writeln!(out, "CLOCK         suspect: its times are flagged; the order of its records is not in doubt")?;
    }
    if let Some(report) = &sensor.report {
        writeln!(out, "last report   {}, version {}", time(sensor.reported_at), report.version)?;
        let source = crate::terminal::escape(&report.source);
        writeln!(out, "source        {source}{}", if report.source_ended { " (ended)" } else { "" })?;
        writeln!(out, "records       {} numbered, {} acknowledged", report.produced, report.acknowledged)?;
        for loss in &report.losses {
            writeln!(out, "lost          {} ({})", loss.count, loss.reason)?;
        }
        writeln!(out, "spool         {} bytes", report.spool_bytes)?;
        for lure in &report.lures {
            writeln!(out, "lure          {}", crate::terminal::escape(lure))?;
        }
        writeln!(out, "key exchange  {}", crate::terminal::escape(&report.key_exchange))?;
        writeln!(out, "in force      revision {}, hash {}", report.policy_revision, report.policy_hash)?;
        for (key, value) in report.effective.lines() {
            writeln!(out, "  {key:<22} {}", crate::terminal::escape(&value))?;
        }
        for remark in &report.remarks {
            writeln!(out, "  note: {}", crate::terminal::escape(remark))?;
        }
    }
    writeln!(out, "history")?;
    let mut before = noroshi_model::policy::Policy::default();
    for row in policies {
        writeln!(out, "  {:>3}  {}  {}", row.revision, time(Some(row.changed_at)), row.reason)?;
        for change in row.request.changes(&before) {
            writeln!(out, "         {change}")?;
        }
        before = row.request.clone();
    }
    Ok(())
}

fn rolled_out(outcome: &RollOut) -> Result<(), Trouble> {
    for one in &outcome.changed {
        changed(one, false)?;
    }
    let mut out = stdout().lock();
    if let Some(why) = &outcome.stopped {
        writeln!(out, "STOPPED: {}", crate::terminal::escape(why))?;
        writeln!(out, "{} have their earlier policy back", outcome.canaries.join(", "))?;
        writeln!(out, "left as they are: {}", outcome.untouched.join(", "))?;
    }
    Ok(())
}

fn changed(changed: &Changed, json: bool) -> Result<(), Trouble> {
    if json {
        return print_json("noroshi.fleet-change/1", changed);
    }
    let mut out = stdout().lock();
    writeln!(out, "{}: policy revision {}", changed.name, changed.revision)?;
    for change in &changed.changes {
        writeln!(out, "  {change}")?;
    }
    let refused = changed.remarks.iter().any(|remark| remark.starts_with(noroshi_wire::message::REQUEST_REFUSED));
    match (changed.acknowledged_ms, &changed.hash) {
        (Some(_), Some(hash)) if refused => {
            writeln!(out, "NOT in force: the sensor refuses it and keeps the policy with hash {hash}")?;
        }
        (Some(ms), Some(hash)) => writeln!(out, "in force on the sensor after {ms} ms, hash {hash}")?,
        _ => writeln!(out, "not confirmed yet: the sensor is away, and gets it when it connects")?,
    }
    for remark in &changed.remarks {
        writeln!(out, "  note: {}", crate::terminal::escape(remark))?;
    }
    Ok(())
}
