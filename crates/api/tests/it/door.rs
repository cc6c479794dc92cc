//! Coming in: one-time links, passwords, sessions, tokens, and what an attacker would try.

use crate::world::{Browser, PASSWORD, World, browser_of};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use noroshi_api::Settings;
use noroshi_api::people::{PER_ACCOUNT, WINDOW_SECONDS};
use noroshi_api::scope::Role;
use noroshi_model::time::Clock;

fn welcome(link: &str) -> String {
    serde_json::json!({ "link": link, "name": "admin", "password": PASSWORD }).to_string()
}

#[tokio::test]
async fn a_link_works_once_however_many_try_at_once() {
    let world = World::new();
    let link = world.people.make_link(world.clock.now(), None).await.unwrap();
    let body = welcome(&link);
    let tries = (0..12).map(|_| world.call(Method::POST, "/api/v1/welcome", None, Some(&body)));
    let statuses: Vec<_> = futures::future::join_all(tries).await.into_iter().map(|got| got.status).collect();
    let won = statuses.iter().filter(|status| **status == StatusCode::OK).count();
    let spent = statuses.iter().filter(|status| **status == StatusCode::GONE).count();
    assert_eq!((won, spent), (1, 11), "{statuses:?}");
}

#[tokio::test]
async fn a_link_expires_and_makes_no_second_first_administrator() {
    let world = World::new();
    let late = world.people.make_link(world.clock.now(), None).await.unwrap();
    world.clock.pass(3600);
    assert_eq!(world.call(Method::POST, "/api/v1/welcome", None, Some(&welcome(&late))).await.status, StatusCode::GONE);
    let spare = world.people.make_link(world.clock.now(), None).await.unwrap();
    world.administrator().await;
    assert_eq!(
        world.call(Method::POST, "/api/v1/welcome", None, Some(&welcome(&spare))).await.status,
        StatusCode::GONE
    );
}

#[tokio::test]
async fn the_cookie_is_closed_to_scripts_and_other_sites() {
    let https = World::with_settings(Settings { https: true, ..Settings::default() });
    let link = https.people.make_link(https.clock.now(), None).await.unwrap();
    let got = https.call(Method::POST, "/api/v1/welcome", None, Some(&welcome(&link))).await;
    let cookie = got.headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["__Host-noroshi=ns_", "; Path=/", "; HttpOnly", "; SameSite=Strict", "; Secure", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie} lacks {part}");
    }
}

