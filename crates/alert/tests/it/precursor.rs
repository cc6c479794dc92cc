//! Small tests before large attacks.

use noroshi_alert::precursor::{Class, Event, Precursors, Settings};
use noroshi_model::finding::Vector;
use noroshi_model::packet::{Has, Packet, PacketBatch, Transport};
use noroshi_model::request::{Request, Withheld};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};

const START: i64 = 1_767_225_600;

/// A request to a time server, from a changing port, to a place that was not asked before.
fn request(second: i64, ttl: u8) -> Packet {
    Packet {
        ts: Nanos((START + second) * SECOND),
        has: Has::IP | Has::TIME | Has::PORTS,
        src: Addr::v4(0xcb00_7107),
        dst: Addr::v4(0xc612_0000 + second as u32),
        proto: 17,
        transport: Transport::Udp,
        sport: 2_000 + 7 * second as u16,
        dport: 123,
        ttl,
        ..Packet::BLANK
    }
}

/// A packet about nothing, which only tells the time.
fn clock(second: i64) -> Packet {
    Packet { src: Addr::v4(0x0a00_0001), dport: 9, ..request(second, 60) }
}

fn batch(rows: Vec<Packet>) -> PacketBatch {
    PacketBatch { rows, ..PacketBatch::default() }
}

fn expected(events: &[Event]) -> Vec<Class> {
    events
        .iter()
        .filter_map(|event| if let Event::Expected(found) = event { Some(found.class) } else { None })
        .collect()
}

#[test]
fn requests_from_raw_sockets_are_tests_and_those_of_hosts_are_not() {
    for (ttls, announced) in
        [([241; 6], vec![Class::HighTtl]), ([57; 6], vec![]), ([241, 241, 57, 241, 241, 241], vec![])]
    {
        let mut detector = Precursors::new(Settings::default());
        let mut rows: Vec<Packet> = (0..6).map(|n| request(n, ttls[n as usize])).collect();
        rows.push(clock(100));
        assert_eq!(expected(&detector.observe(&batch(rows))), announced, "{ttls:?}");
    }
}

#[test]
fn a_detector_that_was_stored_scores_what_it_had_announced() {
    // Stored before it saw anything, after the test, and in the middle of the attack.
    let again = |detector: &Precursors| -> Precursors {
        serde_json::from_str(&serde_json::to_string(detector).unwrap()).unwrap()
    };
    let mut detector = again(&Precursors::new(Settings::default()));
    let mut rows: Vec<Packet> = (0..6).map(|n| request(n, 241)).collect();
    rows.push(clock(100));
    assert_eq!(expected(&detector.observe(&batch(rows))), [Class::HighTtl]);
    detector = again(&detector);
    let main = |from: i64| {
        batch(
            (from..from + 60).map(|n| Packet { ts: Nanos((START + 4_000) * SECOND + n), ..request(n, 241) }).collect(),
        )
    };
    let mut events = detector.observe(&main(0));
    detector = again(&detector);
    events.extend(detector.observe(&main(60)));
    let scored = events.iter().find_map(|event| if let Event::Scored(outcome) = event { Some(outcome) } else { None });
    let scored = scored.expect("the attack came");
    assert_eq!((scored.precursor.vector, scored.main.is_some()), (Vector::Ntp, true));
    assert_eq!((detector.scores().announced, detector.scores().came), (1, 1));
}

/// A request at a lure: which lure, from which port, what.
fn asked(second: i64, victim: u32, lure: u32, sport: u16, hash: u64) -> Request {
    Request {
        ts: Nanos((START + second) * SECOND),
        sensor: "kyoto".into(),
        src: Addr::v4(victim),
        dst: Addr::v4(0xc612_0000 + lure),
        sport,
        dport: 123,
        vector: Vector::Ntp,
        method: "monlist".into(),
        name: String::new(),
        request_bytes: 8,
        reply_bytes: 0,
        withheld: Withheld::Muted,
        request_hash: hash,
        ttl: Some(57),
        payload: Vec::new(),
    }
}

#[test]
fn requests_at_lures_announce_unless_a_scanner_makes_its_round() {
    let (victim, scanner) = (0xcb00_7107, 0xcb00_7207);
    let mut detector = Precursors::new(Settings::default());
    let mut rows = Vec::new();
    for n in 0..8 {
        // The tester asks two lures in turn; the scanner every lure once. Both keep their port.
        rows.push(asked(n, victim, n as u32 % 2, 4_444, 1));
        rows.push(asked(n, scanner, n as u32, 5_555, 2));
    }
    rows.push(asked(200, 0x0a00_0001, 1, 9, 3));
    let events = detector.observe_requests(&rows);
    assert_eq!(expected(&events), [Class::FixedPort]);
    let Event::Expected(found) = &events[0] else { panic!("{events:?}") };
    assert_eq!((found.victim, found.vector), (Addr::v4(victim), Vector::Ntp));

    // The attack comes at the lures; it is scored as those on packets are.
    let main: Vec<Request> = (0..150).map(|n| asked(4_000 + n / 30, victim, n as u32 % 2, 80, 1)).collect();
    let events = detector.observe_requests(&main);
    assert!(matches!(&events[..], [Event::Scored(outcome)] if outcome.main.is_some()), "{events:?}");
    assert_eq!((detector.scores().announced, detector.scores().came), (1, 1));

    // Who asks within a day what that attack asked announces another one, also without a fixed port or a repetition.
    let (next, other) = (0xcb00_7307, 0xcb00_7407);
    let mut rows: Vec<Request> = Vec::new();
    for n in 0..6 {
        rows.push(asked(8_000 + n, next, n as u32, 100 + n as u16, 1));
        rows.push(asked(8_000 + n, other, n as u32, 100 + n as u16, 77));
    }
    rows.push(asked(8_200, 0x0a00_0001, 1, 9, 3));
    assert_eq!(expected(&detector.observe_requests(&rows)), [Class::KnownRequest]);
}

#[test]
fn a_test_that_a_darknet_and_a_lure_see_is_announced_once() {
    let mut detector = Precursors::new(Settings::default());
    let mut events = Vec::new();
    for n in 0..6 {
        events.extend(detector.observe(&batch(vec![request(n, 241)])));
        events.extend(detector.observe_requests(&[asked(n, 0xcb00_7107, 1, 4_444, 1)]));
    }
    events.extend(detector.observe(&batch(vec![clock(200)])));
    assert_eq!(expected(&events).len(), 1, "{events:?}");
    assert_eq!(detector.scores().announced, 1);
}
