//! Every route by every role: the answer is decided by the table alone.

use crate::world::World;
use axum::http::{Method, StatusCode};
use noroshi_api::routes::Route;
use noroshi_api::scope::{Marking, Right, Role, Scope, Tlp};

/// A path that fits the route, about things that exist.
fn path_of(route: Route) -> String {
    let path = route.path().replace("{name}", "osaka-1").replace("{ticket}", "none");
    let query = match route {
        Route::Lookup => "?value=203.0.113.7",
        _ => "",
    };
    path.replace("{id}", if route == Route::Campaign { "c1" } else { "none" }) + query
}

fn body_of(route: Route) -> Option<&'static str> {
    match route {
        Route::AddSensor => Some(r#"{"name":"kyoto-1"}"#),
        Route::SetPolicy | Route::PreviewPolicy => Some(r#"{"payload_bytes":0}"#),
        Route::RollBack => Some(r#"{"revision":1}"#),
        Route::Place => Some(r#"{"longitude":139.7,"latitude":35.7}"#),
        Route::TryRule => Some(r#"{"confidence_min":0.5}"#),
        Route::ConfirmFactor | Route::RemoveFactor => Some(r#"{"code":"000000"}"#),
        Route::Invite => Some(r#"{"name":"newcomer","role":"reader","organisation":"x"}"#),
        Route::MakeToken => Some(r#"{"label":"t","rights":[],"days":1}"#),
        Route::Login => Some(r#"{"name":"nobody","password":"wrong"}"#),
        Route::Welcome => Some(r#"{"link":"nl_0","name":"aa","password":"long enough to pass"}"#),
        _ => None,
    }
}

fn refused(status: StatusCode) -> bool {
    status == StatusCode::FORBIDDEN
}

#[tokio::test]
async fn every_cell_of_the_matrix() {
    for role in Role::ALL {
        let world = World::new();
        let admin = world.administrator().await;
        let browser = if role == Role::Administrator { admin } else { world.invited(role).await };
        // What ends something comes last: what follows going out would be nobody.
        let last = [Route::RevokeSensor, Route::RemoveSample, Route::Logout];
        let routes = Route::ALL.iter().copied().filter(|route| !last.contains(route)).chain(last);
        for route in routes {
            let got = world.call(route.method(), &path_of(route), Some(&browser), body_of(route)).await;
            let may = route.right().allows(role);
            assert_eq!(!refused(got.status), may, "{role:?} {route:?}: {} {}", got.status, got.text);
            assert!(got.status != StatusCode::INTERNAL_SERVER_ERROR, "{role:?} {route:?}: {}", got.text);
        }
    }
}

#[tokio::test]
async fn nobody_passes_where_a_right_is_needed() {
    let world = World::new();
    world.administrator().await;
    for route in Route::ALL.iter().copied().filter(|route| route.right() != Right::Anyone) {
        let got = world.call(route.method(), &path_of(route), None, body_of(route)).await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{route:?}: {}", got.text);
        assert_eq!(got.json()["code"], "not-signed-in");
        let head = world.call(Method::HEAD, &path_of(route), None, None).await;
        assert!(!head.status.is_success(), "HEAD {route:?}");
    }
}

/// Who sees a finding: one line for each role, one character for each class of findings: five labels from clear to red,
/// of one's own organisation; of another, about one's own addresses; of another, about others' addresses.
const SEES: [(Role, &str); 5] = [
    (Role::Administrator, "xxxxx xxxx. xxxx."),
    (Role::Analyst, "xxxxx xxxx. xxxx."),
    (Role::Member, "xxxxx xxx.. xx..."),
    (Role::SensorHost, "..... ..... ....."),
    (Role::Reader, "xx... xx... xx..."),
];

#[test]
fn every_class_of_findings_by_every_role() {
    assert_eq!(SEES.map(|(role, _)| role), Role::ALL);
    for (role, line) in SEES {
        let scope = Scope::new(role, "isp", vec!["192.0.2.0/24".parse().unwrap()]);
        let classes = [("isp", "192.0.2.9"), ("hub", "192.0.2.9"), ("hub", "198.51.100.9")];
        let labels = [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict, Tlp::Red];
        let seen = classes.map(|(owner, about)| {
            labels.map(|tlp| {
                let marking = Marking { tlp, organisation: owner.into() };
                if scope.sees(&marking, Some(about.parse().unwrap())) { 'x' } else { '.' }
            })
        });
        let seen: Vec<String> = seen.iter().map(|class| class.iter().collect()).collect();
        assert_eq!(seen.join(" "), line, "{role:?}");
    }
}

#[test]
fn the_description_names_every_route_and_no_other() {
    let described = serde_json::to_value(noroshi_api::openapi()).unwrap();
    let mut left: Vec<(String, String)> = described["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |m| (m.to_uppercase(), path.clone())))
        .collect();
    for route in Route::ALL {
        let row = (route.method().to_string(), route.path().to_owned());
        let at = left.iter().position(|have| *have == row);
        left.remove(at.unwrap_or_else(|| panic!("{row:?} is not described")));
    }
    assert!(left.is_empty(), "described but not routed: {left:?}");
}

#[test]
fn the_portal_was_built_against_this_description() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../portal/src/api/openapi.json");
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let made = serde_json::to_value(noroshi_api::openapi()).unwrap();
    assert!(
        kept == made,
        "portal/src/api/openapi.json is old; run: cargo run -p noroshi-api --example openapi > \
         portal/src/api/openapi.json && npm --prefix portal run api"
    );
}
