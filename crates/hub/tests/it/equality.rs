//! What is found while data arrives is what is found in all of it at once: packets cut into batches, through the journal,
//! looked at in between, with restarts. Over generated days and over every shared capture.

use super::live::day;
use super::support::captures;
use arrow_ipc::writer::StreamWriter;
use noroshi_alert::config;
use noroshi_alert::daedalus::{Outcome, Settings, Watch};
use noroshi_alert::precursor::{self, Precursors};
use noroshi_detect::Engine;
use noroshi_detect::ddos::requests::Found;
use noroshi_detect::engine::Findings;
use noroshi_hub::live::{Era, Ledger, News, Noticed, RequestWatch, SCANS, Streams, requests_of};
use noroshi_model::finding::Vector;
use noroshi_model::packet::PacketBatch;
use noroshi_model::request::{self, Request, Withheld};
use noroshi_model::stream::SchemaId;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, rows};
use noroshi_packet::capture::Reader;
use noroshi_packet::decode::decode;
use noroshi_store::Journal;
use noroshi_store::journal::{JournalBatch, JournalRow};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Rows of a batch, at most; sensors send such.
const BATCH_ROWS: usize = 2_000;
/// Looks at one input while it arrives.
const LOOKS: usize = 4;

/// Packets of a capture, as the decoder cuts them.
fn packets(path: &Path) -> Vec<PacketBatch> {
    let Ok(mut reader) = Reader::new(File::open(path).unwrap()) else { return Vec::new() };
    let mut batches = Vec::new();
    while let Some(raw) = reader.next_batch() {
        batches.push(decode(raw, 0));
    }
    batches
}

/// A journal that holds record batches of one sensor, cut anew at random.
async fn journal(
    folder: &Path,
    batches: Vec<arrow_array::RecordBatch>,
    schema: SchemaId,
    random: &mut StdRng,
) -> Journal {
    let journal = Journal::open(folder.join("journal.db")).await.unwrap();
    let mut next = 1;
    for batch in batches {
        let mut from = 0;
        while from < batch.num_rows() {
            let length = random.random_range(1..=BATCH_ROWS).min(batch.num_rows() - from);
            let mut bytes = Vec::new();
            let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
            writer.write(&batch.slice(from, length)).unwrap();
            writer.finish().unwrap();
            drop(writer);
            let (first_seq, last_seq) = (next, next + length as u64 - 1);
            let (sensor, epoch, gaps) = ("kyoto".to_owned(), [1; 16], Vec::new());
            let sent = JournalBatch { sensor, epoch, first_seq, last_seq, schema, bytes: bytes.into(), gaps };
            journal.append(sent).await.unwrap();
            (from, next) = (from + length, last_seq + 1);
        }
    }
    journal
}

async fn rows_of(journal: &Journal) -> Vec<JournalRow> {
    journal.read_after(0, usize::MAX).await.unwrap()
}

/// The newest telling of each finding that was not taken back.
#[derive(Default)]
struct Tellings(BTreeMap<String, Value>);

impl Tellings {
    fn add(&mut self, news: News) {
        for (table, row) in news.rows {
            let row: Value = serde_json::from_str(&row).unwrap();
            let key = format!("{table}/{}", row["id"].as_str().unwrap());
            match row["finding"]["confidence"] == 0.0 {
                true => drop(self.0.remove(&key)),
                false => drop(self.0.insert(key, row["finding"].clone())),
            }
        }
    }

    fn values(&self, table: &str) -> Vec<String> {
        let prefix = format!("{table}/");
        let mut found: Vec<String> =
            self.0.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, value)| value.to_string()).collect();
        found.sort();
        found
    }
}

fn texts<T: serde::Serialize>(findings: &[T]) -> Vec<String> {
    let text = |finding: &T| {
        let told: Value = serde_json::from_str(&serde_json::to_string(finding).unwrap()).unwrap();
        told.to_string()
    };
    let mut texts: Vec<String> = findings.iter().map(text).collect();
    texts.sort();
    texts
}

