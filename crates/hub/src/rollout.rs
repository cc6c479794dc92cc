//! Changing the policy of many sensors: one or a few first, the rest when those are well.

use crate::fleet::{Changed, SILENT_AFTER};
use crate::{Fleet, HubError};
use noroshi_model::policy::Policy;
use noroshi_wire::SensorName;
use noroshi_wire::message::REQUEST_REFUSED;
use std::collections::HashSet;

/// Every sensor that is not revoked.
pub const ALL: &str = "@all";

/// What a roll-out led to.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct RollOut {
    /// What became of each sensor, canaries first.
    pub changed: Vec<Changed>,
    /// Names of those that were changed first.
    pub canaries: Vec<String>,
    /// Why it was stopped after the canaries, which have their earlier policy back.
    pub stopped: Option<String>,
    /// Sensors that were left as they are, because it was stopped.
    pub untouched: Vec<String>,
}

impl Fleet {
    /// Puts a tag on a sensor, or takes it off.
    pub async fn tag(&self, name: &str, tag: &str, on: bool) -> Result<(), HubError> {
        let name = self.known(name).await?;
        // A tag follows the same rules as a name, so that both are safe on a command line.
        let tag: SensorName = tag.trim_start_matches('@').parse()?;
        self.state.tag(name.as_str(), tag.as_str(), on).await
    }

    /// Sensors meant by a name, `@TAG` or `@all`.
    pub async fn members(&self, target: &str) -> Result<Vec<SensorName>, HubError> {
        let Some(tag) = target.strip_prefix('@') else { return Ok(vec![self.known(target).await?]) };
        let tagged: HashSet<String> =
            self.state.tags().await?.into_iter().filter(|(t, _)| t == tag).map(|(_, name)| name).collect();
        let wanted = |name: &str| target == ALL || tagged.contains(name);
        let sensors = self.state.sensors().await?;
        let alive = sensors.iter().filter(|sensor| sensor.revoked_at.is_none() && wanted(&sensor.name));
        let names: Result<Vec<SensorName>, _> = alive.map(|sensor| sensor.name.parse()).collect();
        let names = names?;
        if names.is_empty() {
            let mut known: Vec<String> =
                self.state.tags().await?.into_iter().map(|(tag, _)| format!("@{tag}")).collect();
            known.dedup();
            return Err(HubError::UnknownSensor { name: target.to_owned(), known });
        }
        Ok(names)
    }

    /// Changes the policy of a group: `canaries` connected sensors first. The rest follows when each of them has put
    /// the change into force and has reported once more after that; otherwise the canaries get back what they had.
    pub async fn roll_out(&self, target: &str, assignments: &[String], canaries: usize) -> Result<RollOut, HubError> {
        let connected: HashSet<SensorName> = self.connections.live().into_iter().collect();
        let (mut first, mut rest): (Vec<_>, Vec<_>) =
            self.members(target).await?.into_iter().partition(|name| connected.contains(name));
        rest.splice(0..0, first.split_off(canaries.min(first.len())));
        let reason = format!("{target}: {}", assignments.join(" "));
        let before = self.newest_of(&first).await?;
        let mut changed = self.change_all(assigned(&before, assignments)?, &reason).await?;
        // Wrong settings are refused before anything has changed, also where there is no canary.
        let later = assigned(&self.newest_of(&rest).await?, assignments)?;
        let names: Vec<String> = first.iter().map(SensorName::to_string).collect();
        let mut stopped = None;
        for (name, now) in first.iter().zip(&changed) {
            stopped = stopped.or(self.ill(name, now).await);
        }
        if stopped.is_some() {
            let reason = format!("automatic: roll-out stopped after revision of {}", names.join(", "));
            self.change_all(before, &reason).await?;
            let untouched = rest.iter().map(SensorName::to_string).collect();
            return Ok(RollOut { changed, canaries: names, stopped, untouched });
        }
        changed.extend(self.change_all(later, &reason).await?);
        Ok(RollOut { changed, canaries: names, stopped, untouched: vec![] })
    }

    async fn newest_of(&self, names: &[SensorName]) -> Result<Vec<(SensorName, Policy)>, HubError> {
        let mut found = Vec::new();
        for name in names {
            found.push((name.clone(), self.newest(name.as_str()).await?.1));
        }
        Ok(found)
    }

    /// What is wrong with a canary; `None` when it is well.
    async fn ill(&self, name: &SensorName, changed: &Changed) -> Option<String> {
        if changed.acknowledged_ms.is_none() {
            return Some(format!("{name} did not say that the change is in force"));
        }
        if let Some(refusal) = changed.remarks.iter().find(|remark| remark.starts_with(REQUEST_REFUSED)) {
            return Some(format!("{name}: {refusal}"));
        }
        let mut reports = self.seen(name)?.report.subscribe();
        reports.mark_unchanged();
        let speaks = tokio::time::timeout(SILENT_AFTER, reports.changed()).await;
        speaks.err().map(|_| format!("{name} fell silent after the change"))
    }
}

fn assigned(of: &[(SensorName, Policy)], assignments: &[String]) -> Result<Vec<(SensorName, Policy)>, HubError> {
    of.iter()
        .map(|(name, policy)| {
            let mut request = policy.clone();
            assignments.iter().try_for_each(|assignment| request.set(assignment))?;
            Ok((name.clone(), request))
        })
        .collect()
}
