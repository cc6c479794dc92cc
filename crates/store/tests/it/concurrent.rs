//! Many writers, a compactor and readers at once; a disk that fills up.

use crate::lake::{ask, lines, move_all, open};
use crate::sample::journal_batch;
use noroshi_store::lake::Compaction;
use noroshi_store::{Journal, Lake, Limits, Mover};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const WRITERS: u64 = 4;
const ROUNDS: u64 = 3;

/// Each writer has its own journal and its own handle on the one lake, as separate hubs would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_writers_a_compactor_and_a_reader_disturb_nobody() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).await);
    let done = Arc::new(AtomicBool::new(false));
    let compactor = tokio::spawn({
        let (done, lake) = (done.clone(), Lake::open(folder.path().join("lake")).await.unwrap());
        async move {
            while !done.load(Ordering::Relaxed) {
                lake.compact(Compaction { fresh_files: 3, ..Compaction::default() })
                    .await
                    .expect("no conflict surfaces");
            }
        }
    });
    let reader = tokio::spawn({
        let (done, lake) = (done.clone(), Lake::open(folder.path().join("lake")).await.unwrap());
        async move {
            let mut seen = 0i64;
            while !done.load(Ordering::Relaxed) {
                let answer =
                    lake.answer("select count(*) from packets", Limits::default()).await.expect("never blocked");
                let now = lines(&answer)[0].parse().unwrap();
                assert!(now >= seen, "{now} after {seen}");
                seen = now;
            }
        }
    });
    let writers = (0..WRITERS).map(|writer| tokio::spawn(write(writer, folder.path().to_owned()))).collect::<Vec<_>>();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    compactor.await.unwrap();
    reader.await.unwrap();
    let lake = Lake::open(folder.path().join("lake")).await.unwrap();
    let total = WRITERS * ROUNDS * 200;
    for sql in [
        "select count(*) from packets",
        "select sum(packets) from minutes_ports",
        "select sum(packets) from hours_networks",
        "select sum(packets) from days_countries",
    ] {
        assert_eq!(ask(&lake, sql).await, [total.to_string()], "{sql}");
    }
}

async fn write(writer: u64, folder: std::path::PathBuf) {
    let journal = Journal::open(folder.join(format!("journal-{writer}.sqlite"))).await.unwrap();
    let lake = Lake::open(folder.join("lake")).await.unwrap();
    let mut mover = Mover::new(lake, journal.clone()).await.unwrap();
    for round in 0..ROUNDS {
        journal.append(journal_batch(&format!("sensor-{writer}"), round * 200, round * 200 + 199)).await.unwrap();
        while mover.step().await.expect("no conflict surfaces").through != 0 {}
    }
}

/// A disk of its own, in a name space of its own; where the system allows none, the test says so.
#[test]
fn a_full_disk_costs_the_oldest_hours_and_never_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=28m tmpfs \"$1\" && exec \"$2\" \"$1\" fill 30";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(crate::kill::program())
        .output();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let output = match output {
        Ok(output) if output.status.success() => output,
        Ok(output) if !text(&output.stderr).contains("unshare:") && !text(&output.stderr).contains("mount:") => {
            panic!("{}", text(&output.stderr))
        }
        other => {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no mount name space: {other:?}");
            return println!("skipped: no mount name space of its own: {other:?}");
        }
    };
    let stdout = text(&output.stdout);
    let cells: Vec<&str> = stdout.split_whitespace().collect();
    let count = |at: usize| cells[at].parse::<u64>().unwrap();
    assert!(count(0) > 0 && count(1) > 0, "the disk was never full: {stdout}");
    // Thirty hours were sent, the newest is there, and what is left is whole hours.
    assert!(count(2) >= 20_000 && count(2).is_multiple_of(20_000) && count(2) < 600_000, "{stdout}");
    assert!(cells[4] > "2026-01-02T04" && cells[3] > "2026-01-01T00", "{stdout}");
}

#[tokio::test]
async fn days_left_come_from_the_rate() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    for (n, first) in [0u64, 36_000 * 12].into_iter().enumerate() {
        let mut batch = journal_batch("a", first, first + 999);
        batch.epoch[0] = n as u8;
        (batch.first_seq, batch.last_seq) = (0, 999);
        store.journal.append(batch).await.unwrap();
        move_all(&mut store).await;
    }
    let sizes = store.lake.sizes().await.unwrap();
    let packets = sizes.iter().find(|size| size.table == "packets").unwrap();
    // Half a day for what is there: the rest of the budget lasts in proportion.
    let expected = 0.5 * (packets.budget.unwrap() - packets.bytes) as f64 / packets.bytes as f64;
    assert!((packets.days_left().unwrap() / expected - 1.0).abs() < 1e-9);
    let empty = sizes.iter().find(|size| size.table == "alerts").unwrap();
    assert_eq!(empty.days_left(), None);
}