#[tokio::test]
async fn sessions_rotate_end_and_expire() {
    let world = World::new();
    let first = world.administrator().await;
    let body = serde_json::json!({ "name": "admin", "password": PASSWORD }).to_string();
    let second = browser_of(&world.call(Method::POST, "/api/v1/login", None, Some(&body)).await);
    assert_ne!(first.cookie, second.cookie);
    assert_eq!(world.call(Method::POST, "/api/v1/logout", Some(&first), None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get("/api/v1/me", &first).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.get("/api/v1/me", &second).await.status, StatusCode::OK);
    world.clock.pass(12 * 3600);
    assert_eq!(world.get("/api/v1/me", &second).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn state_changes_need_origin_and_token() {
    let world = World::new();
    let admin = world.administrator().await;
    let post = |origin: Option<&str>, csrf: &str| {
        let mut request = Request::post("/api/v1/sensors")
            .header(header::HOST, "localhost:8790")
            .header(header::COOKIE, &admin.cookie)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-noroshi-csrf", csrf);
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        world.send(request.body(Body::from(r#"{"name":"kyoto-1"}"#)).unwrap())
    };
    for (origin, csrf) in [
        (None, admin.csrf.as_str()),
        (Some("https://evil.example"), admin.csrf.as_str()),
        (Some("http://localhost:8791"), admin.csrf.as_str()),
        (Some("null"), admin.csrf.as_str()),
        (Some("http://localhost:8790"), ""),
        (Some("http://localhost:8790"), "nc_guess"),
    ] {
        let got = post(origin, csrf).await;
        assert_eq!((got.status, &got.json()["code"]), (StatusCode::FORBIDDEN, &"foreign-origin".into()), "{origin:?}");
    }
    assert_eq!(post(Some("http://localhost:8790"), &admin.csrf).await.status, StatusCode::OK);
}

#[tokio::test]
async fn guessing_is_slowed_and_names_are_not_told() {
    let world = World::new();
    world.administrator().await;
    let guess = |name: &str| serde_json::json!({ "name": name, "password": "not this one" }).to_string();
    let wrong = world.call(Method::POST, "/api/v1/login", None, Some(&guess("admin"))).await;
    let unknown = world.call(Method::POST, "/api/v1/login", None, Some(&guess("nobody"))).await;
    assert_eq!((wrong.status, &wrong.text), (unknown.status, &unknown.text), "an account's existence is not told");
    for _ in 1..PER_ACCOUNT {
        world.call(Method::POST, "/api/v1/login", None, Some(&guess("admin"))).await;
    }
    let right = serde_json::json!({ "name": "admin", "password": PASSWORD }).to_string();
    let slowed = world.call(Method::POST, "/api/v1/login", None, Some(&right)).await;
    assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(slowed.headers[header::RETRY_AFTER], WINDOW_SECONDS.to_string().as_str());
    world.clock.pass(WINDOW_SECONDS);
    assert_eq!(world.call(Method::POST, "/api/v1/login", None, Some(&right)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_foreign_host_name_reaches_nothing() {
    let world = World::new();
    for (host, status) in [
        ("rebound.example", StatusCode::FORBIDDEN),
        ("localhost.evil.example:8790", StatusCode::FORBIDDEN),
        ("", StatusCode::FORBIDDEN),
        ("[::1]:8790", StatusCode::OK),
        ("127.0.0.1", StatusCode::OK),
    ] {
        let request = Request::get("/api/v1/about").header(header::HOST, host).body(Body::empty()).unwrap();
        assert_eq!(world.send(request).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn tokens_do_what_they_say_and_no_more() {
    let world = World::new();
    let admin = world.administrator().await;
    let body = r#"{"label":"feed","rights":["findings"],"days":2}"#;
    let made = world.call(Method::POST, "/api/v1/tokens", Some(&admin), Some(body)).await.json();
    let (secret, id) = (made["secret"].as_str().unwrap(), made["token"]["id"].as_str().unwrap());
    let ask = |path: &'static str, secret: String| {
        let request = Request::get(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {secret}"))
            .body(Body::empty())
            .unwrap();
        world.send(request)
    };
    assert_eq!(ask("/api/v1/attacks", secret.into()).await.status, StatusCode::OK);
    assert_eq!(ask("/api/v1/now", secret.into()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ask("/api/v1/attacks", id.into()).await.status, StatusCode::UNAUTHORIZED, "an id is no credential");
    world.clock.pass(2 * 86_400);
    assert_eq!(ask("/api/v1/attacks", secret.into()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_removed_person_is_out_at_once() {
    let world = World::new();
    let admin = world.administrator().await;
    let analyst = world.invited(Role::Analyst).await;
    assert_eq!(world.get("/api/v1/me", &analyst).await.status, StatusCode::OK);
    let path = format!("/api/v1/people/person-{}", Role::Analyst as u8);
    assert_eq!(world.call(Method::DELETE, &path, Some(&admin), None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get("/api/v1/me", &analyst).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn pages_come_with_the_policy_that_keeps_them_safe() {
    let world = World::new();
    let nobody = Browser { cookie: String::new(), csrf: String::new() };
    for path in ["/", "/attacks/x", "/value/192.0.2.1", "/api/v1/about"] {
        let got = world.get(path, &nobody).await;
        assert_eq!(got.status, StatusCode::OK, "{path}");
        let policy = got.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(got.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    assert_eq!(world.get("/missing.js", &nobody).await.status, StatusCode::NOT_FOUND);
    let got = world.get("/api/v1/nothing", &nobody).await;
    assert_eq!((got.status, &got.json()["code"]), (StatusCode::NOT_FOUND, &"not-found".into()));
}
