//! The fleet: who may send, what they are asked to do, how they are.
//!
//! Decisions are in the database before they are answered; who may send is also in memory, so that asking before each
//! batch costs nothing. Revoking changes memory first, then cuts live connections, then answers.

use crate::HubError;
use crate::state::{NewCertificate, PolicyRow, SensorRow, State, TokenState};
use noroshi_model::Prefix;
use noroshi_model::policy::Policy;
use noroshi_wire::identity::{Identity, SENSOR_CERTIFICATE_LIFETIME, request_key};
use noroshi_wire::message::{CertificateReply, EnrolRequest, RenewRequest};
use noroshi_wire::server::Connections;
use noroshi_wire::{Authority, Invitation, PROTOCOL, PROTOCOL_OLDEST, Refusal, Report, SensorName, Token};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{broadcast, watch};

/// How long a token lives.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);
/// How long `fleet set` waits for sensors to say that a change is in force.
pub const ACKNOWLEDGE_PATIENCE: Duration = Duration::from_secs(3);
/// A sensor that has not reported for this long is called silent (it reports every five seconds).
pub const SILENT_AFTER: Duration = Duration::from_secs(20);
/// A clock further than this from the hub's is suspect: far more than a minute's drift, far less than a time zone.
pub const CLOCK_OFFSET_MAX: Duration = Duration::from_secs(5);

/// The hub's clock.
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970.
pub fn seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

/// Nanoseconds since 1970.
pub fn nanos(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64
}

/// A network that gets no replies, and for how many seconds.
pub type Mute = (Prefix, u32);

/// A policy request with its revision.
pub type Request = (u64, Policy);

/// A report and when it came.
pub(crate) type Reported = Option<(SystemTime, Report)>;

/// What a connected sensor is told and what it said last.
pub(crate) struct Live {
    pub(crate) request: watch::Sender<Request>,
    pub(crate) report: watch::Sender<Reported>,
}

/// The fleet.
pub struct Fleet {
    pub(crate) state: State,
    authority: Authority,
    pub(crate) connections: Arc<Connections>,
    default_policy: Policy,
    /// Accepted certificates, by serial number.
    accepted: RwLock<HashMap<String, SensorName>>,
    revoked: RwLock<HashSet<String>>,
    live: Mutex<HashMap<SensorName, Arc<Live>>>,
    /// Sensors whose last report is not in the database yet.
    unsaved: Mutex<HashSet<SensorName>>,
    pub(crate) watch: Mutex<crate::watch::Watch>,
    /// Networks that lures must not answer, and until when.
    mutes: Mutex<HashMap<Prefix, SystemTime>>,
    muted: broadcast::Sender<Mute>,
}

/// Mutes that a sensor which reads slowly may miss none of.
const MUTES_QUEUED: usize = 1_024;
/// Mutes told to a sensor that connects; the newest.
const MUTES_KEPT: usize = 4_096;

/// How a sensor is, for people and programs.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct SensorView {
    /// Its name.
    pub name: String,
    /// `connected`, `silent` (connected and mute), `away` or `revoked`.
    pub status: String,
    /// When it enrolled, seconds since 1970.
    pub enrolled_at: i64,
    /// When it last reported, seconds since 1970.
    pub reported_at: Option<i64>,
    /// Its clock minus the hub's at that moment, milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Its clock is too far off for its times to be believed; its numbering still is.
    #[serde(default)]
    pub clock_suspect: bool,
    /// Its last sign of life before it fell silent, seconds since 1970.
    #[serde(default)]
    pub silent_since: Option<i64>,
    /// Groups it belongs to.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Newest revision of its policy.
    pub policy_revision: u64,
    /// Whether the newest revision is in force.
    pub policy_in_force: bool,
    /// Its last report.
    pub report: Option<Report>,
}

/// A sensor with the history of its policy.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct SensorDetail {
    /// How it is.
    pub sensor: SensorView,
    /// What was requested, oldest first.
    pub policies: Vec<PolicyRow>,
}

/// What a policy change led to.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Changed {
    /// The sensor.
    pub name: String,
    /// The new revision.
    pub revision: u64,
    /// What differs from the one before.
    pub changes: Vec<String>,
    /// Milliseconds until the sensor said that it is in force; `None` when it has not yet.
    pub acknowledged_ms: Option<u64>,
    /// Hash of the policy in force.
    pub hash: Option<String>,
    /// What the sensor says about the request.
    pub remarks: Vec<String>,
}

