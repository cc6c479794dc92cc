//! Numbers against independent implementations, and defined results on bad input.
//!
//! References were computed once with Python: NumPy 2.4.6, SciPy 1.17.1, statsmodels 0.15.0, changefinder 0.3.

mod company;
mod holes;
mod structure;

use noroshi_stats::baseline::{Baseline, quantile};
use noroshi_stats::changefinder::{Bank, ChangeFinder, Settings};
use noroshi_stats::tail::{CountModel, benjamini_hochberg};
use noroshi_stats::{conformal, ensemble, naive, regression, score, smooth};

/// Relative difference; both sides are double precision, so what is left is rounding and stopping rules.
#[track_caller]
fn close(ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance * theirs.abs().max(1e-300), "{ours} is not {theirs}");
}

#[test]
fn changefinder_as_published() {
    // changefinder 0.3, started at mean 0, covariance 0, variance 1, with its two departures from the paper undone: it
    // sums windows where the paper averages, and never updates the covariance of the largest lag.
    let settings = Settings { order: 2, discount: 0.02, first_window: 6, second_window: 3 };
    let mut detector = ChangeFinder::new(settings);
    let scores: Vec<Option<f64>> =
        (0..100).map(|i| detector.update(f64::from((i * 37) % 23 + if i >= 60 { 40 } else { 0 }))).collect();
    assert!(scores[..11].iter().all(Option::is_none));
    for (index, theirs) in [
        (11, 6.613223032217974),
        (20, 1.4757392063874395),
        (40, 1.1503802309113673),
        (59, 0.9631857406392521),
        (62, 2.285206098995376),
        (65, 0.9896419586887181),
        (99, 0.6896158295043487),
    ] {
        close(scores[index].unwrap(), theirs, 1e-9);
    }
}

/// Series with holes of their own, more than a block and not a whole number of blocks.
#[test]
fn a_bank_scores_as_single_detectors() {
    let value = |series: usize, at: usize| match (series * 7 + at * 13) % 31 {
        0 if series.is_multiple_of(3) => f64::NAN,
        1 if series == 5 => f64::INFINITY,
        part => (part * (1 + series % 4)) as f64 + if at >= 40 { 30.0 } else { 0.0 },
    };
    for settings in [
        Settings::default(),
        Settings { order: 1, discount: 0.05, first_window: 3, second_window: 1 },
        Settings { order: 5, discount: 0.02, first_window: 1, second_window: 4 },
    ] {
        let mut bank = Bank::new(settings, 37);
        let mut single = vec![ChangeFinder::new(settings); 37];
        let mut most = vec![0.0_f64; 37];
        for at in 0..90 {
            let values: Vec<f64> = (0..37).map(|series| value(series, at)).collect();
            let mut scores = vec![0.0; 37];
            bank.update(&values, &mut scores);
            for (series, detector) in single.iter_mut().enumerate() {
                let expected = detector.update(values[series]);
                assert_eq!(Some(scores[series]).filter(|score| !score.is_nan()), expected, "series {series} at {at}");
                most[series] = most[series].max(expected.unwrap_or(0.0));
            }
        }
        assert_eq!(Bank::new(settings, 37).largest(90, value), most);
    }
    let mut none = [7.0; 2];
    Bank::new(Settings::default(), 0).update(&[1.0, 2.0], &mut none);
    assert_eq!(none, [7.0; 2]);
}

#[test]
fn tails_as_scipy() {
    for (count, mean, size, theirs) in [(10.0, 2.5, 0.8, 0.04246052656120794), (30.0, 10.0, 4.0, 0.006744053039622877)]
    {
        close(CountModel { mean, size }.tail(count), theirs, 1e-9);
    }
    close(CountModel { mean: 10.0, size: f64::INFINITY }.tail(30.0), 2.509951201527959e-07, 1e-8);
    // 1 - cdf keeps about 1e-16 absolute; only the size of so small a tail is promised.
    assert!(CountModel { mean: 20.0, size: 1.5 }.tail(500.0) < 1e-13);
    assert_eq!(CountModel { mean: 1.0, size: 1.0 }.tail(f64::NAN), 1.0);
}

#[test]
fn discoveries_as_scipy() {
    let adjusted = benjamini_hochberg(&[0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]);
    let theirs = [0.01, 0.04, 0.084, 0.084, 0.084, 0.1, 0.1057142857142857, 0.216, 0.216, 0.216];
    adjusted.iter().zip(theirs).for_each(|(ours, theirs)| close(*ours, theirs, 1e-12));
    assert_eq!(benjamini_hochberg(&[f64::NAN, 0.0]), [1.0, 0.0]);
}

