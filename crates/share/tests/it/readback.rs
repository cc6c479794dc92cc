//! Text that attackers chose, through every way out, read back by other people's parsers.

use crate::export::{producer, report};
use crate::hostile::strings;
use crate::scene::{self, MEMBERS, alert, at, config, gate, infection, links};
use noroshi_model::finding::Campaign;
use noroshi_model::member::WebhookShape;
use noroshi_model::tlp::Tlp;
use noroshi_share::export::{self, select};
use noroshi_share::lists::blocklist::{Form, Head};
use noroshi_share::lists::flowspec::Guards;
use noroshi_share::mail::Sender;
use noroshi_share::stix::marking::Markings;
use noroshi_share::stix::{self};
use noroshi_share::{document, mail, syslog, webhook};
use std::path::Path;

/// What harmless text looks like; it shows the shape that every other text must have.
const HARMLESS: &str = "three packets";

/// Everything that leaves, with the text in every place that somebody outside can fill.
fn leave(folder: &Path, number: usize, text: &str) {
    let put = |kind: &str, bytes: &[u8]| std::fs::write(folder.join(format!("{number}.{kind}")), bytes).unwrap();
    let json = |value: &serde_json::Value| serde_json::to_vec(value).unwrap();
    let mut statement = infection("university", "203.0.113.20", text, 0);
    statement.testimony.by = text.to_owned();
    let alert = alert(&config(MEMBERS), &statement);
    let cleared = gate().alert(&alert, Tlp::Amber).unwrap();
    let document = document::write(&cleared, "Example University", Some(&links()));
    let sender = Sender { from: "n@noroshi.example".parse().unwrap(), domain: "noroshi.example".into() };
    let mut exporter = stix::Exporter::new(producer(Tlp::Amber, Markings::Both));
    gate().incidents_of(&cleared).iter().for_each(|incident| exporter.incident(incident));
    let bundle = serde_json::to_string(&exporter.finish("Noroshi warning", "Incidents")).unwrap();
    let message = mail::write(&cleared, &document, &sender, &["a@b.example".into()], Some(&bundle)).unwrap();
    put("eml", &message.formatted());
    put("warning.stix.json", bundle.as_bytes());
    put("cef", syslog::lines(&cleared, Some(&links())).join("\n").as_bytes());
    for shape in WebhookShape::ALL {
        let body = webhook::body(&cleared, &document, *shape, Some(&links()));
        put(&format!("{shape:?}.json").to_lowercase(), &json(&body));
    }
    let mut report = report();
    report.attacks.iter_mut().for_each(|attack| (attack.reason, attack.detector) = (text.into(), text.into()));
    report.brute_force.iter_mut().for_each(|seen| seen.reason = text.into());
    report.campaigns = vec![Campaign { reason: text.into(), detector: text.into(), ..campaign() }];
    let selection = select(&report, &gate());
    let bundle = export::stix(&selection, &gate(), producer(Tlp::Green, Markings::Both));
    put("stix.json", &serde_json::to_vec(&bundle).unwrap());
    let event = export::misp(&selection, &gate(), &producer(Tlp::Green, Markings::Both), "Observations");
    put("misp.json", &serde_json::to_vec(&event).unwrap());
    // Lists say nothing that an attacker can choose; what the operator writes must not break them either.
    report.brute_force.iter_mut().for_each(|seen| seen.service = text.into());
    let selection = select(&report, &gate());
    let (name, contact, criteria) = (text.to_owned(), text.to_owned(), text.to_owned());
    let head = Head { name, generated: at(100), tlp: Tlp::Green, contact, criteria };
    put("plain", export::blocklist(&selection, &head, Form::Plain).as_bytes());
    put("list.csv", export::blocklist(&selection, &head, Form::Csv).as_bytes());
    put("nft", export::blocklist(&selection, &head, Form::Nftables).as_bytes());
    for (at, line) in export::blocklist(&selection, &head, Form::JsonLines).lines().enumerate() {
        put(&format!("line{at}.json"), line.as_bytes());
    }
    let guards = Guards { approvals: ["ann".to_owned(), "ben".to_owned()].into(), ..Guards::default() };
    put("flow", export::flowspec(&selection, &guards, at(100)).text.as_bytes());
    for (at, file) in export::shadowserver(&selection, noroshi_model::Nanos(at(100).0)).unwrap().iter().enumerate() {
        put(&format!("shadowserver{at}.csv"), file.text.as_bytes());
    }
}

fn campaign() -> Campaign {
    let text = r#"{"id": "c", "ports": [], "tool": "zmap", "sources": 2, "packets": 10, "first": "2026-01-01T00:00:00Z",
        "last": "2026-01-01T00:01:00Z", "members": ["192.88.99.1"], "confidence": 0.5, "thresholds": {}, "detector": "x",
        "evidence": [], "reason": "x"}"#;
    serde_json::from_str(text).unwrap()
}

#[test]
fn other_peoples_parsers_find_nothing_active() {
    // Python's own library reads most of it; without the others the rest is only parsed as JSON.
    let Some(mut python) = scene::python("email") else { return };
    let folder = tempfile::tempdir().unwrap();
    let all = strings();
    assert!(all.len() >= 500);
    leave(folder.path(), 0, HARMLESS);
    all.iter().enumerate().for_each(|(at, text)| leave(folder.path(), at + 1, text));
    python.arg(scene::script("read_back.py")).arg(folder.path());
    if std::env::var_os("CI").is_some() {
        python.arg("all");
    }
    let output = python.output().unwrap();
    let (said, problems) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{problems}");
    println!("{}", said.trim());
}

#[test]
fn misp_stix_converts_our_events_and_bundles() {
    let Some(mut python) = scene::python("misp_stix_converter") else { return };
    let folder = tempfile::tempdir().unwrap();
    let report = report();
    let selection = select(&report, &gate());
    let event = export::misp(&selection, &gate(), &producer(Tlp::Green, Markings::Both), "Test");
    std::fs::write(folder.path().join("event.json"), serde_json::to_vec(&event).unwrap()).unwrap();
    let bundle = export::stix(&selection, &gate(), producer(Tlp::Green, Markings::Both));
    std::fs::write(folder.path().join("bundle.json"), serde_json::to_vec(&bundle).unwrap()).unwrap();
    let output = python.arg(scene::script("misp_stix.py")).arg(folder.path()).output().unwrap();
    let (said, problems) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{problems}");
    println!("{}", said.trim());
    // Every address that stands in ours stands in theirs.
    for wanted in ["203.0.113.7", "2001:db8::7", "192.88.99.2"] {
        assert!(said.contains(&format!("to stix: {wanted}")) && said.contains(&format!("to misp: {wanted}")), "{said}");
    }
}
