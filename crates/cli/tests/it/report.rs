//! The report in its three forms, from reports made by hand.

use crate::sample;
use noroshi_cli::report::{Top, cut, html, json, text};
use noroshi_cli::terminal::Paint;
use noroshi_model::report::Report;
use std::path::Path;

fn as_json(report: &Report) -> String {
    let mut out = Vec::new();
    json::write(report, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn as_text(report: &Report, paint: Paint, width: usize) -> String {
    let mut out = Vec::new();
    text::write(report, text::Look { paint, width }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn as_html(report: &Report) -> String {
    let mut out = Vec::new();
    html::write(report, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Keeps a page where a person can look at it: `target/tmp/`.
fn keep(name: &str, content: &str) {
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), content).unwrap();
}

/// The published contract.
pub fn check_schema(report: &str) {
    let schema = include_str!("../../../../docs/report.schema.json");
    let validator = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let report = serde_json::from_str(report).unwrap();
    let errors: Vec<_> = validator.iter_errors(&report).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn json_is_the_contract() {
    for report in [sample::empty(), sample::day(), sample::hostile()] {
        let text = as_json(&report);
        check_schema(&text);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report, "reading it back gives the same report");
    }
}

#[test]
fn the_contract_refuses_what_is_not_it() {
    let schema = include_str!("../../../../docs/report.schema.json");
    let validator = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let mut report: serde_json::Value = serde_json::from_str(&as_json(&sample::day())).unwrap();
    report["attacks"][0]["vector"] = "black-magic".into();
    assert!(!validator.is_valid(&report));
}

#[test]
fn lists_are_cut_and_totals_are_not() {
    let mut report = sample::day();
    cut(&mut report, Top::Rows(2));
    assert_eq!((report.ports.len(), report.sources.len(), report.scans.len(), report.attacks.len()), (2, 2, 2, 2));
    assert_eq!(report.campaigns[0].members.len(), 2);
    assert_eq!(report.campaigns[0].sources, 41_880);
    assert_eq!(report.totals, sample::day().totals);
    let mut whole = sample::day();
    cut(&mut whole, Top::All);
    assert_eq!(whole, sample::day());
    assert_eq!("all".parse(), Ok(Top::All));
    assert_eq!("7".parse(), Ok(Top::Rows(7)));
    assert!("-1".parse::<Top>().is_err());
}

#[test]
fn text_says_what_happened_first() {
    let page = as_text(&sample::day(), Paint::PLAIN, 100);
    keep("report.txt", &page);
    let mut lines = page.lines();
    let first = format!("{} {}", lines.next().unwrap(), lines.next().unwrap());
    assert!(
        first
            .starts_with("40 attacks, 18 campaigns and 1,204 scans in 23 h 59 min of traffic: 10,000,004 packets from"),
        "{first}"
    );
    for expected in [
        "203.0.113.80:443",
        "backscatter tcp-syn",
        "≈ 183 k/s at the victim",
        "tcp/23 telnet",
        "3 of 40",
        "c-7f3a91",
        "zmap",
        "Japan",
        "syn-payload 120",
        "the file ends inside a record",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
}

#[test]
fn text_fits_the_terminal_and_is_plain_when_asked() {
    for width in [60, 100, 120] {
        let page = as_text(&sample::day(), Paint::PLAIN, width);
        assert!(!page.contains('\u{1b}'));
        assert!(page.lines().count() < 110);
    }
    assert!(as_text(&sample::day(), Paint::COLOURED, 100).contains("\u{1b}[1;31m203.0.113.80:443\u{1b}[0m"));
}

#[test]
fn text_of_an_empty_capture_is_one_sentence_and_the_inputs() {
    let page = as_text(&sample::empty(), Paint::PLAIN, 80);
    assert!(page.starts_with("Nothing was there to be read: the input holds no packets."), "{page}");
}

#[test]
fn foreign_text_cannot_reach_the_terminal() {
    let page = as_text(&sample::hostile(), Paint::PLAIN, 100);
    assert!(!page.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{page}");
}

#[test]
fn html_is_self_contained() {
    let page = as_html(&sample::day());
    keep("report.html", &page);
    for forbidden in ["http://", "https://", "<script", " style=", "url(", "@import", "onload"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("default-src 'none'; style-src 'sha256-"));
    for expected in [
        "203.0.113.80:443",
        "packets_min = 25",
        "<code>day-2026-01-01.pcap.zst</code> numbers 40001",
        "Japan",
        "tcp/23 telnet",
        "id=\"campaigns\"",
        "Mirai",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
}

/// Every element that is opened is closed, in order; attributes hold no stray quotes.
fn check_well_formed(page: &str) {
    let body = page.split_once("<body>").unwrap().1;
    let mut open = Vec::new();
    for piece in body.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap_or_else(|| panic!("unclosed tag: {piece}"));
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, [] as [&str; 0]);
}

#[test]
fn foreign_text_cannot_become_markup() {
    let page = as_html(&sample::hostile());
    keep("hostile.html", &page);
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("onerror='"));
    assert!(!page.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn html_is_well_formed() {
    for report in [sample::empty(), sample::day(), sample::hostile()] {
        let page = as_html(&report);
        check_well_formed(page.strip_suffix("</body></html>\n").unwrap());
    }
}
