//! What the screens ask, and that a scope lets through what it should and not one byte more.

use crate::world::{START, World, attack};
use axum::http::StatusCode;
use noroshi_api::memory::own_marking;
use noroshi_api::scope::{Role, Tlp};

#[tokio::test]
async fn the_first_page_counts_what_is_there() {
    let world = World::new();
    let admin = world.administrator().await;
    let now = world.get("/api/v1/now", &admin).await.json();
    assert_eq!((&now["packets"], &now["sources"], &now["attacks"]), (&200.into(), &200.into(), &3.into()));
    assert_eq!((&now["sensors_online"], &now["sensors"]), (&1.into(), &1.into()));
    assert_eq!(now["ports"][0], serde_json::json!({ "value": "23", "packets": 150, "sources": 150 }));
    world.clock.pass(600);
    assert_eq!(world.get("/api/v1/now", &admin).await.json()["sensors_online"], 0, "a silent sensor is late");
}

#[tokio::test]
async fn explore_groups_filters_and_exports() {
    let world = World::new();
    let admin = world.administrator().await;
    let path = "/api/v1/explore?by=dport,country&filter=not%20dport%20%3D%2080&from=-1h";
    let answer = world.get(path, &admin).await.json();
    assert_eq!(answer["packets"], 150);
    assert_eq!(answer["groups"][0]["key"], serde_json::json!(["23", "DE"]));
    assert_eq!(answer["groups"][0]["packets"], 100);
    let series: u64 = answer["series"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| one["values"].as_array().unwrap())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(series, 150, "every packet is in one slot of one series");
    let csv = world.get(&format!("{path}&format=csv"), &admin).await;
    assert!(csv.text.starts_with("dport,country,packets,bytes,sources,destinations,first,last\r\n23,DE,100,"));
    let bad = world.get("/api/v1/explore?filter=dport%20%3D%20x", &admin).await;
    assert_eq!((bad.status, &bad.json()["offset"]), (StatusCode::BAD_REQUEST, &8.into()));
}

#[tokio::test]
async fn each_role_sees_its_attacks() {
    let world = World::new();
    let admin = world.administrator().await;
    let member = world.invited(Role::Member).await;
    let reader = world.invited(Role::Reader).await;
    let victims = |json: serde_json::Value| -> Vec<String> {
        let items = json["items"].as_array().unwrap().clone();
        let mut all: Vec<_> = items.iter().map(|item| item["victim"].as_str().unwrap().to_owned()).collect();
        all.sort();
        all
    };
    let all = ["192.0.2.77", "192.0.2.9", "198.51.100.9"];
    for (browser, expected) in [(&admin, &all[..]), (&member, &all[..2]), (&reader, &all[..1])] {
        assert_eq!(victims(world.get("/api/v1/attacks", browser).await.json()), expected);
    }
    let hidden = world.get("/api/v1/attacks", &admin).await.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["victim"] == "198.51.100.9")
        .unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let got = world.get(&format!("/api/v1/attacks/{hidden}"), &member).await;
    let none = world.get("/api/v1/attacks/000000000000", &member).await;
    assert_eq!((got.status, got.text), (none.status, none.text), "what is hidden looks like what is not there");
}

