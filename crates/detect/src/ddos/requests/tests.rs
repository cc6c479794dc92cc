use super::*;
use noroshi_model::request::Withheld;

const START: i64 = 1_767_225_600;

fn request(seconds: f64, src: u32, sensor: u32, vector: Vector, hash: u64) -> Request {
    Request {
        ts: Nanos(START * SECOND + (seconds * SECOND as f64) as i64),
        sensor: format!("s{sensor:02}"),
        src: Addr::v4(src),
        dst: Addr::v4(0xc633_6400 + sensor),
        sport: 80,
        dport: 123,
        vector,
        method: "monlist".into(),
        name: String::new(),
        request_bytes: 8,
        reply_bytes: 0,
        withheld: Withheld::Muted,
        request_hash: hash,
        ttl: None,
        payload: Vec::new(),
    }
}

/// Requests in order of time, with a minute's tick in between as a caller would.
fn run(mut requests: Vec<Request>, limits: Limits) -> (Vec<Found>, u64) {
    requests.sort_by_key(|request| request.ts);
    let (mut engine, mut found) = (Requests::new(limits), Vec::new());
    let mut tick = Nanos(0);
    for request in &requests {
        if request.ts.0 - tick.0 >= 60 * SECOND {
            tick = request.ts;
            found.extend(engine.advance(tick));
        }
        found.extend(engine.push(request));
    }
    found.extend(engine.finish());
    (found, engine.evicted)
}

fn began(found: &[Found]) -> Vec<&RequestAttack> {
    found.iter().filter_map(|found| if let Found::Began(attack) = found { Some(attack) } else { None }).collect()
}

fn ended<'a>(found: &'a [Found], rule: &str) -> Vec<&'a RequestAttack> {
    let of_rule = |found: &'a Found| match found {
        Found::Ended(attack) if attack.rule == rule => Some(attack),
        _ => None,
    };
    found.iter().filter_map(of_rule).collect()
}

#[test]
fn a_burst_is_one_warning_and_one_finding() {
    let burst: Vec<_> = (0..300).map(|n| request(f64::from(n) * 0.1, 0xcb00_7101, 1, Vector::Ntp, 7)).collect();
    let (found, _) = run(burst, Limits::default());
    assert_eq!(began(&found).len(), 1);
    assert_eq!(began(&found)[0].attack.packets, 5, "the warning leaves with the fifth request");
    let low = ended(&found, "low");
    assert_eq!((low.len(), low[0].attack.packets), (1, 300));
    assert_eq!(low[0].attack.victim_port, Some(80));
    assert_eq!((ended(&found, "high").len(), low[0].request_hash), (1, 7));
}

#[test]
fn what_goes_on_is_told_again_when_it_doubled_and_all_tellings_agree_on_its_beginning() {
    let burst: Vec<_> = (0..300).map(|n| request(f64::from(n) * 0.1, 0xcb00_7101, 1, Vector::Ntp, 7)).collect();
    let (found, _) = run(burst, Limits::default());
    let tellings = found.iter().map(|found| match found {
        Found::Began(attack) | Found::Grew(attack) | Found::Ended(attack) => attack,
        Found::Scanner(_) => panic!("nobody scans"),
    });
    let tellings: Vec<(u64, Nanos)> = tellings.map(|attack| (attack.attack.packets, attack.began)).collect();
    let counts: Vec<u64> = tellings.iter().map(|(packets, _)| *packets).collect();
    assert_eq!(counts, [5, 10, 20, 40, 80, 160, 300, 300], "the last two by the low rule and the high one");
    assert!(tellings.iter().all(|(_, began)| *began == Nanos(START * SECOND)));
    // Slow and long: told again every ten minutes.
    let slow: Vec<_> = (0..60).map(|n| request(f64::from(n) * 60.0, 0xcb00_7101, 1, Vector::Ntp, 7)).collect();
    let (found, _) = run(slow, Limits::default());
    let grew = found.iter().filter(|found| matches!(found, Found::Grew(_))).count();
    assert!((5..=8).contains(&grew), "{grew}");
}

