//! Compaction, retention, vacuum and fsck change no answer, or exactly the one they name.

use crate::lake::{ask, move_all, open};
use crate::sample::journal_batch;
use noroshi_model::Nanos;
use noroshi_store::lake::Compaction;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const QUESTIONS: [&str; 4] = [
    "select count(*), sum(seq), min(ts), max(ts) from packets",
    "select dport, count(*), count(distinct src) from packets group by 1 order by 1",
    "select minute, port, sum(packets), sum(bytes), distinct_of(sources) from minutes_ports group by 1, 2 order by 1, 2",
    "select network, sum(packets) from days_networks group by 1 order by 1",
];

fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(parquet_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn compaction_and_vacuum_change_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    for n in 0..6u64 {
        store.journal.append(journal_batch("a", n * 500, n * 500 + 499)).await.unwrap();
        move_all(&mut store).await;
    }
    let mut before = Vec::new();
    for sql in QUESTIONS {
        before.push(ask(&store.lake, sql).await);
    }
    let settings = Compaction { fresh_files: 4, ..Compaction::default() };
    let compacted = store.lake.compact(settings).await.unwrap();
    let packets = compacted.iter().find(|done| done.table == "packets").unwrap();
    assert_eq!((packets.files, packets.partition.as_str()), ((6, 1), "2026-01-01T00"));
    assert!(packets.bytes.1 < packets.bytes.0);
    // Done is done.
    assert!(store.lake.compact(settings).await.unwrap().is_empty());

    let files = parquet_files(&folder.path().join("lake/packets"));
    assert_eq!(files.len(), 7);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Nanos(now.as_nanos() as i64);
    let grace = Duration::from_secs(600);
    assert_eq!(store.lake.vacuum(grace, now).await.unwrap(), 0);
    let later = Nanos(now.0 + 601 * 1_000_000_000);
    assert!(store.lake.vacuum(grace, later).await.unwrap() > 0);
    assert_eq!(parquet_files(&folder.path().join("lake/packets")).len(), 1);
    for (sql, before) in QUESTIONS.iter().zip(&before) {
        assert_eq!(&ask(&store.lake, sql).await, before, "{sql}");
    }
    let mut again = open(folder.path()).await;
    move_all(&mut again).await;
    assert_eq!(ask(&again.lake, "select count(*) from packets").await, ["3000"]);
}

#[tokio::test]
async fn retention_gives_up_the_oldest_hours_and_never_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    // 36,000 packets an hour: batches in the hours 0, 1 and 2.
    for first in [0u64, 36_000, 72_000] {
        let mut batch = journal_batch("a", first, first + 999);
        batch.epoch[0] = (first / 36_000) as u8;
        (batch.first_seq, batch.last_seq) = (0, 999);
        store.journal.append(batch).await.unwrap();
        move_all(&mut store).await;
    }
    let sizes = store.lake.sizes().await.unwrap();
    let packets = sizes.iter().find(|size| size.table == "packets").unwrap();
    assert_eq!((packets.files, packets.rows), (3, 3000));
    assert_eq!(packets.oldest.as_deref(), Some("2026-01-01T00"));
    assert_eq!(packets.newest.as_deref(), Some("2026-01-01T02"));

    let keep = |bytes| HashMap::from([("packets".to_owned(), bytes)]);
    assert!(store.lake.retain(&keep(packets.bytes)).await.unwrap().is_empty());
    let freed = store.lake.retain(&keep(packets.bytes - 1)).await.unwrap();
    assert_eq!((freed[0].partitions.clone(), freed[0].rows), (vec!["2026-01-01T00".to_owned()], 1000));
    let hours = "select hour, count(*) from packets group by 1 order by 1";
    assert_eq!(ask(&store.lake, hours).await, ["2026-01-01T01 1000", "2026-01-01T02 1000"]);
    store.lake.retain(&keep(0)).await.unwrap();
    assert_eq!(ask(&store.lake, hours).await, ["2026-01-01T02 1000"]);
    // Roll-ups have budgets of their own.
    assert_eq!(ask(&store.lake, "select sum(packets) from minutes_tools").await, ["3000"]);
}

#[tokio::test]
async fn fsck_finds_each_kind_of_damage_and_repairs_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    for n in 0..4u64 {
        store.journal.append(journal_batch("a", n * 500, n * 500 + 499)).await.unwrap();
        move_all(&mut store).await;
    }
    assert!(store.lake.check(false).await.unwrap().iter().all(|check| check.damage.is_empty()));
    let files = parquet_files(&folder.path().join("lake/packets"));
    std::fs::remove_file(&files[0]).unwrap();
    let bytes = std::fs::read(&files[1]).unwrap();
    std::fs::write(&files[1], &bytes[..bytes.len() / 2]).unwrap();
    let mut bytes = std::fs::read(&files[2]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle - 200..middle + 200].fill(0xff);
    std::fs::write(&files[2], bytes).unwrap();

    let found = store.lake.check(false).await.unwrap();
    let packets = found.iter().find(|check| check.table == "packets").unwrap();
    assert_eq!(packets.damage.len(), 3, "{:?}", packets.damage);
    assert!(packets.damage.iter().all(|damage| damage.rows == 500));
    store.lake.check(true).await.unwrap();
    let repaired = store.lake.check(false).await.unwrap();
    assert!(repaired.iter().all(|check| check.damage.is_empty()), "{repaired:?}");
    assert_eq!(ask(&store.lake, "select count(*) from packets").await, ["500"]);
    // The missing file cannot be set aside; the other two are.
    assert_eq!(std::fs::read_dir(folder.path().join("lake/quarantine/packets")).unwrap().count(), 2);
}
