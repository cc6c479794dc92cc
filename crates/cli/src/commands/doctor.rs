//! `noroshi doctor`: is the running hub healthy? Its accounts must balance to the record.

use crate::failure::Failure;
use noroshi_hub::admin::{Client, Health};
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

/// Is it healthy? Conservation of every stream, sensors, clocks, key exchange, backlog.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  noroshi doctor\n\nExit code 1 when something is wrong.")]
pub struct Args {
    /// Data folder of the running hub.
    #[arg(long, value_name = "DIR", env = "NOROSHI_DATA")]
    data: Option<PathBuf>,
    /// Print JSON (schema noroshi.doctor/1).
    #[arg(long)]
    json: bool,
}

/// Clocks further apart than this are reported as trouble.
const CLOCK_OFFSET_MS_MAX: i64 = 5_000;

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let data = args.data.unwrap_or_else(noroshi_hub::config::default_folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let health = runtime.block_on(Client(&data).doctor())?;
    let troubles = troubles(&health);
    let mut out = stdout().lock();
    if args.json {
        let document = serde_json::json!({ "schema": "noroshi.doctor/1", "troubles": troubles, "result": health });
        writeln!(out, "{document:#}")?;
    } else {
        print(&mut out, &health, &troubles)?;
    }
    Ok(if troubles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn troubles(health: &Health) -> Vec<String> {
    let mut found = Vec::new();
    for stream in health.streams.iter().filter(|stream| !stream.balances) {
        found.push(format!(
            "stream {} of {} does not balance: produced {} but stored {} and declared {}",
            stream.epoch, stream.sensor, stream.produced, stream.stored, stream.lost
        ));
    }
    for sensor in &health.sensors {
        if sensor.status == "silent" {
            found.push(format!("sensor {} is connected and silent", sensor.name));
        }
        if let Some(since) = sensor.silent_since {
            let since = noroshi_model::Nanos::from_seconds(since).rfc3339();
            found.push(format!("sensor {} gives no sign of life since {since}", sensor.name));
        }
        if let Some(ms) = sensor.clock_offset_ms.filter(|ms| ms.abs() > CLOCK_OFFSET_MS_MAX) {
            found.push(format!("the clock of sensor {} is {:+.1} s off", sensor.name, ms as f64 / 1000.0));
        }
    }
    found
}

fn print(out: &mut impl Write, health: &Health, troubles: &[String]) -> std::io::Result<()> {
    writeln!(out, "sensors at       {}", health.sensor_address)?;
    writeln!(out, "journal backlog  {} batches, {} bytes", health.backlog_batches, health.backlog_bytes)?;
    writeln!(out, "conservation     produced = stored + declared lost")?;
    for stream in &health.streams {
        let verdict = if stream.balances { "balances" } else { "DOES NOT BALANCE" };
        writeln!(
            out,
            "  {:<16} {}  {} = {} + {}  {verdict}",
            stream.sensor,
            &stream.epoch[..8.min(stream.epoch.len())],
            stream.produced,
            stream.stored,
            stream.lost
        )?;
    }
    for sensor in &health.sensors {
        let report = sensor.report.as_ref();
        let group = report.map_or("?", |report| report.key_exchange.as_str());
        let group = crate::terminal::escape(group);
        writeln!(out, "sensor           {:<16} {:<10} key exchange {group}", sensor.name, sensor.status)?;
    }
    for trouble in troubles {
        writeln!(out, "TROUBLE          {trouble}")?;
    }
    if troubles.is_empty() {
        writeln!(out, "all is well")?;
    }
    Ok(())
}
