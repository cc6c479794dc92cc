//! The house in memory: packets, findings and sensors of a capture or a test, bounded.
//!
//! It answers everything that [`crate::Backend`] asks, so that every screen can be seen and tested without a hub.

mod explore;
mod lookup;
mod merge;
mod row;
mod seen;
mod sensors;
mod warning;

use seen::{visible_attacks, visible_campaigns, visible_scans};

pub use lookup::{Figures, Value as LookupValue, read as read_value};
pub use merge::Findings;
pub use sensors::{SensorRecord, apply as apply_policy, default_policy};

use crate::backend::{Answered, Backend, BackendError, PacketQuery, SessionFilter, Slice};
use crate::filter::{Field, Kind};
use crate::live::{Live, Seen};
use crate::query::{Answer, Group, Measure, Query};
use crate::scope::{Marking, Scope, Tlp};
use crate::views::{
    AttackView, CampaignView, CauseView, Count, Enrolment, Known, MemberView, MessageView, NowView, OutlookView,
    PacketView, Page, Policy, PolicyPreview, PolicyRevision, Rates, RulePreview, RuleTrial, SampleView, ScanView,
    SensorState, SensorView, SessionDetail, SessionView, SurgeView, WarningView,
};
use async_trait::async_trait;
use noroshi_model::finding::{Attack, Campaign, Label, Scan};
use noroshi_model::packet::PacketBatch;
use noroshi_model::report::Report;
use noroshi_model::time::{Clock, SECOND};
use noroshi_model::{Addr, Nanos};
use row::Kept;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Country of an address, by whatever table is there.
pub type Countries = Arc<dyn Fn(Addr) -> Option<[u8; 2]> + Send + Sync>;

const DAY: i64 = 86_400 * SECOND;

/// How the house in memory is set up.
#[derive(Clone)]
pub struct Setup {
    /// Packets kept; past it the oldest go.
    pub packets: usize,
    /// Country of an address.
    pub countries: Countries,
    /// Whether what is shown is a replayed sample.
    pub sample: bool,
    /// Name of this run, for the live feed.
    pub run: String,
}

/// Everything that is kept.
pub struct State {
    rows: VecDeque<Kept>,
    evicted: u64,
    sensor_names: Vec<Arc<str>>,
    sensors: BTreeMap<String, SensorRecord>,
    attacks: Vec<AttackView>,
    campaigns: Vec<CampaignView>,
    scans: Vec<(Marking, ScanView)>,
    labels: HashMap<Addr, Vec<String>>,
    sessions: Vec<SessionDetail>,
    surges: Vec<SurgeView>,
    outlook: Vec<OutlookView>,
    warning: WarningView,
    messages: Vec<MessageView>,
    members: Vec<MemberView>,
}

/// Things that detectors of packets do not make; for tests and development, where nothing else makes them.
#[derive(Clone, Default)]
pub struct Extras {
    /// Dialogues.
    pub sessions: Vec<SessionDetail>,
    /// Surges.
    pub surges: Vec<SurgeView>,
    /// Outlooks.
    pub outlook: Vec<OutlookView>,
    /// How warning goes.
    pub warning: WarningView,
    /// Messages.
    pub messages: Vec<MessageView>,
    /// Members.
    pub members: Vec<MemberView>,
}

/// The house in memory.
pub struct Memory {
    clock: Arc<dyn Clock>,
    setup: Setup,
    live: Arc<Live>,
    state: RwLock<State>,
}

impl Memory {
    /// An empty house.
    pub fn new(clock: Arc<dyn Clock>, setup: Setup) -> Self {
        let live = Arc::new(Live::new(setup.run.clone(), clock.now()));
        let state = State {
            rows: VecDeque::new(),
            evicted: 0,
            sensor_names: Vec::new(),
            sensors: BTreeMap::new(),
            attacks: Vec::new(),
            campaigns: Vec::new(),
            scans: Vec::new(),
            labels: HashMap::new(),
            sessions: Vec::new(),
            surges: Vec::new(),
            outlook: Vec::new(),
            warning: WarningView::default(),
            messages: Vec::new(),
            members: Vec::new(),
        };
        Memory { clock, setup, live, state: RwLock::new(state) }
    }