impl Fleet {
    /// Reads the fleet from its database.
    pub async fn open(
        state: State,
        authority: Authority,
        connections: Arc<Connections>,
        default_policy: Policy,
    ) -> Result<Fleet, HubError> {
        let mut accepted = HashMap::new();
        for (serial, name) in state.serials().await? {
            accepted.insert(serial, name.parse()?);
        }
        let revoked = state.sensors().await?.into_iter().filter(|s| s.revoked_at.is_some()).map(|s| s.name).collect();
        Ok(Fleet {
            state,
            authority,
            connections,
            default_policy,
            accepted: RwLock::new(accepted),
            revoked: RwLock::new(revoked),
            live: Mutex::new(HashMap::new()),
            unsaved: Mutex::new(HashSet::new()),
            watch: Mutex::new(crate::watch::Watch::new(now())),
            mutes: Mutex::default(),
            muted: broadcast::channel(MUTES_QUEUED).0,
        })
    }

    /// The hub's certificate authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A line to paste. `hub` is where the sensor will find the hub.
    pub async fn token(&self, name: &SensorName, hub: &str) -> Result<Invitation, HubError> {
        let token = Token::generate();
        let expires_at = seconds(now() + TOKEN_LIFETIME);
        self.state.add_token(&token.hash(), name, expires_at).await?;
        Ok(Invitation { name: name.clone(), hub: hub.to_owned(), token, pin: self.authority.pin() })
    }

    /// Whether this certificate may act now.
    pub fn admit(&self, who: &Identity) -> Result<(), Refusal> {
        let accepted = self.accepted.read().expect("no panic while held");
        match accepted.get(&who.serial) {
            Some(name) if *name == who.name => Ok(()),
            _ if self.revoked.read().expect("no panic while held").contains(who.name.as_str()) => Err(Refusal::Revoked),
            _ => Err(Refusal::UnknownSensor),
        }
    }

    fn issue(&self, name: &SensorName, request: &[u8]) -> Result<NewCertificate, Refusal> {
        let malformed = |_| Refusal::Malformed { what: "signing request".into() };
        let issued = self.authority.sign(name, request, now(), SENSOR_CERTIFICATE_LIFETIME).map_err(malformed)?;
        Ok(NewCertificate {
            certificate: issued.certificate,
            serial: issued.serial,
            not_after: seconds(issued.not_after),
        })
    }

    /// Token and signing request to certificate.
    pub async fn enrol(&self, request: EnrolRequest) -> Result<CertificateReply, Refusal> {
        check_protocol(request.protocol)?;
        let token = Token::parse(&request.token).ok_or(Refusal::TokenUnknown)?;
        let name: SensorName = request.name.parse().map_err(|_| Refusal::TokenName)?;
        let malformed = |_| Refusal::Malformed { what: "signing request".into() };
        let key = request_key(&request.request).map_err(malformed)?;
        let new = self.issue(&name, &request.request)?;
        let at = seconds(now());
        let outcome = self.state.redeem(&token.hash(), &name, &key, at, &new, &self.default_policy).await;
        match outcome.map_err(failed)? {
            TokenState::Taken => {
                tracing::info!(sensor = %name, "enrolled");
                self.accept(&name, &new);
                Ok(reply(new.certificate, new.not_after))
            }
            TokenState::Resumed { certificate, not_after } => Ok(reply(certificate, not_after)),
            TokenState::Unknown => Err(Refusal::TokenUnknown),
            TokenState::Used => Err(Refusal::TokenUsed),
            TokenState::Expired => Err(Refusal::TokenExpired),
            TokenState::OtherName => Err(Refusal::TokenName),
        }
    }

    fn accept(&self, name: &SensorName, new: &NewCertificate) {
        let mut accepted = self.accepted.write().expect("no panic while held");
        accepted.retain(|_, other| other != name);
        accepted.insert(new.serial.clone(), name.clone());
        self.revoked.write().expect("no panic while held").remove(name.as_str());
    }

    /// A fresh certificate; the one before stays good until its end, because streams of it may be under way.
    pub async fn renew(&self, who: &Identity, request: RenewRequest) -> Result<CertificateReply, Refusal> {
        let new = self.issue(&who.name, &request.request)?;
        self.state.add_certificate(&who.name, &new, seconds(now())).await.map_err(failed)?;
        // A revocation that came in between wins: it has already emptied the map.
        self.admit(who)?;
        self.accepted.write().expect("no panic while held").insert(new.serial.clone(), who.name.clone());
        Ok(reply(new.certificate, new.not_after))
    }

