//! Messages on their way: refusals, retries, dead receivers, signatures.

use crate::scene::{Fixed, MEMBERS, at, attack, commit, config, desk, infection, settings};
use crate::sinks::{MailSink, WebSink};
use noroshi_share::delivery::{Delivery, Round};
use noroshi_share::outbox::{Counts, Outbox};
use noroshi_share::webhook;

fn round(delivered: u64, put_off: u64, failed: u64) -> Round {
    Round { delivered, put_off, failed }
}

#[tokio::test]
async fn a_mail_server_that_refuses_for_now_gets_it_later_once() {
    let config = config(MEMBERS);
    let sink = MailSink::start(&["451 not now"]).await;
    let outbox = Outbox::in_memory().await.unwrap();
    let mut desk = desk(&config);
    let alerts = desk.hear(&infection("university", "203.0.113.9", "x", 0), at(0));
    outbox.commit(&commit(&mut desk, &alerts, at(0))).await.unwrap();
    let delivery = Delivery::new(settings(&config, Some(sink.address), Vec::new())).unwrap();
    let mut clock = Fixed(at(0));
    assert_eq!(delivery.round(&outbox, &clock).await.unwrap(), round(0, 1, 0));
    assert!(outbox.latest(1).await.unwrap()[0].3.as_deref().unwrap().contains("not now"), "visible");
    assert_eq!(delivery.round(&outbox, &clock).await.unwrap(), round(0, 0, 0), "not before its time");
    clock = Fixed(outbox.next_due().await.unwrap().unwrap());
    assert_eq!(delivery.round(&outbox, &clock).await.unwrap(), round(1, 0, 0));
    assert_eq!(sink.mails().len(), 1);
    assert_eq!(sink.mails()[0].header("Message-ID").unwrap(), format!("<{}@noroshi.example>", alerts[0].id));
}

#[tokio::test]
async fn without_a_mail_server_mails_wait_and_webhooks_go() {
    let web = WebSink::start(&["204 No Content"]).await;
    let hook = format!(
        "[[member.mail]]\nto = [\"noc@shop.example\"]\n[[member.webhook]]\nurl = \"http://{}/hook\"\nsecret = \"s3cret\"\n",
        web.address
    );
    let config = config(&(MEMBERS.to_owned() + &hook));
    let outbox = Outbox::in_memory().await.unwrap();
    let mut desk = desk(&config);
    let alerts = desk.hear(&attack("shop", "203.0.113.150", 0), at(0));
    outbox.commit(&commit(&mut desk, &alerts, at(0))).await.unwrap();
    let delivery = Delivery::new(settings(&config, None, vec![web.address])).unwrap();
    let clock = Fixed(at(0));
    assert_eq!(delivery.round(&outbox, &clock).await.unwrap(), round(1, 1, 0));
    assert_eq!(outbox.counts().await.unwrap(), Counts { queued: 1, delivered: 1, failed: 0 });

    let request = &web.requests()[0];
    assert!(request.head.starts_with("POST /hook HTTP/1.1"));
    assert_eq!(request.header("X-Noroshi-Event").unwrap(), "immediate");
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(request.header("X-Noroshi-Delivery").unwrap(), body["id"].as_str().unwrap());
    assert_eq!((&body["schema"], &body["count"]), (&"noroshi.alert/1".into(), &1.into()));
    assert_eq!(body["subject"]["value"], "203.0.113.150");
    let expect = webhook::signature("s3cret", at(0).seconds(), request.body.as_bytes());
    assert_eq!(request.header("X-Noroshi-Signature").unwrap(), expect);
}

#[test]
fn signatures_agree_with_an_independent_reckoning() {
    // python3 -c "import hmac; print(hmac.new(b'key', b'1700000000.{}', 'sha256').hexdigest())"
    let expect = "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
    assert_eq!(webhook::signature("key", 1_700_000_000, b"{}"), expect);
}

#[tokio::test]
async fn answers_decide_what_happens_next() {
    for (status, expect) in [
        ("200 OK", round(1, 0, 0)),
        ("500 Oh", round(0, 1, 0)),
        ("429 Slow", round(0, 1, 0)),
        ("410 Gone", round(0, 0, 1)),
        ("302 Found", round(0, 0, 1)),
    ] {
        let web = WebSink::start(&[status]).await;
        let text = format!(
            "[[member]]\nid = \"shop\"\nname = \"Shop\"\nprefixes = [\"203.0.113.128/26\"]\n[[member.webhook]]\nurl = \"http://{}/\"\nshape = \"slack\"\n",
            web.address
        );
        let config = config(&text);
        let outbox = Outbox::in_memory().await.unwrap();
        let mut desk = desk(&config);
        let alerts = desk.hear(&attack("shop", "203.0.113.150", 0), at(0));
        outbox.commit(&commit(&mut desk, &alerts, at(0))).await.unwrap();
        let delivery = Delivery::new(settings(&config, None, vec![web.address])).unwrap();
        assert_eq!(delivery.round(&outbox, &Fixed(at(0))).await.unwrap(), expect, "{status}");
        assert_eq!(web.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_webhook_into_the_house_is_never_opened() {
    let web = WebSink::start(&["200 OK"]).await;
    let text = format!(
        "[[member]]\nid = \"shop\"\nname = \"Shop\"\nprefixes = [\"203.0.113.128/26\"]\n[[member.webhook]]\nurl = \"https://localhost:{}/\"\n",
        web.address.port()
    );
    let config = config(&text);
    let outbox = Outbox::in_memory().await.unwrap();
    let mut desk = desk(&config);
    let alerts = desk.hear(&attack("shop", "203.0.113.150", 0), at(0));
    outbox.commit(&commit(&mut desk, &alerts, at(0))).await.unwrap();
    let delivery = Delivery::new(settings(&config, None, Vec::new())).unwrap();
    assert_eq!(delivery.round(&outbox, &Fixed(at(0))).await.unwrap(), round(0, 0, 1));
    assert!(outbox.latest(1).await.unwrap()[0].3.as_deref().unwrap().contains("not a public address"));
    assert!(web.requests().is_empty());
}