    /// Adds or replaces a sensor.
    pub fn add_sensor_record(&self, record: SensorRecord) {
        self.write().sensors.insert(record.name.clone(), record);
    }

    /// Shows these, too.
    pub fn add_extras(&self, extras: Extras) {
        let mut state = self.write();
        (state.sessions, state.surges, state.outlook) = (extras.sessions, extras.surges, extras.outlook);
        (state.warning, state.messages, state.members) = (extras.warning, extras.messages, extras.members);
    }

    /// Removes a sensor with its packets, and findings under that organisation's marking.
    pub fn forget(&self, sensor: &str, organisation: &str) {
        let mut state = self.write();
        state.sensors.remove(sensor);
        state.rows.retain(|row| *row.sensor != *sensor);
        state.attacks.retain(|attack| attack.marking.organisation != organisation);
        state.campaigns.retain(|campaign| campaign.marking.organisation != organisation);
        state.scans.retain(|(marking, _)| marking.organisation != organisation);
    }

    /// A value with what findings tell of it, over figures from wherever packets are.
    pub fn known(&self, scope: &Scope, value: &LookupValue, figures: Figures) -> Known {
        lookup::lookup(&self.read(), scope, value, figures)
    }

    /// Country of an address, by the table that is there.
    pub fn country(&self, addr: Addr) -> Option<String> {
        (self.setup.countries)(addr).map(row::country_text)
    }

    /// The newest packet that is kept.
    pub fn newest(&self) -> Option<Nanos> {
        self.read().rows.iter().map(|row| row.packet.ts).max()
    }

