//! Tokens, certificates, revocation.

use super::support::{Lab, capture};
use noroshi_sensor::SensorError;
use noroshi_sensor::enrol::enrol;
use noroshi_sensor::state::StateDir;
use noroshi_wire::message::EnrolRequest;
use noroshi_wire::{CaPin, ConnectError, Connection, Invitation, PROTOCOL, Refusal, SensorKey, Token};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

async fn invitation(lab: &Lab, name: &str) -> Invitation {
    let context = lab.hub().context();
    context.fleet.token(&name.parse().unwrap(), &context.sensor_address.to_string()).await.unwrap()
}

async fn redeem(invitation: &Invitation, key: &SensorKey) -> Result<Vec<u8>, Refusal> {
    let request = EnrolRequest {
        protocol: PROTOCOL,
        token: invitation.token.text(),
        name: invitation.name.to_string(),
        request: key.request().unwrap(),
    };
    let connection = Connection::open(&invitation.hub, invitation.pin, None).await.unwrap();
    match connection.enrol(&request).await {
        Ok(reply) => Ok(reply.certificate),
        Err(ConnectError::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_is_one_certificate_however_many_try() {
    const PARALLEL: usize = 250;
    let lab = Lab::start().await;
    let invitation = invitation(&lab, "kyoto").await;
    let attempts = (0..PARALLEL).map(|_| {
        let invitation = invitation.clone();
        tokio::spawn(async move { redeem(&invitation, &SensorKey::generate().unwrap()).await })
    });
    let (mut certificates, mut used) = (0, 0);
    for outcome in futures::future::join_all(attempts).await {
        match outcome.unwrap() {
            Ok(_) => certificates += 1,
            Err(Refusal::TokenUsed) => used += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((certificates, used), (1, PARALLEL - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_given_again_to_the_same_key_only() {
    let lab = Lab::start().await;
    let invitation = invitation(&lab, "kyoto").await;
    let key = SensorKey::generate().unwrap();
    let first = redeem(&invitation, &key).await.unwrap();
    assert_eq!(redeem(&invitation, &key).await.unwrap(), first);
    assert_eq!(redeem(&invitation, &SensorKey::generate().unwrap()).await, Err(Refusal::TokenUsed));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_lines_name_what_is_wrong() {
    let lab = Lab::start().await;
    let good = invitation(&lab, "kyoto").await;
    let key = SensorKey::generate().unwrap();
    let unknown = Invitation { token: Token::generate(), ..good.clone() };
    assert_eq!(redeem(&unknown, &key).await, Err(Refusal::TokenUnknown));
    let other = Invitation { name: "osaka".parse().unwrap(), ..good.clone() };
    assert_eq!(redeem(&other, &key).await, Err(Refusal::TokenName));

    let state = StateDir::open(&lab.state("x")).unwrap();
    let wrong_pin = Invitation { pin: CaPin([0; 32]), ..good.clone() };
    let error = enrol(&state, &wrong_pin, false).await.unwrap_err();
    assert!(matches!(error, SensorError::Connect(ConnectError::Pin { .. })), "{error}");
    let nobody = Invitation { hub: "127.0.0.1:1".into(), ..good.clone() };
    let error = enrol(&state, &nobody, false).await.unwrap_err();
    assert!(matches!(error, SensorError::Connect(ConnectError::Route { .. })), "{error}");
    let no_name = Invitation { hub: "hub.invalid:7443".into(), ..good.clone() };
    let error = enrol(&state, &no_name, false).await.unwrap_err();
    assert!(matches!(error, SensorError::Connect(ConnectError::Name { .. })), "{error}");
    // After all that the token is still good, once.
    enrol(&state, &good, false).await.unwrap();
    let error = enrol(&state, &good, false).await.unwrap_err();
    assert!(matches!(error, SensorError::Enrolled { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_exchange_is_post_quantum() {
    let lab = Lab::start().await;
    let invitation = invitation(&lab, "kyoto").await;
    let connection = Connection::open(&invitation.hub, invitation.pin, None).await.unwrap();
    assert_eq!(connection.key_exchange, "X25519MLKEM768");
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_cuts_a_live_sensor_and_survives_a_restart() {
    let Some(path) = capture("scan/ndpi__synscan.pcap") else { return };
    let mut lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    // Slow enough to be under way for long.
    let mut options = lab.options("kyoto", &path);
    if let noroshi_sensor::run::SourceOptions::Replay { speed, .. } = &mut options.source {
        *speed = Some(0.5);
    }
    let stop = CancellationToken::new();
    let running = tokio::spawn(noroshi_sensor::run::run(options, stop.clone()));
    let mut durable = lab.hub().context().journal.subscribe();
    durable.wait_for(|row| *row > 0).await.unwrap();

    let fleet = lab.hub().context().fleet.clone();
    let asked = Instant::now();
    assert!(fleet.revoke("kyoto").await.unwrap() >= 1);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let at_revocation = *durable.borrow_and_update();
    assert_eq!(fleet.list().await.unwrap()[0].status, "revoked");
    lab.restart().await;
    let durable = lab.hub().context().journal.subscribe();
    // A batch that was past the gate when the revocation came may still be stored; nothing after it.
    assert!(*durable.borrow() <= at_revocation + 1);
    stop.cancel();
    drop(running.await.unwrap());
    let identity = StateDir::open(&lab.state("kyoto")).unwrap().identity().unwrap().unwrap();
    let connection =
        Connection::open(&identity.hub, identity.pin, Some((&identity.certificate, &identity.key))).await.unwrap();
    let error = connection.report(&noroshi_wire::Report::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused(Refusal::Revoked)), "{error}");
}