#[test]
fn quantiles_as_numpy() {
    for (level, theirs) in [(0.1, 1.0), (0.25, 1.75), (0.5, 3.5), (0.9, 6.9)] {
        close(quantile(&mut vec![3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0], level).unwrap(), theirs, 1e-12);
    }
    assert_eq!(quantile(&mut vec![f64::NAN], 0.5), None);
}

#[test]
fn regression_as_statsmodels() {
    let rows: Vec<Vec<f64>> =
        (0..40).map(|i| vec![f64::from((i * 7) % 11) / 11.0, f64::from((i * 5) % 13) / 13.0]).collect();
    let targets: Vec<f64> =
        (0..40).zip(&rows).map(|(i, row)| f64::from((i * 29) % 17) + (10.0 * row[0]).floor()).collect();
    // statsmodels' alpha is 1 / size; both iterate until nothing changes.
    let model = regression::negative_binomial(&rows, &targets, 2.0, 0.0).unwrap();
    close(model.intercept, 1.9227764591832068, 1e-7);
    close(model.coefficients[0], 0.8937714888762638, 1e-7);
    close(model.coefficients[1], 0.2613053699295294, 1e-7);
}

#[test]
fn smoothing_as_statsmodels() {
    close(smooth::simple(&[3.0, 5.0, 2.0, 8.0, 6.0, 7.0], 0.3).unwrap(), 5.60616, 1e-12);
}

#[test]
fn libraries_follow_a_level_and_a_season() {
    let level: Vec<f64> = (0..60).map(|i| 100.0 + f64::from((i * 37) % 11)).collect();
    assert!((95.0..115.0).contains(&smooth::ets(&level).unwrap()));
    let season: Vec<f64> = (0..70).map(|i| if i % 7 == 0 { 200.0 } else { 100.0 } + f64::from((i * 37) % 11)).collect();
    assert!(smooth::mstl(&season, &[7]).unwrap() > 150.0);
}

#[test]
fn naive_methods_and_scores_by_hand() {
    let history = [1.0, 2.0, f64::NAN, 4.0];
    assert_eq!(naive::last(&history), Some(4.0));
    assert_eq!(naive::seasonal(&history, 2), Some(1.0), "a hole goes one season further back");
    assert_eq!(naive::drift(&history), Some(5.0));
    assert_eq!(naive::moving_average(&history, 3), Some(3.0));
    assert_eq!(score::mase(&[3.0], &[1.0], &[0.0, 1.0, 2.0], 1), Some(2.0));
    assert_eq!(score::smape(&[0.0, 3.0], &[0.0, 1.0]), Some(50.0));
    assert_eq!(score::coverage(&[1.0, 5.0], &[0.0, 0.0], &[1.0, 4.0]), Some(0.5));
    assert_eq!(score::crps(2.0, &[(0.5, 1.0)]), Some(1.0));
    assert_eq!(score::brier_skill(&[1.0, 0.0], &[true, false]), Some(1.0));
    assert_eq!(score::brier_skill(&[1.0], &[true]), None);
    assert_eq!(ensemble::inverse_error(&[(1.0, Some(1.0)), (4.0, Some(2.0))], 1.0), Some(2.0));
    assert_eq!(conformal::error_quantile(&[-1.0, 0.0, 1.0], 0.5), Some(0.0));
}

#[test]
fn the_published_rule_needs_both_halves() {
    let long = Baseline::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
    assert_eq!((long.median, long.interquartile), (3.0, 2.0));
    assert!(long.surges(&long, 8.0) && !long.surges(&long, 7.0));
    let noisy = Baseline { mean: 10.0, ..long };
    assert!(!long.surges(&noisy, 8.0));
    let constant = Baseline::of(&[4.0; 9]).unwrap();
    assert!(!constant.surges(&constant, 4.0));
}

#[test]
fn bad_series_have_defined_results() {
    let (hole, high) = (f64::NAN, f64::INFINITY);
    for series in
        [vec![], vec![1.0], vec![hole; 30], vec![7.0; 30], vec![high; 30], vec![1e300; 30], vec![-1e300, 1e300]]
    {
        for value in [
            naive::last(&series),
            naive::seasonal(&series, 7),
            naive::drift(&series),
            naive::moving_average(&series, 7),
            naive::moving_median(&series, 7),
            smooth::ets(&series),
            smooth::mstl(&series, &[7]),
        ] {
            assert!(value.is_none_or(f64::is_finite), "{series:?} gave {value:?}");
        }
        let mut detector = ChangeFinder::new(Settings::default());
        assert!(series.iter().all(|value| detector.update(*value).is_none_or(f64::is_finite)));
        assert!(CountModel::fit(&series, 1.0).is_none_or(|model| (0.0..=1.0).contains(&model.tail(5.0))));
        assert_eq!(score::mae(&series, &[]), None);
    }
    assert_eq!(regression::ridge(&[vec![hole], vec![1.0]], &[1.0, 2.0], None, 1.0), None);
}
