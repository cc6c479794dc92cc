//! Nothing leaks: addresses that sensors observe, and what is TLP:RED, are put in by every way there is, and no byte of what
//! a member without the right can get names them: each route of the API's own description, TAXII, pages, the live feed,
//! mails, posts, syslog, and the log.

use super::live::{day, members, start, until};
use super::sinks::{WebSink, mails};
use super::support::Lab;
use noroshi_api::people::{People, SqliteRecords};
use noroshi_api::scope::{Right, Role};
use noroshi_hub::live;
use noroshi_model::Nanos;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// What the generated day's sensors observe, as text and as bytes.
const OBSERVED: [&str; 3] = ["198.18.", "198[.]18[.]", "c612"];
/// The sensor's name.
const SENSOR: &str = "canary-kyoto";
/// Stands in every text that is TLP:RED.
const RED: &str = "RED-CANARY";
/// The live feed is listened to for so long.
const LISTEN: Duration = Duration::from_secs(3);

fn now() -> Nanos {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Nanos(since.as_nanos() as i64)
}

/// What the program writes to its log, from the moment of the first call.
fn log() -> MutexGuard<'static, Vec<u8>> {
    struct Pen;
    impl Write for Pen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            log().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static KEPT: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    let kept = KEPT.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Pen).finish();
        drop(tracing::subscriber::set_global_default(subscriber));
        Mutex::default()
    });
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every canary that a text holds.
fn canaries(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut found: Vec<String> =
        OBSERVED.iter().filter(|known| lower.contains(*known)).map(|s| s.to_string()).collect();
    // Ids and hashes are hexadecimal: an address in hexadecimal counts only with all its digits.
    found.retain(|known| known != "c612" || hexadecimal(&lower));
    if text.contains(RED) {
        found.push(RED.into());
    }
    found
}

/// An observed address as an IPv4-mapped one in hexadecimal, or in the last two groups of an IPv6 address.
fn hexadecimal(lower: &str) -> bool {
    lower.contains("ffffc612") || lower.contains("ffff:c612:")
}

struct World {
    lab: Lab,
    place: String,
    tokens: BTreeMap<&'static str, String>,
    web: WebSink,
    syslog: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// A hub with two members, one account of each kind, and a way out of every kind.
    async fn new() -> World {
        drop(log());
        let mut lab = Lab::start().await;
        let web = WebSink::start();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let collector = socket.local_addr().unwrap();
        let syslog = Arc::new(Mutex::new(Vec::new()));
        let lines = syslog.clone();
        tokio::spawn(async move {
            let mut bytes = vec![0; 65_536];
            while let Ok((length, _)) = socket.recv_from(&mut bytes).await {
                lines.lock().unwrap().push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            }
        });
        let (file, mailbox) = (lab.state("members.toml"), lab.state("mailbox"));
        let collector = format!("[[member.syslog]]\naddress = \"{collector}\"\ntransport = \"udp\"\n");
        std::fs::write(&file, members(&web) + &collector).unwrap();
        let settings = live::Settings {
            members: Some(file),
            mailbox: Some(mailbox),
            allow_webhooks: vec![web.address],
            base: Some("https://noroshi.example".into()),
            observed: vec!["198.18.0.0/16".parse().unwrap()],
            ..live::Settings::default()
        };
        let records = SqliteRecords::open(&lab.folder.path().join("hub/people.db")).await.unwrap();
        let people = People::new(Arc::new(records));
        let link = people.make_link(now(), None).await.unwrap();
        let opened = people.welcome(now(), &link, "admin", "correct horse battery staple").await.unwrap();
        let mut tokens = BTreeMap::new();
        let all = Right::ALL.to_vec();
        let admin = people.make_token(now(), &opened.principal, "t", all.clone(), 1).await.unwrap().0;
        tokens.insert("admin", admin);
        let network = vec!["203.0.113.0/25".parse().unwrap()];
        for (name, role, organisation, prefixes) in [
            ("member", Role::Member, "university", network),
            ("reader", Role::Reader, "elsewhere", Vec::new()),
            ("host", Role::SensorHost, "somebody", Vec::new()),
        ] {
            let link = people.invite(now(), "admin", name, role, organisation, prefixes).await.unwrap();
            let opened = people.welcome(now(), &link, name, "correct horse battery staple").await.unwrap();
            let rights = all.iter().copied().filter(|right| right.allows(role)).collect();
            tokens.insert(name, people.make_token(now(), &opened.principal, "t", rights, 1).await.unwrap().0);
        }
        start(&mut lab, settings, true).await;
        let mut place = None;
        while place.is_none() {
            let said = lab.hub.as_mut().unwrap().notice().await.unwrap();
            place = said.split_once("http://").and_then(|(_, rest)| Some(rest.split_once('/')?.0.to_owned()));
        }
        World { lab, place: place.unwrap(), tokens, web, syslog }
    }