    /// Revokes a sensor: it can neither connect nor send, and what is connected is cut. Returns how many connections.
    pub async fn revoke(&self, name: &str) -> Result<usize, HubError> {
        let name = self.known(name).await?;
        self.revoked.write().expect("no panic while held").insert(name.to_string());
        self.accepted.write().expect("no panic while held").retain(|_, other| *other != name);
        let stored = self.state.revoke(name.as_str(), seconds(now())).await;
        let cut = self.connections.cut(&name);
        stored?;
        tracing::info!(sensor = %name, connections = cut, "revoked");
        Ok(cut)
    }

    pub(crate) async fn known(&self, name: &str) -> Result<SensorName, HubError> {
        let sensors = self.state.sensors().await?;
        if sensors.iter().any(|sensor| sensor.name == name) {
            return Ok(name.parse()?);
        }
        let known = sensors.into_iter().map(|sensor| sensor.name).collect();
        Err(HubError::UnknownSensor { name: name.to_owned(), known })
    }

    /// What is known of a sensor that has connected since the hub started.
    pub(crate) fn seen(&self, name: &SensorName) -> Option<Arc<Live>> {
        self.live.lock().expect("no panic while held").get(name).cloned()
    }

    /// Tells every sensor, and those that connect later, to send nothing to a network for so long.
    pub fn mute(&self, network: Prefix, seconds: u32) {
        let mut mutes = self.mutes.lock().expect("no panic while held");
        let now = now();
        if mutes.len() >= MUTES_KEPT {
            mutes.retain(|_, until| *until > now);
        }
        if mutes.len() < MUTES_KEPT {
            mutes.insert(network, now + Duration::from_secs(u64::from(seconds)));
        }
        // No sensor is connected: those that connect are told.
        drop(self.muted.send((network, seconds)));
    }

    /// Mutes in force, and those to come.
    pub fn mutes(&self) -> (Vec<Mute>, broadcast::Receiver<Mute>) {
        let mutes = self.mutes.lock().expect("no panic while held");
        let coming = self.muted.subscribe();
        let left = |until: &SystemTime| until.duration_since(now()).map_or(0, |left| left.as_secs() as u32);
        let held = mutes.iter().map(|(network, until)| (*network, left(until))).filter(|(_, seconds)| *seconds > 0);
        (held.collect(), coming)
    }

    pub(crate) fn live(&self, name: &SensorName, request: impl FnOnce() -> Request) -> Arc<Live> {
        let mut live = self.live.lock().expect("no panic while held");
        let new = || Arc::new(Live { request: watch::channel(request()).0, report: watch::channel(None).0 });
        live.entry(name.clone()).or_insert_with(new).clone()
    }

    /// The request a sensor should follow, and its changes.
    pub async fn requests(&self, name: &SensorName) -> Result<watch::Receiver<Request>, HubError> {
        let newest = self.newest(name.as_str()).await?;
        let live = self.live(name, || newest.clone());
        // What is in memory is never older than what was just read, unless the sensor was first seen right now.
        live.request.send_if_modified(|now| {
            let stale = now.0 < newest.0;
            if stale {
                *now = newest.clone();
            }
            stale
        });
        Ok(live.request.subscribe())
    }

    /// The newest request: from memory for a sensor that has connected, else from the database.
    pub(crate) async fn newest(&self, name: &str) -> Result<Request, HubError> {
        if let Some(live) = name.parse().ok().and_then(|name| self.seen(&name)) {
            return Ok(live.request.borrow().clone());
        }
        let last = self.state.policies(name).await?.pop();
        Ok(last.map_or_else(|| (1, self.default_policy.clone()), |row| (row.revision, row.request)))
    }

    /// Takes note of a report. It goes to the database with the next [`Fleet::save_reports`].
    pub async fn report(&self, name: &SensorName, report: Report) -> Result<(), HubError> {
        self.report_at(name, report, now()).await
    }

    /// Takes note of a report that came at that time.
    pub async fn report_at(&self, name: &SensorName, report: Report, at: SystemTime) -> Result<(), HubError> {
        let newest = self.newest(name.as_str()).await?;
        self.live(name, || newest).report.send_replace(Some((at, report)));
        self.unsaved.lock().expect("no panic while held").insert(name.clone());
        Ok(())
    }

