//! `noroshi analyze` as typed: on captures whose facts others counted, and on inputs that cannot be read.

use crate::report::check_schema;
use crate::support::{captures, run, workdir};
use serde_json::Value;
use std::path::Path;

/// The report of a run in JSON, checked against the contract, with the exit code.
fn report(args: &[&str]) -> (Value, i32) {
    let (out, err, code) = run(&[&["analyze", "--format", "json"], args].concat());
    assert!(!out.is_empty(), "{args:?}: {err}");
    check_schema(&out);
    (serde_json::from_str(&out).unwrap(), code)
}

/// Every field of `expect` beside a capture is what the report says of it.
#[test]
fn captures_are_read_as_others_count_them() {
    let Some(captures) = captures() else { return };
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for facts in captures {
        let expect = &facts.json["expect"];
        let (report, code) = report(&[facts.path.to_str().unwrap()]);
        let file = &report["capture"]["files"][0];
        let mut compare = |field: &str, found: &Value, expected: &Value| {
            if found != expected {
                wrong.push(format!("{}: {field} is {found}, expected {expected}", facts.path.display()));
            }
        };
        compare("exit", &code.into(), &expect["exit"]);
        for field in [
            "packets",
            "bytes_on_wire",
            "bytes_captured",
            "ipv4_packets",
            "ipv6_packets",
            "unique_sources",
            "unique_destinations",
            "transport",
        ] {
            compare(field, &file[field], &expect[field]);
        }
        if expect["times_compared"] != Value::Bool(false) {
            for field in ["first", "last", "earliest", "latest"] {
                compare(field, &file[field], &expect[field]);
            }
        }
        let truncated = file["problems"].as_array().unwrap().iter().any(|problem| problem["code"] == "truncated");
        if expect["truncated"] == Value::Bool(true) {
            compare("truncated", &truncated.into(), &true.into());
        }
        checked += 1;
    }
    assert!(checked > 100, "only {checked} captures were found");
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_page_is_the_same_with_any_number_of_threads() {
    let Some(captures) = captures() else { return };
    let folder = captures[0].path.parent().unwrap().to_str().unwrap().to_owned();
    let without_date = |threads| {
        let (mut report, code) = report(&[&folder, "--threads", threads, "--top", "all"]);
        report["generated"] = Value::Null;
        (report, code)
    };
    assert_eq!(without_date("1"), without_date("3"));
}

#[test]
fn lists_are_cut_at_top() {
    let Some(captures) = captures() else { return };
    let folder = captures[0].path.parent().unwrap().to_str().unwrap().to_owned();
    let (whole, _) = report(&[&folder, "--top", "all"]);
    let (cut, _) = report(&[&folder, "--top", "2"]);
    assert_eq!(cut["totals"], whole["totals"]);
    assert_eq!(cut["sources"].as_array().unwrap().len(), 2);
    assert_eq!(whole["sources"].as_array().unwrap().len() as u64, whole["totals"]["sources"].as_u64().unwrap());
    assert_eq!(cut["sources"].as_array().unwrap()[..], whole["sources"].as_array().unwrap()[..2]);
}

#[test]
fn a_missing_file_is_refused_with_advice() {
    for format in ["text", "html"] {
        let (out, err, code) = run(&["analyze", "no-such.pcap", "--format", format]);
        assert_eq!((out.as_str(), code), ("", 3));
        assert!(err.contains("there is no such file") && err.contains("check the spelling"), "{err}");
        assert!(err.contains("where: no-such.pcap"), "{err}");
    }
    let (report, code) = report(&["no-such.pcap"]);
    assert_eq!(code, 3);
    assert_eq!(report["capture"]["files"][0]["problems"][0]["code"], "missing");
}

#[test]
fn an_empty_file_a_folder_without_captures_and_nonsense_are_refused_with_a_reason() {
    let dir = workdir("refused");
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let empty = write("empty.pcap", b"");
    let folder = Path::new(&write("folder/notes.txt", b"no capture")).parent().unwrap().to_str().unwrap().to_owned();
    let nonsense = write("nonsense.pcap", b"this is not a capture at all, it only has its name");
    for (path, reason) in [
        (&empty, "the file is empty"),
        (&folder, "no file below this directory"),
        (&nonsense, "neither pcap nor pcapng"),
    ] {
        let (out, err, code) = run(&["analyze", path]);
        assert_eq!((out.as_str(), code), ("", 3), "{path}");
        assert!(err.contains(reason) && err.contains(path.as_str()), "{err}");
    }
}

/// A pcap of one SYN, by hand: header, then records.
fn capture(packets: usize) -> Vec<u8> {
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0];
    for i in 0..packets {
        bytes.extend_from_slice(&(1_767_225_600 + i as u32).to_le_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 0, 40, 0, 0, 0, 40, 0, 0, 0]);
        bytes.extend_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, i as u8]);
        bytes.extend_from_slice(&[0x30, 0x39, 0, 23, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0]);
    }
    bytes
}

