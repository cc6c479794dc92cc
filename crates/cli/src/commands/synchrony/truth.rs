//! What was planted in a generated world, and which alerts found it.
//!
//! Reads `noroshi.truth/1` and the plain list of groups (`dport`, `burst_minutes`, `sources`, with `start_us` beside
//! them) that other generators write.

use crate::failure::Failure;
use noroshi_detect::synchrony::{Alert, Level};
use noroshi_model::{Addr, Nanos};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;

/// Sources that act together, as planted.
pub struct Planted {
    ports: Vec<u16>,
    members: HashSet<Addr>,
    /// First and last instant of each burst.
    bursts: Vec<(Nanos, Nanos)>,
    /// A group pulses; a campaign starts together once and need not be found, but is no false alert either.
    group: bool,
}

/// How well an engine did.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Groups planted.
    pub planted: usize,
    /// Groups that an alert names.
    pub found: usize,
    /// Found over planted; none without planted groups.
    pub recall: Option<f64>,
    /// Alerts that name a planted group or campaign.
    pub true_alerts: usize,
}

/// Share of the members that an alert with sources must hold.
const MEMBERS_SHARE: f64 = 0.5;
const MINUTE: i64 = 60_000_000_000;

/// Reads the truth beside a generated world.
pub fn read(path: &Path) -> Result<Vec<Planted>, Failure> {
    let refused = |why: String| {
        Failure::refused(why)
            .at(path.display())
            .hint("name the truth.json that noroshi simulate wrote beside the world")
    };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let truth: Value = serde_json::from_str(&text).map_err(|error| refused(format!("not JSON: {error}")))?;
    let start = Nanos(truth["start_us"].as_i64().unwrap_or(0).saturating_mul(1_000));
    let list = |name: &str| truth[name].as_array().cloned().unwrap_or_default();
    if truth["groups"].as_array().is_none() {
        return Err(refused("it says nothing of groups".to_owned()));
    }
    let groups = list("groups").iter().filter_map(|one| planted(one, start, true)).collect::<Vec<_>>();
    let campaigns = list("campaigns");
    Ok(groups.into_iter().chain(campaigns.iter().filter_map(|one| planted(one, start, false))).collect())
}

fn planted(one: &Value, start: Nanos, group: bool) -> Option<Planted> {
    let ports: Vec<u16> = match one["ports"].as_array().or_else(|| one["dports"].as_array()) {
        Some(ports) => ports.iter().filter_map(|port| u16::try_from(port.as_u64()?).ok()).collect(),
        None => vec![u16::try_from(one["dport"].as_u64().or_else(|| one["port"].as_u64())?).ok()?],
    };
    let members = one["members"].as_array().or_else(|| one["sources"].as_array())?;
    let members = members.iter().filter_map(|source| source.as_str()?.parse().ok()).collect();
    let instant = |value: &Value| match value {
        Value::String(text) => text.parse::<Nanos>().ok(),
        _ => value.as_i64().map(Nanos),
    };
    let bursts = match (one["bursts"].as_array(), one["burst_minutes"].as_array()) {
        (Some(bursts), _) => {
            bursts.iter().filter_map(|burst| Some((instant(&burst["start"])?, instant(&burst["end"])?))).collect()
        }
        (_, Some(minutes)) => minutes
            .iter()
            .filter_map(|minute| Some(Nanos(start.0 + minute.as_i64()? * MINUTE)))
            .map(|at| (at, Nanos(at.0 + MINUTE)))
            .collect(),
        _ => Vec::new(),
    };
    Some(Planted { ports, members, bursts, group })
}

/// Compares alerts with what was planted.
pub fn score(alerts: &[Alert], planted: &[Planted]) -> Score {
    let groups: Vec<&Planted> = planted.iter().filter(|one| one.group).collect();
    let found = groups.iter().filter(|group| alerts.iter().any(|alert| names(alert, group))).count();
    Score {
        planted: groups.len(),
        found,
        recall: (!groups.is_empty()).then(|| found as f64 / groups.len() as f64),
        true_alerts: alerts.iter().filter(|alert| planted.iter().any(|one| names(alert, one))).count(),
    }
}

/// Whether an alert names what was planted: half of its members, or, for engines that see networks only, one of its
/// ports in the time of one of its bursts.
fn names(alert: &Alert, planted: &Planted) -> bool {
    if !alert.sources.is_empty() {
        let held = alert.sources.iter().filter(|source| planted.members.contains(source)).count();
        return held as f64 >= MEMBERS_SHARE * planted.members.len() as f64 && held * 2 >= alert.sources.len();
    }
    let port = alert.ports.iter().any(|port| planted.ports.contains(&port.port) && port.level != Level::Concentrated);
    port && planted.bursts.iter().any(|(start, end)| *start < alert.end && alert.start < *end)
}
