//! `noroshi alert` and `noroshi export` as typed: a simulated hour in which one member's host attacks and another member
//! is attacked becomes two mails and a bundle.

use crate::support::{run, workdir};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

const MEMBERS: &str = r#"
[[member]]
id = "university"
name = "Example University"
prefixes = ["203.0.113.0/25"]
contacts = [{ name = "CSIRT", mail = "csirt@university.example" }]

[[member]]
id = "shop"
name = "Example Shop"
prefixes = ["203.0.113.128/26"]
language = "ja"
contacts = [{ name = "NOC", mail = "noc@shop.example" }]
"#;

/// Recipients and text of each mail that arrived.
type Mails = Arc<Mutex<Vec<(String, String)>>>;

/// A mail server on loopback that keeps recipients and texts.
fn mail_sink() -> (SocketAddr, Mails) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mails: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let kept = mails.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let kept = kept.clone();
            std::thread::spawn(move || dialogue(stream.unwrap(), &kept));
        }
    });
    (address, mails)
}

fn dialogue(mut stream: TcpStream, mails: &Mutex<Vec<(String, String)>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut to = String::new();
    stream.write_all(b"220 sink\r\n").unwrap();
    while let Some(Ok(line)) = lines.next() {
        let answer: &[u8] = match line.get(..4) {
            Some("EHLO") => b"250-sink\r\n250 8BITMIME\r\n",
            Some("RCPT") => {
                to = line.trim_start_matches("RCPT TO:").to_owned();
                b"250 ok\r\n"
            }
            Some("DATA") => {
                stream.write_all(b"354 go on\r\n").unwrap();
                let text: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|l| l != ".").collect();
                mails.lock().unwrap().push((to.clone(), text.join("\n")));
                b"250 accepted\r\n"
            }
            Some("QUIT") => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

fn scene(folder: &Path) -> (String, String) {
    let day = folder.join("day");
    let (_, err, code) = run(&["simulate", "member-attacks", "--seed", "7", "--output", day.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""));
    let members = folder.join("members.toml");
    std::fs::write(&members, MEMBERS).unwrap();
    (day.join("day.pcap").to_str().unwrap().to_owned(), members.to_str().unwrap().to_owned())
}

#[test]
fn a_replayed_hour_becomes_two_mails_and_a_bundle() {
    let folder = workdir("alert");
    let (capture, members) = scene(folder.path());
    let (address, mails) = mail_sink();
    let state = folder.path().join("state.sqlite");
    let bundle = folder.path().join("bundle.json");
    let typed = [
        "alert",
        "run",
        "--members",
        &members,
        "--smtp",
        &address.to_string(),
        "--from",
        "noroshi@noroshi.example",
        "--state",
        state.to_str().unwrap(),
        "--stix",
        bundle.to_str().unwrap(),
        "--monitored",
        "198.18.0.0/16",
        &capture,
    ];
    let (out, err, code) = run(&typed);
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("delivered 2, waiting 0, failed 0"), "{err}");
    let mut got = mails.lock().unwrap().clone();
    got.sort();
    assert_eq!(
        got.iter().map(|(to, _)| to.as_str()).collect::<Vec<_>>(),
        ["<csirt@university.example>", "<noc@shop.example>"]
    );
    for (_, text) in &got {
        assert!(text.contains("X-Noroshi-TLP: TLP:AMBER") && !text.contains("198.18."), "{text}");
    }
    let bundle: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&bundle).unwrap()).unwrap();
    let incidents = bundle["objects"].as_array().unwrap().iter().filter(|o| o["type"] == "incident").count();
    assert_eq!(incidents, 2);

    let (_, err, code) = run(&typed);
    assert_eq!(code, 0, "{err}");
    assert_eq!(mails.lock().unwrap().len(), 2, "the same hour again tells nobody anything new");
}

#[test]
fn an_unreachable_mail_server_loses_nothing() {
    let folder = workdir("alert");
    let (capture, members) = scene(folder.path());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let state = folder.path().join("state.sqlite");
    let state = state.to_str().unwrap();
    let typed =
        ["alert", "run", "--members", &members, "--smtp", &closed, "--state", state, "--patience", "0", &capture];
    let (_, err, code) = run(&typed);
    assert_eq!(code, 1);
    assert!(err.contains("waiting 2") && err.contains("nothing is sent twice"), "{err}");
}

#[test]
fn the_members_file_is_checked() {
    let folder = workdir("alert");
    let path = folder.path().join("members.toml");
    std::fs::write(&path, MEMBERS).unwrap();
    let (out, err, code) = run(&["alert", "check", path.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("shop: Example Shop, 1 prefixes") && out.contains("2 members, default rules"), "{out}");
    std::fs::write(&path, MEMBERS.replace("203.0.113.0/25", "203.0.113.1/25")).unwrap();
    let (_, err, code) = run(&["alert", "check", path.to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(err.contains("members.toml:5:") && err.contains("host bits"), "{err}");
}

#[test]
fn a_report_is_exported_in_every_form() {
    let folder = workdir("export");
    let (capture, _) = scene(folder.path());
    let report = folder.path().join("report.json");
    let report = report.to_str().unwrap();
    run(&["analyze", &capture, "--monitored", "198.18.0.0/16", "--format", "json", "--output", report]);
    let (stix, err, code) = run(&["export", "stix", "--report", report, "--tlp", "green"]);
    assert_eq!(code, 0, "{err}");
    let bundle: serde_json::Value = serde_json::from_str(&stix).unwrap();
    assert_eq!(bundle["type"], "bundle");
    assert!(err.contains("withheld: the source is known from spoofable evidence only"), "{err}");
    assert!(!stix.contains("198.18."));
    for typed in [
        vec!["export", "misp", "--report", report],
        vec!["export", "blocklist", "--report", report, "--form", "nftables"],
        vec!["export", "flowspec", "--report", report],
        vec!["export", "shadowserver", "--report", report],
    ] {
        let (out, err, code) = run(&typed);
        assert_eq!(code, 0, "{typed:?} {err}");
        assert!(!out.contains("198.18."), "{typed:?}");
    }
    let (_, err, code) = run(&["export", "stix", "--report", &capture]);
    assert_eq!(code, 3);
    assert!(err.contains("noroshi analyze --format json"), "{err}");
    let (_, _, code) = run(&["export", "stix", "--report", report, "--tlp", "pink"]);
    assert_eq!(code, 2);
}
