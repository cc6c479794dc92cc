use super::*;
use noroshi_model::Nanos;

fn table(rows: &[(i64, u32, &str, &str)]) -> Sightings {
    let mut table = Sightings::new(10_000);
    for (second, source, service, sensor) in rows {
        let sensor = table.sensor(sensor);
        table.add(Nanos::from_seconds(*second), Addr::v4(*source), service.parse().unwrap(), sensor);
    }
    table.finish();
    table
}

#[test]
fn what_is_seen_at_one_sensor_only_is_local() {
    let mut rows: Vec<(i64, u32, &str, &str)> = Vec::new();
    for source in 0..400 {
        rows.push((i64::from(source), source, "tcp/23", "oslo"));
        rows.push((i64::from(source), source, "tcp/23", "tokyo"));
        if source < 40 {
            rows.push((i64::from(source), 1_000 + source, "udp/53413", "tokyo"));
        }
    }
    let found = locality(&table(&rows), &Settings { quotient_min: 1.5, low_min: 1.2, sources_min: 20 });
    assert_eq!(found.local.len(), 1, "{:?}", found.local);
    let local = &found.local[0];
    assert_eq!((local.sensor.as_str(), local.service.as_str(), local.only_here), ("tokyo", "udp/53413", true));
    // 40 of 440 here, 40 of 840 everywhere.
    assert!((local.quotient - (40.0 / 440.0) / (40.0 / 840.0)).abs() < 1e-12);
    let alone: Vec<u64> = found.sensors.iter().map(|sensor| sensor.sources_only_here).collect();
    assert_eq!(alone, [0, 40]);
    assert_eq!((found.sensors[0].entropy_bits, found.pairs.len()), (0.0, 1));
}

#[test]
fn one_sensor_is_its_own_world() {
    let found = locality(&table(&[(0, 1, "icmp", "a"), (1, 2, "tcp/80", "a")]), &Settings::default());
    assert_eq!((found.sensors.len(), found.local.len(), found.pairs.len()), (1, 0, 0));
    assert_eq!((found.sensors[0].divergence, found.fading), (None, None));
    assert!(locality(&Sightings::new(0), &Settings::default()).sensors.is_empty());
}

#[test]
fn overlap_counts_returns_and_not_gaps() {
    // Ten sources on day 0; five return on day 1, two on day 3; nothing at all on day 2; one on each of days 4 and 5.
    let mut rows = Vec::new();
    for (day, count) in [(0, 10), (1, 5), (3, 2), (4, 1), (5, 1)] {
        rows.extend((0..count).map(|source| (day * 86_400, source, "tcp/22", "a")));
    }
    let fading = locality(&table(&rows), &Settings::default()).fading.unwrap();
    assert_eq!(fading.slot_seconds, 86_400);
    // One day later: 0 to 1 five of ten, 3 to 4 one of two, 4 to 5 one of one; 1 to 2 ends in the gap.
    assert!((fading.again[0] - 7.0 / 13.0).abs() < 1e-12, "{fading:?}");
    assert!(fading.expiry_half.unwrap() > 1.0);
}

#[test]
fn services_read_what_they_write() {
    for text in ["tcp/445", "udp/53", "icmp", "icmpv6", "sctp/2905", "proto-47"] {
        assert_eq!(text.parse::<Service>().unwrap().to_string(), text);
    }
    assert_eq!("445".parse::<Service>(), "tcp/445".parse());
    for text in ["", "tcp/x", "tcp/70000", "house"] {
        assert!(text.parse::<Service>().is_err(), "{text}");
    }
}
