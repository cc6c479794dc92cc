//! A house with a few packets and findings, a clock that stands still until it is told, and people of every role.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use noroshi_api::memory::{Memory, SensorRecord, Setup, own_marking};
use noroshi_api::people::{MemoryRecords, People};
use noroshi_api::scope::{Marking, Role, Tlp};
use noroshi_api::{Door, Settings, router};
use noroshi_model::finding::{Attack, AttackKind, Campaign, Label, Tool, Vector, Victim};
use noroshi_model::packet::{Has, Packet, PacketBatch, proto, tcp};
use noroshi_model::time::{Clock, SECOND};
use noroshi_model::{Addr, Nanos};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tower::ServiceExt;

pub const START: i64 = 1_767_225_600;
pub const PASSWORD: &str = "a beacon on every hill";

pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * SECOND, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::SeqCst))
    }
}

pub struct World {
    pub clock: Arc<ManualClock>,
    pub memory: Arc<Memory>,
    pub people: Arc<People>,
    pub app: Router,
}

/// What a browser keeps of a session.
#[derive(Clone)]
pub struct Browser {
    pub cookie: String,
    pub csrf: String,
}

pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Got {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

pub fn probe(n: u32, at: i64, dport: u16) -> Packet {
    Packet {
        src: Addr::v4(0xcb00_7100 | (n & 255)),
        dst: Addr::v4(0xc633_6400 | (n & 255)),
        ts: Nanos::from_seconds(at),
        has: Has::IP | Has::PORTS | Has::TCP | Has::TIME,
        proto: proto::TCP,
        tcp_flags: tcp::SYN,
        sport: 40_000,
        dport,
        ttl: 50,
        wire_len: 60,
        ..Packet::BLANK
    }
}

pub fn attack(victim: &str, first: i64) -> Attack {
    Attack {
        kind: AttackKind::Backscatter,
        vector: Vector::TcpSyn,
        victim: Victim::Address(victim.parse().unwrap()),
        victim_port: Some(443),
        packets: 100,
        bytes: 6000,
        sources: 1,
        first: Nanos::from_seconds(first),
        last: Nanos::from_seconds(first + 90),
        peak_pps: 9.0,
        estimated_pps: None,
        confidence: 0.8,
        thresholds: [("packets_min".to_owned(), 25.0)].into(),
        detector: "test/1".into(),
        evidence: Vec::new(),
        reason: format!("{victim} answers"),
    }
}

pub fn campaign() -> Campaign {
    Campaign {
        id: "c1".into(),
        ports: vec![23],
        tool: Tool::Mirai,
        sources: 40,
        packets: 400,
        first: Nanos::from_seconds(START - 600),
        last: Nanos::from_seconds(START - 60),
        members: (0..40).map(|n| Addr::v4(0xcb00_7100 | n)).collect(),
        confidence: 0.7,
        thresholds: Default::default(),
        detector: "test/1".into(),
        evidence: Vec::new(),
        reason: "forty sources, one port".into(),
    }
}

impl World {
    pub fn new() -> Self {
        Self::with_settings(Settings::default())
    }

    pub fn with_settings(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock(AtomicI64::new(START * SECOND)));
        let setup = Setup {
            packets: 10_000,
            countries: Arc::new(|addr: Addr| Some(if addr.0 & 1 == 0 { *b"JP" } else { *b"DE" })),
            sample: false,
            run: "test".into(),
        };
        let memory = Arc::new(Memory::new(clock.clone(), setup));
        memory.add_sensor_record(SensorRecord::new("osaka-1", "host", Some([135.5, 34.7])));
        let rows = (0..200).map(|n| probe(n, START - 300 + i64::from(n), if n % 4 == 0 { 80 } else { 23 })).collect();
        memory.append(&PacketBatch { sensor: "osaka-1".into(), rows, ..PacketBatch::default() }, true);
        let none = || std::iter::empty::<(Addr, &[Label])>();
        let own = own_marking(Tlp::Amber);
        let first = START - 1000;
        memory.load_findings(&[attack("192.0.2.9", first)], &[campaign()], &[], none(), &own, 0);
        memory.load_findings(&[attack("198.51.100.9", first)], &[], &[], none(), &own, 0);
        memory.load_findings(&[attack("192.0.2.77", first)], &[], &[], none(), &own_marking(Tlp::Green), 0);
        let secret = Marking { tlp: Tlp::Red, organisation: "elsewhere".into() };
        memory.load_findings(&[attack("192.0.2.200", first)], &[], &[], none(), &secret, 0);
        let people = Arc::new(People::new(Arc::new(MemoryRecords::default())));
        let app = router(Door::new(memory.clone(), people.clone(), settings, |path| {
            (path == "index.html").then(|| noroshi_api::assets::Asset {
                bytes: (&b"<!doctype html>"[..]).into(),
                media_type: "text/html; charset=utf-8".into(),
                tag: "1".into(),
            })
        }));
        World { clock, memory, people, app }
    }

    pub async fn send(&self, request: Request<Body>) -> Got {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let stream = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        let text = match stream {
            true => String::new(),
            false => {
                let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        Got { status, headers, text }
    }

    pub async fn call(&self, method: Method, path: &str, browser: Option<&Browser>, body: Option<&str>) -> Got {
        let mut request = Request::builder().method(method.clone()).uri(path).header(header::HOST, "localhost:8790");
        if let Some(browser) = browser {
            request = request.header(header::COOKIE, &browser.cookie);
            if method != Method::GET {
                request =
                    request.header("x-noroshi-csrf", &browser.csrf).header(header::ORIGIN, "http://localhost:8790");
            }
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.send(request.body(Body::from(body.unwrap_or_default().to_owned())).unwrap()).await
    }

    pub async fn get(&self, path: &str, browser: &Browser) -> Got {
        self.call(Method::GET, path, Some(browser), None).await
    }

    /// The first administrator, through the one-time link.
    pub async fn administrator(&self) -> Browser {
        let link = self.people.make_link(self.clock.now(), None).await.unwrap();
        self.enter(&link, "admin").await
    }

    /// Somebody who was invited with that role.
    pub async fn invited(&self, role: Role) -> Browser {
        let (organisation, prefixes) = match role {
            Role::Member => ("isp", vec!["192.0.2.0/24".parse().unwrap()]),
            Role::SensorHost => ("host", Vec::new()),
            _ => ("hub", Vec::new()),
        };
        let name = format!("person-{}", role as u8);
        let link = self.people.invite(self.clock.now(), "admin", &name, role, organisation, prefixes).await.unwrap();
        self.enter(&link, &name).await
    }

    pub async fn enter(&self, link: &str, name: &str) -> Browser {
        let body = serde_json::json!({ "link": link, "name": name, "password": PASSWORD }).to_string();
        let got = self.call(Method::POST, "/api/v1/welcome", None, Some(&body)).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.text);
        browser_of(&got)
    }
}

pub fn browser_of(got: &Got) -> Browser {
    let cookie = got.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    Browser { cookie, csrf: got.json()["csrf"].as_str().unwrap().to_owned() }
}
