//! What the hub finds is journalled, moved and asked for like what sensors send.

use crate::lake::{ask, move_all, open};
use crate::sample::{START, journal_batch};
use arrow::array::RecordBatch;
use noroshi_model::finding::{Attack, AttackKind, Vector, Victim};
use noroshi_model::findings::{State, Told, attacks};
use noroshi_model::request::{self, Request, Withheld};
use noroshi_model::session::{self, Session};
use noroshi_model::tables::{TABLES, named};
use noroshi_model::{Addr, Nanos};
use noroshi_store::RecordError;

fn attack(packets: u64) -> Attack {
    Attack {
        kind: AttackKind::Carpet,
        vector: Vector::Dns,
        victim: Victim::Network("192.0.2.0/24".parse().unwrap()),
        victim_port: None,
        packets,
        bytes: packets * 60,
        sources: 7,
        first: Nanos::from_seconds(START),
        last: Nanos::from_seconds(START + 60),
        peak_pps: 12.5,
        estimated_pps: None,
        confidence: 0.75,
        thresholds: [("packets_min".to_owned(), 25.0), ("never".to_owned(), f64::INFINITY)].into(),
        detector: "carpet/1".into(),
        evidence: Vec::new(),
        reason: "many victims, \"one\" prefix".into(),
    }
}

fn told(second: i64, packets: u64, state: State) -> RecordBatch {
    let finding = attack(packets);
    let at = Nanos::from_seconds(START + second);
    attacks(&[Told { at, sensor: "tokyo", id: "a-1", state, finding: &finding }])
}

#[tokio::test]
async fn a_finding_that_grows_is_told_again_and_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let table = named("attacks").unwrap();
    for second in 0..3 {
        // A hub that is started again goes on with the numbers of its stream.
        let mut store = open(folder.path()).await;
        let recorder = store.journal.recorder("warning");
        recorder.record(table, &told(second * 10, 100 + second as u64, State::Open)).await.unwrap();
        recorder.record(table, &told(second * 10 + 5, 200 + second as u64, State::Closed)).await.unwrap();
        move_all(&mut store).await;
    }
    let store = open(folder.path()).await;
    let newest = "select id, sensor, state, packets, victim_length, ip(victim), estimated_pps is null, thresholds \
                  from attacks order by ts desc limit 1";
    let expected = r#"a-1 tokyo closed 202 24 192.0.2.0 true {"never":null,"packets_min":25}"#;
    assert_eq!(ask(&store.lake, newest).await, [expected]);
    assert_eq!(ask(&store.lake, "select count(*), count(distinct hour) from attacks").await, ["6 1"]);
    let accounts = store.journal.conservation().await.unwrap();
    assert_eq!((accounts[0].sensor.as_str(), accounts[0].produced), ("hub:warning", 6));
    assert!(accounts[0].balances());
}

#[tokio::test]
async fn every_declared_table_is_asked_and_wrong_columns_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    let recorder = store.journal.recorder("warning");
    let wrong = recorder.record(named("scans").unwrap(), &told(0, 1, State::Open)).await;
    assert!(matches!(wrong, Err(RecordError::Columns { table: "scans" })));

    let sessions = session::record_batch(&[Session { ts: Nanos::from_seconds(START), ..Session::default() }]);
    recorder.record(named("sessions").unwrap(), &sessions).await.unwrap();
    let request = Request {
        ts: Nanos::from_seconds(START),
        sensor: "osaka".into(),
        src: Addr::v4(1),
        dst: Addr::v4(2),
        sport: 80,
        dport: 53,
        vector: Vector::Dns,
        method: "ANY".into(),
        name: "example.".into(),
        request_bytes: 40,
        reply_bytes: 0,
        withheld: Withheld::SensorBudget,
        request_hash: u64::MAX,
        ttl: None,
        payload: Vec::new(),
    };
    recorder.record(named("requests").unwrap(), &request::record_batch(&[request])).await.unwrap();
    // Nothing to say takes no number.
    recorder.record(named("attacks").unwrap(), &attacks(&[])).await.unwrap();
    store.journal.append(journal_batch("tokyo", 0, 9)).await.unwrap();
    move_all(&mut store).await;
    for table in TABLES {
        let expected = match table.name {
            "packets" => "10",
            "sessions" | "requests" => "1",
            _ => "0",
        };
        assert_eq!(ask(&store.lake, &format!("select count(*) from {}", table.name)).await, [expected]);
    }
    // The hub's own rows name the sensor that they speak of.
    assert_eq!(ask(&store.lake, "select sensor, request_hash from requests").await, ["osaka -1"]);
}
