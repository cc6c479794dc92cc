use super::backtest::backtest;
use super::*;
use noroshi_model::Nanos;
use proptest::prelude::*;

fn daily(values: Vec<f64>) -> Series {
    Series { key: "a".into(), start: Nanos(0), slot_seconds: 86_400, values }
}

#[test]
fn a_constant_series_forecasts_itself() {
    let forecast = next(&daily(vec![7.0; 60])).unwrap();
    assert!((forecast.point - 7.0).abs() < 1e-6, "{forecast:?}");
    let scores = backtest(&daily(vec![7.0; 60])).unwrap();
    assert!(scores.mae < 1e-6 && scores.mase.is_none() && scores.coverage80.is_some());
}

#[test]
fn too_little_history_gives_nothing() {
    for values in [vec![], vec![1.0], vec![f64::NAN; 50], vec![1.0; WARM_UP - 1]] {
        assert_eq!(next(&daily(values.clone())), None);
        assert!(backtest(&daily(values)).is_none());
    }
}

#[test]
fn nothing_after_the_origin_is_seen() {
    let values: Vec<f64> = (0..100).map(|day: i32| f64::from((day * 37) % 23 + 50)).collect();
    let whole = backtest(&daily(values.clone())).unwrap();
    let mut changed = values;
    for value in &mut changed[90..] {
        *value = 1e6;
    }
    let other = backtest(&daily(changed)).unwrap();
    for (a, b) in whole.points.iter().zip(&other.points).take(16) {
        assert_eq!(a.forecast, b.forecast);
    }
    assert_ne!(whole.points[24].forecast, other.points[24].forecast);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_series_has_a_defined_result(
        values in prop::collection::vec(
            prop_oneof![Just(f64::NAN), Just(0.0), Just(f64::INFINITY), Just(1e300), -1e9..1e9, 0.0..100.0], 0..80)
    ) {
        if let Some(forecast) = next(&daily(values.clone())) {
            prop_assert!(forecast.point.is_finite() && forecast.point >= 0.0);
            prop_assert!(forecast.interval80.is_none_or(|(low, high)| low <= high));
        }
        let _ = backtest(&daily(values));
    }
}
