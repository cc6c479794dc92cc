//! What a caller may not see changes not one byte of what it gets (Goguen and Meseguer, "Security policies and security
//! models", 1982): two houses that differ only in hidden things answer the same requests the same.

use crate::world::{Browser, START, World};
use axum::http::{Method, StatusCode};
use noroshi_api::memory::{Extras, SensorRecord, own_marking};
use noroshi_api::scope::{Marking, Role, Tlp};
use noroshi_api::views::{IncidentLine, MemberView, MessageView, WarningView};
use noroshi_model::Nanos;
use noroshi_model::finding::Label;

/// Random requests in all; the goal of the fault catalogue (W2) for one run.
const REQUESTS: usize = 20_000;

/// SplitMix64 (Steele, Lea, Flood 2014): a small generator with a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n as u64) as usize
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

fn message(member: &str, n: u32) -> MessageView {
    MessageView {
        id: format!("{member}-{n}"),
        recipient: format!("{member}/mail"),
        member: member.into(),
        kind: "immediate".into(),
        severity: "high".into(),
        tlp: Tlp::Amber,
        created: Nanos::from_seconds(START - i64::from(n)),
        rule: "r".into(),
        state: if n.is_multiple_of(2) { "delivered" } else { "failed" }.into(),
        attempts: 1,
        reason: None,
        incidents: vec![IncidentLine {
            id: format!("i{n}"),
            kind: "attack".into(),
            subject: "198.51.100.9".into(),
            severity: "high".into(),
            confidence: 0.9,
        }],
    }
}

/// Puts things in that neither the member, nor the reader, nor the sensor host of the test may see.
fn hide(world: &World, dice: &mut Dice) {
    let none = || std::iter::empty::<(noroshi_model::Addr, &[Label])>();
    for n in 0..30 {
        let victim = format!("198.51.100.{}", dice.below(250));
        let at = START - 2_000 + dice.below(1_500) as i64;
        let marking = match n % 3 {
            0 => Marking { tlp: Tlp::Red, organisation: "elsewhere".into() },
            1 => own_marking(Tlp::Amber),
            _ => own_marking(Tlp::AmberStrict),
        };
        world.memory.load_findings(&[crate::world::attack(&victim, at)], &[], &[], none(), &marking, 0);
    }
    let mut campaign = crate::world::campaign();
    (campaign.id, campaign.ports) = ("hidden".into(), vec![8443]);
    world.memory.load_findings(&[], &[campaign], &[], none(), &own_marking(Tlp::Amber), 0);
    for n in 0..5 {
        world.memory.add_sensor_record(SensorRecord::new(format!("hidden-{n}"), "somebody-else", Some([1.0, 2.0])));
    }
}

/// Warning: messages to the caller's organisation in both houses, to others in one.
fn warn(world: &World, hidden: bool) {
    let mut messages: Vec<_> = (0..5).map(|n| message("isp", n)).collect();
    if hidden {
        messages.extend((0..9).map(|n| message("other", n)));
    }
    let members: Vec<MemberView> = Vec::new();
    let warning = WarningView { configured: true, ..WarningView::default() };
    world.memory.add_extras(Extras { messages, members, warning, ..Extras::default() });
}

fn request(dice: &mut Dice) -> (Method, String, Option<String>) {
    let get = |path: String| (Method::GET, path, None);
    let paging = format!("?skip={}&take={}", dice.below(6), 1 + dice.below(40));
    let value =
        dice.of(&["192.0.2.9", "198.51.100.9", "198.51.100.0/24", "0.0.0.0/0", "23", "8443", "JP", "hidden", "tcp/23"]);
    match dice.below(13) {
        0 => get(format!("/api/v1/attacks{paging}")),
        1 => get(format!("/api/v1/campaigns{paging}")),
        2 => get(format!("/api/v1/scans{paging}")),
        3 => get(format!("/api/v1/messages{paging}")),
        4 => get(format!("/api/v1/attacks/{:012x}", dice.below(1 << 30))),
        5 => get(format!("/api/v1/campaigns/{}", dice.of(&["hidden", "c1", "none"]))),
        6 => get(format!("/api/v1/lookup?value={value}")),
        7 => get("/api/v1/now".into()),
        8 => get("/api/v1/warning".into()),
        9 => get(format!("/api/v1/sensors/{}", dice.of(&["hidden-1", "hidden-4", "osaka-1", "nobody"]))),
        10 => get(format!("/api/v1/sensors{}", dice.of(&["", "/hidden-2/policies", "/osaka-1/policies"]))),
        11 => {
            let (by, filter) =
                (dice.of(&["kind", "dport", "country", "src", "sensor"]), dice.of(&["", "dport=23", "src=192.0.2.9"]));
            get(format!("/api/v1/explore?by={by}&filter={filter}&from=-{}m", 1 + dice.below(90)))
        }
        _ => {
            let body = format!(r#"{{"confidence_min":0.{},"packets_min":{}}}"#, dice.below(10), dice.below(400));
            (Method::POST, "/api/v1/warning/preview".into(), Some(body))
        }
    }
}

async fn house(hidden: bool) -> (World, Vec<Browser>) {
    let world = World::new();
    world.administrator().await;
    let mut browsers = Vec::new();
    for role in [Role::Member, Role::Reader, Role::SensorHost] {
        browsers.push(world.invited(role).await);
    }
    warn(&world, hidden);
    if hidden {
        hide(&world, &mut Dice(7));
    }
    (world, browsers)
}

#[tokio::test]
async fn hidden_things_change_not_one_byte() {
    let ((plain, plain_people), (secret, secret_people)) = (house(false).await, house(true).await);
    let mut dice = Dice(20_260_131);
    let mut answered = 0;
    for _ in 0..REQUESTS / 2 {
        let who = dice.below(3);
        let (method, path, body) = request(&mut dice);
        let one = plain.call(method.clone(), &path, Some(&plain_people[who]), body.as_deref()).await;
        let two = secret.call(method.clone(), &path, Some(&secret_people[who]), body.as_deref()).await;
        assert_eq!((one.status, &one.text), (two.status, &two.text), "{who} {method} {path} {body:?}");
        answered += usize::from(one.status == StatusCode::OK);
    }
    assert!(answered > REQUESTS / 8, "most requests must be answered for this to prove anything: {answered}");
}

#[tokio::test]
async fn the_hidden_things_are_there_for_those_who_may_see_them() {
    let world = World::new();
    let admin = world.administrator().await;
    let count = async |path: &str| world.get(path, &admin).await.json()["total"].as_u64().unwrap();
    let before = (count("/api/v1/attacks").await, count("/api/v1/sensors").await);
    hide(&world, &mut Dice(7));
    assert!(count("/api/v1/attacks").await > before.0 + 10);
    assert_eq!(count("/api/v1/sensors").await, before.1 + 5);
}