/// The same findings, field by field.
fn equal(what: &str, live: &Findings, batch: &Findings) {
    assert_eq!(live.attacks, batch.attacks, "{what}");
    assert_eq!(live.campaigns, batch.campaigns, "{what}");
    assert_eq!(live.scans, batch.scans, "{what}");
    assert_eq!(live.sources, batch.sources, "{what}");
    assert_eq!(live.brute_force, batch.brute_force, "{what}");
    assert_eq!(format!("{:?}{:?}", live.totals, live.ports), format!("{:?}{:?}", batch.totals, batch.ports), "{what}");
    assert_eq!((&live.monitored, live.approximate), (&batch.monitored, batch.approximate), "{what}");
}

/// The detectors over one input, live and at once; gives how many findings there are.
async fn detectors(what: &str, input: &[PacketBatch], random: &mut StdRng) -> usize {
    let mut engine = Engine::new(noroshi_detect::Config::default());
    input.iter().cloned().for_each(|batch| engine.observe(batch));
    let batch = engine.finish(SCANS);
    let folder = tempfile::tempdir().unwrap();
    let encoded = input.iter().map(rows::packets_record_batch).collect();
    let journal = journal(folder.path(), encoded, SchemaId::PACKETS, random).await;
    let all = rows_of(&journal).await;
    let (mut era, mut ledger, mut tellings) = (Era::new(Vec::new()), Ledger::new(0), Tellings::default());
    let (mut looks, now) = (0, Nanos(i64::MAX / 2));
    for (at, row) in all.iter().enumerate() {
        era.observe(std::slice::from_ref(row), now);
        if (at + 1) * LOOKS / all.len() > looks {
            looks += 1;
            // A telling is one moment later than the one before.
            let present = Nanos(now.0 + looks as i64 * SECOND);
            tellings.add(ledger.look(&era.look(), era.latest(), present, false));
            if looks == LOOKS / 2 {
                // Killed: the era is read again from its beginning, in other pieces.
                era = Era::new(Vec::new());
                all[..=at].chunks(7).for_each(|rows| era.observe(rows, now));
            }
        }
    }
    let live = era.look();
    equal(what, &live, &batch);
    tellings.add(ledger.look(&live, era.latest(), Nanos(now.0 + 100 * SECOND), true));
    // What is told is what is found.
    assert_eq!(tellings.values("attacks"), texts(&batch.attacks), "{what}");
    assert_eq!(tellings.values("campaigns"), texts(&batch.campaigns), "{what}");
    assert_eq!(tellings.values("scans"), texts(&batch.scans), "{what}");
    watches(what, input, &all, random);
    batch.attacks.len() + batch.campaigns.len() + batch.scans.len()
}

const MEMBERS: &str = r#"
[[member]]
id = "half"
name = "Half of the Internet"
prefixes = ["0.0.0.0/1", "2000::/4"]
[[member.mail]]
to = ["noc@half.example"]
"#;