#[test]
fn a_capture_that_is_cut_short_counts_and_one_that_is_refused_does_not_stop_the_others() {
    let dir = workdir("cut");
    let path = dir.path().join("cut.pcap");
    let whole = capture(3);
    std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    let path = path.to_str().unwrap();
    let (cut, code) = report(&[path]);
    assert_eq!((cut["capture"]["packets"].as_u64(), code), (Some(2), 0));
    let problems = cut["capture"]["files"][0]["problems"].as_array().unwrap();
    assert_eq!((problems.len(), problems[0]["code"].as_str()), (1, Some("truncated")));

    let (both, code) = report(&["no-such.pcap", path]);
    assert_eq!((both["capture"]["packets"].as_u64(), code), (Some(2), 3));
    assert_eq!(both["capture"]["files"][0]["packets"], 0);
    assert_eq!(both["capture"]["files"][1]["path"], path);
    let (out, err, code) = run(&["analyze", "no-such.pcap", path]);
    assert!(
        out.contains("2 packets") && err.contains("no-such.pcap: there is no such file") && code == 3,
        "{out}{err}"
    );
}

#[test]
fn standard_input_is_a_capture_too() {
    let output =
        crate::support::noroshi(&["analyze", "-", "--format", "json"]).write_stdin(capture(5)).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (report["capture"]["packets"].as_u64(), report["capture"]["files"][0]["path"].as_str()),
        (Some(5), Some("-"))
    );
}

#[test]
fn since_and_until_bound_the_time() {
    let dir = workdir("since");
    let path = dir.path().join("five.pcap");
    std::fs::write(&path, capture(5)).unwrap();
    let path = path.to_str().unwrap();
    let (report, _) = report(&[path, "--since", "2026-01-01T00:00:01Z", "--until", "1767225604"]);
    assert_eq!(report["sources"][0]["packets"], 3, "{report}");
    let (_, err, code) = run(&["analyze", path, "--since", "2026-01-02", "--until", "2026-01-01"]);
    assert!(code == 2 && err.contains("--since is not before --until"), "{err}");
}

#[test]
fn wrong_values_are_wrong_usage_and_say_what_is_expected() {
    for (option, value, expected) in [
        ("--monitored", "198.51.100.0/33", "prefix length 33"),
        ("--monitored", "home", "expected CIDR such as 192.0.2.0/24"),
        ("--since", "yesterday", "expected 2026-01-31"),
        ("--top", "many", "expected a number of rows"),
        ("--memory", "lots", "expected a size such as 512MiB"),
        ("--threads", "0", "is not in 1..=1024"),
        ("--format", "pdf", "[possible values: text, json, html]"),
    ] {
        let (out, err, code) = run(&["analyze", "x.pcap", option, value]);
        assert_eq!((out.as_str(), code), ("", 2), "{option} {value}");
        assert!(err.contains(expected) && err.contains(option), "{err}");
    }
}

#[test]
fn a_file_appears_when_it_is_whole() {
    let dir = workdir("output");
    let capture_path = dir.path().join("one.pcap");
    std::fs::write(&capture_path, capture(1)).unwrap();
    let page = dir.path().join("report.html");
    let (out, err, code) =
        run(&["analyze", capture_path.to_str().unwrap(), "--format", "html", "--output", page.to_str().unwrap()]);
    assert_eq!((out.as_str(), err.as_str(), code), ("", "", 0));
    assert!(std::fs::read_to_string(&page).unwrap().ends_with("</html>\n"));
    let (_, err, code) = run(&["analyze", "no-such.pcap", "--output", dir.path().join("none.txt").to_str().unwrap()]);
    assert_eq!(code, 3, "{err}");
    let (_, err, code) = run(&["analyze", capture_path.to_str().unwrap(), "--output", "/no/such/place/report.txt"]);
    assert!(code == 1 && err.contains("/no/such/place/report.txt") && err.contains("what to do"), "{err}");
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing unfinished is left behind: {names:?}");
}

#[test]
fn a_folder_without_knowledge_is_refused() {
    let (_, err, code) = run(&["analyze", "x.pcap", "--knowledge", "/no/such/tables"]);
    assert!(code == 3 && err.contains("noroshi geo import"), "{err}");
}
