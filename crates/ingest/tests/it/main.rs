//! Batches, good and evil, through ingest into a real journal, with real worker processes.

use bytes::Bytes;
use noroshi_ingest::Ingest;
use noroshi_ingest::check::{Order, check};
use noroshi_ingest::worker::{WorkerCommand, Workers};
use noroshi_model::packet::{Has, Packet, PacketBatch};
use noroshi_model::rows::packets_record_batch;
use noroshi_model::stream::SchemaId;
use noroshi_model::{Addr, Nanos};
use noroshi_store::Journal;
use noroshi_wire::message::{Epoch, Outcome};
use noroshi_wire::{BatchHead, Refusal, batch};
use proptest::prelude::*;
use std::path::PathBuf;

fn order(rows: u64) -> Order {
    Order { schema: SchemaId::PACKETS, sensor: "kyoto".into(), rows }
}

/// The stream as the hub rebuilds it from what a sensor sends.
fn stream(rows: u64) -> Vec<u8> {
    let row = |n| Packet {
        src: Addr::v4(n as u32),
        dst: Addr::v4(2),
        ts: Nanos(n as i64),
        has: Has::IP | Has::TIME,
        ..Packet::BLANK
    };
    let rows = (0..rows).map(row).collect();
    let encoded =
        batch::encode(&packets_record_batch(&PacketBatch { sensor: "kyoto".into(), rows, ..PacketBatch::default() }))
            .unwrap();
    let messages = batch::to_flight(encoded.clone().into()).unwrap();
    let rebuilt = batch::to_stream(SchemaId::PACKETS, &messages).unwrap();
    assert_eq!(rebuilt, encoded, "splitting and joining is an identity");
    rebuilt
}

fn workers(count: usize) -> Workers {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_noroshi-check-worker"));
    Workers::new(WorkerCommand { program, arguments: vec![] }, count)
}

#[tokio::test]
async fn a_worker_serves_many_batches() {
    let workers = workers(1);
    for rows in [1, 10, 5000] {
        workers.check(order(rows), stream(rows).into()).await.unwrap();
    }
    let refusal = workers.check(order(3), stream(2).into()).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Batch { .. }), "{refusal}");
    workers.check(order(2), stream(2).into()).await.unwrap();
}

#[tokio::test]
async fn a_worker_that_dies_costs_one_batch_and_not_the_hub() {
    for script in ["exit 1", "kill -9 $$", "head -c 10 > /dev/null; exit 0"] {
        let arguments = vec!["-c".into(), script.into()];
        let workers = Workers::new(WorkerCommand { program: "/bin/sh".into(), arguments }, 1);
        let refusal = workers.check(order(2), stream(2).into()).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Batch { .. }), "{script}: {refusal}");
    }
    let workers = Workers::new(WorkerCommand { program: "/does/not/exist".into(), arguments: vec![] }, 1);
    let refusal = workers.check(order(2), stream(2).into()).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Busy { .. }), "the batch is kept when the hub is at fault: {refusal}");
}

#[test]
fn a_batch_that_would_explode_is_refused_before_it_does() {
    let good = stream(50);
    check(&order(50), &good).unwrap();
    // A compressed buffer says how large it becomes; claim a terabyte in each place that could be one.
    let mut refused = 0;
    for at in (0..good.len() - 8).step_by(8) {
        let mut bad = good.clone();
        bad[at..at + 8].copy_from_slice(&(1i64 << 40).to_le_bytes());
        refused += u32::from(check(&order(50), &bad).is_err());
    }
    assert!(refused > 0);
}

#[test]
fn every_cut_is_refused() {
    let good = stream(20);
    for length in 0..good.len() {
        assert!(check(&order(20), &good[..length]).is_err(), "cut at {length} of {}", good.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Damage gives a refusal or rows that fit; it never panics and never takes long.
    #[test]
    fn damage_never_panics(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        rows in 1u64..40,
    ) {
        let mut bytes = stream(rows);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        drop(check(&order(rows), &bytes));
    }

    #[test]
    fn noise_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(check(&order(1), &bytes).is_err());
    }
}

#[tokio::test]
async fn received_is_stored_or_duplicate_or_refused() {
    use std::sync::atomic::Ordering::Relaxed;
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path().join("journal.db")).await.unwrap();
    let ingest = Ingest::new(journal.clone(), workers(2));
    let epoch = Epoch([1; 16]);
    let head = |first_seq: u64, rows: u64| BatchHead {
        epoch,
        first_seq,
        last_seq: first_seq + rows - 1,
        schema: SchemaId::PACKETS,
        rows,
        gaps: vec![],
    };
    let messages = |rows| batch::to_flight(Bytes::from(stream(rows))).unwrap();
    assert_eq!(ingest.put("kyoto", head(1, 10), messages(10)).await.unwrap().outcome, Outcome::Stored);
    assert_eq!(ingest.put("kyoto", head(1, 10), messages(10)).await.unwrap().outcome, Outcome::Duplicate);
    assert!(matches!(ingest.put("kyoto", head(11, 9), messages(10)).await.unwrap().outcome, Outcome::Refused(_)));
    assert!(matches!(ingest.put("kyoto", head(12, 10), messages(10)).await, Err(Refusal::Order { watermark: 10, .. })));
    assert!(matches!(ingest.put("osaka", head(1, 10), messages(10)).await.unwrap().outcome, Outcome::Refused(_)));
    assert_eq!(ingest.watermark("kyoto", epoch).await.unwrap(), 10);
    let counters = &ingest.counters;
    let (received, stored) = (counters.received.load(Relaxed), counters.stored.load(Relaxed));
    assert_eq!(received, stored + counters.duplicate.load(Relaxed) + counters.refused.load(Relaxed));
    assert_eq!((received, stored, counters.records.load(Relaxed)), (5, 1, 10));
}