#[test]
fn stored_state_goes_on_exactly() {
    let mut all = Vec::new();
    for sensor in 0..6u32 {
        all.extend((0..60).map(|n| request(f64::from(n * 9 + sensor), 0xcb00_7101, sensor, Vector::Dns, 7)));
        all.extend((0..20).map(|n| request(f64::from(n * 7), 0xcb00_7200 + n, sensor, Vector::Ntp, 9)));
        all.push(request(50.0, 0xcb00_9999, sensor, Vector::Snmp, 4));
    }
    all.sort_by_key(|request| request.ts);
    let whole = run(all.clone(), Limits::default()).0;
    let mut engine = Requests::new(Limits::default());
    let (mut found, mut tick) = (Vec::new(), Nanos(0));
    for request in &all {
        if request.ts.0 - tick.0 >= 60 * SECOND {
            tick = request.ts;
            found.extend(engine.advance(tick));
        }
        found.extend(engine.push(request));
        let text = serde_json::to_string(&engine).unwrap();
        engine = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&engine).unwrap(), text, "the same state has the same text");
    }
    found.extend(engine.finish());
    assert_eq!(found, whole);
    assert!(whole.len() > 4, "{whole:?}");
}

#[test]
fn sensors_that_see_the_same_attack_merge() {
    let mut all = Vec::new();
    for sensor in 0..4u32 {
        all.extend((0..50).map(|n| request(f64::from(n + sensor * 70), 0xcb00_7101, sensor, Vector::Dns, 7)));
    }
    let (found, _) = run(all, Limits::default());
    let low = ended(&found, "low");
    assert_eq!((low.len(), low[0].sensors.len(), low[0].attack.packets), (1, 4, 200));
    assert_eq!(ended(&found, "high").len(), 0);
    assert_eq!(began(&found).len(), 1);
}

#[test]
fn a_pause_parts_attacks_by_the_low_rule_and_joins_them_by_the_high_one() {
    let burst = |at: f64| (0..80).map(move |n| request(at + f64::from(n), 0xcb00_7101, 1, Vector::Ntp, 7));
    let (found, _) = run(burst(0.0).chain(burst(1_500.0)).collect(), Limits::default());
    assert_eq!((ended(&found, "low").len(), ended(&found, "high").len(), began(&found).len()), (2, 1, 2));
}

#[test]
fn several_protocols_are_told_together() {
    let of = |vector| (0..40).map(move |n| request(f64::from(n), 0xcb00_7101, 1, vector, 7));
    let (found, _) = run(of(Vector::Ntp).chain(of(Vector::Dns)).collect(), Limits::default());
    let low = ended(&found, "low");
    assert_eq!(low.len(), 2);
    assert!(
        low.iter().any(|attack| attack.with == [Vector::Ntp]) || low.iter().any(|attack| attack.with == [Vector::Dns])
    );
}

#[test]
fn scanners_are_no_victims() {
    let scan: Vec<_> = (0..40)
        .flat_map(|sensor| {
            (0..3).map(move |n| request(f64::from(sensor * 3 + n), 0xcb00_7107, sensor as u32, Vector::Ntp, 7))
        })
        .collect();
    let (found, _) = run(scan, Limits::default());
    assert!(began(&found).is_empty() && ended(&found, "low").is_empty());
    let scanners = found.iter().filter(|found| matches!(found, Found::Scanner(_))).count();
    assert_eq!(scanners, 1);
}

#[test]
fn a_swept_network_is_one_carpet() {
    let sweep: Vec<_> = (0..1_024u32)
        .map(|n| request(f64::from(n) * 0.05, 0xcb00_7100 + n % 256, n / 256 % 2, Vector::Cldap, 9))
        .collect();
    let (found, _) = run(sweep, Limits::default());
    let low = ended(&found, "low");
    assert_eq!(low.len(), 1, "{low:?}");
    assert_eq!((low[0].attack.kind, low[0].attack.victim.to_string()), (AttackKind::Carpet, "203.0.113.0/24".into()));
    assert!(low[0].attack.reason.contains("one after the other"), "{}", low[0].attack.reason);
    assert_eq!(began(&found).len(), 1, "one warning for the whole network");
}

#[test]
fn scanners_that_share_a_network_are_no_carpet() {
    // Five rounds over forty reflectors, twenty scanners that share the work.
    let probe = |n: u32| request(f64::from(n), 0xcb00_7100 + (n % 40 * 3 + n / 40) % 20, n % 40, Vector::Dns, 9);
    let all: Vec<_> = (0..200u32).map(probe).collect();
    let (found, _) = run(all, Limits::default());
    assert!(began(&found).is_empty(), "{:?}", began(&found));
}

