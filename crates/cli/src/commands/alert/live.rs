//! What a hub's warnings came to, read from its data folder.

use super::{Format, Wall};
use crate::failure::Failure;
use crate::terminal::escape;
use noroshi_alert::config::Config;
use noroshi_alert::desk::Tracked;
use noroshi_alert::rules;
use noroshi_model::Nanos;
use noroshi_model::incident::Incident;
use noroshi_model::time::{Clock, SECOND};
use noroshi_share::outbox::Outbox;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Incidents that a preview looks at, the newest.
const INCIDENTS: u32 = 100_000;

#[derive(clap::Args)]
pub struct OutboxArgs {
    /// The hub's data folder.
    #[arg(long, value_name = "DIR", env = "NOROSHI_DATA")]
    data: Option<PathBuf>,
    /// How many messages to list, the newest.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    latest: u32,
    /// How it is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(clap::Args)]
pub struct PreviewArgs {
    /// The members' file with the rules.
    pub members: PathBuf,
    /// The hub's data folder.
    #[arg(long, value_name = "DIR", env = "NOROSHI_DATA")]
    data: Option<PathBuf>,
    /// Days to look back.
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    days: u32,
    /// How it is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

async fn open(data: Option<&Path>) -> Result<Outbox, Failure> {
    let data = data.map_or_else(noroshi_hub::config::default_folder, Path::to_owned);
    let path = data.join("warning.db");
    if !path.exists() {
        return Err(Failure::refused("no hub with warnings has run there")
            .at(path.display())
            .hint("give the hub's data folder with --data"));
    }
    Outbox::open(&path).await.map_err(|error| Failure::from(error).at(path.display()))
}

/// `noroshi alert outbox`.
pub async fn outbox(args: &OutboxArgs) -> Result<ExitCode, Failure> {
    let outbox = open(args.data.as_deref()).await?;
    let counts = outbox.counts().await?;
    let latest = outbox.latest(args.latest).await?;
    let mut out = std::io::stdout().lock();
    if args.format == Format::Json {
        let messages: Vec<_> = latest
            .iter()
            .map(|(recipient, state, attempts, reason)| {
                json!({ "recipient": recipient, "state": state, "attempts": attempts, "reason": reason })
            })
            .collect();
        let body = json!({
            "schema": "noroshi.outbox/1", "queued": counts.queued, "delivered": counts.delivered,
            "failed": counts.failed, "messages": messages,
        });
        writeln!(out, "{body}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "delivered {}, waiting {}, failed {}", counts.delivered, counts.queued, counts.failed)?;
    for (recipient, state, attempts, reason) in latest {
        let reason = reason.map_or(String::new(), |reason| format!(": {}", escape(&reason)));
        writeln!(out, "{recipient} {state} after {attempts} attempts{reason}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `noroshi alert preview`.
pub async fn preview(args: &PreviewArgs, config: &Config) -> Result<ExitCode, Failure> {
    let outbox = open(args.data.as_deref()).await?;
    let since = Nanos(Wall.now().0 - i64::from(args.days) * 86_400 * SECOND);
    let mut texts = outbox.stored().await?.incidents;
    texts.extend(outbox.closed_since(since, INCIDENTS).await?);
    let tracked = texts.iter().map(|text| serde_json::from_str::<Tracked>(text)).collect::<Result<Vec<_>, _>>()?;
    let past: Vec<Incident> =
        tracked.into_iter().filter(|t| t.heard.is_none_or(|at| at >= since)).map(|t| t.incident).collect();
    let defaults = rules::defaults();
    let candidates = if config.rules.is_empty() { &defaults } else { &config.rules };
    let mut out = std::io::stdout().lock();
    for rule in candidates {
        let seen = rules::preview(rule, &past);
        match args.format {
            Format::Json => {
                let body =
                    json!({ "schema": "noroshi.preview/1", "rule": rule.name, "days": args.days, "preview": seen });
                writeln!(out, "{body}")?;
            }
            Format::Text => writeln!(
                out,
                "{}: of {} incidents in {} days this rule would have sent {} at once and {} in daily digests",
                escape(&rule.name),
                seen.incidents,
                args.days,
                seen.at_once,
                seen.daily
            )?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
