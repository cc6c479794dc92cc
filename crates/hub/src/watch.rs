//! Watching the fleet: who fell silent, and whether that came of a change of policy.
//!
//! A sensor that is connected when its policy changes is on probation. One that falls silent during it gets the policy
//! from before back: the revert is stored at once and reaches it with its next connection. Time is a parameter, so all
//! of this is tested without waiting.

use crate::fleet::{SILENT_AFTER, nanos, now, seconds};
use crate::services::ServiceResult;
use crate::state::Silence;
use crate::{Context, Fleet, HubError};
use noroshi_model::policy::Policy;
use noroshi_wire::SensorName;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// A sensor that still reports this long after a change has survived it.
pub const PROBATION: Duration = Duration::from_secs(60);
/// A sensor without a sign of life for this long is a finding: three chances to connect again after a broken link.
pub const SILENCE_AFTER: Duration = Duration::from_secs(90);
/// How often the fleet is looked at, and reports go to the database.
const EVERY: Duration = Duration::from_secs(1);

struct Probation {
    revision: u64,
    before: Policy,
    since: SystemTime,
}

/// What is remembered between looks.
pub(crate) struct Watch {
    started: SystemTime,
    probations: HashMap<SensorName, Probation>,
    /// Last sign of life of those that are silent, seconds since 1970.
    silent: HashMap<SensorName, i64>,
}

impl Watch {
    pub fn new(started: SystemTime) -> Self {
        Watch { started, probations: HashMap::new(), silent: HashMap::new() }
    }

    /// A change that follows another before its probation has ended still goes back to what was known to be good.
    pub fn changed(&mut self, name: &SensorName, revision: u64, before: Policy, at: SystemTime) {
        let good = self.probations.remove(name).map_or(before, |open| open.before);
        self.probations.insert(name.clone(), Probation { revision, before: good, since: at });
    }
}

/// What a look at the fleet found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Sensors that got an earlier policy back.
    pub reverted: Vec<String>,
    /// Sensors that fell silent.
    pub silent: Vec<String>,
    /// Sensors that speak again.
    pub back: Vec<String>,
}

impl Fleet {
    /// Last sign of life of a sensor that is silent, seconds since 1970.
    pub(crate) fn silent_since(&self, name: &SensorName) -> Option<i64> {
        self.watch.lock().expect("no panic while held").silent.get(name).copied()
    }

    fn reported(&self, name: &SensorName) -> Option<SystemTime> {
        self.seen(name)?.report.borrow().as_ref().map(|(at, _)| *at)
    }

    /// Looks at every sensor as of `at`: reverts what made one fall silent, opens and closes findings of silence.
    pub async fn look(&self, at: SystemTime) -> Result<Looked, HubError> {
        let mut looked = Looked::default();
        let since = |then: SystemTime| at.duration_since(then).unwrap_or_default();
        let due: Vec<(SensorName, Probation)> = {
            let mut watch = self.watch.lock().expect("no panic while held");
            let due: Vec<SensorName> =
                watch.probations.iter().filter(|(_, p)| since(p.since) >= PROBATION).map(|(n, _)| n.clone()).collect();
            due.into_iter().filter_map(|name| watch.probations.remove_entry(&name)).collect()
        };
        for (name, Probation { revision, before, since: changed }) in due {
            let speaks = self.reported(&name).is_some_and(|then| then >= changed && since(then) < SILENT_AFTER);
            if !speaks && self.newest(name.as_str()).await?.0 == revision {
                let reason = format!("automatic: silent after revision {revision}");
                tracing::warn!(sensor = %name, revision, "fell silent after a change of policy; the one before is back");
                // Nobody waits for the answer of a silent sensor.
                self.request_quietly(&name, before, reason).await?;
                looked.reverted.push(name.to_string());
            }
        }
        for sensor in self.state.sensors().await? {
            let Ok(name) = sensor.name.parse::<SensorName>() else { continue };
            let started = self.watch.lock().expect("no panic while held").started;
            let life = self.reported(&name).map(seconds).or(sensor.reported_at).unwrap_or(sensor.enrolled_at);
            // Right after a start of the hub nobody has had a chance to speak.
            let quiet = seconds(at) - life.max(seconds(started)) >= SILENCE_AFTER.as_secs() as i64;
            let known = self.silent_since(&name);
            match (sensor.revoked_at.is_none() && quiet, known) {
                (true, None) => {
                    tracing::warn!(sensor = %name, last_sign_of_life = life, "the sensor is silent");
                    self.state.silence(&sensor.name, life, None).await?;
                    self.watch.lock().expect("no panic while held").silent.insert(name, life);
                    looked.silent.push(sensor.name);
                }
                (false, Some(began)) => {
                    self.state.silence(&sensor.name, began, Some(seconds(at))).await?;
                    self.watch.lock().expect("no panic while held").silent.remove(&name);
                    looked.back.push(sensor.name);
                }
                _ => {}
            }
        }
        Ok(looked)
    }

    async fn request_quietly(&self, name: &SensorName, request: Policy, reason: String) -> Result<(), HubError> {
        let revision = self.newest(name.as_str()).await?.0 + 1;
        let row = crate::state::PolicyRow { revision, request: request.clone(), changed_at: seconds(now()), reason };
        self.state.add_policies(&[(name.clone(), row)]).await?;
        self.live(name, || (revision, request.clone())).request.send_replace((revision, request));
        Ok(())
    }

    /// Findings of silence, open ones first.
    pub async fn silences(&self, most: u32) -> Result<Vec<Silence>, HubError> {
        self.state.silences(most).await
    }
}

/// Looks at the fleet until the hub stops.
pub(crate) async fn run(context: Context) -> ServiceResult {
    loop {
        let stopped = tokio::time::timeout(EVERY, context.stop.cancelled()).await.is_ok();
        if let Err(error) = context.fleet.save_reports().await {
            tracing::error!(%error, "reports are not saved");
        }
        if stopped {
            return Ok(());
        }
        if let Err(error) = context.fleet.look(now()).await {
            tracing::error!(%error, at = nanos(now()), "the fleet cannot be looked at");
        }
    }
}