    /// Brings the reports that came since the last call into the database.
    pub async fn save_reports(&self) -> Result<(), HubError> {
        let unsaved = std::mem::take(&mut *self.unsaved.lock().expect("no panic while held"));
        let last = |name: SensorName| {
            let (at, report) = self.seen(&name)?.report.borrow().clone()?;
            Some((name, seconds(at), report))
        };
        let reports: Vec<_> = unsaved.into_iter().filter_map(last).collect();
        if reports.is_empty() { Ok(()) } else { self.state.set_reports(&reports).await }
    }

    /// What a sensor reports, and its changes while the hub runs.
    pub async fn reports(&self, name: &str) -> Result<watch::Receiver<Option<(SystemTime, Report)>>, HubError> {
        let name = self.known(name).await?;
        let newest = self.newest(name.as_str()).await?;
        Ok(self.live(&name, || newest).report.subscribe())
    }

    /// Changes the policy requested of a sensor and waits a moment for it to be in force.
    pub async fn set(&self, name: &str, assignments: &[String]) -> Result<Changed, HubError> {
        let name = self.known(name).await?;
        let (_, before) = self.newest(name.as_str()).await?;
        let mut request = before.clone();
        for assignment in assignments {
            request.set(assignment)?;
        }
        self.change(&name, request, assignments.join(" ")).await
    }

    /// Requests a whole policy and waits a moment for it to be in force.
    pub async fn request(&self, name: &str, policy: Policy) -> Result<Changed, HubError> {
        let name = self.known(name).await?;
        policy.check()?;
        let (_, before) = self.newest(name.as_str()).await?;
        let reason = policy.changes(&before).join("; ");
        self.change(&name, policy, reason).await
    }

    /// Requests an earlier revision again; the one before the newest unless told otherwise.
    pub async fn rollback(&self, name: &str, revision: Option<u64>) -> Result<Changed, HubError> {
        let name = self.known(name).await?;
        let policies = self.state.policies(name.as_str()).await?;
        let last = policies.last().map_or(0, |row| row.revision);
        let revision = revision.unwrap_or(last.saturating_sub(1));
        let wanted = policies.into_iter().find(|row| row.revision == revision);
        let unknown = || HubError::UnknownRevision { name: name.to_string(), revision, last };
        let request = wanted.ok_or_else(unknown)?.request;
        self.change(&name, request, format!("rollback to revision {revision}")).await
    }

    /// Requests a policy of one sensor.
    pub(crate) async fn change(&self, name: &SensorName, request: Policy, reason: String) -> Result<Changed, HubError> {
        let changed = self.change_all(vec![(name.clone(), request)], &reason).await?.pop();
        changed.ok_or_else(|| HubError::UnknownSensor { name: name.to_string(), known: vec![] })
    }

    /// Requests policies of several sensors, durably for all of them before the first one hears of it, and waits a
    /// moment for each to be in force.
    pub(crate) async fn change_all(
        &self,
        wanted: Vec<(SensorName, Policy)>,
        reason: &str,
    ) -> Result<Vec<Changed>, HubError> {
        let mut rows = Vec::new();
        let mut before = Vec::new();
        for (name, request) in wanted {
            let (last, old) = self.newest(name.as_str()).await?;
            let row = PolicyRow { revision: last + 1, request, changed_at: seconds(now()), reason: reason.to_owned() };
            rows.push((name, row));
            before.push(old);
        }
        self.state.add_policies(&rows).await?;
        let connected: HashSet<SensorName> = self.connections.live().into_iter().collect();
        let answers = rows.into_iter().zip(before).map(|((name, row), old)| {
            let live = self.live(&name, || (row.revision, row.request.clone()));
            let reports = live.report.subscribe();
            live.request.send_replace((row.revision, row.request.clone()));
            let connected = connected.contains(&name);
            if connected {
                self.watch.lock().expect("no panic while held").changed(&name, row.revision, old.clone(), now());
            }
            answer(name, row, old, connected.then_some(reports))
        });
        Ok(futures::future::join_all(answers).await)
    }

