//! The lake as a person uses it: load, ask, count, check, export, back up, restore.

use crate::support::{run, shared, workdir};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::path::Path;

/// Packets of nDPI's synscan capture: 2,011 by `capinfos`.
const PACKETS: u64 = 2011;

/// A data folder with a real capture in its lake.
fn filled(folder: &Path) -> Option<String> {
    let capture = shared()?.join("data/captures/scan/ndpi__synscan.pcap");
    let rows = folder.join("synscan.parquet");
    let data = folder.join("data").to_str()?.to_owned();
    let (_, err, code) = run(&["packets", capture.to_str()?, "--format", "parquet", "--output", rows.to_str()?]);
    assert_eq!((err.as_str(), code), ("", 0));
    let (out, err, code) = run(&["import", rows.to_str()?, "--into", "packets", "--data", &data]);
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    assert!(out.contains("2011 rows into packets, 0 known before"), "{out}");
    // A file that was loaded brings nothing twice.
    let (out, _, _) = run(&["import", rows.to_str()?, "--into", "packets", "--data", &data]);
    assert!(out.contains("0 rows into packets, 2011 known before"), "{out}");
    Some(data)
}

#[test]
fn loaded_asked_counted_checked_and_exported() {
    let dir = workdir("lake");
    let Some(data) = filled(dir.path()) else { return };
    let ask = |args: &[&str]| run(&[args, &["--data", &data]].concat());

    let (out, err, code) =
        ask(&["query", "select count(*) n, count(distinct dport) ports from packets", "--format", "csv"]);
    assert_eq!((out.lines().nth(1), err.as_str(), code), (Some("2011,1002"), "", 0));
    let (out, _, _) = ask(&["query", "select src, dport from packets order by ts limit 1", "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["schema"], &answer["rows"][0][0]), (&"noroshi.query/1".into(), &"172.16.0.8".into()));

    let (out, _, code) = ask(&["stats", "protocols", "--format", "csv"]);
    assert_eq!((out.lines().nth(1).map(|line| line.starts_with("6,2011,")), code), (Some(true), 0), "{out}");
    let (out, _, _) = ask(&["stats", "top-ports", "--sql"]);
    assert!(out.contains("days_ports"), "{out}");
    let (_, err, code) = ask(&["stats", "top-port"]);
    assert!(code == 2 && err.contains("did you mean \"top-ports\"?"), "{err}");
    let (before, _, _) = ask(&["stats", "top-ports", "--limit", "50", "--format", "csv"]);
    let (out, err, code) = ask(&["stats", "rebuild"]);
    assert!(code == 0 && out.contains("days_networks"), "{out}{err}");
    assert_eq!(ask(&["stats", "top-ports", "--limit", "50", "--format", "csv"]).0, before);

    let (out, _, code) = ask(&["fsck"]);
    assert!(code == 0 && out.contains("packets") && !out.contains("DAMAGED"), "{out}");

    let file = dir.path().join("out.parquet");
    let (_, err, code) =
        ask(&["export", "table", "packets", "--format", "parquet", "--output", file.to_str().unwrap()]);
    assert_eq!((err.as_str(), code), ("", 0));
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows() as u64, PACKETS);
    // What was exported can be loaded elsewhere.
    let elsewhere = dir.path().join("elsewhere").to_str().unwrap().to_owned();
    let (_, err, code) = run(&["import", file.to_str().unwrap(), "--into", "packets", "--data", &elsewhere]);
    assert_eq!((err.as_str(), code), ("", 0));
    let count = ["query", "select count(*), sum(seq) from packets", "--format", "csv"];
    assert_eq!(run(&[&count[..], &["--data", &elsewhere]].concat()).0, ask(&count).0);
    let (out, _, _) = ask(&["export", "table", "hours_ports", "--format", "csv"]);
    assert_eq!(out.lines().next(), Some("hour,sensor,proto,port,packets,bytes,sources,destinations,month"));
}

#[test]
fn backed_up_restored_and_refused() {
    let dir = workdir("backup");
    let Some(data) = filled(dir.path()) else { return };
    let saved = dir.path().join("saved").to_str().unwrap().to_owned();
    let back = dir.path().join("back").to_str().unwrap().to_owned();
    let (out, err, code) = run(&["backup", &saved, "--data", &data]);
    assert!(code == 0 && out.contains("tables"), "{out}{err}");
    assert_eq!(run(&["backup", &saved, "--data", &data]).2, 3);
    let (_, err, code) = run(&["restore", &saved, "--data", &back]);
    assert_eq!((err.as_str(), code), ("", 0));
    let (out, _, _) = run(&["query", "select count(*) from packets", "--format", "csv", "--data", &back]);
    assert_eq!(out.lines().nth(1), Some("2011"));
    let (_, err, code) = run(&["restore", &saved, "--data", &back]);
    assert!(code == 3 && err.contains("name a folder that does not"), "{err}");
    let (_, err, code) = run(&["restore", dir.path().to_str().unwrap(), "--data", &back]);
    assert!(code == 3 && !err.is_empty());
}

#[test]
fn wrong_questions_are_refused_with_the_reason() {
    let dir = workdir("wrong");
    let Some(data) = filled(dir.path()) else { return };
    for (sql, extra, says) in [
        ("select * from packts", &[][..], "did you mean \"packets\"?"),
        ("selec 1", &[], "this is not SQL"),
        ("drop table packets", &[], "only questions are answered"),
        ("select * from packets", &["--row-limit", "10"], "more than 10 rows"),
        ("select in_prefix(src, 'x') from packets", &[], "prefix"),
    ] {
        let (out, err, code) = run(&[&["query", sql, "--data", &data], extra].concat());
        assert!(code == 3 && err.contains(says), "{sql}: {out}{err}");
    }
    let (_, err, code) = run(&["query", "select 1", "--data", dir.path().to_str().unwrap()]);
    assert!(code == 3 && err.contains("holds no lake"), "{err}");
    // A damaged file is named with what to do, and repaired.
    let lake = Path::new(&data).join("lake/packets");
    let hour = std::fs::read_dir(&lake).unwrap().map(|entry| entry.unwrap().path());
    let hour = hour.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("hour=")).unwrap();
    let file = std::fs::read_dir(hour).unwrap().next().unwrap().unwrap().path();
    let length = std::fs::metadata(&file).unwrap().len() as usize;
    std::fs::write(&file, vec![0; length]).unwrap();
    let (_, err, code) = run(&["query", "select sum(seq) from packets", "--data", &data]);
    assert!(code == 3 && err.contains("noroshi fsck"), "{code} {err}");
    let (out, _, code) = run(&["fsck", "--data", &data]);
    assert!(code == 3 && out.contains("DAMAGED"), "{out}");
    assert_eq!(run(&["fsck", "--repair", "--data", &data]).2, 0);
    let (out, _, _) = run(&["query", "select count(*) from packets", "--format", "csv", "--data", &data]);
    assert_eq!(out.lines().nth(1), Some("0"));
    let text = dir.path().join("no.parquet");
    std::fs::write(&text, "PAR1 no").unwrap();
    let (_, err, code) = run(&["import", text.to_str().unwrap(), "--into", "packets", "--data", &data]);
    assert!(code == 3 && err.contains("no Parquet file"), "{err}");
    let (_, err, code) = run(&["import", text.to_str().unwrap(), "--into", "packts", "--data", &data]);
    assert!(code == 2 && err.contains("packets"), "{err}");
}

