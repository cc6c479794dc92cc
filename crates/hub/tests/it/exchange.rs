//! Partners at a running hub: OASIS's own client over TAXII, pushed findings, answers to warnings.

use super::live::{members, start, until};
use super::sinks::{WebSink, mails};
use super::support::Lab;
use noroshi_api::people::{People, SqliteRecords};
use noroshi_api::scope::Right;
use noroshi_hub::live;
use noroshi_model::Nanos;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A running hub with two members, and somebody who may push.
pub struct House {
    lab: Lab,
    pub place: String,
    pub token: String,
    mailbox: PathBuf,
    web: WebSink,
}

fn now() -> Nanos {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Nanos(since.as_nanos() as i64)
}

impl House {
    pub async fn new() -> House {
        let mut lab = Lab::start().await;
        let web = WebSink::start();
        let (file, mailbox) = (lab.state("members.toml"), lab.state("mailbox"));
        std::fs::write(&file, members(&web)).unwrap();
        let settings = live::Settings {
            members: Some(file),
            mailbox: Some(mailbox.clone()),
            allow_webhooks: vec![web.address],
            base: Some("https://noroshi.example/".into()),
            ..live::Settings::default()
        };
        // Before the hub opens them: two writers of one log would disagree about its end.
        let records = SqliteRecords::open(&lab.folder.path().join("hub/people.db")).await.unwrap();
        let people = People::new(Arc::new(records));
        let link = people.make_link(now(), None).await.unwrap();
        let opened = people.welcome(now(), &link, "partner", "correct horse battery staple").await.unwrap();
        let made = people.make_token(now(), &opened.principal, "engine", vec![Right::Findings], 1).await.unwrap();
        start(&mut lab, settings, false).await;
        let mut place = None;
        while place.is_none() {
            let said = lab.hub.as_mut().unwrap().notice().await.unwrap();
            place = said.split_once("http://").and_then(|(_, rest)| Some(rest.split_once('/')?.0.to_owned()));
        }
        House { lab, place: place.unwrap(), token: made.0, mailbox, web }
    }

    async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let headers = format!("Host: {}\r\n{authorization}Content-Type: application/json\r\n", self.place);
        let (status, _, body) = self.send(method, path, &headers, &body).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// Status, head and body of an answer.
    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.place).await.unwrap();
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    async fn mail(&self, words: &str) -> String {
        until("the mail", async || mails(&self.mailbox).into_iter().find(|mail| mail.contains(words))).await
    }
}

