//! `noroshi import`.

use crate::support::run;
use serde_json::Value;
use std::path::Path;

const LOG: &str = "\
{\"eventid\":\"cowrie.session.connect\",\"src_ip\":\"192.0.2.9\",\"session\":\"a\",\"protocol\":\"telnet\",\"timestamp\":\"2026-01-01T00:00:00Z\"}
{\"eventid\":\"cowrie.login.failed\",\"username\":\"root\",\"password\":\"\\u001b[2Jx\",\"src_ip\":\"192.0.2.9\",\"session\":\"a\",\"timestamp\":\"2026-01-01T00:00:01Z\"}
{\"eventid\":\"cowrie.login
{\"eventid\":\"cowrie.session.closed\",\"duration_ms\":2000,\"src_ip\":\"192.0.2.9\",\"session\":\"a\",\"timestamp\":\"2026-01-01T00:00:02Z\"}
";

fn log(folder: &Path) -> String {
    let path = folder.join("cowrie.json");
    std::fs::write(&path, LOG).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn broken_lines_are_named_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (out, err, code) = run(&["import", &log(folder.path())]);
    assert_eq!(code, 0);
    assert!(out.contains("4 lines = 3 rows + 0 headers, comments, blanks + 1 rejected"), "{out}");
    assert!(err.contains("cowrie.json:3: not JSON"), "{err}");
    assert!(out.contains("root:\\u{1b}[2Jx") && !out.contains('\u{1b}'), "foreign text is escaped: {out}");
}

#[test]
fn json_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let (out, _, _) = run(&["import", &log(folder.path()), "--format", "json"]);
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(summary["schema"], "noroshi.import/1");
    assert_eq!(summary["total"]["logins_refused"], 1);
    assert_eq!(summary["total"]["dialogues"], 1);
    assert_eq!(summary["files"][0]["rejected"][0]["line"], 3);
}

#[test]
fn rows_and_dialogues_to_files() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let (out, _, code) = run(&["import", &log, "--table", "sessions", "--output", "-"]);
    assert_eq!(code, 0);
    let session: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(session["credentials"][0], "root:\u{1b}[2Jx");
    assert_eq!(session["origin"], "cowrie");
    for (table, rows) in [("records", 3), ("sessions", 1)] {
        let path = folder.path().join(format!("{table}.parquet"));
        let (_, _, code) = run(&["import", &log, "--table", table, "--output", path.to_str().unwrap()]);
        assert_eq!(code, 0);
        let file = std::fs::File::open(&path).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), rows);
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let stranger = folder.path().join("a.txt");
    std::fs::write(&stranger, "hello\n").unwrap();
    let (_, err, code) = run(&["import", stranger.to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(err.contains("no reader knows this content") && err.contains("--from"), "{err}");
    let (_, err, code) = run(&["import", "/nowhere/x"]);
    assert!(code == 3 && err.contains("no such file"), "{err}");
    let (_, err, code) = run(&["import", stranger.to_str().unwrap(), "--from", "zeek"]);
    assert!(code == 2 && err.contains("zeek-tsv"), "{err}");
    let (_, err, code) = run(&["import", &log(folder.path()), "--output", "rows.txt"]);
    assert!(code == 2 && err.contains(".parquet"), "{err}");
}
