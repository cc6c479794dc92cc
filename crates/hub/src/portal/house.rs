//! What the API asks, answered from packets in memory and from the fleet.

use crate::services::Context;
use crate::{HubError, fleet};
use async_trait::async_trait;
use noroshi_api::backend::{Answered, PacketQuery, Slice};
use noroshi_api::live::Live;
use noroshi_api::memory::{Memory, SensorRecord};
use noroshi_api::query::{Answer, Query};
use noroshi_api::scope::Scope;
use noroshi_api::views::{
    Anonymise, AttackView, CampaignView, Enrolment, Known, NowView, PacketView, Page, Policy, PolicyPreview, Records,
    ScanView, SensorState, SensorView,
};
use noroshi_api::{Backend, BackendError};
use noroshi_model::Nanos;
use noroshi_model::policy::{self, Policy as Request};
use noroshi_model::time::SECOND;
use noroshi_wire::SensorName;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Organisation of sensors that enrolled with this hub.
const ORGANISATION: &str = "hub";
/// How sensors that replay captures describe their source.
const REPLAY: &str = "replay of ";

/// What the fleet knows of a sensor.
struct Member {
    sensor: fleet::SensorView,
    requested: Policy,
    produced: u64,
    stored: u64,
    lost: u64,
}

/// Packets in memory, sensors of the fleet.
pub struct House {
    memory: Arc<Memory>,
    context: Context,
    members: Mutex<HashMap<String, Member>>,
    sample: AtomicBool,
    missed: AtomicU64,
}

impl House {
    /// A house over that memory.
    pub fn new(memory: Arc<Memory>, context: Context) -> Self {
        House { memory, context, members: Mutex::default(), sample: AtomicBool::new(false), missed: AtomicU64::new(0) }
    }

    /// The packets and findings.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Counts packets that were moved into the lake before they could be read here.
    pub fn missed(&self, packets: u64) {
        self.missed.fetch_add(packets, Ordering::Relaxed);
    }

    fn notes(&self) -> Option<String> {
        let missed = self.missed.load(Ordering::Relaxed);
        (missed > 0).then(|| format!("{missed} packets came too fast to be shown here; they are in the lake"))
    }

    /// Asks the fleet how its sensors are.
    pub async fn refresh(&self) -> Result<(), HubError> {
        let mut members = HashMap::new();
        for sensor in self.context.fleet.list().await? {
            let name: SensorName = sensor.name.parse()?;
            let requested = view_of(&self.context.fleet.requests(&name).await?.borrow().1);
            members.insert(sensor.name.clone(), Member { sensor, requested, produced: 0, stored: 0, lost: 0 });
        }
        for account in self.context.journal.conservation().await? {
            if let Some(member) = members.get_mut(&account.sensor) {
                member.produced += account.produced;
                member.stored += account.stored;
                member.lost += account.lost;
            }
        }
        for member in members.values() {
            let mut record = SensorRecord::new(member.sensor.name.clone(), ORGANISATION, None);
            record.requested = member.requested.clone();
            (record.produced, record.stored) = (member.produced, member.stored);
            record.seen = member.sensor.reported_at.map(seconds);
            self.memory.add_sensor_record(record);
        }
        self.sample.store(members.values().any(Member::replays), Ordering::Relaxed);
        *self.members.lock().unwrap_or_else(PoisonError::into_inner) = members;
        Ok(())
    }

    fn complete(&self, view: &mut SensorView) {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(member) = members.get(&view.name) else { return };
        view.state = match member.sensor.status.as_str() {
            "revoked" => SensorState::Revoked,
            "connected" => SensorState::Online,
            _ => SensorState::Late,
        };
        let report = member.sensor.report.as_ref();
        view.version = report.map(|report| report.version.clone());
        (view.produced, view.stored, view.lost) = (member.produced, member.stored, member.lost);
        view.clock_offset_ms = member.sensor.clock_offset_ms.map(|offset| offset as f64);
        view.effective = report.map(|report| view_of(&report.effective));
        view.sample = member.replays();
    }
}