    /// Status and everything that came back, head included.
    async fn ask(&self, who: &str, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.place).await.unwrap();
        let (place, token, length) = (&self.place, &self.tokens[who], body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {place}\r\nAuthorization: Bearer {token}\r\nAccept: */*\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // The live feed never ends.
        drop(tokio::time::timeout(LISTEN, stream.read_to_end(&mut bytes)).await);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), text)
    }

    async fn json(&self, who: &str, path: &str) -> Value {
        let text = self.ask(who, "GET", path, "").await.1;
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap_or(Value::Null)
    }

    /// Puts canaries in: a sensor's day, findings that are TLP:RED, texts that name the sensor.
    async fn fill(&mut self) {
        let capture = day(&self.lab.state("day"), "member-attacks", 40_000);
        self.lab.enrol(SENSOR).await.unwrap();
        self.lab.replay(SENSOR, &capture).await.unwrap();
        until("the desk", async || self.lab.hub().context().desk.outbox().map(drop)).await;
        let finding = |id: &str, subject: &str, tlp: &str, text: &str| {
            json!({ "id": id, "claim": "infection", "subject": subject, "confidence": 0.9, "text": text, "tlp": tlp,
                "first": "2026-01-01T00:00:00Z", "last": "2026-01-01T01:00:00Z", "severity": "critical" })
        };
        let named = format!("seen by {SENSOR} at 198.18.7.7, 198[.]18[.]7[.]7 and ::ffff:198.18.7.7");
        let body = json!({ "findings": [
            finding("r-1", "203.0.113.40", "red", &format!("{RED} about the member itself")),
            finding("r-2", "203.0.113.140", "red", &format!("{RED} about another member")),
            finding("n-1", "203.0.113.41", "amber", &named),
            finding("n-2", "203.0.113.141", "amber", &named),
        ] });
        let (status, answer) = self.ask("admin", "POST", "/api/v1/findings", &body.to_string()).await;
        assert!(status == 200 && answer.contains("\"taken\":4"), "{answer}");
        let red = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1";
        let object = json!({ "objects": [{
            "type": "indicator", "spec_version": "2.1", "id": "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",
            "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "name": RED,
            "pattern": "[ipv4-addr:value = '203.0.113.42']", "pattern_type": "stix",
            "valid_from": "2026-01-01T00:00:00Z", "object_marking_refs": [red],
        }] });
        let posted = self.ask("admin", "POST", "/noroshi/collections/intake/objects/", &object.to_string()).await;
        assert!(matches!(posted.0, 202 | 415), "{posted:?}");
        let outbox = self.lab.hub().context().desk.outbox().unwrap().clone();
        let mailbox = self.lab.state("mailbox");
        let lines = self.syslog.clone();
        until("something by every way", async || {
            let all = mails(&mailbox).len() >= 2 && !self.web.posts().is_empty() && !lines.lock().unwrap().is_empty();
            (all && outbox.counts().await.unwrap().queued == 0).then_some(())
        })
        .await;
    }
}

/// Values for the parameters of a path: things that are there.
fn fill_in(path: &str, ids: &BTreeMap<&str, Vec<String>>) -> Vec<String> {
    let kind = path.split('/').find(|part| ids.contains_key(part)).unwrap_or("attacks");
    let mut found: Vec<String> = ids.get(kind).into_iter().flatten().take(8).cloned().collect();
    found.push("none".into());
    found
        .iter()
        .map(|id| path.replace("{id}", id).replace("{name}", SENSOR).replace("{ticket}", id))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Query strings that ask as widely as a route allows.
fn widest(path: &str) -> Vec<&'static str> {
    match path {
        "/api/v1/lookup" => vec![
            "?value=203.0.113.9",
            "?value=198.18.0.0/16",
            "?value=198.18.7.7",
            "?value=canary-kyoto",
            "?value=23",
            "?value=0.0.0.0/0",
        ],
        "/api/v1/explore" => vec![
            "?by=dst&groups=1000&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
            "?by=sensor&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
            "?by=src&groups=1000&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
            "?by=dport&filter=dst=198.18.0.0/16&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
            "?by=dport&filter=sensor=canary-kyoto&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
            "?format=csv&by=dst&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
        ],
        "/api/v1/filter" => vec!["?filter=dst=", "?filter=sensor=", "?filter=dst=198.18", "?text=sensor%3D"],
        _ => vec![
            "",
            "?take=1000",
            "?take=1000&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
            "?take=1000&filter=sensor=canary-kyoto&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
        ],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_that_leaves_holds_a_sensors_address_or_what_is_red() {
    let mut world = World::new().await;
    world.fill().await;
    // What is asked for is there: the operator sees it, or this would prove nothing.
    let seen = |page: &Value| page["items"].as_array().map_or(0, Vec::len);
    until("findings in the portal", async || {
        (seen(&world.json("admin", "/api/v1/scans?take=5").await) > 0).then_some(())
    })
    .await;
    until("an operator sees what sensors saw", async || {
        let (_, packets) = world
            .ask("admin", "GET", "/api/v1/packets?take=5&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", "")
            .await;
        packets.contains("198.18.").then_some(())
    })
    .await;
    let mut ids: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for kind in ["attacks", "campaigns", "sessions", "messages"] {
        let page = world.json("admin", &format!("/api/v1/{kind}?take=50")).await;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        ids.insert(kind, items.iter().filter_map(|item| Some(item["id"].as_str()?.to_owned())).collect());
    }
    let outbox = world.lab.hub().context().desk.outbox().unwrap().clone();
    let incidents: Vec<Value> =
        outbox.stored().await.unwrap().incidents.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    ids.insert("incidents", incidents.iter().map(|one| one["incident"]["id"].as_str().unwrap().to_owned()).collect());
    let tickets: Vec<String> = mails(&world.lab.state("mailbox"))
        .iter()
        .flat_map(|mail| {
            let mail = mail.replace("=\r\n", "");
            let found = mail.lines().filter_map(|line| line.trim().strip_prefix("https://noroshi.example/answer/"));
            found.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(!tickets.is_empty());
    ids.insert("answer", tickets.clone());
    ids.insert("answers", tickets);

    let description = serde_json::to_value(noroshi_api::openapi()).unwrap();
    let (mut hits, mut asked, mut answered) = (Vec::new(), 0, 0);
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            let bodies = match path.as_str() {
                "/api/v1/warning/preview" => vec![r#"{"confidence_min":0.0}"#, r#"{"networks":["0.0.0.0/0"]}"#],
                _ if method == "GET" => vec![""],
                // Nothing is changed by these, and refusals may not tell anything either.
                _ => vec!["{}", r#"{"verdict":"true"}"#],
            };
            let queries = if method == "GET" { widest(path) } else { vec![""] };
            for place in fill_in(path, &ids) {
                for (query, body) in queries.iter().flat_map(|q| bodies.iter().map(move |b| (q, b))) {
                    for who in ["member", "reader", "host"] {
                        let (status, text) = world.ask(who, &method, &format!("{place}{query}"), body).await;
                        assert!(status != 0 && status != 500, "{method} {place}{query}: {text}");
                        (asked, answered) = (asked + 1, answered + usize::from(status == 200));
                        // What the asker itself wrote may come back; the rest may not.
                        let text = text.replace(&format!("{place}{query}"), "");
                        let echo = query.contains("canary") || query.contains("198.18") || place.contains(SENSOR);
                        let found = canaries(&text);
                        let repeated = echo && (status != 200 || says_only(&text));
                        if !found.is_empty() && !repeated {
                            hits.push(format!("{who} {method} {place}{query} ({status}): {found:?} {}", near(&text)));
                        }
                    }
                }
            }
        }
    }
    for path in [
        "/taxii2/",
        "/noroshi/",
        "/noroshi/collections/",
        "/noroshi/collections/intake/objects/",
        "/noroshi/collections/shared/objects/",
        "/noroshi/collections/intake/manifest/",
        "/docs",
        "/warnings",
    ] {
        for who in ["member", "reader"] {
            let text = world.ask(who, "GET", path, "").await.1;
            hits.extend(canaries(&text).iter().map(|hit| format!("{who} {path}: {hit} {}", near(&text))));
        }
    }
    println!("{asked} requests, {answered} of them answered");
    assert!(answered > 60, "{answered} of {asked}");
    let mut out: Vec<(String, String)> = Vec::new();
    out.extend(mails(&world.lab.state("mailbox")).into_iter().map(|mail| ("mail".into(), mail.replace("=\r\n", ""))));
    out.extend(world.web.posts().into_iter().map(|post| ("post".into(), post.head.join("\n") + &post.body)));
    out.extend(world.syslog.lock().unwrap().iter().map(|line| ("syslog".to_owned(), line.clone())));
    for (what, text) in &out {
        hits.extend(canaries(text).iter().map(|hit| format!("{what}: {hit} {}", near(text))));
    }
    // The log is the operator's: it may name sensors, and never what members are told in confidence.
    let log = String::from_utf8_lossy(&log()).into_owned();
    hits.extend(log.contains(RED).then(|| format!("log: {RED}")));
    assert!(hits.is_empty(), "{} leaks:\n{}", hits.len(), hits.join("\n"));
}

/// An answer that repeats what was asked for and tells nothing about it.
fn says_only(text: &str) -> bool {
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let value: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let empty = |key: &str| value[key].as_array().is_none_or(Vec::is_empty);
    empty("items") && empty("rows") && empty("packets") && value["packets"].as_u64().unwrap_or(0) == 0
}

/// The surroundings of the first canary.
fn near(text: &str) -> String {
    let at = [OBSERVED[0], OBSERVED[1], "ffff:c612:", "ffffc612", SENSOR, RED]
        .iter()
        .filter_map(|known| text.find(known))
        .min();
    let at = at.unwrap_or(0);
    let from = (0..=at.saturating_sub(120)).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    text[from..].chars().take(200).collect()
}
