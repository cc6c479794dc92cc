//! Webhooks: our own signed body (interfaces 4.24), and the shapes of Slack, Mattermost and Teams.
//!
//! The signature is `t=<unix seconds>,v1=<hex HMAC-SHA256(secret, t + "." + body)>`. The delivery id is the message's
//! own id, the same at every attempt.

use crate::delivery::{Refusal, chain};
use crate::document::Document;
use crate::gate::Cleared;
use crate::ssrf::{Guard, Target};
use crate::ticket::Links;
use hmac::{Hmac, KeyInit, Mac};
use noroshi_model::alert::{Alert, AlertKind, Severity};
use noroshi_model::incident::Incident;
use noroshi_model::member::WebhookShape;
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;

/// Version of our own body.
pub const SCHEMA: &str = "noroshi.alert/1";
/// Seconds that a receiver may take (faults A3).
const SECONDS_MAX: u64 = 10;
/// Bytes that are read of an answer (faults A3).
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Posts bodies, guarded.
#[derive(Clone, Debug, Default)]
pub struct Courier {
    /// Where no message may go.
    pub guard: Guard,
}

/// The signature header's value.
pub fn signature(secret: &str, unix_seconds: i64, body: &[u8]) -> String {
    // Any key length is fine for HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(unix_seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("t={unix_seconds},v1={hex}")
}

/// The body of a message in a receiver's shape.
pub fn body(alert: &Cleared<Alert>, document: &Document, shape: WebhookShape, links: Option<&Links>) -> Value {
    match shape {
        WebhookShape::Noroshi => own(alert, links),
        WebhookShape::Slack => slack(alert, document),
        WebhookShape::Mattermost => mattermost(alert, document),
        WebhookShape::Teams => teams(alert, document),
    }
}

fn own(alert: &Cleared<Alert>, links: Option<&Links>) -> Value {
    let first = alert.incidents.first();
    let answers = links.map(|links| {
        let answer = |incident: &Incident| {
            let places = links.places(&alert.id, &incident.id, alert.created);
            json!({ "incident": incident.id, "page": places.page, "api": places.api })
        };
        alert.incidents.iter().map(answer).collect::<Vec<_>>()
    });
    let link = |path: &str| links.map(|links| format!("{}{path}", links.base));
    json!({
        "schema": SCHEMA,
        "id": alert.id,
        "type": alert.kind,
        "version": 1,
        "created": alert.created.rfc3339(),
        "tlp": alert.tlp,
        "severity": alert.severity,
        "member": alert.member,
        "rule": { "id": alert.rule, "name": alert.rule },
        "dedupe_key": match (alert.kind, first) {
            (AlertKind::Immediate, Some(incident)) => incident.id.clone(),
            _ => alert.id.clone(),
        },
        "count": alert.incidents.len(),
        "subject": first.map(|incident| json!({
            "kind": incident.kind,
            "value": incident.subject,
            "type": crate::document::subject_kind(incident.subject),
        })),
        "incidents": alert.incidents,
        "evidence": first.map(|incident| json!(incident.testimonies)).unwrap_or(json!([])),
        "links": { "ui": link("/warnings"), "api": link("/api/v1/messages"), "stix": link("/taxii2/") },
        "answers": answers,
    })
}

/// What a chat shows: every incident in one block. `quote` makes text harmless in the chat's own markup.
fn blocks(document: &Document, quote: impl Fn(&str) -> String, link: impl Fn(&str, &str) -> String) -> Vec<String> {
    let item = |item: &crate::document::Item| {
        let mut text = format!("*{}* [{}]\n", quote(&item.heading), quote(&item.severity));
        for (label, value) in &item.facts {
            text.push_str(&format!("{}: {}\n", quote(label), quote(value)));
        }
        for said in &item.evidence {
            text.push_str(&format!("• {}\n", quote(said)));
        }
        if let Some(page) = &item.link {
            text.push_str(&link(page, &document.titles.feedback));
        }
        text
    };
    let mut found: Vec<String> = document.items.iter().map(item).collect();
    if !document.more.is_empty() {
        found.push(quote(&document.more_title));
    }
    found
}

