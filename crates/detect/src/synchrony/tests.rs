//! The engines on small worlds of which everything is known.

use super::*;
use noroshi_model::time::SECOND;

/// 2026-01-01T00:00:00Z.
const MIDNIGHT: i64 = 1_767_225_600;

fn knock(second: i64, source: u32, port: u16) -> Knock {
    let destination = Addr::v4(0xc612_0000 | (source.wrapping_mul(2_654_435_761).wrapping_add(second as u32) & 0xffff));
    Knock { at: Nanos((MIDNIGHT + second) * SECOND), source: Addr::v4(source), destination, port }
}

/// SplitMix64 numbers.
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

/// A day of sources that come when they like, a group of 40 in ten bursts, and a campaign of 60 that all scan for two
/// hours with no finer order. Group members are 10.x, the campaign's 11.x.
fn day(seed: u64) -> Vec<Knock> {
    let mut next = random(seed);
    let mut knocks = Vec::new();
    for _ in 0..40_000 {
        let source = 0x3000_0000 + next(2_000) as u32 * 65_537;
        knocks.push(knock(next(86_400) as i64, source, [23, 80, 445][next(3) as usize]));
    }
    for burst in 0..10 {
        let at = 3_000 + burst * 8_000 + next(600) as i64;
        for member in 0..40 {
            knocks.push(knock(at + next(60) as i64, 0x0a00_0001 + member * 65_537, 23));
        }
    }
    for member in 0..60 {
        for _ in 0..25 {
            knocks.push(knock(30_000 + next(7_200) as i64, 0x0b00_0001 + member * 65_537, 80));
        }
    }
    knocks.sort_by_key(|knock| knock.at);
    knocks
}

#[test]
fn pulses_finds_the_group_on_a_busy_port_and_nothing_else() {
    let mut engine = pulses::Engine::new(pulses::Settings::default());
    day(1).iter().for_each(|knock| engine.observe(knock));
    assert!(!engine.approximate());
    let alerts = engine.finish();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    let alert = &alerts[0];
    assert_eq!(alert.ports[0].port, 23);
    // The first visit of each source is not counted.
    assert_eq!(alert.bursts.len(), 9);
    let members = alert.sources.iter().filter(|source| source.as_v4().is_some_and(|v4| v4 >> 24 == 10)).count();
    assert!(members >= 38 && members == alert.sources.len(), "{} of {}", members, alert.sources.len());
}

#[test]
fn pulses_keeps_its_bounds() {
    let settings = pulses::Settings { rows_max: 1_000, filter_bits: 8, ..Default::default() };
    let mut engine = pulses::Engine::new(settings);
    day(2).iter().for_each(|knock| engine.observe(knock));
    assert!(engine.approximate());
    engine.finish();
    assert!(pulses::Engine::new(settings).finish().is_empty());
}

#[test]
fn published_engines_alert_in_the_slots_of_the_bursts() {
    let mut engine = glasso::Engine::new(glasso::Settings { history: 24, theta: 0.98 });
    let mut factors = nmf::Engine::new(nmf::Members::Anomalous);
    let mut next = random(3);
    // Quiet networks for ten hours; then 60 of them knock within the same minute of one slot.
    let mut knocks: Vec<Knock> = (0..6_000)
        .map(|_| knock(next(36_000) as i64, next(2_000) as u32 * 65_536 + 1, [23, 80][next(2) as usize]))
        .collect();
    for host in 0..60 {
        for packet in 0..6 {
            knocks.push(knock(34_230 + packet, (host + 3_000) * 65_536 + 1, 7_547));
        }
    }
    knocks.sort_by_key(|knock| knock.at);
    for knock in &knocks {
        engine.observe(knock);
        factors.observe(knock);
    }
    let burst = Nanos((MIDNIGHT + 34_230) * SECOND);
    for alerts in [engine.finish(), factors.finish()] {
        let named = |alert: &Alert| alert.ports.iter().any(|port| port.port == 7_547 && port.level == Level::Attack);
        assert!(alerts.iter().any(|alert| alert.start <= burst && burst < alert.end && named(alert)), "{alerts:#?}");
    }
}

#[test]
fn levels_follow_share_and_number_of_hosts() {
    let small = |host: u16, port: u16, destination: u32| slots::Small { host, port, destination, second: 0 };
    let mut knocks: Vec<slots::Small> = (0..300).map(|host| small(host, 23, u32::from(host))).collect();
    knocks.extend((0..25).map(|host| small(host, 80, 500 + u32::from(host))));
    knocks.extend((0..5).map(|host| small(host, 81, 600 + u32::from(host))));
    let found = slots::attribute_all(&knocks);
    let levels: Vec<(u16, Level)> = found.iter().map(|port| (port.port, port.level)).collect();
    assert_eq!(levels, [(23, Level::Attack), (80, Level::Weak)]);
    let one: Vec<slots::Small> = (0..30).map(|host| small(host, 22, 7)).collect();
    assert_eq!(slots::attribute_all(&one)[0].level, Level::Concentrated);
    let few: Vec<slots::Small> = (0..4).map(|host| small(host, 22, u32::from(host))).collect();
    assert_eq!(slots::attribute_all(&few)[0].level, Level::Survey);
    assert!(slots::attribute_all(&[]).is_empty());
}

#[test]
fn late_knocks_are_counted_not_mixed_in() {
    let mut slot = slots::Slot::new(600);
    slot.add(&knock(700, 1, 23));
    assert!(slot.closes(&knock(1_300, 1, 23)).is_some());
    assert!(slot.closes(&knock(100, 1, 23)).is_none());
    slot.add(&knock(100, 1, 23));
    assert_eq!((slot.knocks.len(), slot.left_out), (1, 1));
}

#[test]
fn lists_are_cut_by_the_day() {
    let alert = |weight: f64| Alert {
        engine: "nmf",
        start: Nanos(0),
        end: Nanos(SECOND),
        ports: Vec::new(),
        sources: Vec::new(),
        hosts: 0,
        bursts: Vec::new(),
        weight,
        reason: String::new(),
    };
    let kept = ranked((0..50).map(|n| alert(f64::from(n))).collect(), 20);
    assert_eq!((kept.len(), kept[0].weight), (20, 49.0));
    assert!(ranked(Vec::new(), 20).is_empty());
}