#[test]
fn memory_is_bounded_under_forged_sources() {
    let limits = Limits { talks: 1_000, units: 8, networks: 500 };
    let mut engine = Requests::new(limits);
    for n in 0..50_000u32 {
        engine.push(&request(f64::from(n) * 0.001, n.wrapping_mul(2_654_435_761), n % 40, Vector::Ntp, u64::from(n)));
        assert!(engine.talks.len() <= 1_000 && engine.networks.len() <= 500);
    }
    assert!(engine.evicted > 0);
}

/// A fixed stream of numbers (Knuth's MMIX generator): the world below is the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Generated requests of a day at 40 sensors: victims, multi-vector victims, carpets, scanners. Labelled as generated.
#[test]
fn a_generated_day_is_told_apart() {
    let (mut dice, mut all) = (Dice(1), Vec::new());
    let vectors = [Vector::Dns, Vector::Ntp, Vector::Ssdp, Vector::Cldap, Vector::Memcached];
    let mut victims = BTreeSet::new();
    for n in 0..400u32 {
        let victim = 0x0b00_0000 + n * 4_096 + dice.roll(256) as u32;
        let start = dice.roll(80_000) as f64;
        for v in 0..1 + u64::from(n % 10 == 0) * 2 {
            let vector = vectors[((u64::from(n) + v) % 5) as usize];
            victims.insert((Addr::v4(victim), vector));
            let requests = 12 + dice.roll(300);
            for sensor in 0..1 + dice.roll(8) as u32 {
                let place = (n + sensor) % 40;
                all.extend((0..requests).map(|i| request(start + i as f64 * 0.5, victim, place, vector, u64::from(n))));
            }
        }
    }
    for n in 0..20u32 {
        let start = dice.roll(80_000) as f64;
        let network = 0x2d00_0000 + n * 256;
        all.extend(
            (0..600u32).map(|i| request(start + f64::from(i) * 0.2, network + i % 200, n % 40, Vector::Dns, 77)),
        );
    }
    for n in 0..300u32 {
        let (scanner, start) = (0x5500_0000 + n * 911, dice.roll(80_000) as f64);
        for sensor in 0..40u32 {
            let tries = 1 + dice.roll(3);
            all.extend((0..tries).map(|i| {
                request(start + f64::from(sensor * 5) + i as f64, scanner, sensor, vectors[n as usize % 5], 5)
            }));
        }
    }
    let (found, evicted) = run(all, Limits::default());
    assert_eq!(evicted, 0);
    let low = ended(&found, "low");
    let told: BTreeSet<_> = low
        .iter()
        .filter_map(|attack| match attack.attack.victim {
            Victim::Address(addr) => Some((addr, attack.attack.vector)),
            Victim::Network(_) => None,
        })
        .collect();
    let right = told.intersection(&victims).count() as f64;
    let (recall, precision) = (right / victims.len() as f64, right / told.len() as f64);
    assert!(recall >= 0.97 && precision >= 0.97, "recall {recall}, precision {precision}");
    let carpets = low.iter().filter(|attack| attack.attack.kind == AttackKind::Carpet).count();
    assert_eq!(carpets, 20);
    let scanners =
        found.iter().filter(|found| matches!(found, Found::Scanner(scanner) if scanner.source.0 as u32 >> 24 == 0x55));
    assert!(scanners.count() as f64 / 300.0 >= 0.99);
    let wrong =
        found.iter().filter(|found| matches!(found, Found::Scanner(scanner) if scanner.source.0 as u32 >> 24 != 0x55));
    assert_eq!(wrong.count(), 0, "no victim is called a scanner");
}

#[test]
fn estimators_equal_their_definitions() {
    assert!((chapman(200, 150, 100) - 299.504_950_495).abs() < 1e-6);
    assert!((chance_of_cover(40, 20, 1) - 0.5).abs() < 1e-12);
    // C(20, 0) / C(40, 20) = 1 / 137846528820.
    assert!((chance_of_cover(40, 20, 20) * 137_846_528_820.0 - 1.0).abs() < 1e-9);
    assert_eq!(chance_of_cover(40, 20, 21), 0.0);
}
