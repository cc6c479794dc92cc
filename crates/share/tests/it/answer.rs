//! The page behind a message's link, in both languages, and where every kind of message carries that link.

use crate::scene::{MEMBERS, at, attack, config, desk, gate, links};
use noroshi_model::member::WebhookShape;
use noroshi_model::tlp::Tlp;
use noroshi_share::answer::{Problem, STYLE, State, page, refused};
use noroshi_share::mail::{self, Sender};
use noroshi_share::outbox::Answer;
use noroshi_share::ticket::{Ticket, TicketError};
use noroshi_share::{Cleared, document, syslog, webhook};

fn alert(member: &str, subject: &str) -> Cleared<noroshi_model::alert::Alert> {
    let alerts = desk(&config(MEMBERS)).hear(&attack(member, subject, 0), at(0));
    gate().alert(&alerts[0], Tlp::Amber).unwrap()
}

fn ticket(alert: &Cleared<noroshi_model::alert::Alert>) -> Ticket {
    let text = links().tickets.unwrap().issue(&alert.id, &alert.incidents[0].id, alert.created).unwrap();
    links().tickets.unwrap().open(&text, at(1)).unwrap()
}

/// RFC 2045, section 6.7.
fn quoted_printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("=\r\n", "");
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let hex = more.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'=', Some(byte)) => {
                out.push(byte);
                rest = &more[2..];
            }
            _ => {
                out.push(first);
                rest = more;
            }
        }
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn the_page_speaks_the_readers_language_and_shows_what_was_said() {
    let english = alert("university", "203.0.113.9");
    let fresh = page(&english, "Example University", &ticket(&english), &State::default()).unwrap().unwrap();
    assert!(fresh.contains("<html lang=\"en\">") && fresh.contains("203.0.113.9") && fresh.contains(STYLE));
    for verdict in ["true", "false", "already-known", "mitigated"] {
        assert!(fresh.contains(&format!("value=\"{verdict}\" required>")), "nothing is chosen before: {fresh}");
    }
    assert!(!fresh.contains("<script") && !fresh.contains("http"), "{fresh}");
    let said = Some(Answer { verdict: "mitigated".into(), since: at(600), said_at: at(700) });
    let state = State { said, problem: Some(Problem::Future) };
    let japanese = alert("shop", "203.0.113.150");
    let shown = page(&japanese, "例示商店", &ticket(&japanese), &state).unwrap().unwrap();
    assert!(
        shown.contains("<html lang=\"ja\">") && shown.contains("例示商店") && shown.contains("2026-01-01 00:10 UTC")
    );
    assert!(shown.contains("value=\"mitigated\" required checked>") && shown.contains("時刻が未来です"), "{shown}");
    let other = Ticket { incident: "none".into(), ..ticket(&japanese) };
    assert_eq!(page(&japanese, "x", &other, &state).unwrap(), None, "only what the message tells of");
    let foreign = refused(TicketError::Foreign).unwrap();
    assert!(foreign.contains("Copy it whole") && foreign.contains("リンク全体"), "{foreign}");
    assert!(refused(TicketError::Expired).unwrap().contains("期限切れ"));
}

#[test]
fn a_name_from_outside_stays_text_on_the_page() {
    let alert = alert("university", "203.0.113.9");
    let shown = page(&alert, "<img src=x onerror=alert(1)>", &ticket(&alert), &State::default()).unwrap().unwrap();
    assert!(!shown.contains("<img"), "{shown}");
}

#[test]
fn every_kind_of_message_carries_a_page_and_a_call() {
    let (cleared, links) = (alert("university", "203.0.113.9"), links());
    let incident = &cleared.incidents[0].id;
    let places = links.places(&cleared.id, incident, cleared.created);
    assert!(places.page.starts_with("https://portal.example/answer/"), "{places:?}");
    assert!(places.api.starts_with("https://portal.example/api/v1/answers/"), "{places:?}");
    let document = document::write(&cleared, "Example University", Some(&links));
    let sender = Sender::parse("Noroshi <noroshi@noroshi.example>").unwrap();
    let mail = mail::write(&cleared, &document, &sender, &["csirt@university.example".into()], None).unwrap();
    let ticket = places.page.rsplit('/').next().unwrap();
    let text = quoted_printable(&mail.formatted());
    assert_eq!(text.matches(ticket).count(), 4, "header, and in text and HTML where people and programs look: {text}");
    assert!(text.contains(&places.page) && text.contains(&format!("POST {}", places.api)), "{text}");
    assert!(mail.headers().get_raw("X-Noroshi-Answer").is_some_and(|value| value == places.api));
    for line in syslog::lines(&cleared, Some(&links)) {
        assert!(line.contains(&places.page) && line.contains(&places.api), "{line}");
    }
    for shape in WebhookShape::ALL {
        let body = webhook::body(&cleared, &document, *shape, Some(&links)).to_string();
        assert!(body.contains(&places.page), "{shape:?}: {body}");
    }
    let own = webhook::body(&cleared, &document, WebhookShape::Noroshi, Some(&links));
    assert_eq!(own["answers"][0]["api"], places.api);
    assert_eq!(own["answers"][0]["incident"], incident.as_str());
}
