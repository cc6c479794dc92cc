use super::surge::{Settings, surges};
use super::*;
use proptest::prelude::*;

fn at(day: i64) -> Nanos {
    Nanos::from_seconds(day * i64::from(DAY_SECONDS))
}

#[test]
fn a_slot_without_any_count_is_a_gap_and_a_quiet_key_is_zero() {
    let mut table = Table::new(DAY_SECONDS);
    table.whole_slots();
    for (day, key, count) in [(0, "tcp/22", 5.0), (1, "tcp/23", 2.0), (3, "tcp/22", 1.0)] {
        table.add(at(day), key, count);
    }
    let series = table.finish();
    assert_eq!(series.iter().map(|s| s.key.as_str()).collect::<Vec<_>>(), ["total", "tcp/22", "tcp/23"]);
    assert_eq!(&series[1].values[..2], [5.0, 0.0]);
    assert!(series.iter().all(|series| series.values[2].is_nan()));
    assert_eq!(slot_name(series[1].time(3), DAY_SECONDS), "1970-01-04");
}

#[test]
fn slots_covered_in_part_are_gaps() {
    let mut table = Table::new(DAY_SECONDS);
    for second in [80_000, 90_000, 170_000, 180_000] {
        table.add(Nanos::from_seconds(second), "icmp", 1.0);
    }
    let values = table.finish().remove(0).values;
    assert!(values[0].is_nan() && values[2].is_nan());
    assert_eq!(values[1], 2.0);
}

#[test]
fn a_clock_jump_is_refused() {
    let mut table = Table::new(1);
    table.add(Nanos::from_seconds(0), "a", 1.0);
    table.add(Nanos::from_seconds(4_000_000_000), "a", 1.0);
    table.add(Nanos::from_seconds(1), "a", f64::NAN);
    assert_eq!((table.refused, table.finish()[0].values.len()), (2, 1));
}

fn daily(key: &str, values: Vec<f64>) -> Series {
    Series { key: key.into(), start: at(0), slot_seconds: DAY_SECONDS, values }
}

#[test]
fn a_burst_of_a_new_port_is_reported_and_a_steady_port_is_not() {
    let mut burst = vec![0.0; 40];
    burst[30] = 500.0;
    let steady = (0..40).map(|day| 400.0 + f64::from(day % 7) * 10.0).collect();
    let found = surges(&[daily("udp/9", burst), daily("tcp/445", steady)], &Settings::default());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].key.as_str(), found[0].slot, found[0].rank), ("udp/9", 30, 1));
    assert!(found[0].new && found[0].confirmed == Some(true), "{found:?}");
    assert_eq!(found[0].reason, "udp/9 rose to 500 on 1970-01-31, never seen before.");
}

#[test]
fn what_comes_later_changes_no_judgement() {
    let mut values: Vec<f64> = (0..60).map(|day| f64::from(day % 5)).collect();
    values[40] = 900.0;
    let early = surges(&[daily("a", values[..45].to_vec())], &Settings::default());
    values[50] = 5000.0;
    let late = surges(&[daily("a", values)], &Settings::default());
    assert_eq!(early.len(), 1);
    assert_eq!((early[0].slot, early[0].probability), (late[0].slot, late[0].probability));
}

proptest! {
    #[test]
    fn any_series_has_a_defined_result(
        values in prop::collection::vec(prop_oneof![Just(f64::NAN), Just(0.0), Just(f64::INFINITY), -1e9..1e9, Just(1e300)], 0..60)
    ) {
        for surge in surges(&[daily("a", values)], &Settings::default()) {
            prop_assert!(surge.count.is_finite() && (0.0..=1.0).contains(&surge.probability));
        }
    }
}
