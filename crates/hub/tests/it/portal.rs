//! The portal of a running hub, asked over HTTP as a browser would.

use super::support::{Lab, capture, expected_packets};
use noroshi_hub::services::{Service, standard};
use noroshi_hub::{Config, Hub, portal};
use noroshi_sensor::run::{Retime, SourceOptions};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Long enough for a busy machine; nothing is measured.
const PATIENCE: Duration = Duration::from_secs(120);

struct Browser {
    place: String,
    cookie: String,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Browser {
    async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.place).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.place,
            self.cookie,
            body.len(),
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.ask("GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Asks again until the answer fits.
    async fn until(&self, path: &str, fits: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let asking = async {
            loop {
                let answer = self.json(path).await;
                if fits(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{path} never fits"))
    }
}

async fn hub(lab: &mut Lab, services: Vec<Service>) {
    lab.hub.take().unwrap().stop().await;
    let any = "127.0.0.1:0".parse().unwrap();
    let folder = lab.folder.path().join("hub");
    let config = Config { listen: any, portal: any, lake: false, workers: 0, ..Config::in_folder(folder) };
    lab.hub = Some(Hub::start(config, services).await.unwrap());
}

async fn notice(lab: &mut Lab) -> String {
    let next = lab.hub.as_mut().unwrap().notice();
    tokio::time::timeout(PATIENCE, next).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_opens_a_portal_that_shows_what_arrives() {
    let Some(path) = capture("scan/ndpi__synscan.pcap") else { return };
    let mut lab = Lab::start().await;
    hub(&mut lab, standard()).await;
    let said = notice(&mut lab).await;
    let (place, secret) = said.split_once("http://").unwrap().1.split_once("/welcome#").unwrap();
    let mut browser = Browser { place: place.to_owned(), cookie: String::new() };

    assert_eq!(browser.ask("GET", "/api/v1/now", "").await.status, 401);
    assert_eq!(browser.ask("GET", "/welcome", "").await.status, 200);
    let body = format!(r#"{{"link":"{secret}","name":"operator","password":"correct horse battery staple"}}"#);
    let opened = browser.ask("POST", "/api/v1/welcome", &body).await;
    assert_eq!(opened.status, 200, "{}", opened.body);
    assert_eq!(browser.ask("POST", "/api/v1/welcome", &body).await.status, 410, "the link works once");
    let cookie = opened.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    browser.cookie = cookie.split(';').next().unwrap().to_owned();

    lab.enrol("kyoto").await.unwrap();
    let mut options = lab.options("kyoto", &path);
    options.source = SourceOptions::Replay {
        paths: vec![path.clone()],
        speed: None,
        retime: Retime::LastIsNow,
        again: false,
        then: Vec::new(),
    };
    noroshi_sensor::run::run(options, CancellationToken::new()).await.unwrap();
    let packets = expected_packets(&path);
    let now = browser.until("/api/v1/now", |now| now["packets"] == packets).await;
    assert_eq!(now["sensors"], 1);
    let sensors = browser.json("/api/v1/sensors").await;
    assert_eq!(sensors["items"][0]["name"], "kyoto");
    assert_eq!(sensors["items"][0]["stored"], packets);
    let scans = browser.until("/api/v1/scans", |scans| scans["total"] != 0).await;
    assert_eq!(scans["items"][0]["protocol"], "tcp", "{scans}");

    hub(&mut lab, vec![Service::new("portal", portal::run)]).await;
    assert!(!notice(&mut lab).await.contains("welcome"), "there is an account already");
}