impl Member {
    fn replays(&self) -> bool {
        self.sensor.report.as_ref().is_some_and(|report| report.source.starts_with(REPLAY))
    }
}

fn seconds(at: i64) -> Nanos {
    Nanos(at.saturating_mul(SECOND))
}

/// A policy as the portal shows it.
fn view_of(policy: &Request) -> Policy {
    let nothing = policy.prefixes.as_ref().is_some_and(Vec::is_empty);
    Policy {
        sampling: if nothing { 0.0 } else { 1.0 / f64::from(policy.sample_one_in.max(1)) },
        payload_bytes: policy.payload_bytes.into(),
        anonymise: match policy.source_addresses {
            policy::Anonymise::None => Anonymise::None,
            policy::Anonymise::PrefixPreserving => Anonymise::PrefixPreserving,
            policy::Anonymise::Truncated => Anonymise::Truncated,
        },
        records: Records::Packets,
        prefixes: policy.prefixes.iter().flatten().map(ToString::to_string).collect(),
        honeypots: Vec::new(),
        reply_bytes_per_second: 0,
    }
}

/// What the portal asks for, as settings of the fleet. What sensors cannot do yet is refused, not left out.
fn assignments(policy: &Policy) -> Answered<Vec<String>> {
    let refused = |text: &str| Err(BackendError::Refused(text.to_owned()));
    if policy.records != Records::Packets {
        return refused("records: sensors of this hub record packets; counts per minute are not available");
    }
    if !policy.honeypots.is_empty() || policy.reply_bytes_per_second > 0 {
        return refused("honeypots: they are switched on where the sensor runs, not from here");
    }
    if !policy.sampling.is_finite() || policy.sampling < 1.0 / f64::from(u32::MAX) {
        return refused("sampling: more than 0; to record nothing, revoke the sensor");
    }
    // One in a whole number, never more than was asked; 1/49 must not become one in 50 by rounding of the division.
    let one_in = (1.0 / policy.sampling - 1e-6).ceil().max(1.0) as u32;
    let anonymise = match policy.anonymise {
        Anonymise::None => policy::Anonymise::None,
        Anonymise::PrefixPreserving => policy::Anonymise::PrefixPreserving,
        Anonymise::Truncated => policy::Anonymise::Truncated,
    };
    Ok(vec![
        format!("sample_one_in={one_in}"),
        format!("payload_bytes={}", policy.payload_bytes),
        format!("source_addresses={anonymise}"),
        format!("prefixes={}", policy.prefixes.join(",")),
    ])
}

fn failed(error: HubError) -> BackendError {
    match error {
        HubError::UnknownSensor { .. } => BackendError::NotFound("sensor"),
        HubError::Policy(error) => BackendError::Refused(error.to_string()),
        other => BackendError::Unavailable { part: "fleet", cause: other.to_string() },
    }
}

#[async_trait]
impl Backend for House {
    fn now(&self) -> Nanos {
        self.memory.now()
    }

    fn sample(&self) -> bool {
        self.sample.load(Ordering::Relaxed)
    }

    fn live(&self) -> Arc<Live> {
        self.memory.live()
    }

    async fn overview(&self, scope: &Scope) -> Answered<NowView> {
        let mut view = self.memory.overview(scope).await?;
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        view.sensors_online = members.values().filter(|member| member.sensor.status == "connected").count() as u64;
        view.notes.extend(self.notes());
        Ok(view)
    }

    async fn explore(&self, scope: &Scope, query: &Query) -> Answered<Answer> {
        let mut answer = self.memory.explore(scope, query).await?;
        let notes = self.notes();
        answer.complete &= notes.is_none();
        answer.notes.extend(notes);
        Ok(answer)
    }

    async fn packets(&self, scope: &Scope, query: &PacketQuery) -> Answered<Page<PacketView>> {
        let mut page = self.memory.packets(scope, query).await?;
        let notes = self.notes();
        page.complete &= notes.is_none();
        page.notes.extend(notes);
        Ok(page)
    }

