use super::model::Untrainable;
use super::*;
use noroshi_model::packet::{Has, Packet, Transport, tcp};
use noroshi_model::{Addr, Nanos};

fn packet(at_ms: i64, source: u32, destination: u32, ports: (u16, u16), flags: u8) -> Packet {
    Packet {
        src: Addr::v4(source),
        dst: Addr::v4(destination),
        ts: Nanos(at_ms * 1_000_000),
        sport: ports.0,
        dport: ports.1,
        tcp_flags: flags,
        wire_len: 60,
        transport: Transport::Tcp,
        has: Has::IP | Has::TIME | Has::PORTS | Has::TCP,
        ..Packet::BLANK
    }
}

/// Scanners walk over destinations at one port; victims answer from one port to many.
fn day() -> Vec<Example> {
    let mut collector = Collector::default();
    for minute in 0..200_u32 {
        for turn in 0..12_u32 {
            let at = i64::from(minute * 60_000 + turn * 5_000);
            let port = 1_024 + (turn * 7_919 + minute) as u16 % 60_000;
            collector.observe(&packet(at, 1_000 + minute, minute * 64 + turn, (port, 23), tcp::SYN));
            let answer = if minute % 2 == 0 { tcp::SYN | tcp::ACK } else { tcp::RST | tcp::ACK };
            let random = turn.wrapping_mul(2_654_435_761) ^ minute;
            collector.observe(&packet(at + 1, 9_000 + minute, random, (80, port), answer));
        }
    }
    collector.finish()
}

#[test]
fn answers_are_told_from_questions_without_flags() {
    let examples = day();
    assert_eq!(examples.len(), 400);
    let model = train(&examples, "a test", "generated").unwrap();
    let scores = model.card.scores.clone().unwrap();
    assert!(scores.support_vectors > 0.99 && scores.stumps > 0.99 && scores.majority < 0.5, "{scores:?}");
    // No source of the test part was learned from.
    assert!(scores.sources + model.card.sources <= 400);
    let text = serde_json::to_string(&model).unwrap();
    let again: Model = serde_json::from_str(&text).unwrap();
    assert!(again.sound());
    assert_eq!(again.score(&examples), model.score(&examples));
    assert!(model.features[0].gain > 0.0 && model.features.len() == FEATURES.len());
}

#[test]
fn the_flags_themselves_are_no_feature() {
    // The same behaviour under other flags has the same features.
    let rows = |flags: u8| {
        let mut collector = Collector::default();
        (0..9).for_each(|turn| collector.observe(&packet(i64::from(turn), 7, turn, (80, 1_000), flags)));
        collector.finish()
    };
    let (a, b) = (rows(tcp::SYN), rows(tcp::RST));
    assert_eq!(a[0].features, b[0].features);
    assert_eq!((a[0].backscatter, b[0].backscatter), (Some(false), Some(true)));
}

#[test]
fn nothing_is_learned_from_too_little_or_from_one_class() {
    assert_eq!(train(&[], "", "real"), Err(Untrainable::TooFew));
    let one: Vec<Example> = day().into_iter().filter(|example| example.backscatter == Some(true)).collect();
    assert_eq!(train(&one, "", "real"), Err(Untrainable::OneClass));
    let mut broken = train(&day(), "", "real").unwrap();
    broken.schema = "other".into();
    assert!(!broken.sound());
}
