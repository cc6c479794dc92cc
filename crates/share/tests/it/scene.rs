//! Members, incidents and settings that several tests use.

use noroshi_alert::desk::Limits;
use noroshi_alert::{Config, Desk, Statement, statement};
use noroshi_model::alert::{Alert, Severity};
use noroshi_model::finding::{AttackKind, Tool, Vector, Victim};
use noroshi_model::incident::{IncidentKind, Testimony, Witness};
use noroshi_model::infection::InfectionClass;
use noroshi_model::member::MemberId;
use noroshi_model::packet::Evidence;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use noroshi_share::Gate;
use noroshi_share::delivery::{Settings, SmtpSecurity, SmtpServer};
use noroshi_share::mail::Sender;
use noroshi_share::outbox::Commit;
use noroshi_share::ssrf::Guard;
use noroshi_share::ticket::{KEY_BYTES, Links, Tickets};
use noroshi_share::webhook::Courier;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

pub const MEMBERS: &str = r#"
[[member]]
id = "university"
name = "Example University"
prefixes = ["203.0.113.0/25"]
contacts = [{ name = "CSIRT", mail = "csirt@university.example" }]

[[member]]
id = "shop"
name = "例示商店"
prefixes = ["203.0.113.128/26"]
language = "ja"
time_zone = "Asia/Tokyo"
contacts = [{ name = "NOC", mail = "noc@shop.example" }]
"#;

pub const SENSOR: &str = "198.18.0.0/16";

pub fn config(text: &str) -> Config {
    noroshi_alert::config::parse(text).unwrap()
}

pub fn at(second: i64) -> Nanos {
    Nanos((1_767_225_600 + second) * SECOND)
}

pub fn gate() -> Gate {
    Gate::new(vec![SENSOR.parse().unwrap()], vec!["kyoto-3".into()], |_| None)
}

pub fn settings(config: &Config, smtp: Option<SocketAddr>, allowed: Vec<SocketAddr>) -> Settings {
    Settings {
        registry: Arc::new(config.registry.clone()),
        gate: Arc::new(gate()),
        sender: Sender::parse("Noroshi <noroshi@noroshi.example>").unwrap(),
        smtp: smtp.map(|address| SmtpServer {
            host: address.ip().to_string(),
            port: address.port(),
            security: SmtpSecurity::Plain,
            login: None,
        }),
        mailbox: None,
        webhooks: Courier { guard: Guard { allowed } },
        links: Some(links()),
        producer: "Noroshi test".into(),
    }
}

/// Links with tickets of a key that is written here.
pub fn links() -> Links {
    Links { base: "https://portal.example".into(), tickets: Some(Tickets::new([7; KEY_BYTES])) }
}

pub fn desk(config: &Config) -> Desk {
    Desk::new(Arc::new(config.registry.clone()), config.rules.clone(), config.suppressions.clone(), Limits::default())
}

pub fn infection(member: &str, host: &str, text: &str, second: i64) -> Statement {
    Statement {
        member: MemberId(member.into()),
        kind: IncidentKind::Infection,
        subject: Victim::Address(host.parse::<Addr>().unwrap()),
        severity: Severity::Critical,
        tlp: statement::TLP_DEFAULT,
        over: false,
        peers: 7,
        ports: BTreeSet::from([23, 2323]),
        attack: None,
        tool: Some(Tool::Mirai),
        class: Some(InfectionClass::External),
        peak_pps: 0.0,
        estimated_pps: None,
        probability: None,
        testimony: Testimony {
            witness: Witness::Darknet,
            by: "daedalus/1 external".into(),
            first: at(second),
            last: at(second + 5),
            count: 40,
            confidence: 0.95,
            proof: Evidence::Spoofable,
            text: text.into(),
        },
    }
}

pub fn attack(member: &str, victim: &str, second: i64) -> Statement {
    Statement {
        kind: IncidentKind::Attack,
        severity: Severity::High,
        attack: Some((AttackKind::Backscatter, Vector::TcpSyn)),
        tool: None,
        class: None,
        peak_pps: 12.0,
        estimated_pps: Some(48_000.0),
        ..infection(member, victim, "replies of the victim", second)
    }
}

/// The message that a desk makes of one statement.
pub fn alert(config: &Config, statement: &Statement) -> Alert {
    desk(config).hear(statement, at(0)).remove(0)
}

/// What the desk changed, as the outbox stores it.
pub fn commit<'a>(desk: &mut Desk, alerts: &'a [Alert], now: Nanos) -> Commit<'a> {
    let changes = desk.changes();
    let text = |value: &dyn erased::Json| value.json();
    Commit {
        now,
        alerts,
        incidents: changes
            .incidents
            .iter()
            .map(|(slot, tracked)| (slot.to_string(), tracked.as_ref().map(|t| text(t))))
            .collect(),
        mailboxes: changes.mailboxes.iter().map(|(r, mailbox)| (r.0.clone(), text(mailbox))).collect(),
        closed: changes.closed.iter().map(|t| (t.incident.id.clone(), now, text(t))).collect(),
        ..Commit::default()
    }
}

mod erased {
    pub trait Json {
        fn json(&self) -> String;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}

/// A clock that stands still.
pub struct Fixed(pub Nanos);

impl noroshi_model::time::Clock for Fixed {
    fn now(&self) -> Nanos {
        self.0
    }
}

/// The folder of shared data; none when it is absent, which only a continuous-integration run forbids.
pub fn shared() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let path = std::env::var_os("NOROSHI_SHARED").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var("CI").is_err(), "the shared data is missing at {}", path.display());
    eprintln!("skipped: no shared data at {}", path.display());
    None
}

/// A Python with the readers of the interoperability tests; none when it is absent, which only a
/// continuous-integration run forbids. `NOROSHI_PYTHON` names another one.
pub fn python(module: &str) -> Option<std::process::Command> {
    let program = std::env::var("NOROSHI_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = std::process::Command::new(&program).args(["-c", &format!("import {module}")]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(std::process::Command::new(program));
    }
    assert!(
        std::env::var("CI").is_err(),
        "python module {module} is missing (pip install -r tests/interop/requirements.txt)"
    );
    eprintln!("skipped: python module {module} is missing");
    None
}

pub fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop")).join(name)
}