    async fn attacks(&self, scope: &Scope, slice: Slice) -> Answered<Page<AttackView>> {
        self.memory.attacks(scope, slice).await
    }

    async fn attack(&self, scope: &Scope, id: &str) -> Answered<AttackView> {
        self.memory.attack(scope, id).await
    }

    async fn campaigns(&self, scope: &Scope, slice: Slice) -> Answered<Page<CampaignView>> {
        self.memory.campaigns(scope, slice).await
    }

    async fn campaign(&self, scope: &Scope, id: &str) -> Answered<CampaignView> {
        self.memory.campaign(scope, id).await
    }

    async fn scans(&self, scope: &Scope, slice: Slice) -> Answered<Page<ScanView>> {
        self.memory.scans(scope, slice).await
    }

    async fn lookup(&self, scope: &Scope, value: &str) -> Answered<Known> {
        self.memory.lookup(scope, value).await
    }

    async fn sensors(&self, scope: &Scope) -> Answered<Page<SensorView>> {
        self.refresh().await.map_err(failed)?;
        let mut page = self.memory.sensors(scope).await?;
        page.items.iter_mut().for_each(|view| self.complete(view));
        Ok(page)
    }

    async fn sensor(&self, scope: &Scope, name: &str) -> Answered<SensorView> {
        self.refresh().await.map_err(failed)?;
        let mut view = self.memory.sensor(scope, name).await?;
        self.complete(&mut view);
        Ok(view)
    }

    async fn set_policy(&self, scope: &Scope, name: &str, policy: Policy) -> Answered<SensorView> {
        self.sensor(scope, name).await?;
        self.context.fleet.set(name, &assignments(&policy)?).await.map_err(failed)?;
        self.sensor(scope, name).await
    }

    async fn preview_policy(&self, scope: &Scope, name: &str, policy: &Policy) -> Answered<PolicyPreview> {
        assignments(policy)?;
        self.memory.preview_policy(scope, name, policy).await
    }

    async fn add_sensor(&self, _: &Scope, name: &str) -> Answered<Enrolment> {
        let known = self.context.fleet.list().await.map_err(failed)?;
        if known.iter().any(|sensor| sensor.name == name && sensor.status != "revoked") {
            return Err(BackendError::Conflict(format!("There is a sensor \"{name}\" already.")));
        }
        let parsed: SensorName = name.parse().map_err(|error| BackendError::Refused(format!("{error}")))?;
        let hub = self.context.config.advertise.clone().unwrap_or_else(|| self.context.sensor_address.to_string());
        let invitation = self.context.fleet.token(&parsed, &hub).await.map_err(failed)?;
        if !known.iter().any(|sensor| sensor.name == name) {
            self.memory.add_sensor_record(SensorRecord::new(name, ORGANISATION, None));
        }
        Ok(Enrolment {
            name: name.to_owned(),
            command: format!("noroshi sensor enroll {invitation}"),
            expires: Nanos(self.now().0 + fleet::TOKEN_LIFETIME.as_nanos() as i64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_the_way_to_the_fleet_and_back() {
        for one_in in [1u32, 3, 10, 49, 1000, 65_521] {
            let mut wanted = Request { sample_one_in: one_in, payload_bytes: 7, ..Request::default() };
            wanted.source_addresses = policy::Anonymise::Truncated;
            wanted.prefixes = Some(vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
            let mut got = Request::default();
            for assignment in assignments(&view_of(&wanted)).unwrap() {
                got.set(&assignment).unwrap();
            }
            assert_eq!(got, wanted);
        }
    }

    #[test]
    fn what_sensors_cannot_do_is_refused() {
        let good = view_of(&Request::default());
        assert!(assignments(&good).is_ok());
        let bad = [
            Policy { records: Records::Minutes, ..good.clone() },
            Policy { honeypots: vec!["telnet".into()], ..good.clone() },
            Policy { sampling: 0.0, ..good.clone() },
            Policy { sampling: f64::NAN, ..good },
        ];
        for policy in bad {
            assert!(matches!(assignments(&policy), Err(BackendError::Refused(_))), "{policy:?}");
        }
    }
}
