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
    [("packets", "seq"), ("minutes_ports", "packets"), ("minutes_networks", "bytes"), ("minutes_tools", "packets")];

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
    let Some(answers) = read_with_others(&folder.path().join("lake")) else { return };
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

fn read_with_others(lake: &Path) -> Option<serde_json::Value> {
    let python = std::env::var("NOROSHI_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/read_lake.py");
    let Ok(output) = Command::new(&python).arg(script).arg(lake).output() else {
        skip(&format!("{python} does not start"));
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Some(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}")))
}

fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{reason}: install tests/interop/requirements.txt");
    println!("skipped: {reason} (pip install -r crates/store/tests/interop/requirements.txt)");
}