fn finding(id: &str, subject: &str, modified: &str, text: &str) -> Value {
    json!({
        "id": id, "claim": "infection", "subject": subject, "modified": modified, "confidence": 0.9, "text": text,
        "first": "2026-01-01T00:00:00Z", "last": "2026-01-01T01:00:00Z", "severity": "high",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_partner_pushes_reaches_the_member_once_and_is_corrected() {
    let house = House::new().await;
    let token = Some(house.token.as_str());
    until("the desk", async || house.lab.hub().context().desk.outbox().map(drop)).await;
    let push = |findings: Value| json!({ "findings": findings });
    let first = finding("a-1", "203.0.113.9", "2026-01-01T02:00:00Z", "logged in on our honeypot");
    let body = push(json!([
        first,
        finding("a-2", "192.0.2.1", "2026-01-01T02:00:00Z", "about nobody here"),
        finding("a-3", "not an address", "2026-01-01T02:00:00Z", ""),
    ]));
    let (status, answer) = house.ask("POST", "/api/v1/findings", token, &body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["taken"], &answer["about_nobody"], &answer["refused"][0]["index"]),
        (&json!(1), &json!(1), &json!(2))
    );
    let mail = house.mail("To: csirt@university.example").await;
    assert!(mail.contains("203.0.113.9"), "{mail}");

    let (_, again) = house.ask("POST", "/api/v1/findings", token, &push(json!([first]))).await;
    assert_eq!((&again["taken"], &again["duplicates"]), (&json!(0), &json!(1)));
    let corrected = finding("a-1", "203.0.113.9", "2026-01-01T03:00:00Z", "it was a different host after all");
    let (_, later) = house.ask("POST", "/api/v1/findings", token, &push(json!([corrected]))).await;
    assert_eq!(later["taken"], 1);
    let outbox = house.lab.hub().context().desk.outbox().unwrap().clone();
    let open = outbox.stored().await.unwrap().incidents;
    assert_eq!(open.len(), 1, "a correction is no second incident");
    let incident: Value = serde_json::from_str(&open[0]).unwrap();
    let said = &incident["incident"]["testimonies"];
    assert_eq!(
        (said.as_array().unwrap().len(), said[0]["text"].as_str()),
        (1, Some("it was a different host after all"))
    );
    assert_eq!(mails(&house.mailbox).len(), 1);

    // Answers: by whoever was told, about what was told.
    let id = incident["incident"]["id"].as_str().unwrap();
    let path = format!("/api/v1/incidents/{id}/feedback");
    assert_eq!(house.ask("POST", &path, token, &json!({ "verdict": "true" })).await.0, 204);
    assert_eq!(house.ask("POST", &path, token, &json!({ "verdict": "mitigated" })).await.0, 204);
    assert_eq!(house.ask("POST", &path, token, &json!({ "verdict": "perhaps" })).await.0, 422);
    assert_eq!(house.ask("POST", "/api/v1/incidents/none/feedback", token, &json!({ "verdict": "true" })).await.0, 404);
    let (_, rules) = house.ask("GET", "/api/v1/warnings/precision", token, &Value::Null).await;
    assert_eq!(
        (&rules[0]["rule"], &rules[0]["right"], &rules[0]["precision"]),
        (&json!("warn-at-once"), &json!(1), &json!(1.0))
    );
    assert!(rules[0]["mitigated_seconds"].as_f64().unwrap() >= 0.0);
}

/// A browser behind the public name, with what it says of where a form came from.
fn browser(origin: &str) -> String {
    format!("Host: noroshi.example\r\nOrigin: {origin}\r\nContent-Type: application/x-www-form-urlencoded\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_in_a_mail_opens_its_incident_and_takes_an_answer_without_an_account() {
    let house = House::new().await;
    let token = Some(house.token.as_str());
    until("the desk", async || house.lab.hub().context().desk.outbox().map(drop)).await;
    let two = json!({ "findings": [
        finding("a-1", "203.0.113.9", "2026-01-01T02:00:00Z", "logged in on our honeypot"),
        finding("b-1", "203.0.113.150", "2026-01-01T02:00:00Z", "logged in on our honeypot"),
    ] });
    assert_eq!(house.ask("POST", "/api/v1/findings", token, &two).await.1["taken"], 2);
    let mail = house.mail("To: csirt@university.example").await.replace("=\r\n", "");
    let line = mail.lines().find(|line| line.trim().starts_with("https://noroshi.example/answer/")).unwrap().trim();
    let path = line.strip_prefix("https://noroshi.example").unwrap();
    let ours = browser("https://noroshi.example");

    // Mail scanners look at links, with and without a browser's headers, and change nothing by it.
    for method in ["HEAD", "GET", "GET"] {
        let (status, head, page) = house.send(method, path, &ours, "").await;
        assert_eq!(status, 200, "{head}");
        assert!(
            method == "HEAD" || (page.contains("203.0.113.9") && page.contains("<form method=\"post\">")),
            "{page}"
        );
        assert!(!page.contains("203.0.113.150") && !page.contains("Answered"), "{page}");
        assert!(head.to_lowercase().contains("style-src 'sha256-") && head.contains("same-origin"), "{head}");
    }
    let outbox = house.lab.hub().context().desk.outbox().unwrap().clone();
    assert_eq!(outbox.precision().await.unwrap()[0].answered, 0);

    // A form from elsewhere, an empty one, one from the future.
    assert_eq!(house.send("POST", path, &browser("https://evil.example"), "verdict=false").await.0, 403);
    assert_eq!(house.send("POST", path, &ours, "verdict=perhaps").await.0, 422);
    let (status, _, page) = house.send("POST", path, &ours, "verdict=mitigated&at=2999-01-01T00%3A00").await;
    assert!(status == 422 && page.contains("future"), "{page}");
    assert_eq!(outbox.precision().await.unwrap()[0].answered, 0);

    let (status, head, _) = house.send("POST", path, &ours, "verdict=false&at=").await;
    assert!(status == 303 && head.to_lowercase().contains(&format!("location: {path}")), "{head}");
    let page = house.send("GET", path, &ours, "").await.2;
    assert!(page.contains("Answered: It was not so") && page.contains("value=\"false\" required checked"), "{page}");
    assert_eq!(outbox.precision().await.unwrap()[0].wrong, 1);

    // The other member's post carries the call for programs, and its page is in Japanese.
    let post =
        until("the post", async || house.web.posts().into_iter().find(|post| post.body.contains("answers"))).await;
    let body: Value = serde_json::from_str(&post.body).unwrap();
    let place = |kind: &str| {
        let url = body["answers"][0][kind].as_str().unwrap();
        url.strip_prefix("https://noroshi.example").unwrap().to_owned()
    };
    assert_eq!(house.ask("POST", &place("api"), None, &json!({ "verdict": "mitigated" })).await.0, 204);
    let page = house.send("GET", &place("page"), &ours, "").await.2;
    assert!(page.contains("lang=\"ja\"") && page.contains("対処済み") && page.contains("回答済み"), "{page}");

    // A byte changed opens nothing; and what members said is published.
    let mut other = path.to_owned();
    other.replace_range(path.len() - 1.., if path.ends_with('0') { "1" } else { "0" });
    assert_eq!(house.send("GET", &other, &ours, "").await.0, 404);
    let other = other.replace("/answer/", "/api/v1/answers/");
    assert_eq!(house.ask("POST", &other, None, &json!({ "verdict": "true" })).await.0, 404);
    let (_, rules) = house.ask("GET", "/api/v1/warnings/precision", token, &Value::Null).await;
    let rule = &rules[0];
    assert_eq!((&rule["told"], &rule["right"], &rule["wrong"]), (&json!(2), &json!(1), &json!(1)), "{rules}");
    assert_eq!((&rule["precision"], rule["mitigated_seconds"].is_number()), (&json!(0.5), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_exchanges_without_a_right() {
    let house = House::new().await;
    for (method, path, _) in noroshi_api::exchange::ROUTES {
        let (status, _) = house.ask(method, path, None, &Value::Null).await;
        assert_eq!(status, 401, "{method} {path}");
        let (status, _) = house.ask(method, path, Some("nt_wrong"), &Value::Null).await;
        assert_eq!(status, 401, "{method} {path}");
    }
}

/// A Python with OASIS's client; none when it is absent, which only a continuous-integration run forbids.
fn python() -> Option<Command> {
    let program = std::env::var("NOROSHI_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&program).args(["-c", "import taxii2client"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(Command::new(program));
    }
    assert!(std::env::var("CI").is_err(), "taxii2-client is missing (pip install -r tests/interop/requirements.txt)");
    eprintln!("skipped: taxii2-client is missing");
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_oasis_pushes_and_reads_and_a_member_is_warned() {
    let Some(mut python) = python() else { return };
    let house = House::new().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/taxii_hub.py");
    let base = format!("http://{}", house.place);
    python.args([script, base.as_str(), "partner", house.token.as_str(), "10000", "203.0.113.77"]);
    let output = tokio::task::spawn_blocking(move || python.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "pushed 10000, read 10000 in 100 pages");
    let mail = house.mail("To: csirt@university.example").await;
    assert!(mail.contains("203.0.113.77"));
    assert_eq!(mails(&house.mailbox).len(), 1);
}