#[tokio::test]
async fn addresses_of_sensors_stay_with_operators() {
    let world = World::new();
    world.administrator().await;
    let member = world.invited(Role::Member).await;
    for path in [
        "/api/v1/explore?by=dst",
        "/api/v1/explore?by=dport&filter=dst%20in%20198.51.100.0/24",
        "/api/v1/explore?by=kind,sensor",
        "/api/v1/explore?by=dport&filter=sensor%20%3D%20kyoto",
    ] {
        assert_eq!(world.get(path, &member).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    for path in ["/api/v1/explore?by=src", "/api/v1/lookup?value=203.0.113.7", "/api/v1/now", "/api/v1/fields"] {
        let got = world.get(path, &member).await;
        assert_eq!(got.status, StatusCode::OK);
        assert!(!got.text.contains("198.51.100.7"), "{path} shows a sensor's address");
    }
    let asked = world.get("/api/v1/lookup?value=198.51.100.7", &member).await.json();
    assert_eq!(asked["packets"], 0, "what arrived at a sensor's address is not told");
}

/// Two houses that differ only in what a caller may not see answer alike, byte for byte.
#[tokio::test]
async fn what_may_not_be_seen_changes_nothing() {
    let paths = [
        "/api/v1/now",
        "/api/v1/attacks",
        "/api/v1/attacks?skip=1&take=1",
        "/api/v1/campaigns",
        "/api/v1/scans",
        "/api/v1/lookup?value=192.0.2.50",
        "/api/v1/lookup?value=198.51.100.0/24",
        "/api/v1/lookup?value=443",
        "/api/v1/explore?by=kind",
        "/api/v1/sensors",
        "/api/v1/fields",
    ];
    for role in [Role::Member, Role::Reader, Role::SensorHost] {
        let (one, two) = (World::new(), World::new());
        let hidden = [attack("198.51.100.50", START - 500)];
        let red = [attack("192.0.2.50", START - 400)];
        let none = || std::iter::empty::<(noroshi_model::Addr, &[noroshi_model::finding::Label])>();
        two.memory.load_findings(&hidden, &[], &[], none(), &own_marking(Tlp::Amber), 0);
        two.memory.load_findings(&red, &[], &[], none(), &own_marking(Tlp::Red), 0);
        one.administrator().await;
        two.administrator().await;
        let (a, b) = (one.invited(role).await, two.invited(role).await);
        for path in paths {
            let (x, y) = (one.get(path, &a).await, two.get(path, &b).await);
            assert_eq!((x.status, x.text), (y.status, y.text), "{role:?} {path}");
        }
    }
}

#[tokio::test]
async fn verdict_comes_first_for_any_value() {
    let world = World::new();
    let admin = world.administrator().await;
    for (value, kind, verdict) in [
        ("192.0.2.9", "address", "victim"),
        ("192.0.2.0/24", "prefix", "victim"),
        ("203.0.113.7", "address", "noise"),
        ("tcp/23", "port", "targeted"),
        ("8.8.8.8", "address", "unseen"),
        ("JP", "country", "noise"),
        ("d41d8cd98f00b204e9800998ecf8427e", "hash", "unseen"),
        ("cve-2021-44228", "cve", "unseen"),
        ("%3Cscript%3E", "unknown", "unseen"),
    ] {
        let known = world.get(&format!("/api/v1/lookup?value={value}"), &admin).await.json();
        assert_eq!((known["kind"].as_str(), known["verdict"].as_str()), (Some(kind), Some(verdict)), "{value}");
    }
}

#[tokio::test]
async fn a_policy_is_shown_before_it_is_set() {
    let world = World::new();
    let admin = world.administrator().await;
    let policy = serde_json::json!({ "payload_bytes": 0, "source_addresses": "truncated", "sample_one_in": 4 });
    let post = axum::http::Method::POST;
    let path = "/api/v1/sensors/osaka-1/preview";
    let shown = world.call(post, path, Some(&admin), Some(&policy.to_string())).await.json();
    assert_eq!(shown["before"]["src"], "203.0.113.199");
    assert_eq!(shown["after"]["src"], "203.0.113.0");
    assert_eq!(shown["notes"].as_array().unwrap().len(), 1, "one in four is said");
    assert_eq!(world.get("/api/v1/sensors/osaka-1", &admin).await.json()["requested"]["source_addresses"], "none");
}

#[tokio::test]
async fn a_policy_can_be_taken_back() {
    let world = World::new();
    let admin = world.administrator().await;
    let (put, post) = (axum::http::Method::PUT, axum::http::Method::POST);
    for bytes in [5, 6] {
        let body = serde_json::json!({ "payload_bytes": bytes }).to_string();
        let set = world.call(put.clone(), "/api/v1/sensors/osaka-1/policy", Some(&admin), Some(&body)).await.json();
        assert_eq!(set["requested"]["payload_bytes"], bytes);
    }
    let past = world.get("/api/v1/sensors/osaka-1/policies", &admin).await.json();
    let revisions: Vec<_> = past["items"].as_array().unwrap().iter().map(|one| one["revision"].clone()).collect();
    assert_eq!(revisions, [3, 2, 1]);
    let path = "/api/v1/sensors/osaka-1/roll-back";
    let back = world.call(post.clone(), path, Some(&admin), Some(r#"{"revision":2}"#)).await.json();
    assert_eq!(back["requested"]["payload_bytes"], 5);
    let missing = world.call(post, path, Some(&admin), Some(r#"{"revision":99}"#)).await;
    assert_eq!(missing.status, axum::http::StatusCode::NOT_FOUND);
    let bad = world.call(put, "/api/v1/sensors/osaka-1/policy", Some(&admin), Some(r#"{"payload_bytes":9999}"#)).await;
    assert_eq!(bad.status, axum::http::StatusCode::BAD_REQUEST);
}
