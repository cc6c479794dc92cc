//! Minutes, hours and days of a grouping say the same; made again from the packets they are the same bit for bit.

use crate::lake::{Store, ask, lines, move_all, open};
use crate::sample::{START, journal_batch};
use noroshi_model::Nanos;
use noroshi_store::Limits;
use noroshi_store::lake::Compaction;
use noroshi_store::statistics::{Parameters, STATISTICS};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Spans, name, columns of the key, the set beside the destinations.
const GROUPINGS: [(&[&str], &str, &str, &str); 8] = [
    (&["minutes", "hours", "days"], "ports", "proto, port", "sources"),
    (&["minutes", "hours", "days"], "tools", "tool", "sources"),
    (&["days"], "networks", "network", "sources"),
    (&["minutes", "hours", "days"], "countries", "country", "sources"),
    (&["hours", "days"], "asns", "asn", "sources"),
    (&["hours", "days"], "profiles", "kind, value", "sources"),
    (&["days"], "sources", "source", "ports"),
    (&["hours"], "victims", "victim, victim_port", "ports"),
];

/// Batches of 300 packets that begin at these seconds after [`START`], each a life of its sensor of its own.
pub async fn fill(store: &mut Store, seconds: &[u64]) {
    for (n, second) in seconds.iter().enumerate() {
        let mut batch = journal_batch(if n % 2 == 0 { "tokyo" } else { "osaka" }, second * 10, second * 10 + 299);
        batch.epoch[0] = n as u8;
        (batch.first_seq, batch.last_seq) = (0, 299);
        store.journal.append(batch).await.unwrap();
        move_all(store).await;
    }
}

/// What the tables of each grouping add up to.
async fn totals(store: &Store) -> Vec<Vec<Vec<String>>> {
    let mut found = Vec::new();
    for (spans, name, keys, set) in GROUPINGS {
        let mut of_spans = Vec::new();
        for span in spans {
            let sql = format!(
                "select {keys}, sensor, sum(packets), sum(bytes), distinct_of({set}), distinct_of(destinations), \
                 hex(sketch_merge({set}), 100000) from {span}_{name} group by {keys}, sensor order by {keys}, sensor"
            );
            of_spans.push(ask(&store.lake, &sql).await);
        }
        found.push(of_spans);
    }
    found
}

/// Contents of the live files of all roll-ups, by table.
async fn contents(store: &Store, folder: &Path) -> HashMap<String, Vec<Vec<u8>>> {
    let later = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    store.lake.vacuum(std::time::Duration::ZERO, Nanos(later + 4_000_000_000_000)).await.unwrap();
    let mut found = HashMap::new();
    for (spans, name, ..) in GROUPINGS {
        for span in spans {
            let table = format!("{span}_{name}");
            let mut files: Vec<Vec<u8>> =
                parquet(&folder.join("lake").join(&table)).iter().map(|path| std::fs::read(path).unwrap()).collect();
            files.sort();
            found.insert(table, files);
        }
    }
    found
}