/// Out as FlowTuple and in again: every packet is in the sums.
#[test]
fn flowtuple_goes_out_and_comes_back_with_the_same_counts() {
    let dir = workdir("flowtuple");
    let Some(data) = filled(dir.path()) else { return };
    let file = dir.path().join("day.avro").to_str().unwrap().to_owned();
    let export = ["export", "table", "packets", "--format", "flowtuple", "--output", &file, "--data", &data];
    let (out, err, code) = run(&export);
    assert!(code == 0 && out.is_empty() && err.ends_with(&format!("records of {PACKETS} packets\n")), "{out}{err}");
    let (out, err, code) = run(&["import", &file, "--into", "flows", "--data", &data]);
    assert!(code == 0 && out.contains("rows into flows, 0 known before"), "{out}{err}");
    let ask = |sql: &str| run(&["query", sql, "--format", "csv", "--data", &data]).0;
    let rows = |sql: &str| ask(sql).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        rows("select sum(packets), count(distinct src) from flows"),
        rows("select count(*), count(distinct src) from packets"),
    );
    assert_eq!(
        rows("select dport, sum(packets) from flows group by 1 order by 2 desc, 1 limit 20"),
        rows("select dport, count(*) from packets group by 1 order by 2 desc, 1 limit 20"),
    );
    let (_, err, code) = run(&["export", "table", "gaps", "--format", "flowtuple", "--data", &data]);
    assert!(code == 2 && err.contains("FlowTuple sums up packets"), "{err}");
    // A file that is cut short keeps what it has and says where it breaks.
    let bytes = std::fs::read(&file).unwrap();
    let cut = dir.path().join("cut.avro");
    std::fs::write(&cut, &bytes[..bytes.len() - 20]).unwrap();
    let (_, err, _) = run(&["import", cut.to_str().unwrap()]);
    assert!(err.contains("it ends in the middle"), "{err}");
}

/// A store that nobody serves: said in words, within seconds, as a failure and not as a refusal.
#[test]
fn an_unreachable_store_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_noroshi"))
        .args(["query", "select 1 from packets", "--lake", "s3://bucket/lake"])
        .env("AWS_ENDPOINT_URL", format!("http://{free}"))
        .envs([("AWS_ALLOW_HTTP", "true"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")])
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("does not answer") && err.contains("AWS_ENDPOINT_URL"), "{err}");
}
