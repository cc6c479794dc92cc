//! What the API asks, answered from the lake, from findings that are kept, from the fleet, and, while there is no lake,
//! from packets in memory.

use super::causes;
use super::kept::Kept;
use super::past::{Days, Past};
use super::warnings::Warnings;
use super::{SAMPLE_OWNER, SAMPLE_SENSOR};
use crate::services::Context;
use crate::{HubError, fleet};
use async_trait::async_trait;
use noroshi_api::backend::{Answered, PacketQuery, SessionFilter, Slice};
use noroshi_api::live::Live;
use noroshi_api::memory::{Memory, SensorRecord, apply_policy, read_value};
use noroshi_api::query::{Answer, Query};
use noroshi_api::scope::Scope;
use noroshi_api::views::{
    AttackView, CampaignView, CauseView, Enrolment, Known, MemberView, MessageView, NowView, OutlookView, PacketView,
    Page, Policy, PolicyPreview, PolicyRevision, RulePreview, RuleTrial, SampleView, ScanView, SensorState, SensorView,
    SessionDetail, SessionView, SurgeView, WarningView,
};
use noroshi_api::{Backend, BackendError};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;
use noroshi_wire::SensorName;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Organisation of sensors that enrolled with this hub.
const ORGANISATION: &str = "hub";
/// Where the map draws the sample's sensor, which stands nowhere: Tokyo.
const SAMPLE_PLACE: [f64; 2] = [139.7, 35.7];
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
    past: Option<Past>,
    kept: Kept,
    warnings: Warnings,
    members: Mutex<HashMap<String, Member>>,
    /// When the fleet was last asked.
    asked: tokio::sync::Mutex<Option<Instant>>,
    sample: AtomicBool,
    missed: AtomicU64,
}

impl House {
    /// A house over that memory and what is kept.
    pub fn new(memory: Arc<Memory>, kept: Kept, context: Context) -> Self {
        House {
            memory,
            past: context.lake.clone().map(Past::new),
            kept,
            warnings: Warnings::new(&context.config.data),
            context,
            members: Mutex::default(),
            asked: tokio::sync::Mutex::default(),
            sample: AtomicBool::new(false),
            missed: AtomicU64::new(0),
        }
    }

    /// What is kept beside the lake.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The packets and findings.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Whether the sample was removed, and what of it is still on its way is not to be looked at.
    pub fn is_sample_gone(&self) -> bool {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.get(SAMPLE_SENSOR).is_some_and(|member| member.sensor.status == "revoked")
    }

    /// Counts packets that were moved into the lake before they could be read here.
    pub fn missed(&self, packets: u64) {
        self.missed.fetch_add(packets, Ordering::Relaxed);
    }

    fn notes(&self) -> Option<String> {
        let missed = self.missed.load(Ordering::Relaxed);
        let text = format!("{missed} packets came too fast for the live view; the detectors and the lake have them");
        (missed > 0).then_some(text)
    }