/// Slack takes `& < >` for markup (api.slack.com, "Formatting text"); `@` and `#` act only inside `< >`.
fn slack_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn slack(alert: &Alert, document: &Document) -> Value {
    let section = |text: &str| {
        // Slack refuses a section longer than 3,000 characters.
        let text: String = text.chars().take(2_900).collect();
        json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
    };
    let mut parts = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": clip(&document.subject, 150) } }),
        section(&slack_text(&document.lead)),
    ];
    // Slack takes at most 50 blocks.
    let link = |page: &str, title: &str| format!("<{page}|{}>", slack_text(title));
    parts.extend(blocks(document, slack_text, link).iter().take(40).map(|text| section(text)));
    parts.push(json!({ "type": "context", "elements": [{ "type": "plain_text", "text": clip(&format!("{} {}", document.tlp, alert.id), 2_000) }] }));
    json!({ "text": slack_text(&document.subject), "blocks": parts })
}

/// Mattermost renders Markdown and mentions: both are broken up.
fn markdown_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("(at)"),
            other => out.push(other),
        }
    }
    out
}

/// A link of ours; pages hold no character that Markdown knows.
fn markdown_link(page: &str, title: &str) -> String {
    format!("[{}]({page})", markdown_text(title))
}

fn mattermost(alert: &Alert, document: &Document) -> Value {
    let colour = colour(alert.severity);
    let attachments: Vec<Value> = blocks(document, markdown_text, markdown_link)
        .iter()
        .map(|text| json!({ "color": colour, "text": text }))
        .collect();
    json!({ "text": markdown_text(&document.subject), "attachments": attachments })
}

fn teams(alert: &Alert, document: &Document) -> Value {
    let text = |text: String| json!({ "type": "TextBlock", "wrap": true, "text": text });
    let mut parts = vec![
        json!({ "type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": true, "text": markdown_text(&document.subject) }),
        text(markdown_text(&document.lead)),
    ];
    for item in &document.items {
        parts.push(text(markdown_text(&item.heading)));
        let facts: Vec<Value> = item
            .facts
            .iter()
            .map(|(label, value)| json!({ "title": markdown_text(label), "value": markdown_text(value) }))
            .collect();
        parts.push(json!({ "type": "FactSet", "facts": facts }));
        parts.extend(item.evidence.iter().map(|said| text(markdown_text(said))));
        parts.extend(item.link.iter().map(|page| text(markdown_link(page, &document.titles.feedback))));
    }
    if !document.more.is_empty() {
        parts.push(text(markdown_text(&document.more_title)));
    }
    parts.push(text(format!("{} {}", document.tlp, alert.id)));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": parts,
            }
        }]
    })
}

fn clip(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "#9ecae1",
        Severity::Low => "#6baed6",
        Severity::Medium => "#fdae61",
        Severity::High => "#d7301f",
        Severity::Critical => "#67000d",
    }
}

impl Courier {
    /// Posts a body. The address is looked up once, judged, and pinned for the connection.
    pub(crate) async fn post(
        &self,
        url: &str,
        secret: Option<&str>,
        alert: &Cleared<Alert>,
        body: Value,
    ) -> Result<(), Refusal> {
        let target = self.guard.check(url).await.map_err(|error| {
            if error.is_final() { Refusal::Never(error.to_string()) } else { Refusal::Later(error.to_string()) }
        })?;
        let client = client(&target).map_err(|error| Refusal::Later(chain(&error)))?;
        let body = body.to_string();
        let mut request = client
            .post(target.url.clone())
            .header("Content-Type", "application/json")
            .header("X-Noroshi-Event", alert.kind.name())
            .header("X-Noroshi-Delivery", &alert.id)
            .header("Idempotency-Key", &alert.id);
        if let Some(secret) = secret {
            let seconds = alert.created.seconds();
            request = request.header("X-Noroshi-Signature", signature(secret, seconds, body.as_bytes()));
        }
        let answer = request.body(body).send().await.map_err(|error| Refusal::Later(chain(&error.without_url())))?;
        let status = answer.status();
        drain(answer).await;
        match status.as_u16() {
            200..=299 => Ok(()),
            410 => Err(Refusal::Never("the receiver answered 410 Gone: this channel is over".into())),
            408 | 425 | 429 | 500..=599 => Err(Refusal::Later(format!("the receiver answered {status}"))),
            300..=399 => Err(Refusal::Never(format!("the receiver answered {status}: redirects are not followed"))),
            _ => Err(Refusal::Later(format!("the receiver answered {status}"))),
        }
    }
}

fn client(target: &Target) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("noroshi/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(SECONDS_MAX))
        .resolve_to_addrs(&target.host, &[target.address])
        .build()
}

/// Reads an answer to its end or to the limit, so that the receiver sees no reset.
async fn drain(mut answer: reqwest::Response) {
    let mut bytes = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes += chunk.len();
        if bytes > ANSWER_BYTES_MAX {
            return;
        }
    }
}
