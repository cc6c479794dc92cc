//! A member's host attacks and another member is attacked: two mails in a mail server, and a bundle that the validator
//! of OASIS accepts.

use crate::scene::{self, Fixed, MEMBERS, at, commit, config, desk, gate, settings};
use crate::sinks::MailSink;
use noroshi_alert::daedalus::{Settings, Watch};
use noroshi_alert::statement;
use noroshi_model::packet::{Has, Packet, PacketBatch, ToolBits, Transport, proto, tcp};
use noroshi_model::tlp::Tlp;
use noroshi_model::{Addr, Nanos};
use noroshi_share::delivery::{Delivery, Round};
use noroshi_share::outbox::Outbox;
use noroshi_share::stix::marking::Markings;
use noroshi_share::stix::{Exporter, Producer};
use std::sync::Arc;

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn packet(second: i64, src: &str, dst: &str, ports: (u16, u16), flags: u8) -> Packet {
    let mut has = Has::IP;
    for bit in [Has::TIME, Has::PORTS, Has::TCP] {
        has.set(bit);
    }
    Packet {
        src: addr(src),
        dst: addr(dst),
        ts: at(second),
        sport: ports.0,
        dport: ports.1,
        has,
        proto: proto::TCP,
        tcp_flags: flags,
        transport: Transport::Tcp,
        wire_len: 60,
        ..Packet::BLANK
    }
}

/// A university's host scans with Mirai's mark; a shop's server answers a flood of forged packets.
fn world() -> PacketBatch {
    let mut rows = Vec::new();
    for i in 0..40 {
        let mut syn = packet(i, "203.0.113.20", &format!("198.18.3.{}", 10 + i), (40_000, 23), tcp::SYN);
        syn.tool_bits = ToolBits::MIRAI;
        rows.push(syn);
        rows.push(packet(i, "203.0.113.150", &format!("198.18.7.{}", 10 + i), (443, 5_000), tcp::SYN | tcp::ACK));
        rows.push(packet(i, "192.88.99.1", "198.18.1.1", (1, 22), tcp::SYN));
    }
    PacketBatch { rows, ..PacketBatch::default() }
}

#[tokio::test]
async fn two_members_get_one_mail_each_and_the_bundle_is_valid() {
    let config = config(MEMBERS);
    let registry = Arc::new(config.registry.clone());
    let sink = MailSink::start(&[]).await;
    let outbox = Outbox::in_memory().await.unwrap();
    let mut desk = desk(&config);
    let mut watch = Watch::new(Settings::default(), registry.clone(), vec![scene::SENSOR.parse().unwrap()]);

    let outcome = watch.observe(&world());
    let mut alerts = Vec::new();
    for said in outcome.infections.iter().map(statement::of_infection) {
        alerts.extend(desk.hear(&said, at(40)));
    }
    for attack in &outcome.attacks {
        for said in statement::of_attack(attack, &registry) {
            alerts.extend(desk.hear(&said, at(40)));
        }
    }
    outbox.commit(&commit(&mut desk, &alerts, at(40))).await.unwrap();

    let delivery = Delivery::new(settings(&config, Some(sink.address), Vec::new())).unwrap();
    let clock = Fixed(at(40));
    let round = delivery.round(&outbox, &clock).await.unwrap();
    assert_eq!(round, Round { delivered: 2, put_off: 0, failed: 0 });
    let mut mails = sink.mails();
    mails.sort_by(|a, b| a.to.cmp(&b.to));
    assert_eq!(
        mails.iter().map(|m| m.to[0].as_str()).collect::<Vec<_>>(),
        ["<csirt@university.example>", "<noc@shop.example>"]
    );
    assert!(mails[0].header("Subject").unwrap().contains("A host of yours is attacking: 203.0.113.20"));
    for mail in &mails {
        assert!(mail.data.contains("multipart/alternative"));
        assert!(mail.header("List-Id").unwrap().contains("<warnings."));
        assert_eq!(mail.header("X-Noroshi-TLP").unwrap(), "TLP:AMBER");
        assert!(!mail.data.contains("198.18."), "a sensor's address");
    }
    assert_eq!(delivery.round(&outbox, &clock).await.unwrap(), Round::default(), "nothing is sent twice");

    let mut exporter = Exporter::new(Producer {
        name: "Noroshi test".into(),
        tlp: Tlp::Amber,
        markings: Markings::Both,
        created: at(40),
    });
    for tracked in desk.incidents() {
        exporter.incident(&gate().incident(&tracked.incident, Tlp::Amber).unwrap());
    }
    validate(&[serde_json::to_string_pretty(&exporter.finish("First end", "Two incidents")).unwrap()], 2);
}

/// Runs the validator of OASIS on bundles that hold so many incidents each.
pub fn validate(bundles: &[String], incidents: usize) {
    for bundle in bundles {
        let value: serde_json::Value = serde_json::from_str(bundle).unwrap();
        let objects = value["objects"].as_array().unwrap();
        assert_eq!(objects.iter().filter(|o| o["type"] == "incident").count(), incidents);
    }
    let (Some(shared), Some(mut python)) = (scene::shared(), scene::python("stix2validator")) else { return };
    let folder = tempfile::tempdir().unwrap();
    python.arg(scene::script("stix_validate.py")).arg(shared);
    for (number, bundle) in bundles.iter().enumerate() {
        let file = folder.path().join(format!("{number}.json"));
        std::fs::write(&file, bundle).unwrap();
        python.arg(file);
    }
    let output = python.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

#[test]
fn times_are_those_of_the_packets() {
    assert_eq!(at(0), "2026-01-01".parse::<Nanos>().unwrap());
}
