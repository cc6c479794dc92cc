//! The journal through its public face: exactly once, whole accounts, bytes that come back unchanged.

use bytes::Bytes;
use noroshi_model::stream::{Gap, GapReason, SchemaId};
use noroshi_store::journal::Refusal;
use noroshi_store::{Appended, Journal, JournalBatch, JournalError};

fn batch(sensor: &str, first_seq: u64, last_seq: u64) -> JournalBatch {
    JournalBatch {
        sensor: sensor.into(),
        epoch: [7; 16],
        first_seq,
        last_seq,
        schema: SchemaId::PACKETS,
        bytes: Bytes::from(format!("{sensor} {first_seq} {last_seq}")),
        gaps: Vec::new(),
    }
}

fn refusal(outcome: Result<Appended, JournalError>) -> Refusal {
    match outcome {
        Err(JournalError::Refused { reason, .. }) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn a_batch_is_stored_once_and_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let journal = Journal::open(&path).await.unwrap();
    let id = journal.id().to_owned();
    assert_eq!(journal.append(batch("a", 0, 9)).await.unwrap(), Appended::Stored { row: 1 });
    assert_eq!(journal.append(batch("a", 0, 9)).await.unwrap(), Appended::Duplicate { watermark: 9, compared: true });
    assert_eq!(*journal.subscribe().borrow(), 1);
    drop(journal);

    let journal = Journal::open(&path).await.unwrap();
    assert_eq!(journal.id(), id);
    assert_eq!(*journal.subscribe().borrow(), 1);
    assert_eq!(journal.watermark("a", [7; 16]).await.unwrap(), Some(9));
    assert_eq!(journal.watermark("a", [8; 16]).await.unwrap(), None);
    let rows = journal.read_after(0, 1 << 20).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].first_seq, rows[0].last_seq, rows[0].records, rows[0].damaged), (0, 9, 10, false));
    assert_eq!(&rows[0].bytes[..], b"a 0 9");

    journal.delete_through(1).await.unwrap();
    assert!(journal.read_after(0, 1 << 20).await.unwrap().is_empty());
    // Rows are not numbered anew, and what was deleted is still known to be stored.
    assert_eq!(journal.append(batch("a", 10, 19)).await.unwrap(), Appended::Stored { row: 2 });
    assert!(matches!(journal.append(batch("a", 0, 9)).await.unwrap(), Appended::Duplicate { compared: true, .. }));
}

#[tokio::test]
async fn what_a_reader_holds_is_not_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path().join("journal.sqlite")).await.unwrap();
    let (first, second) = (journal.hold(), journal.hold());
    for row in 0..4 {
        journal.append(batch("a", row * 10, row * 10 + 9)).await.unwrap();
    }
    let left = async || journal.read_after(0, 1 << 20).await.unwrap().iter().map(|row| row.row).collect::<Vec<_>>();
    journal.delete_through(4).await.unwrap();
    assert_eq!(left().await, [1, 2, 3, 4]);
    first.release_through(3);
    second.release_through(1);
    journal.delete_through(4).await.unwrap();
    assert_eq!(left().await, [2, 3, 4], "the slower reader decides");
    drop(second);
    journal.delete_through(4).await.unwrap();
    assert_eq!(left().await, [4]);
    drop(first);
    journal.delete_through(4).await.unwrap();
    assert_eq!(left().await, [0i64; 0]);
}

#[tokio::test]
async fn holes_forks_and_overlaps_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path().join("journal.sqlite")).await.unwrap();
    journal.append(batch("a", 0, 9)).await.unwrap();
    assert_eq!(refusal(journal.append(batch("a", 12, 19)).await), Refusal::Hole { from: 10, through: 11 });
    assert_eq!(refusal(journal.append(batch("a", 5, 14)).await), Refusal::Overlap { watermark: 9 });
    assert_eq!(refusal(journal.append(batch("a", 3, 9)).await), Refusal::Overlap { watermark: 9 });
    let forged = JournalBatch { bytes: Bytes::from_static(b"other"), ..batch("a", 0, 9) };
    assert_eq!(refusal(journal.append(forged).await), Refusal::Forked);
    assert_eq!(journal.watermark("a", [7; 16]).await.unwrap(), Some(9));
    assert_eq!(journal.backlog().await.unwrap().0, 1);
}

