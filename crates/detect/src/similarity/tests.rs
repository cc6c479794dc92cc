use super::*;

/// Two crews that knock at one port in different hours, and a sensor each.
fn two_crews() -> Sightings {
    let mut table = Sightings::new(100_000);
    let (a, b) = (table.sensor("a"), table.sensor("b"));
    for hour in 0..60_i64 {
        let crew = (hour % 2) as u32;
        for turn in 0..40_u32 {
            // Each hour the members come in another order.
            let member = (turn * 7 + hour as u32 * 3) % 20 + crew * 100;
            let at = Nanos::from_seconds(hour * 3_600 + i64::from(turn) * 60);
            table.add(at, Addr::v4(member), Service::new(6, Some(23)), if crew == 0 { a } else { b });
        }
    }
    table.finish();
    table
}

#[test]
fn company_tells_crews_apart_where_the_port_cannot() {
    let table = two_crews();
    let found = senders(&table, &Settings::default(), false);
    assert_eq!(found.addresses.len(), 40);
    let alike = found.like(&[Addr::v4(3), Addr::v4(5)], 10);
    assert!(alike.iter().all(|one| one.name.parse::<Addr>().unwrap() < Addr::v4(20)), "{alike:?}");
    let classes: BTreeMap<Addr, String> =
        found.addresses.iter().map(|address| (*address, format!("{}", address.as_v4().unwrap() / 100))).collect();
    let scores = attribution(&table, &found, &classes, 7).unwrap();
    assert_eq!((scores.senders, scores.classes, scores.embedding), (40, 2, 1.0));
    assert!(scores.services < 0.9 && scores.majority < 0.5, "{scores:?}");
    // Day by day the vectors go on, and tell the same.
    let daily = senders(&table, &Settings::default(), true);
    assert_eq!(attribution(&table, &daily, &classes, 7).unwrap().embedding, 1.0);
    assert_eq!(attribution(&table, &found, &BTreeMap::new(), 7), None);
}

#[test]
fn the_same_input_gives_the_same_vectors() {
    let table = two_crews();
    let (a, b) = (senders(&table, &Settings::default(), false), senders(&table, &Settings::default(), false));
    assert_eq!(a.embedding, b.embedding);
    assert!(a.like(&[Addr::v4(99_999)], 5).is_empty());
}

#[test]
fn sensors_services_and_days() {
    let mut table = Sightings::new(1_000);
    let (a, b, c) = (table.sensor("a"), table.sensor("b"), table.sensor("c"));
    for (day, source, port, sensor) in
        [(0, 1, 22, a), (0, 2, 22, a), (0, 1, 2222, b), (1, 1, 22, a), (1, 2, 22, b), (2, 9, 80, c), (2, 2, 22, b)]
    {
        table.add(Nanos::from_seconds(day * 86_400), Addr::v4(source), Service::new(6, Some(port)), sensor);
    }
    table.finish();
    let pairs = sensor_pairs(&table);
    assert_eq!((pairs[0].a.as_str(), pairs[0].b.as_str(), pairs[0].jaccard), ("a", "b", 1.0));
    assert_eq!(sensors_like(&table, "c", 5).len(), 0);
    let ports = services_like(&table, Service::new(6, Some(22)), 5);
    assert_eq!((ports.len(), ports[0].name.as_str(), ports[0].similarity), (1, "tcp/2222", 0.5));
    let days = days_like(&table, Nanos::from_seconds(86_400), 5);
    assert_eq!(days[0].name, "1970-01-01");
    assert!(days_like(&table, Nanos::from_seconds(99 * 86_400), 5).is_empty());
}
