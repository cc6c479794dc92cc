//! `noroshi packets` as typed.

use crate::support::{captures, run, shared, workdir};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;

fn synscan() -> Option<String> {
    Some(shared()?.join("data/captures/scan/ndpi__synscan.pcap").to_str()?.to_owned())
}

#[test]
fn csv_has_a_header_and_one_row_per_packet() {
    let Some(path) = synscan() else { return };
    let (out, err, code) = run(&["packets", &path, "--format", "csv", "--columns", "ts,src,dst,dport,tcp_flags"]);
    assert_eq!((err.as_str(), code), ("", 0));
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("ts,src,dst,dport,tcp_flags,tcp_flags_names"));
    assert_eq!(lines.next(), Some("1278275056.274870000,172.16.0.8,64.13.134.52,443,2,SYN"));
    assert_eq!(lines.count(), 2010);
}

#[test]
fn json_lines_leave_out_what_a_packet_lacks() {
    let Some(path) = synscan() else { return };
    let (out, _, code) = run(&["packets", &path, "--format", "ndjson"]);
    assert_eq!(code, 0);
    let rows: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2011);
    assert_eq!(rows[0]["src"], "172.16.0.8");
    assert_eq!(rows[0]["tcp_options"], "M");
    assert_eq!(rows[0]["tcp_flags_names"], serde_json::json!(["SYN"]));
    assert!(rows[0].get("icmp_type").is_none());
}

#[test]
fn parquet_holds_the_same_rows_with_any_number_of_threads() {
    let Some(path) = synscan() else { return };
    let dir = workdir("parquet");
    let file = |threads: &str| {
        let out = dir.path().join(format!("{threads}.parquet"));
        // The name says the format.
        let (_, err, code) = run(&["packets", &path, "--threads", threads, "--output", out.to_str().unwrap()]);
        assert_eq!((err.as_str(), code), ("", 0));
        std::fs::read(out).unwrap()
    };
    assert_eq!(file("1"), file("3"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(dir.path().join("1.parquet")).unwrap()).unwrap();
    assert_eq!(reader.schema().fields(), noroshi_model::columns::packets_schema().fields());
    let batches: Vec<_> = reader.with_batch_size(4096).build().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    let packets = noroshi_model::rows::packet_batch(&batches[0]).unwrap();
    assert_eq!(packets.rows.len(), 2011);
    assert_eq!(packets.rows[0].src.to_string(), "172.16.0.8");
    let (csv, _, _) = run(&["packets", &path, "--columns", "dport"]);
    let from_csv: Vec<u16> = csv.lines().skip(1).map(|line| line.parse().unwrap_or(0)).collect();
    let dport = batches[0].column_by_name("dport").unwrap().as_primitive::<UInt16Type>();
    assert_eq!(from_csv, dport.iter().map(Option::unwrap_or_default).collect::<Vec<_>>());
}

/// Counted by tcpdump 4.99.3 with libpcap 1.10.3: `tcpdump -r FILE EXPR | wc -l`.
#[test]
fn filters_find_what_tcpdump_finds() {
    let Some(path) = synscan() else { return };
    for (expression, expected) in FILTERS {
        let (out, err, code) = run(&["packets", &path, "--format", "csv", "--columns", "src", "--where", expression]);
        assert_eq!((err.as_str(), code), ("", 0), "{expression}");
        assert_eq!(out.lines().count() - 1, *expected, "{expression}");
    }
}

const FILTERS: &[(&str, usize)] = &[
    ("tcp dst port 443", 2),
    ("tcp[tcpflags] & tcp-syn != 0 and tcp[tcpflags] & tcp-ack != 0", 12),
    ("src host 64.13.134.52", 17),
    ("not src net 172.16.0.0/12", 17),
    ("udp or icmp", 0),
    ("greater 60", 17),
    ("dst portrange 1-1023", 303),
    ("tcp[13] = 20", 5),
    ("ip[8] < 50 and tcp", 1111),
];

#[test]
fn wrong_usage_says_what_is_near() {
    for (args, expected) in [
        (&["--format", "csv", "--columns", "sprt"][..], "'sport'"),
        (&["--format", "csv", "--columns", "src,src"], "a column is named twice"),
        (&["--format", "xlsx"], "[possible values: csv, ndjson, parquet]"),
        (&["--format", "csv", "--where", "tcp prt 80"], "character 5: \"prt\""),
        (&["--format", "csv", "--where", "inbound"], "cannot be used on captured packets"),
    ] {
        let (out, err, code) = run(&[&["packets", "x.pcap"], args].concat());
        assert_eq!((out.as_str(), code), ("", 2), "{args:?}");
        assert!(err.contains(expected), "{args:?}: {err}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    for format in ["csv", "ndjson", "parquet"] {
        let (out, err, code) = run(&["packets", "no-such.pcap", "--format", format, "--output", "never.out"]);
        assert_eq!((out.as_str(), code), ("", 3));
        assert!(err.contains("there is no such file") && err.contains("no-such.pcap"), "{err}");
        assert!(!std::path::Path::new("never.out").exists());
    }
    let Some(path) = synscan() else { return };
    let (out, err, code) = run(&["packets", "no-such.pcap", &path, "--format", "csv", "--columns", "ts"]);
    assert_eq!((out.lines().count(), code), (2012, 3));
    assert!(err.contains("no-such.pcap: there is no such file"), "{err}");
}

/// Rows of every capture, hostile ones included: as many as packets, and never a cell that a spreadsheet would run.
#[test]
fn every_capture_becomes_rows() {
    let Some(captures) = captures() else { return };
    for facts in captures {
        let (out, _, code) = run(&["packets", facts.path.to_str().unwrap(), "--format", "csv"]);
        let expect = &facts.json["expect"];
        assert_eq!(i64::from(code), expect["exit"].as_i64().unwrap(), "{}", facts.path.display());
        let rows = out.lines().count().saturating_sub(1) as u64;
        assert_eq!(rows, expect["packets"].as_u64().unwrap(), "{}", facts.path.display());
        for cell in out.lines().flat_map(|line| line.split(',')) {
            assert!(!cell.starts_with(['=', '+', '@']), "{cell}");
        }
    }
}