fn parquet(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            found.extend(parquet(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found
}

const DAY: u64 = 86_400;

/// Statistics, and what the packets say: so many keys, then counts, the packets named `n`.
const ORACLES: [(&str, usize, &str, &str); 7] = [
    ("top-ports", 2, "proto, dport, count(*) n, sum(wire_len), count(distinct src)", "true"),
    ("top-networks", 1, "network(src), count(*) n, sum(wire_len), count(distinct src)", "true"),
    ("top-asns", 1, "asn(src), count(*) n, sum(wire_len), count(distinct src)", "true"),
    ("top-countries", 1, "country(src), count(*) n, sum(wire_len), count(distinct src)", "true"),
    ("top-sources", 1, "ip(src), count(*) n, count(distinct dst), count(distinct dport)", "true"),
    ("packet-sizes", 1, "0, count(*) n, sum(wire_len), count(distinct src)", "wire_len < 64"),
    ("backscatter-victims", 2, "ip(src), sport, count(*) n, count(distinct dst)", "(tcp_flags & 18) = 18"),
];

#[tokio::test]
async fn every_span_says_the_same_and_statistics_use_the_coarsest() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    fill(&mut store, &[0, 40, 3_590, 7_200, DAY - 5, DAY + 3_600, 2 * DAY + 30]).await;
    for spans in totals(&store).await {
        assert!(!spans[0].is_empty() && spans.iter().all(|span| *span == spans[0]));
    }
    let at = |second: u64| Some(Nanos::from_seconds(START + second as i64));
    for (since, until) in [(None, None), (at(60), at(2 * DAY)), (at(3_600), at(DAY + 3_660)), (at(DAY), None)] {
        let asked = Parameters { since, until, limit: 100, ..Parameters::default() };
        let bound = |at: Option<Nanos>, sign: &str| {
            at.map_or("true".to_owned(), |at| format!("date_trunc('minute', ts) {sign} timestamp '{}'", at.rfc3339()))
        };
        let scope = format!("{} and {}", bound(since, ">="), bound(until, "<"));
        for (name, keys, columns, condition) in ORACLES {
            let keys = (1..=keys).map(|key| key.to_string()).collect::<Vec<_>>().join(", ");
            let order = if name == "top-sources" { "min(src)" } else { &keys };
            let oracle = format!(
                "select {columns} from packets where {scope} and {condition} group by {keys} order by n desc, {order}"
            );
            let found = store.lake.statistic(name, &asked, Limits::default()).await.unwrap();
            let mut found = lines(&found);
            if name == "backscatter-victims" {
                // Its first and last hour.
                let cut = |line: &String| line.rsplitn(3, ' ').nth(2).unwrap().to_owned();
                found = found.iter().map(cut).collect();
            }
            let expected = ask(&store.lake, &oracle).await;
            assert_eq!(found, expected[..expected.len().min(asked.limit)], "{name} {since:?} {until:?}");
        }
    }
    let whole = Parameters::default();
    let sql = store.lake.statistic_sql("top-ports", &whole, Limits::default()).await.unwrap();
    assert!(sql.contains("days_ports") && !sql.contains("minutes_ports"), "{sql}");
}

#[tokio::test]
async fn rebuilt_bit_for_bit_and_history_without_packets_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    fill(&mut store, &[0, 3_590, 7_200, DAY + 3_600]).await;
    // Rebuilding what was never compacted adds up the same.
    let before = totals(&store).await;
    store.lake.rebuild_rollups().await.unwrap();
    assert_eq!(totals(&store).await, before);
    let first = contents(&store, folder.path()).await;
    store.lake.compact(Compaction { fresh_files: 1, ..Compaction::default() }).await.unwrap();
    store.lake.rebuild_rollups().await.unwrap();
    assert_eq!(contents(&store, folder.path()).await, first);
    // Packets of the first two hours go; their counts stay.
    let packets = store.lake.sizes().await.unwrap().into_iter().find(|size| size.table == "packets").unwrap();
    let keep = HashMap::from([("packets".to_owned(), packets.bytes / 2)]);
    assert!(!store.lake.retain(&keep).await.unwrap().is_empty());
    let rebuilt = store.lake.rebuild_rollups().await.unwrap();
    assert!(rebuilt[0].since.as_str() > "2026-01-01T00", "{:?}", rebuilt[0]);
    assert_eq!(totals(&store).await, before);
    // And the hub goes on from its position.
    let mut again = open(folder.path()).await;
    move_all(&mut again).await;
    assert_eq!(totals(&again).await, before);
}

#[tokio::test]
async fn killed_while_rebuilding_it_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    fill(&mut store, &[0, 3_590]).await;
    let before = totals(&store).await;
    drop(store);
    for kill in 1..3u32 {
        let mut child = Command::new(crate::kill::program())
            .arg(folder.path())
            .arg("rebuild")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        crate::kill::wait_for_lines(&mut child, kill * 2);
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(folder.path()).await;
        assert_eq!(totals(&store).await, before, "after kill {kill}");
    }
}

/// Every statistic gives from coarse tables what it gives from minutes: asked for one sensor and a window off every
/// boundary, where minutes are used, plus the rest.
#[tokio::test]
async fn parts_of_a_window_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    fill(&mut store, &[0, 40, 3_590, DAY + 30, DAY + 7_000]).await;
    for name in ["protocols", "tools", "packet-sizes", "tcp-flags"] {
        assert!(STATISTICS.iter().any(|statistic| statistic.name == name));
        let mut sums = Vec::new();
        for cut in [None, Some(Nanos::from_seconds(START + 3_660))] {
            let mut sum = 0i64;
            let windows = cut.map_or(vec![(None, None)], |cut| vec![(None, Some(cut)), (Some(cut), None)]);
            for (since, until) in windows {
                let asked = Parameters { since, until, ..Parameters::default() };
                let answer = store.lake.statistic(name, &asked, Limits::default()).await.unwrap();
                let column = answer.schema.index_of("packets").unwrap();
                let cell = |line: &String| line.split(' ').nth(column).unwrap().parse::<i64>().unwrap();
                sum += lines(&answer).iter().map(cell).sum::<i64>();
            }
            sums.push(sum);
        }
        assert_eq!(sums, [1500, 1500], "{name}");
    }
}
