use super::*;

/// 300 hours; sensor b sees what a saw two hours later, c sees others.
fn table(follow: bool) -> Sightings {
    let mut table = Sightings::new(1_000_000);
    let (a, b, c) = (table.sensor("a"), table.sensor("b"), table.sensor("c"));
    let ssh = Service::new(6, Some(22));
    let mut state = 7_u64;
    let mut draw = |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let mut next = 0;
    for hour in 0..300_i64 {
        let at = |hour: i64, second: u64| Nanos::from_seconds(hour * 3_600 + second as i64);
        for _ in 0..draw(30) {
            next += 1;
            let second = draw(3_600);
            table.add(at(hour, second), Addr::v4(next), ssh, a);
            if follow {
                table.add(at(hour + 2, second), Addr::v4(next), ssh, b);
            }
        }
        for place in [b, c] {
            for _ in 0..1 + draw(12) {
                next += 1;
                table.add(at(hour, draw(3_600)), Addr::v4(next), ssh, place);
            }
        }
    }
    table.finish();
    table
}

#[test]
fn the_sensor_that_sees_it_first_is_named_with_its_lead() {
    let found = leads(&table(true), By::Sensor, &Settings::default());
    assert_eq!((found.tested, found.leads.len()), (3, 1), "{:?}", found.leads);
    let lead = &found.leads[0];
    assert_eq!((lead.first.as_str(), lead.second.as_str(), lead.slots), ("a", "b", Some(2)));
    assert_eq!((lead.earlier, lead.median_seconds), (lead.shared, Some(7_200.0)));
    assert!(lead.series_probability.unwrap() < 0.02 && lead.order_probability < 1e-9);
    assert!(lead.predicts.unwrap() > 0.3, "{lead:?}");
    assert_eq!(found.ranks[0].name, "a");
    assert_eq!((found.ranks[0].place, found.ranks[1].place), (0.0, 1.0));
}

#[test]
fn what_is_unrelated_leads_nothing() {
    let found = leads(&table(false), By::Sensor, &Settings::default());
    assert!(found.leads.is_empty(), "{:?}", found.leads);
    assert!(found.ranks.is_empty());
}

#[test]
fn little_or_nothing_gives_nothing() {
    let mut table = Sightings::new(10);
    assert_eq!(leads(&table, By::Service, &Settings::default()).tested, 0);
    let a = table.sensor("a");
    table.add(Nanos(0), Addr::v4(1), Service::new(1, None), a);
    table.add(Nanos(i64::MAX), Addr::v4(1), Service::new(6, Some(1)), a);
    table.finish();
    let found = leads(&table, By::Service, &Settings::default());
    assert_eq!((found.tested, found.leads.len()), (1, 0));
}
