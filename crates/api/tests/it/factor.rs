//! The second factor at the door.

use crate::world::{PASSWORD, World};
use axum::http::{Method, StatusCode};

/// The code that an app would show: RFC 6238 from the secret of the link, computed anew here.
fn code(uri: &str, seconds: i64) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let coded = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    let mut bits = String::new();
    for letter in coded.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter).unwrap();
        bits.push_str(&format!("{value:05b}"));
    }
    let whole = bits.len() / 8;
    let secret: Vec<u8> = (0..whole).map(|n| u8::from_str_radix(&bits[n * 8..n * 8 + 8], 2).unwrap()).collect();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&secret).unwrap();
    mac.update(&(seconds / 30).to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = (hash[19] & 15) as usize;
    let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

#[tokio::test]
async fn a_second_factor_is_asked_for_once_it_was_confirmed_and_each_code_works_once() {
    let world = World::new();
    let admin = world.administrator().await;
    let path = "/api/v1/me/second-factor";
    let seconds = || noroshi_model::time::Clock::now(&*world.clock).seconds();
    let login = |code: &str| serde_json::json!({ "name": "admin", "password": PASSWORD, "code": code }).to_string();
    let offered = world.call(Method::POST, path, Some(&admin), Some("{}")).await.json();
    let uri = offered["uri"].as_str().unwrap().to_owned();
    assert!(uri.starts_with("otpauth://totp/Noroshi:admin?secret="), "{uri}");
    let before = world.call(Method::POST, "/api/v1/login", None, Some(&login(""))).await;
    assert_eq!(before.status, StatusCode::OK, "an offered factor is not asked for");
    let wrong = world.call(Method::PUT, path, Some(&admin), Some(r#"{"code":"123"}"#)).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let body = serde_json::json!({ "code": code(&uri, seconds()) }).to_string();
    assert_eq!(world.call(Method::PUT, path, Some(&admin), Some(&body)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get("/api/v1/me", &admin).await.json()["second_factor"], true);
    let bare = world.call(Method::POST, "/api/v1/login", None, Some(&login(""))).await;
    assert_eq!((bare.status, bare.json()["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("code-needed")));
    let used = world.call(Method::POST, "/api/v1/login", None, Some(&login(&code(&uri, seconds())))).await;
    assert_eq!(used.status, StatusCode::UNAUTHORIZED, "the confirming code is used up");
    world.clock.pass(60);
    let fresh = login(&code(&uri, seconds()));
    assert_eq!(world.call(Method::POST, "/api/v1/login", None, Some(&fresh)).await.status, StatusCode::OK);
    assert_eq!(world.call(Method::POST, "/api/v1/login", None, Some(&fresh)).await.status, StatusCode::UNAUTHORIZED);
    world.clock.pass(60);
    let body = serde_json::json!({ "code": code(&uri, seconds()) }).to_string();
    assert_eq!(world.call(Method::DELETE, path, Some(&admin), Some(&body)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get("/api/v1/me", &admin).await.json()["second_factor"], false);
}
