//! Many writers, a compactor and readers at once; a disk that fills up.

use crate::lake::{ask, lines, move_all, open};
use crate::sample::{journal_batch, lake_at};
use noroshi_store::lake::Compaction;
use noroshi_store::{Journal, Lake, Limits, Mover};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WRITERS: u64 = 4;
const ROUNDS: u64 = 3;
/// Packets of a round.
const PACKETS: u64 = 200;

/// Goes on for so many minutes where a long proof asks for it, else for so many rounds.
fn ended(round: u64, began: Instant) -> bool {
    match std::env::var("NOROSHI_WRITERS_MINUTES").ok().and_then(|minutes| minutes.parse::<u64>().ok()) {
        Some(minutes) => began.elapsed() >= Duration::from_secs(minutes * 60),
        None => round >= ROUNDS,
    }
}

/// Each writer has its own journal and its own handle on the one lake, as separate hubs would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_writers_a_compactor_and_a_reader_disturb_nobody() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).await);
    let done = Arc::new(AtomicBool::new(false));
    let compactor = tokio::spawn({
        let (done, lake) = (done.clone(), Lake::open(lake_at(folder.path())).await.unwrap());
        async move {
            let mut compacted = 0;
            while !done.load(Ordering::Relaxed) {
                let settings = Compaction { fresh_files: 3, ..Compaction::default() };
                compacted += lake.compact(settings).await.expect("no conflict surfaces").len();
            }
            compacted
        }
    });
    let reader = tokio::spawn({
        let (done, lake) = (done.clone(), Lake::open(lake_at(folder.path())).await.unwrap());
        async move {
            let (mut seen, mut answers) = (0i64, 0u64);
            while !done.load(Ordering::Relaxed) {
                let answer =
                    lake.answer("select count(*) from packets", Limits::default()).await.expect("never blocked");
                let now = lines(&answer)[0].parse().unwrap();
                assert!(now >= seen, "{now} after {seen}");
                (seen, answers) = (now, answers + 1);
            }
            answers
        }
    });
    let writers = (0..WRITERS).map(|writer| tokio::spawn(write(writer, folder.path().to_owned()))).collect::<Vec<_>>();
    let mut rounds = 0;
    for writer in writers {
        rounds += writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let compacted = compactor.await.unwrap();
    let answers = reader.await.unwrap();
    println!("{rounds} rounds of {WRITERS} writers, {compacted} partitions compacted, {answers} answers meanwhile");
    let lake = Lake::open(lake_at(folder.path())).await.unwrap();
    let total = rounds * PACKETS;
    for sql in [
        "select count(*) from packets",
        "select sum(packets) from minutes_ports",
        "select sum(packets) from days_networks",
        "select sum(packets) from days_countries",
    ] {
        assert_eq!(ask(&lake, sql).await, [total.to_string()], "{sql}");
    }
}

async fn write(writer: u64, folder: std::path::PathBuf) -> u64 {
    let began = Instant::now();
    let journal = Journal::open(folder.join(format!("journal-{writer}.sqlite"))).await.unwrap();
    let lake = Lake::open(lake_at(&folder)).await.unwrap();
    let mut mover = Mover::new(lake, journal.clone()).await.unwrap();
    let mut round = 0;
    while !ended(round, began) {
        let batch = journal_batch(&format!("sensor-{writer}"), round * PACKETS, (round + 1) * PACKETS - 1);
        journal.append(batch).await.unwrap();
        while mover.step().await.expect("no conflict surfaces").through != 0 {}
        round += 1;
    }
    round
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
