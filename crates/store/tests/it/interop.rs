//! Other people's engines read the same counts from the same folder.
//!
//! `NOROSHI_PYTHON` names the interpreter that has the packages of `tests/interop/requirements.txt` (default
//! `python3`). Without them the test says that it is skipped, and fails where `CI=true`.

use crate::lake::{ask, move_all, open};
use crate::sample::journal_batch;
use noroshi_store::lake::Compaction;
use std::path::Path;
use std::process::Command;

const COLUMNS: [(&str, &str); 4] =
    [("packets", "seq"), ("minutes_ports", "packets"), ("days_networks", "bytes"), ("minutes_tools", "packets")];

#[tokio::test]
async fn clickhouse_and_a_delta_reader_count_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    for n in 0..8u64 {
        store.journal.append(journal_batch("tokyo", n * 1000, n * 1000 + 999)).await.unwrap();
        move_all(&mut store).await;
        // Compacted half way: readers that glob would count the replaced files too.
        if n == 4 {
            store.lake.compact(Compaction { fresh_files: 2, ..Compaction::default() }).await.unwrap();
        }
    }
    let Some(answers) = read_with_others("read_lake.py", &folder.path().join("lake")) else { return };
    for (table, column) in COLUMNS {
        let ours = ask(&store.lake, &format!("select count(*), sum({column}) from {table}")).await;
        for engine in ["deltalake", "chdb"] {
            match &answers[engine] {
                serde_json::Value::String(missing) => skip(&format!("{engine}: {missing}")),
                counts => {
                    let theirs = format!("{} {}", counts[table][0], counts[table][1]);
                    assert_eq!(ours, [theirs], "{engine} reads {table}");
                }
            }
        }
    }
}

/// Different sources are counted by plans of our own: ClickHouse reads the same files and counts the same.
#[tokio::test]
async fn clickhouse_counts_the_same_sources() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    for n in 0..5u64 {
        store.journal.append(journal_batch("tokyo", n * 10_000, n * 10_000 + 9_999)).await.unwrap();
    }
    move_all(&mut store).await;
    let Some(answers) = read_with_others("read_lake.py", &folder.path().join("lake")) else { return };
    if let serde_json::Value::String(missing) = &answers["questions"] {
        return skip(missing);
    }
    for (name, sql) in [
        (
            "ports",
            "select cast(extract(epoch from h) as bigint), proto, dport, n, s from (select date_trunc('hour', ts) h, \
             proto, dport, count(*) n, count(distinct src) s from packets group by 1, 2, 3) order by 1, 2, 3",
        ),
        ("networks", "select count(distinct src) s from packets group by network(dst) order by s"),
    ] {
        let theirs: Vec<String> = serde_json::from_value(answers["questions"][name].clone()).unwrap();
        assert!(!theirs.is_empty());
        assert_eq!(ask(&store.lake, sql).await, theirs, "{name}");
    }
}

/// FlowTuple as fastavro reads it: the counts of the lake.
#[tokio::test]
async fn flowtuple_is_read_by_others_with_the_same_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    store.journal.append(journal_batch("tokyo", 0, 9_999)).await.unwrap();
    move_all(&mut store).await;
    let path = folder.path().join("day.avro");
    let mut file = std::fs::File::create(&path).unwrap();
    let limits = noroshi_store::Limits::default();
    let written =
        noroshi_store::flowtuple::write(&store.lake, (None, None), Some("tokyo"), limits, &mut file).await.unwrap();
    // Every tenth packet of the sample is of IPv6.
    assert_eq!((written.packets, written.left_out), (9_000, 1_000));
    let keys = "select count(*) from (select distinct date_bin(interval '5 minutes', ts), src, network(dst), dport, proto \
                from packets where in_prefix(src, '0.0.0.0/0'))";
    assert_eq!(ask(&store.lake, keys).await, [written.records.to_string()]);
    let Some(theirs) = read_with_others("read_flowtuple.py", &path) else { return };
    if let serde_json::Value::String(missing) = &theirs {
        return skip(missing);
    }
    assert!(theirs["name"].as_str().unwrap().ends_with("flowtuple4"), "{theirs}");
    assert_eq!((&theirs["records"], &theirs["packets"]), (&written.records.into(), &written.packets.into()));
    let ports = "select dport, count(*) from packets where in_prefix(src, '0.0.0.0/0') group by 1";
    for line in ask(&store.lake, ports).await {
        let (port, count) = line.split_once(' ').unwrap();
        assert_eq!(theirs["ports"][port].to_string(), count);
    }
}

fn read_with_others(script: &str, lake: &Path) -> Option<serde_json::Value> {
    let Ok(output) = python(script).arg(lake).output() else {
        skip("Python does not start");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Some(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}")))
}

/// A script of `tests/interop`, ready to be given its arguments.
pub fn python(script: &str) -> Command {
    let mut command = Command::new(std::env::var("NOROSHI_PYTHON").unwrap_or_else(|_| "python3".to_owned()));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script));
    command
}

pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{reason}: install tests/interop/requirements.txt");
    println!("skipped: {reason} (pip install -r crates/store/tests/interop/requirements.txt)");
}