#[tokio::test]
async fn declared_gaps_keep_the_account_whole() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path().join("journal.sqlite")).await.unwrap();
    journal.append(batch("a", 0, 9)).await.unwrap();
    let kernel = Gap::whole(10, 14, GapReason::Kernel);
    let filter = Gap { first_seq: 15, last_seq: 24, count: 3, reason: GapReason::Filter };
    journal.append(JournalBatch { gaps: vec![kernel, filter], ..batch("a", 15, 24) }).await.unwrap();
    let silent = JournalBatch {
        bytes: Bytes::new(),
        schema: SchemaId::NONE,
        gaps: vec![Gap::whole(25, 29, GapReason::Quota)],
        ..batch("a", 25, 29)
    };
    journal.append(silent).await.unwrap();
    let accounts = journal.conservation().await.unwrap();
    assert_eq!(accounts.len(), 1);
    assert!(accounts[0].balances());
    assert_eq!((accounts[0].produced, accounts[0].stored, accounts[0].lost), (30, 17, 13));
    let rows = journal.read_after(1, 1 << 20).await.unwrap();
    assert_eq!(rows[0].gaps, [kernel, filter]);
    assert_eq!(rows[1].gaps, [Gap::whole(25, 29, GapReason::Quota)]);
    assert_eq!(rows[1].records, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sensors_at_once_are_gathered_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path().join("journal.sqlite")).await.unwrap();
    let senders: Vec<_> = (0..8)
        .map(|sensor| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for n in 0..25u64 {
                    let sent = batch(&format!("s{sensor}"), n * 10, n * 10 + 9);
                    journal.append(sent.clone()).await.unwrap();
                    assert!(matches!(journal.append(sent).await.unwrap(), Appended::Duplicate { .. }));
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let accounts = journal.conservation().await.unwrap();
    assert_eq!(accounts.len(), 8);
    assert!(accounts.iter().all(|a| a.balances() && a.stored == 250));
    let rows = journal.read_after(0, usize::MAX).await.unwrap();
    assert_eq!(rows.len(), 200);
    assert!(rows.windows(2).all(|pair| pair[0].row < pair[1].row));
    assert_eq!(*journal.subscribe().borrow(), rows.last().unwrap().row);
}

#[tokio::test]
async fn reading_stops_at_the_byte_limit_but_always_moves_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path().join("journal.sqlite")).await.unwrap();
    for n in 0..5 {
        journal.append(batch("a", n * 10, n * 10 + 9)).await.unwrap();
    }
    assert_eq!(journal.read_after(0, 1).await.unwrap().len(), 1);
    assert_eq!(journal.read_after(1, 12).await.unwrap().len(), 2);
    assert_eq!(journal.read_after(5, 1).await.unwrap().len(), 0);
}

#[tokio::test]
async fn damaged_bytes_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let journal = Journal::open(&path).await.unwrap();
    journal.append(batch("a", 0, 9)).await.unwrap();
    journal.append(batch("a", 10, 19)).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("update batches set bytes = x'00' where row = 1").execute(&pool).await.unwrap();
    let rows = journal.read_after(0, 1 << 20).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.damaged).collect::<Vec<_>>(), [true, false]);
}

/// A journal whose file may not grow stands for a full disk: SQLite answers both with SQLITE_FULL.
#[tokio::test]
async fn a_full_disk_is_an_error_and_deleting_still_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let journal = Journal::open_limited(&path, 40).await.unwrap();
    let big = |n: u64| JournalBatch { bytes: Bytes::from(vec![n as u8; 60_000]), ..batch("a", n * 10, n * 10 + 9) };
    let mut stored = 0;
    let error = loop {
        match journal.append(big(stored)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert!(stored > 0);
    assert_eq!(journal.watermark("a", [7; 16]).await.unwrap(), Some(stored * 10 - 1));
    assert_eq!(journal.backlog().await.unwrap().0, stored);
    journal.delete_through(stored as i64).await.unwrap();
    journal.append(big(stored)).await.unwrap();
    assert_eq!(journal.watermark("a", [7; 16]).await.unwrap(), Some(stored * 10 + 9));
}