    /// The first page with findings and sensors, and without figures of packets.
    pub fn overview_of_findings(&self, scope: &Scope) -> NowView {
        let (state, now) = (self.read(), self.now());
        let day = |at: Nanos| at.0 > now.0 - DAY && at <= now;
        let online = |sensor: &&SensorRecord| {
            sensor.seen.is_some_and(|seen| now.seconds_since(seen) <= sensors::LATE_AFTER_SECONDS)
        };
        let seen = |sensor: &&SensorRecord| scope.sees_sensor(&sensor.organisation);
        NowView {
            at: now,
            newest: None,
            packets: 0,
            sources: 0,
            attacks: visible_attacks(&state, scope).filter(|attack| day(attack.last)).count() as u64,
            campaigns: visible_campaigns(&state, scope).filter(|campaign| day(campaign.last)).count() as u64,
            sensors_online: state.sensors.values().filter(seen).filter(online).count() as u64,
            sensors: state.sensors.values().filter(seen).count() as u64,
            hour: Rates::default(),
            new: self.new_things(&state, scope, now),
            ports: Vec::new(),
            countries: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes packets in. Those that are offered live also pass the live feed.
    pub fn append(&self, batch: &PacketBatch, live: bool) {
        let mut state = self.write();
        let name = if batch.sensor.is_empty() { Arc::from("file") } else { batch.sensor.clone() };
        let index = match state.sensor_names.iter().position(|known| *known == name) {
            Some(index) => index,
            None => {
                state.sensor_names.push(name.clone());
                state.sensor_names.len() - 1
            }
        };
        for packet in &batch.rows {
            let country = (self.setup.countries)(packet.src);
            if state.rows.len() >= self.setup.packets {
                state.rows.pop_front();
                state.evicted += 1;
            }
            state.rows.push_back(Kept::new(batch, packet, country, name.clone(), index as u32));
            if live {
                self.live.offer(&Seen { packet, country, sensor: &name });
            }
        }
        let record = state.sensors.entry(name.to_string());
        let record = record.or_insert_with(|| SensorRecord::new(name.to_string(), "hub", None));
        record.produced += batch.rows.len() as u64;
        record.stored += batch.rows.len() as u64;
        record.seen = record.seen.max(batch.rows.iter().map(|packet| packet.ts).max());
    }

    /// Takes the findings of a report in, moved in time by `shift` nanoseconds.
    pub fn load_report(&self, report: &Report, marking: &Marking, shift: i64) {
        let labels = report.sources.iter().map(|source| (source.address, source.labels.as_slice()));
        self.load_findings(&report.attacks, &report.campaigns, &report.scans, labels, marking, shift);
    }

    /// Takes findings in, moved in time by `shift` nanoseconds.
    pub fn load_findings<'a>(
        &self,
        attacks: &[Attack],
        campaigns: &[Campaign],
        scans: &[Scan],
        labels: impl Iterator<Item = (Addr, &'a [Label])>,
        marking: &Marking,
        shift: i64,
    ) {
        let moved = |at: Nanos| Nanos(at.0.saturating_add(shift));
        let mut state = self.write();
        for attack in attacks {
            let victim = attack.victim.to_string();
            let id = finding_id(&[attack.kind.name(), attack.vector.name(), &victim, &attack.first.to_string()]);
            let country = lookup::about(&victim).and_then(|addr| (self.setup.countries)(addr));
            let mut view = AttackView::new(id, marking.clone(), country.map(row::country_text), attack);
            (view.first, view.last) = (moved(view.first), moved(view.last));
            state.attacks.push(view);
        }
        for campaign in campaigns {
            let mut view = CampaignView::new(marking.clone(), campaign);
            (view.first, view.last) = (moved(view.first), moved(view.last));
            state.campaigns.push(view);
        }
        for scan in scans {
            let mut view = ScanView::new(scan);
            (view.first, view.last) = (moved(view.first), moved(view.last));
            state.scans.push((marking.clone(), view));
        }
        for (address, labels) in labels.filter(|(_, labels)| !labels.is_empty()) {
            state.labels.insert(address, labels.iter().map(|label| label.name().to_owned()).collect());
        }
        state.attacks.sort_by_key(|attack| std::cmp::Reverse(attack.last));
        state.campaigns.sort_by_key(|campaign| std::cmp::Reverse(campaign.sources));
        state.scans.sort_by_key(|(_, scan)| std::cmp::Reverse(scan.packets));
    }

    /// Closes a slot of the live feed.
    pub fn tick(&self) {
        self.live.tick(self.clock.now());
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes(&self, state: &State) -> Vec<String> {
        match state.evicted {
            0 => Vec::new(),
            n => vec![format!("the oldest {n} packets were dropped to stay within {}", self.setup.packets)],
        }
    }
}

/// A stable id: the same finding has the same one tomorrow.
pub fn finding_id(parts: &[&str]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(parts.join("\n").as_bytes());
    digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cut_members(campaign: &CampaignView) -> CampaignView {
    let mut cut = campaign.clone();
    cut.members.truncate(10);
    cut
}

fn count_of(group: Group) -> Count {
    Count { value: group.key.join(" "), packets: group.packets, sources: group.sources }
}

fn page<'a, T: Clone + 'a>(items: impl Iterator<Item = &'a T>, slice: Slice, notes: Vec<String>) -> Page<T> {
    let all: Vec<&T> = items.collect();
    let cut = all.iter().skip(slice.skip).take(slice.take).map(|item| (*item).clone()).collect();
    Page { items: cut, total: all.len() as u64, complete: notes.is_empty(), notes }
}

fn statistics(state: &State, by: Field, from: Nanos, to: Nanos, slot_seconds: u64, groups: usize) -> Answer {
    let query =
        Query { by: vec![by], filter: None, measure: Measure::Packets, from, to, slot_seconds, groups, series: 8 };
    explore::answer(&query, state.rows.iter(), &state.sensor_names)
}

fn rates_of(answer: Answer) -> Rates {
    let (start, slot_seconds) = (answer.start, answer.slot_seconds);
    let mut series: BTreeMap<_, _> = Kind::NAMES.iter().map(|kind| ((*kind).to_owned(), Vec::new())).collect();
    for one in answer.series {
        if let Some(kind) = one.key.into_iter().next() {
            series.insert(kind, one.values);
        }
    }
    series.retain(|_, values| !values.is_empty());
    Rates { start, slot_seconds, series }
}

#[async_trait]
impl Backend for Memory {
    fn now(&self) -> Nanos {
        self.clock.now()
    }

    fn sample(&self) -> bool {
        self.setup.sample
    }

    fn live(&self) -> Arc<Live> {
        self.live.clone()
    }

    async fn overview(&self, scope: &Scope) -> Answered<NowView> {
        let found = self.overview_of_findings(scope);
        let (state, now) = (self.read(), found.at);
        let hour = Nanos(now.0 - 3600 * SECOND);
        let day = |at: Nanos| at.0 > now.0 - DAY && at <= now;
        let mut sources = HashSet::new();
        let packets =
            state.rows.iter().filter(|row| day(row.packet.ts)).map(|row| sources.insert(row.packet.src)).count();
        let ranked = |field: Field| -> Vec<Count> {
            let groups = statistics(&state, field, hour, now, 3600, 9).groups;
            groups.into_iter().map(count_of).filter(|c| !c.value.is_empty()).take(8).collect()
        };
        Ok(NowView {
            newest: state.rows.iter().map(|row| row.packet.ts).max(),
            packets: packets as u64,
            sources: sources.len() as u64,
            hour: rates_of(statistics(&state, Field::Kind, hour, now, 60, 8)),
            ports: ranked(Field::Dport),
            countries: ranked(Field::Country),
            notes: self.notes(&state),
            ..found
        })
    }

    async fn explore(&self, _: &Scope, query: &Query) -> Answered<Answer> {
        let state = self.read();
        let mut answer = explore::answer(query, state.rows.iter(), &state.sensor_names);
        let oldest = state.rows.iter().map(|row| row.packet.ts).min();
        if state.evicted > 0 && oldest.is_some_and(|oldest| oldest > query.from) {
            answer.complete = false;
            answer.notes.extend(self.notes(&state));
        }
        Ok(answer)
    }

    async fn packets(&self, scope: &Scope, query: &PacketQuery) -> Answered<Page<PacketView>> {
        if !scope.sensor_addresses() {
            return Err(BackendError::NotAllowed("packets show addresses of sensors".into()));
        }
        let state = self.read();
        let fits = |row: &&Kept| {
            row.packet.ts >= query.from
                && row.packet.ts < query.to
                && query.filter.as_ref().is_none_or(|filter| filter.holds(*row))
        };
        let mut items: Vec<_> = state.rows.iter().filter(fits).collect();
        items.sort_by_key(|row| std::cmp::Reverse(row.packet.ts));
        let notes = self.notes(&state);
        Ok(Page {
            total: items.len() as u64,
            items: items.into_iter().take(query.take).map(Kept::view).collect(),
            complete: notes.is_empty(),
            notes,
        })
    }

    async fn attacks(&self, scope: &Scope, slice: Slice) -> Answered<Page<AttackView>> {
        let state = self.read();
        Ok(page(visible_attacks(&state, scope), slice, Vec::new()))
    }

    async fn attack(&self, scope: &Scope, id: &str) -> Answered<AttackView> {
        let state = self.read();
        visible_attacks(&state, scope).find(|attack| attack.id == id).cloned().ok_or(BackendError::NotFound("attack"))
    }

    async fn campaigns(&self, scope: &Scope, slice: Slice) -> Answered<Page<CampaignView>> {
        let state = self.read();
        let mut page = page(visible_campaigns(&state, scope), slice, Vec::new());
        page.items.iter_mut().for_each(|campaign| campaign.members.truncate(10));
        Ok(page)
    }

    async fn campaign(&self, scope: &Scope, id: &str) -> Answered<CampaignView> {
        let state = self.read();
        let found = visible_campaigns(&state, scope).find(|campaign| campaign.id == id);
        found.cloned().ok_or(BackendError::NotFound("campaign"))
    }

    /// Memory knows no samples.
    async fn campaign_cause(&self, scope: &Scope, id: &str) -> Answered<CauseView> {
        self.campaign(scope, id).await.map(|_| CauseView::default())
    }

    async fn session_cause(&self, scope: &Scope, id: &str) -> Answered<CauseView> {
        self.session(scope, id).await.map(|_| CauseView::default())
    }

    async fn scans(&self, scope: &Scope, slice: Slice) -> Answered<Page<ScanView>> {
        let state = self.read();
        Ok(page(visible_scans(&state, scope), slice, Vec::new()))
    }

    async fn lookup(&self, scope: &Scope, value: &str) -> Answered<Known> {
        let (state, value) = (self.read(), lookup::read(value, scope));
        let figures = lookup::figures(&state, self.now(), &value);
        Ok(lookup::lookup(&state, scope, &value, figures))
    }

    async fn sensors(&self, scope: &Scope) -> Answered<Page<SensorView>> {
        let (state, now) = (self.read(), self.now());
        let seen = state.sensors.values().filter(|sensor| scope.sees_sensor(&sensor.organisation));
        let views: Vec<_> = seen
            .map(|sensor| {
                let rows = state.rows.iter().filter(|row| *row.sensor == *sensor.name);
                sensors::view(sensor, now, self.setup.sample, rows)
            })
            .collect();
        Ok(Page { total: views.len() as u64, items: views, complete: true, notes: Vec::new() })
    }

    async fn sensor(&self, scope: &Scope, name: &str) -> Answered<SensorView> {
        let state = self.read();
        let sensor = state.sensors.get(name).filter(|sensor| scope.sees_sensor(&sensor.organisation));
        let sensor = sensor.ok_or(BackendError::NotFound("sensor"))?;
        let rows = state.rows.iter().filter(|row| *row.sensor == *name);
        Ok(sensors::view(sensor, self.now(), self.setup.sample, rows))
    }

    async fn set_policy(&self, scope: &Scope, name: &str, policy: Policy) -> Answered<SensorView> {
        {
            let mut state = self.write();
            let sensor = state.sensors.get_mut(name).filter(|sensor| scope.sees_sensor(&sensor.organisation));
            sensor.ok_or(BackendError::NotFound("sensor"))?.request(policy, self.clock.now());
        }
        self.sensor(scope, name).await
    }

    async fn preview_policy(&self, scope: &Scope, name: &str, policy: &Policy) -> Answered<PolicyPreview> {
        let state = self.read();
        let sensor = state.sensors.get(name).filter(|sensor| scope.sees_sensor(&sensor.organisation));
        let sensor = sensor.ok_or(BackendError::NotFound("sensor"))?;
        // A packet with payload shows more of what a policy does.
        let own = || state.rows.iter().rev().filter(|row| *row.sensor == *name);
        let newest = own().find(|row| row.payload.is_some()).or_else(|| own().next());
        Ok(sensors::preview(sensor.ceiling.as_ref(), policy, newest.map(Kept::view), scope))
    }

    async fn policies(&self, scope: &Scope, name: &str) -> Answered<Page<PolicyRevision>> {
        let state = self.read();
        let sensor = state.sensors.get(name).filter(|sensor| scope.sees_sensor(&sensor.organisation));
        let sensor = sensor.ok_or(BackendError::NotFound("sensor"))?;
        let newest_first: Vec<_> = sensor.history.iter().rev().cloned().collect();
        Ok(Page { total: newest_first.len() as u64, items: newest_first, complete: true, notes: Vec::new() })
    }

    async fn roll_back(&self, scope: &Scope, name: &str, revision: u64) -> Answered<SensorView> {
        let past = self.policies(scope, name).await?;
        let found = past.items.into_iter().find(|one| one.revision == revision);
        self.set_policy(scope, name, found.ok_or(BackendError::NotFound("revision"))?.policy).await
    }

    async fn place(&self, scope: &Scope, name: &str, place: [f64; 2]) -> Answered<SensorView> {
        {
            let mut state = self.write();
            let sensor = state.sensors.get_mut(name).filter(|sensor| scope.sees_sensor(&sensor.organisation));
            sensor.ok_or(BackendError::NotFound("sensor"))?.place = Some(place);
        }
        self.sensor(scope, name).await
    }

    async fn revoke_sensor(&self, scope: &Scope, name: &str) -> Answered<()> {
        let mut state = self.write();
        let sensor = state.sensors.get_mut(name).filter(|sensor| scope.sees_sensor(&sensor.organisation));
        sensor.ok_or(BackendError::NotFound("sensor"))?.revoked = true;
        Ok(())
    }

    async fn remove_sample(&self, _: &Scope) -> Answered<()> {
        if !self.setup.sample {
            return Err(BackendError::NotFound("sample"));
        }
        let mut state = self.write();
        state.rows.clear();
        (state.attacks, state.campaigns, state.scans) = Default::default();
        Ok(())
    }

    async fn sessions(&self, _: &Scope, filter: &SessionFilter, slice: Slice) -> Answered<Page<SessionView>> {
        let state = self.read();
        let has = |one: &SessionView| {
            let lists = [&one.credentials, &one.commands, &one.urls, &one.hashes];
            let text = filter.text.is_empty() || lists.iter().any(|l| l.iter().any(|t| t.contains(&filter.text)));
            text && filter.src.is_none_or(|src| one.src.as_deref() == Some(&src.to_string()))
        };
        Ok(page(state.sessions.iter().map(|one| &one.session).filter(|one| has(one)), slice, Vec::new()))
    }

    async fn session(&self, _: &Scope, id: &str) -> Answered<SessionDetail> {
        let found = self.read().sessions.iter().find(|one| one.session.id == id).cloned();
        found.ok_or(BackendError::NotFound("session"))
    }

    async fn samples(&self, _: &Scope, slice: Slice) -> Answered<Page<SampleView>> {
        let state = self.read();
        let mut found: BTreeMap<&str, SampleView> = BTreeMap::new();
        for session in state.sessions.iter().map(|one| &one.session) {
            for hash in &session.hashes {
                let new = || SampleView {
                    hash: hash.clone(),
                    family: None,
                    sessions: 0,
                    sources: 0,
                    first: session.ts,
                    last: session.ts,
                    urls: session.urls.iter().take(5).cloned().collect(),
                };
                let sample = found.entry(hash).or_insert_with(new);
                (sample.sessions, sample.sources) = (sample.sessions + 1, sample.sources + 1);
                (sample.first, sample.last) = (sample.first.min(session.ts), sample.last.max(session.ts));
            }
        }
        let found: Vec<_> = found.into_values().collect();
        Ok(page(found.iter(), slice, Vec::new()))
    }

    async fn surges(&self, _: &Scope) -> Answered<Page<SurgeView>> {
        Ok(page(self.read().surges.iter(), Slice { skip: 0, take: usize::MAX }, Vec::new()))
    }

    async fn outlook(&self, _: &Scope) -> Answered<Page<OutlookView>> {
        Ok(page(self.read().outlook.iter(), Slice { skip: 0, take: usize::MAX }, Vec::new()))
    }

    async fn warning(&self, scope: &Scope) -> Answered<WarningView> {
        let state = self.read();
        Ok(warning::counted(state.warning.clone(), &state.messages, scope))
    }

    async fn messages(&self, scope: &Scope, slice: Slice) -> Answered<Page<MessageView>> {
        let state = self.read();
        let seen = state.messages.iter().filter(|message| scope.sees_messages_to(&message.member));
        Ok(page(seen, slice, Vec::new()))
    }

    async fn try_rule(&self, scope: &Scope, rule: &RuleTrial) -> Answered<RulePreview> {
        let state = self.read();
        warning::try_rule(visible_attacks(&state, scope), rule, self.now()).map_err(BackendError::Refused)
    }

    async fn members(&self, _: &Scope) -> Answered<Page<MemberView>> {
        Ok(page(self.read().members.iter(), Slice { skip: 0, take: usize::MAX }, Vec::new()))
    }

    async fn add_sensor(&self, scope: &Scope, name: &str) -> Answered<Enrolment> {
        let mut state = self.write();
        let known = state.sensors.get(name).map(|sensor| sensor.state(self.now()));
        if known.is_some_and(|known| known != SensorState::Waiting) {
            return Err(BackendError::Conflict(format!("There is a sensor \"{name}\" already.")));
        }
        state.sensors.insert(name.to_owned(), SensorRecord::new(name, scope.organisation(), None));
        let token: [u8; 16] = rand::random();
        let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Enrolment {
            name: name.to_owned(),
            command: format!("noroshi sensor enroll --hub https://hub.example:7443 --token {token}"),
            expires: Nanos(self.now().0 + 3600 * SECOND),
        })
    }
}

/// The marking of findings that the hub made itself.
pub fn own_marking(tlp: Tlp) -> Marking {
    Marking { tlp, organisation: "hub".into() }
}
