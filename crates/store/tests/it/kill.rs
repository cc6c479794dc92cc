//! SIGKILL at any moment changes no answer.
//!
//! A child process appends and moves; the parent kills it after a random number of acknowledgements and a random short
//! while, again and again, and asks the lake between kills: base table and roll-ups never hold more than was sent, and
//! what they hold only grows. At the end the counts are those of the rule.

use crate::lake::lines;
use crate::sample::{lake_at, packet};
use noroshi_store::{Journal, Lake, Limits};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PACKETS: u64 = 200;

/// Kills of the short form; `NOROSHI_KILLS` asks for more.
const KILLS: u64 = 16;

/// The example binary that cargo built beside this test.
pub fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.parent().and_then(Path::parent).unwrap().join("examples").join("crash")
}

fn start(folder: &Path, batches: u64) -> Child {
    Command::new(program())
        .arg(folder)
        .arg(batches.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("example `crash` is built with the tests")
}

/// Reads so many lines of what the child prints, or all of them.
pub fn wait_for_lines(child: &mut Child, count: u32) {
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..count {
        if output.next().is_none() {
            return;
        }
    }
}

/// xorshift64: the same schedule for the same seed.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

async fn one(lake: &Lake, sql: &str) -> i64 {
    let answer = lake.answer(sql, Limits::default()).await.unwrap();
    lines(&answer)[0].parse().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_counts_the_same() {
    let kills = std::env::var("NOROSHI_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    // Enough batches that the last kill still finds work: each life acknowledges at most 12 before it is killed.
    let batches = kills * 12 + 20;
    let folder = tempfile::tempdir().unwrap();
    let mut seed = 0x5eed_u64;
    let (mut acknowledged, mut seen) = (0u64, 0i64);
    for kill in 0..kills {
        let mut child = start(folder.path(), batches);
        let wanted = random(&mut seed) % 12;
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..wanted {
            let Some(Ok(line)) = output.next() else { break };
            if let Some(n) = line.strip_prefix("ACK ") {
                acknowledged = acknowledged.max(n.parse::<u64>().unwrap() + 1);
            }
        }
        // Into the move itself: a spin that the seed chooses, not a wait for something.
        (0..random(&mut seed) % 3_000_000).for_each(|n| {
            std::hint::black_box(n);
        });
        child.kill().unwrap();
        child.wait().unwrap();
        // What the pipe still holds was acknowledged as well.
        for line in output.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("ACK ") {
                acknowledged = acknowledged.max(n.parse::<u64>().unwrap() + 1);
            }
        }
        if kill % 4 == 0 {
            seen = check_between(folder.path(), acknowledged, seen).await;
        }
    }
    let done = start(folder.path(), batches).wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&done.stdout).ends_with("DONE\n"));
    check_end(folder.path(), batches * PACKETS).await;
}

async fn check_between(folder: &Path, acknowledged: u64, seen: i64) -> i64 {
    let journal = Journal::open(folder.join("journal.sqlite")).await.unwrap();
    let stored = journal.watermark("tokyo", [3; 16]).await.unwrap().map_or(0, |last| last + 1);
    assert!(stored >= acknowledged * PACKETS, "{stored} stored, {acknowledged} batches acknowledged");
    let lake = Lake::open(lake_at(folder)).await.unwrap();
    let base = one(&lake, "select count(*) from packets").await;
    let rollup = one(&lake, "select sum(packets) from minutes_ports").await;
    assert!(seen <= base && base as u64 <= stored && rollup <= base, "{seen} {base} {rollup} {stored}");
    let distinct = one(&lake, "select count(distinct seq) from packets").await;
    assert_eq!(distinct, base, "a packet is stored twice");
    base
}

async fn check_end(folder: &Path, total: u64) {
    let journal = Journal::open(folder.join("journal.sqlite")).await.unwrap();
    assert_eq!(journal.backlog().await.unwrap(), (0, 0));
    let accounts = journal.conservation().await.unwrap();
    assert!(accounts.len() == 1 && accounts[0].balances() && accounts[0].stored == total, "{accounts:?}");
    let mut ports = BTreeMap::<u16, u64>::new();
    (0..total).for_each(|n| *ports.entry(packet(n).dport).or_default() += 1);
    let expected: Vec<String> = ports.iter().map(|(port, count)| format!("{port} {count}")).collect();
    let lake = Lake::open(lake_at(folder)).await.unwrap();
    for sql in [
        "select dport, count(distinct seq) from packets group by 1 order by 1",
        "select dport, count(*) from packets group by 1 order by 1",
        "select port, sum(packets) from minutes_ports group by 1 order by 1",
    ] {
        assert_eq!(lines(&lake.answer(sql, Limits::default()).await.unwrap()), expected, "{sql}");
    }
    assert_eq!(one(&lake, "select sum(packets) from minutes_tools").await as u64, total);
    for table in ["days_networks", "hours_ports", "days_tools", "hours_countries", "days_asns"] {
        assert_eq!(one(&lake, &format!("select sum(packets) from {table}")).await as u64, total, "{table}");
    }
}