/// The watch over members' hosts and the one for precursors: stored and taken up again after each row.
fn watches(what: &str, input: &[PacketBatch], all: &[JournalRow], random: &mut StdRng) {
    let registry = Arc::new(config::parse(MEMBERS).unwrap().registry);
    let fresh = || Watch::new(Settings::default(), registry.clone(), Vec::new());
    let (mut whole, mut expect, mut small) =
        (fresh(), Outcome::default(), Precursors::new(precursor::Settings::default()));
    let mut expected = Vec::new();
    let add = |to: &mut Outcome, more: Outcome| {
        to.infections.extend(more.infections);
        to.attacks.extend(more.attacks);
    };
    for batch in input {
        add(&mut expect, whole.observe(batch));
        expected.extend(small.observe(batch));
    }
    add(&mut expect, whole.finish());
    expected.extend(small.finish());
    let (mut watch, mut found, mut kept) = (fresh(), Outcome::default(), BTreeMap::new());
    let (mut small, mut events) = (Precursors::new(precursor::Settings::default()), Vec::new());
    let mut streams = Streams::default();
    for row in all {
        for batch in streams.packets(row) {
            add(&mut found, watch.observe(&batch));
            events.extend(small.observe(&batch));
        }
        for (key, value) in watch.changes() {
            match value {
                Some(value) => drop(kept.insert(key, value)),
                None => drop(kept.remove(&key)),
            }
        }
        if random.random_range(0..10) == 0 {
            watch = fresh();
            watch.restore(kept.clone()).unwrap();
            small = serde_json::from_str(&serde_json::to_string(&small).unwrap()).unwrap();
        }
    }
    add(&mut found, watch.finish());
    events.extend(small.finish());
    assert_eq!(found, expect, "{what}");
    assert_eq!(events, expected, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_days_are_found_alike_live_and_at_once() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for scenario in ["member-attacks", "amplification", "mirai-family", "precursors", "ipv6-darknet"] {
        let folder = tempfile::tempdir().unwrap();
        let input = packets(&day(folder.path(), scenario, 30_000));
        let found = detectors(scenario, &input, &mut random).await;
        assert!(found > 0, "{scenario}: nothing to compare");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shared_capture_is_found_alike_live_and_at_once() {
    let Some(captures) = captures() else { return };
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut compared, mut found) = (0, 0);
    for path in captures {
        let input = packets(&path);
        if input.iter().map(|batch| batch.rows.len()).sum::<usize>() > 0 {
            found += detectors(&path.display().to_string(), &input, &mut random).await;
            compared += 1;
        }
    }
    println!("{compared} captures, {found} findings");
    // Few real captures hold findings; that all the others stay silent is compared as well.
    assert!(compared >= 50 && found >= 10, "{compared} captures, {found} findings");
}

/// Requests of an hour at six lures: victims, a network, a scanner.
fn requests(random: &mut StdRng) -> Vec<Request> {
    let mut all = Vec::new();
    let mut ask = |seconds: f64, src: u32, sensor: u32, vector: Vector| {
        all.push(Request {
            ts: Nanos(1_767_225_600 * SECOND + (seconds * SECOND as f64) as i64),
            sensor: "kyoto".into(),
            src: Addr::v4(src),
            dst: Addr::v4(0xc633_6400 + sensor),
            sport: 80,
            dport: 123,
            vector,
            method: "monlist".into(),
            name: String::new(),
            request_bytes: 8,
            reply_bytes: 0,
            withheld: Withheld::Muted,
            request_hash: 7,
            ttl: None,
            payload: Vec::new(),
        });
    };
    for victim in 0..40u32 {
        let start = random.random_range(0.0..3_000.0);
        for n in 0..random.random_range(3..200u32) {
            ask(start + f64::from(n), 0xcb00_7100 + victim * 1_000, n % 3, Vector::Ntp);
        }
    }
    for n in 0..600u32 {
        ask(500.0 + f64::from(n) * 0.3, 0xcb01_0000 + n % 200, n % 6, Vector::Dns);
    }
    for sensor in 0..6 {
        ask(f64::from(sensor) * 30.0, 0x5500_0001, sensor, Vector::Snmp);
    }
    all.sort_by_key(|request| request.ts);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_lures_are_found_alike_live_and_at_once() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let all = requests(&mut random);
    let (mut whole, mut expect) = (RequestWatch::default(), Noticed::default());
    all.iter().for_each(|request| whole.take(request, &mut expect));
    expect.found.extend(whole.finish());
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path(), vec![request::record_batch(&all)], SchemaId::REQUESTS, &mut random).await;
    let (mut watch, mut noticed) = (RequestWatch::default(), Noticed::default());
    for row in rows_of(&journal).await {
        for request in requests_of(&row) {
            watch.take(&request, &mut noticed);
            if random.random_range(0..50) == 0 {
                watch = serde_json::from_str(&serde_json::to_string(&watch).unwrap()).unwrap();
            }
        }
    }
    noticed.found.extend(watch.finish());
    assert_eq!(noticed, expect);
    let began = expect.found.iter().filter(|found| matches!(found, Found::Began(_))).count();
    assert!((30..=60).contains(&began), "{began}");
}