    /// Asks the fleet how its sensors are. Those who ask while it is being asked share what comes next.
    pub async fn refresh(&self) -> Result<(), HubError> {
        let wanted = Instant::now();
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked >= wanted) {
            return Ok(());
        }
        let now = Instant::now();
        self.ask_fleet().await?;
        *asked = Some(now);
        Ok(())
    }

    async fn ask_fleet(&self) -> Result<(), HubError> {
        let mut members = HashMap::new();
        for sensor in self.context.fleet.list().await? {
            let name: SensorName = sensor.name.parse()?;
            let requested = self.context.fleet.requests(&name).await?.borrow().1.clone();
            members.insert(sensor.name.clone(), Member { sensor, requested, produced: 0, stored: 0, lost: 0 });
        }
        for account in self.context.journal.conservation().await? {
            if let Some(member) = members.get_mut(&account.sensor) {
                member.produced += account.produced;
                member.stored += account.stored;
                member.lost += account.lost;
            }
        }
        let places = self.kept.places().await?;
        let gone = |member: &&Member| member.sensor.name == SAMPLE_SENSOR && member.sensor.status == "revoked";
        for member in members.values().filter(|member| !gone(member)) {
            let somewhere = (member.sensor.name == SAMPLE_SENSOR).then_some(SAMPLE_PLACE);
            let place = places.get(&member.sensor.name).copied().or(somewhere);
            let mut record = SensorRecord::new(member.sensor.name.clone(), ORGANISATION, place);
            record.requested = member.requested.clone();
            (record.produced, record.stored) = (member.produced, member.stored);
            record.seen = member.sensor.reported_at.map(seconds);
            self.memory.add_sensor_record(record);
        }
        let sample = |member: &Member| member.replays() && member.sensor.status != "revoked";
        self.sample.store(members.values().any(sample), Ordering::Relaxed);
        *self.members.lock().unwrap_or_else(PoisonError::into_inner) = members;
        if self.is_sample_gone() {
            self.memory.forget(SAMPLE_SENSOR, SAMPLE_OWNER);
            self.kept.forget(SAMPLE_OWNER).await?;
        }
        Ok(())
    }

    /// The last day of every sensor; empty while there is no lake.
    async fn days(&self) -> Answered<Days> {
        match &self.past {
            Some(past) => past.days(self.now()).await,
            None => Ok(Days::new()),
        }
    }

    fn complete(&self, view: &mut SensorView, days: &Days) {
        if let Some(rates) = days.get(&view.name) {
            view.rates = rates.clone();
        }
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
        view.effective = report.map(|report| report.effective.clone());
        view.remarks = report.map(|report| report.remarks.clone()).unwrap_or_default();
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
        let mut view = match &self.past {
            None => self.memory.overview(scope).await?,
            Some(past) => {
                let found = past.overview(self.memory.newest(), self.now()).await?;
                NowView {
                    packets: found.packets,
                    sources: found.sources,
                    newest: found.newest,
                    hour: found.hour,
                    ports: found.ports,
                    countries: found.countries,
                    ..self.memory.overview_of_findings(scope)
                }
            }
        };
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if scope.sees_sensor(ORGANISATION) {
            view.sensors_online = members.values().filter(|member| member.sensor.status == "connected").count() as u64;
        }
        view.notes.extend(self.notes());
        Ok(view)
    }

    async fn explore(&self, scope: &Scope, query: &Query) -> Answered<Answer> {
        if let Some(past) = &self.past {
            return past.explore(query, self.now()).await;
        }
        let mut answer = self.memory.explore(scope, query).await?;
        let notes = self.notes();
        answer.complete &= notes.is_none();
        answer.notes.extend(notes);
        Ok(answer)
    }

    async fn packets(&self, scope: &Scope, query: &PacketQuery) -> Answered<Page<PacketView>> {
        if let Some(past) = self.past.as_ref().filter(|_| scope.sensor_addresses()) {
            return past.packets(query, self.now()).await;
        }
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

    async fn campaign_cause(&self, scope: &Scope, id: &str) -> Answered<CauseView> {
        causes::of_campaign(&self.context, &self.memory.campaign(scope, id).await?).await
    }

    async fn scans(&self, scope: &Scope, slice: Slice) -> Answered<Page<ScanView>> {
        self.memory.scans(scope, slice).await
    }

    async fn lookup(&self, scope: &Scope, value: &str) -> Answered<Known> {
        let Some(past) = &self.past else { return self.memory.lookup(scope, value).await };
        let value = read_value(value, scope);
        let country = value.address().and_then(|addr| self.memory.country(addr));
        let figures = match value.expr() {
            Some(filter) => past.figures(&filter, value.top_field(), country, self.now()).await?,
            None => Default::default(),
        };
        Ok(self.memory.known(scope, &value, figures))
    }

    async fn sensors(&self, scope: &Scope) -> Answered<Page<SensorView>> {
        self.refresh().await.map_err(failed)?;
        let mut page = self.memory.sensors(scope).await?;
        let days = self.days().await?;
        page.items.iter_mut().for_each(|view| self.complete(view, &days));
        Ok(page)
    }

    async fn sensor(&self, scope: &Scope, name: &str) -> Answered<SensorView> {
        self.refresh().await.map_err(failed)?;
        let mut view = self.memory.sensor(scope, name).await?;
        let days = self.days().await?;
        self.complete(&mut view, &days);
        Ok(view)
    }

    async fn set_policy(&self, scope: &Scope, name: &str, policy: Policy) -> Answered<SensorView> {
        self.sensor(scope, name).await?;
        self.context.fleet.request(name, policy).await.map_err(failed)?;
        self.sensor(scope, name).await
    }

    async fn preview_policy(&self, scope: &Scope, name: &str, policy: &Policy) -> Answered<PolicyPreview> {
        let Some(past) = &self.past else { return self.memory.preview_policy(scope, name, policy).await };
        let sensor = self.sensor(scope, name).await?;
        let packet = past.sample_of(name, self.now()).await?;
        // The host's ceiling is known by what it left of the last request.
        let effective = sensor.effective.as_ref().map_or_else(|| policy.clone(), |now| bounded(policy, &sensor, now));
        let (before, after, mut notes) = apply_policy(&effective, packet);
        notes.extend(sensor.remarks);
        let hide = |view: PacketView| match scope.sensor_addresses() {
            true => view,
            false => PacketView { dst: String::new(), ..view },
        };
        Ok(PolicyPreview { effective, before: before.map(hide), after: after.map(hide), notes })
    }

    async fn policies(&self, scope: &Scope, name: &str) -> Answered<Page<PolicyRevision>> {
        self.sensor(scope, name).await?;
        let known = self.context.fleet.show(name).await.map_err(failed)?.policies;
        let before = |at: usize| at.checked_sub(1).map_or_else(Policy::default, |at| known[at].request.clone());
        let revision = |(at, row): (usize, &crate::state::PolicyRow)| PolicyRevision {
            revision: row.revision,
            at: seconds(row.changed_at),
            reason: row.reason.clone(),
            changes: row.request.changes(&before(at)),
            policy: row.request.clone(),
        };
        let items: Vec<_> = known.iter().enumerate().map(revision).rev().collect();
        Ok(Page { total: items.len() as u64, items, complete: true, notes: Vec::new() })
    }

    async fn roll_back(&self, scope: &Scope, name: &str, revision: u64) -> Answered<SensorView> {
        let known = self.policies(scope, name).await?;
        if !known.items.iter().any(|one| one.revision == revision) {
            return Err(BackendError::NotFound("revision"));
        }
        self.context.fleet.rollback(name, Some(revision)).await.map_err(failed)?;
        self.sensor(scope, name).await
    }

    async fn place(&self, scope: &Scope, name: &str, place: [f64; 2]) -> Answered<SensorView> {
        self.sensor(scope, name).await?;
        self.kept.place(name, place).await.map_err(|error| failed(error.into()))?;
        self.sensor(scope, name).await
    }

    async fn revoke_sensor(&self, scope: &Scope, name: &str) -> Answered<()> {
        self.sensor(scope, name).await?;
        self.context.fleet.revoke(name).await.map_err(failed)?;
        Ok(())
    }

    async fn remove_sample(&self, _: &Scope) -> Answered<()> {
        super::forget(&self.context, SAMPLE_SENSOR).await.map_err(failed)?;
        if let Some(past) = &self.past {
            past.forget().await;
        }
        self.refresh().await.map_err(failed)
    }

    async fn sessions(&self, scope: &Scope, filter: &SessionFilter, slice: Slice) -> Answered<Page<SessionView>> {
        match &self.past {
            Some(past) => past.sessions(filter, slice).await,
            None => self.memory.sessions(scope, filter, slice).await,
        }
    }

    async fn session(&self, scope: &Scope, id: &str) -> Answered<SessionDetail> {
        match &self.past {
            Some(past) => past.session(id).await,
            None => self.memory.session(scope, id).await,
        }
    }

    async fn session_cause(&self, scope: &Scope, id: &str) -> Answered<CauseView> {
        causes::of_session(&self.context, &self.session(scope, id).await?.session).await
    }

    async fn samples(&self, scope: &Scope, slice: Slice) -> Answered<Page<SampleView>> {
        match &self.past {
            Some(past) => {
                let mut page = past.samples(slice).await?;
                causes::families(&self.context, &mut page.items).await;
                Ok(page)
            }
            None => self.memory.samples(scope, slice).await,
        }
    }

    async fn surges(&self, scope: &Scope) -> Answered<Page<SurgeView>> {
        match &self.past {
            Some(past) => past.surges(self.now()).await,
            None => self.memory.surges(scope).await,
        }
    }

    async fn outlook(&self, scope: &Scope) -> Answered<Page<OutlookView>> {
        match &self.past {
            Some(past) => past.outlook(self.now()).await,
            None => self.memory.outlook(scope).await,
        }
    }

    async fn warning(&self, scope: &Scope) -> Answered<WarningView> {
        // Without a live service nobody was told anything that could be answered.
        let answers = match self.context.desk.outbox() {
            Some(outbox) => outbox
                .precision()
                .await
                .map_err(|error| BackendError::Unavailable { part: "outbox", cause: error.to_string() })?,
            None => Vec::new(),
        };
        self.warnings.warning(scope, self.now(), &answers).await
    }

    async fn messages(&self, scope: &Scope, slice: Slice) -> Answered<Page<MessageView>> {
        self.warnings.messages(scope, slice, self.now()).await
    }

    async fn try_rule(&self, scope: &Scope, rule: &RuleTrial) -> Answered<RulePreview> {
        self.memory.try_rule(scope, rule).await
    }

    async fn members(&self, _: &Scope) -> Answered<Page<MemberView>> {
        self.warnings.members(self.now()).await
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

/// What a request would come to on a sensor whose ceiling is known only by what it left of the last request: where that
/// was cut, the cut stands for the ceiling.
fn bounded(policy: &Policy, sensor: &SensorView, in_force: &Policy) -> Policy {
    let mut ceiling = Policy { lures: policy.lures.clone(), ..Policy::default() };
    macro_rules! cut {
        ($($field:ident)*) => {$(
            if sensor.requested.$field != in_force.$field {
                ceiling.$field = in_force.$field.clone();
            }
        )*};
    }
    cut!(filter prefixes sample_one_in payload_bytes source_addresses destination_addresses spool_bytes granularity lures lure_bytes);
    policy.stricter(&ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_shows_where_the_last_request_was_cut() {
        let requested = Policy { payload_bytes: 256, sample_one_in: 1, ..Policy::default() };
        let in_force = Policy { payload_bytes: 0, ..requested.clone() };
        let record = SensorRecord::new("a", ORGANISATION, None);
        let view: SensorView = serde_json::from_value(serde_json::json!({
            "name": record.name, "organisation": ORGANISATION, "state": "online", "packets_per_second": 0.0,
            "produced": 0, "stored": 0, "lost": 0,
            "rates": {"start": Nanos(0), "slot_seconds": 1, "series": {}}, "gaps": [],
            "requested": requested, "effective": in_force, "remarks": [], "sample": false,
        }))
        .unwrap();
        let asked = Policy { payload_bytes: 900, sample_one_in: 10, ..Policy::default() };
        let got = bounded(&asked, &view, &in_force);
        assert_eq!((got.payload_bytes, got.sample_one_in), (0, 10));
    }
}
