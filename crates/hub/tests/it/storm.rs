//! A storm of detections (faults A2): limits hold, and each incident reaches each recipient exactly once, also when the
//! hub is killed again and again. `NOROSHI_STORM=detections,incidents,kills` asks for another size.

use noroshi_alert::config;
use noroshi_hub::warning::Warner;
use noroshi_model::alert::{Alert, AlertKind};
use noroshi_model::finding::{Attack, AttackKind, Vector, Victim};
use noroshi_model::time::Clock;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use noroshi_share::delivery::{Delivery, Settings};
use noroshi_share::gate::Gate;
use noroshi_share::mail::Sender;
use noroshi_share::outbox::Outbox;
use noroshi_share::webhook::Courier;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::Row;
use std::collections::BTreeMap;
use std::sync::Arc;

const MEMBERS: &str = r#"
[[member]]
id = "isp"
name = "Example ISP"
prefixes = ["203.0.0.0/8"]
[[member.mail]]
name = "noc"
to = ["noc@isp.example"]
[[member.mail]]
name = "boss"
severity_min = "high"
to = ["boss@isp.example"]
"#;

/// Detections between two transactions.
const STEP: usize = 500;
/// The storm lasts a minute.
const SECONDS: i64 = 60;

struct Fixed(Nanos);

impl Clock for Fixed {
    fn now(&self) -> Nanos {
        self.0
    }
}

fn size() -> (usize, usize, usize) {
    let text = std::env::var("NOROSHI_STORM").unwrap_or_else(|_| "20000,400,20".into());
    let numbers: Vec<usize> = text.split(',').map(|part| part.parse().unwrap()).collect();
    (numbers[0], numbers[1], numbers[2])
}

/// The detection of that number: every incident is seen again and again, growing.
fn detection(number: usize, detections: usize, incidents: usize) -> Attack {
    let which = number % incidents;
    let start = Nanos(1_767_225_600 * SECOND);
    let at = Nanos(start.0 + SECONDS * SECOND * number as i64 / detections as i64);
    let severe = which.is_multiple_of(3);
    Attack {
        kind: AttackKind::Backscatter,
        vector: Vector::TcpSyn,
        victim: Victim::Address(Addr::v4(0xcb00_0000 + which as u32)),
        victim_port: Some(443),
        packets: 25 + number as u64,
        bytes: 60 * number as u64,
        sources: 1,
        first: start,
        last: at,
        peak_pps: 10.0,
        estimated_pps: Some(if severe { 50_000.0 } else { 10.0 }),
        confidence: 0.9,
        thresholds: BTreeMap::new(),
        detector: "storm/1".into(),
        evidence: Vec::new(),
        reason: "replies of the victim".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_becomes_digests_and_nothing_is_told_twice_or_lost() {
    let (detections, incidents, kills) = size();
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let config = config::parse(MEMBERS).unwrap();
    let open = async || Outbox::open(&folder.path().join("warning.db")).await.unwrap();
    let mut outbox = open().await;
    let mut warner = Warner::open(&config, Vec::new(), outbox.clone()).await.unwrap().recording();
    let mut deaths: Vec<usize> = (0..kills).map(|_| random.random_range(0..detections)).collect();
    deaths.sort_unstable();
    let (mut number, mut dead) = (0, 0);
    while number < detections {
        let to = (number + STEP).min(detections);
        for at in number..to {
            let found = detection(at, detections, incidents);
            warner.attacks_at(std::slice::from_ref(&found), found.last);
        }
        let now = detection(to - 1, detections, incidents).last;
        warner.tick(now);
        if deaths.get(dead).is_some_and(|death| *death < to) {
            // Killed before the transaction, or right after it: what was decided in between is gone with the process.
            dead += 1;
            if random.random() {
                warner.commit(now, Some(("storm", to.to_string()))).await.unwrap();
            }
            drop(warner);
            outbox = open().await;
            number = outbox.cursor("storm").await.unwrap().map_or(0, |text| text.parse().unwrap());
            warner = Warner::open(&config, Vec::new(), outbox.clone()).await.unwrap().recording();
            continue;
        }
        warner.commit(now, Some(("storm", to.to_string()))).await.unwrap();
        number = to;
    }
    // Digests follow for some minutes.
    let end = detection(detections - 1, detections, incidents).last;
    for minute in 1..=(incidents as i64 / 1_000 + 5) {
        let now = Nanos(end.0 + minute * 60 * SECOND);
        warner.tick(now);
        warner.commit(now, None).await.unwrap();
    }
    assert_eq!(warner.desk().waiting(), 0);
    check(&outbox, incidents).await;

    let settings = Settings {
        registry: warner.registry().clone(),
        gate: Arc::new(Gate::new(Vec::new(), Vec::new(), |_| None)),
        sender: Sender::parse("Noroshi <noroshi@noroshi.example>").unwrap(),
        smtp: None,
        mailbox: Some(folder.path().join("mailbox")),
        webhooks: Courier::default(),
        links: None,
        producer: "Noroshi test".into(),
    };
    let delivery = Delivery::new(settings).unwrap();
    while delivery.round(&outbox, &Fixed(Nanos(i64::MAX / 2))).await.unwrap().delivered > 0 {}
    let counts = outbox.counts().await.unwrap();
    let files = std::fs::read_dir(folder.path().join("mailbox")).unwrap().count() as u64;
    assert_eq!((counts.queued, counts.failed, counts.delivered), (0, 0, files));
    println!("{detections} detections, {incidents} incidents, {kills} kills: {files} messages");
}

/// Every incident once for each recipient that wants it, and no recipient more often than its limits allow.
async fn check(outbox: &Outbox, incidents: usize) {
    let rows = sqlx::query("select alert from outbox").fetch_all(outbox.pool()).await.unwrap();
    let alerts: Vec<Alert> = rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect();
    let mut told: BTreeMap<(String, Victim), u32> = BTreeMap::new();
    let mut minutes: BTreeMap<(String, AlertKind, i64), u32> = BTreeMap::new();
    for alert in &alerts {
        assert_ne!(alert.kind, AlertKind::Continuing, "nothing goes on for a day");
        *minutes.entry((alert.recipient.0.clone(), alert.kind, alert.created.seconds() / 60)).or_default() += 1;
        for incident in &alert.incidents {
            *told.entry((alert.recipient.0.clone(), incident.subject)).or_default() += 1;
        }
    }
    assert!(told.values().all(|count| *count == 1), "told twice");
    let of = |recipient: &str| told.keys().filter(|(to, _)| to == recipient).count();
    assert_eq!((of("isp/noc"), of("isp/boss")), (incidents, incidents.div_ceil(3)));
    // One immediate message and one digest a minute, counted by the calendar: at most one more at each border.
    assert!(minutes.values().all(|count| *count <= 2), "{minutes:?}");
    assert!(alerts.len() < 60, "{} messages", alerts.len());
}