    /// Every sensor.
    pub async fn list(&self) -> Result<Vec<SensorView>, HubError> {
        self.save_reports().await?;
        let connected: HashSet<String> = self.connections.live().into_iter().map(String::from).collect();
        let newest: HashMap<String, u64> =
            self.state.newest_policies().await?.into_iter().map(|(name, revision, _)| (name, revision)).collect();
        let mut tags: HashMap<String, Vec<String>> = HashMap::new();
        for (tag, name) in self.state.tags().await? {
            tags.entry(name).or_default().push(tag);
        }
        let mut views = Vec::new();
        for sensor in self.state.sensors().await? {
            let revision = newest.get(&sensor.name).copied().unwrap_or(1);
            let mut view = view(sensor, revision, &connected);
            view.tags = tags.remove(&view.name).unwrap_or_default();
            let name = view.name.parse::<SensorName>().ok();
            view.silent_since = name.as_ref().and_then(|name| self.silent_since(name));
            if let Some((at, report)) = name.and_then(|name| self.seen(&name)?.report.borrow().clone()) {
                view.clock_offset_ms = Some((report.sensor_time - nanos(at)) / 1_000_000);
            }
            let most = CLOCK_OFFSET_MAX.as_millis() as i64;
            view.clock_suspect = view.clock_offset_ms.is_some_and(|ms| ms.abs() > most);
            views.push(view);
        }
        Ok(views)
    }

    /// One sensor, with the history of its policy.
    pub async fn show(&self, name: &str) -> Result<SensorDetail, HubError> {
        let name = self.known(name).await?;
        let sensor = self.list().await?.into_iter().find(|sensor| sensor.name == name.as_str());
        let sensor = sensor.ok_or_else(|| HubError::UnknownSensor { name: name.to_string(), known: vec![] })?;
        Ok(SensorDetail { sensor, policies: self.state.policies(name.as_str()).await? })
    }
}

/// Waits until a sensor says that a request is in force; a sensor that is away is not waited for.
async fn answer(
    name: SensorName,
    row: PolicyRow,
    before: Policy,
    reports: Option<watch::Receiver<Reported>>,
) -> Changed {
    let asked = tokio::time::Instant::now();
    let answers = |report: &Reported| report.as_ref().is_some_and(|(_, report)| report.policy_revision >= row.revision);
    let answer = match reports {
        Some(mut reports) => {
            let found = tokio::time::timeout(ACKNOWLEDGE_PATIENCE, reports.wait_for(answers)).await;
            found.ok().and_then(|found| found.ok().and_then(|report| report.clone()))
        }
        None => None,
    };
    Changed {
        name: name.to_string(),
        revision: row.revision,
        changes: row.request.changes(&before),
        acknowledged_ms: answer.is_some().then(|| asked.elapsed().as_millis() as u64),
        hash: answer.as_ref().map(|(_, report)| report.policy_hash.clone()),
        remarks: answer.map(|(_, report)| report.remarks).unwrap_or_default(),
    }
}

fn view(sensor: SensorRow, policy_revision: u64, connected: &HashSet<String>) -> SensorView {
    let quiet = sensor.reported_at.is_none_or(|at| seconds(now()) - at > SILENT_AFTER.as_secs() as i64);
    let status = match (sensor.revoked_at, connected.contains(&sensor.name)) {
        (Some(_), _) => "revoked",
        (None, true) if quiet => "silent",
        (None, true) => "connected",
        (None, false) => "away",
    };
    let offset = |report: &Report| Some(report.sensor_time / 1_000_000 - sensor.reported_at? * 1_000);
    SensorView {
        clock_suspect: false,
        silent_since: None,
        tags: Vec::new(),
        status: status.into(),
        enrolled_at: sensor.enrolled_at,
        // Reports are dated in whole seconds, so an offset below one says nothing.
        clock_offset_ms: sensor.report.as_ref().and_then(offset).map(|ms| if ms.abs() < 1_500 { 0 } else { ms }),
        reported_at: sensor.reported_at,
        policy_revision,
        policy_in_force: sensor.report.as_ref().is_some_and(|report| report.policy_revision == policy_revision),
        name: sensor.name,
        report: sensor.report,
    }
}

/// Refuses versions that this hub does not speak.
pub fn check_protocol(sensor: u32) -> Result<(), Refusal> {
    if (PROTOCOL_OLDEST..=PROTOCOL).contains(&sensor) {
        return Ok(());
    }
    Err(Refusal::Protocol { sensor, oldest: PROTOCOL_OLDEST, newest: PROTOCOL })
}

fn reply(certificate: Vec<u8>, not_after: i64) -> CertificateReply {
    CertificateReply { certificate, not_after, hub_time: nanos(now()) }
}

pub(crate) fn failed(error: HubError) -> Refusal {
    tracing::error!(%error, "the hub's database failed");
    Refusal::Busy { what: "its database failed; see the hub's log".into(), retry_after_ms: 1_000 }
}
