//! Whatever a series holds (holes, constants, one point, jumps, no numbers at all), the result is defined: no panic, and
//! what is given is a number.

use noroshi_stats::baseline::{Baseline, quantile};
use noroshi_stats::changefinder::{ChangeFinder, Settings};
use noroshi_stats::skipgram::{self, Embedding};
use noroshi_stats::tail::{CountModel, benjamini_hochberg};
use noroshi_stats::{bocpd, classify, decay, lag, naive, nearness, pelt, score, share, smooth};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..1e4,
        1 => Just(0.0),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(1e300),
        1 => Just(f64::MIN_POSITIVE),
        1 => -1e9..1e9,
    ]
}

/// A series: anything, the same value all the time, or a level that jumps once.
fn series() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        prop::collection::vec(value(), 0..80),
        (value(), 0_usize..80).prop_map(|(value, count)| vec![value; count]),
        (0.0..1e3, 0.0..1e9, 1_usize..40)
            .prop_map(|(low, high, at)| (0..60).map(|i| if i < at { low } else { high }).collect()),
    ]
}

fn number(value: Option<f64>) -> bool {
    value.is_none_or(f64::is_finite)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn detectors(values in series()) {
        let (mut finder, mut online) = (ChangeFinder::new(Settings::default()), bocpd::Detector::new(bocpd::Settings::default()));
        for value in &values {
            prop_assert!(number(finder.update(*value)));
            prop_assert!(online.update(*value).is_none_or(|young| (0.0..=1.0 + 1e-9).contains(&young)));
        }
        let cuts = pelt::changes(&values, pelt::penalty(values.len()), 1.0);
        prop_assert!(cuts.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn forecasts_and_levels(values in series(), season in 0_usize..30) {
        for point in [naive::last(&values), naive::seasonal(&values, season), naive::drift(&values),
            naive::moving_average(&values, 7), naive::moving_median(&values, 14), smooth::simple(&values, 0.3)] {
            prop_assert!(number(point));
        }
        prop_assert!(number(quantile(&mut values.clone(), 0.9)));
        prop_assert!(Baseline::of(&values).is_none_or(|found| found.deviation.is_finite()));
        prop_assert!(CountModel::fit(&values, 1.0).is_none_or(|model| (0.0..=1.0).contains(&model.tail(10.0))));
        prop_assert!(benjamini_hochberg(&values).iter().all(|p| (0.0..=1.0).contains(p)));
        prop_assert!(score::brier_skill(&values, &vec![true; values.len()]).is_none());
    }

    #[test]
    fn comparisons(a in series(), b in series()) {
        for found in [nearness::pearson(&a, &b), nearness::spearman(&a, &b)] {
            prop_assert!(found.is_none_or(|found| (-1.0..=1.0).contains(&found)));
        }
        prop_assert!(nearness::warped(&a, &b, 6).is_none_or(|distance| distance >= 0.0 && distance.is_finite()));
        prop_assert!(share::jensen_shannon(&a, &b).is_none_or(|bits| (0.0..=1.0).contains(&bits)));
        prop_assert!(share::entropy(&a).is_none_or(|bits| bits >= 0.0 && bits.is_finite()));
        prop_assert!(lag::autoregression(&a, 6).iter().all(|weight| weight.is_finite()));
        prop_assert!(lag::leads(&a, &b, 4, 3).is_none_or(|found| (0.0..=1.0).contains(&found.probability)));
        prop_assert!(lag::granger(&a, &b, 2).is_none_or(|(_, p)| (0.0..=1.0).contains(&p)));
        let points: Vec<(f64, f64, f64)> = a.iter().zip(&b).map(|(time, share)| (*time, share / 1e4, 1.0)).collect();
        prop_assert!(decay::fit(&points).is_none_or(|curve| curve.alpha > 0.0 && (0.0..=1.0).contains(&curve.at(3.0))));
    }

    #[test]
    fn learning(values in prop::collection::vec(value(), 8..60), classes in prop::collection::vec(any::<bool>(), 30)) {
        let rows: Vec<Vec<f64>> = values.chunks_exact(2).map(<[f64]>::to_vec).collect();
        let classes = &classes[..rows.len()];
        if let Some(model) = classify::boosted(&rows, classes, 4, 0.3) {
            prop_assert!(rows.iter().all(|row| model.predict(row).is_finite()));
        }
        if let Some(model) = classify::logistic(&rows, classes, 1.0) {
            prop_assert!(model.intercept.is_finite() && model.coefficients.iter().all(|value| value.is_finite()));
        }
        let sentences: Vec<Vec<u32>> = values.chunks(5).map(|part| part.iter().map(|v| v.to_bits() as u32 % 50).collect()).collect();
        let mut words = Embedding::new(skipgram::Settings { width: 4, epochs: 2, ..skipgram::Settings::default() });
        words.train(&sentences);
        prop_assert!(words.vectors().iter().all(|value| value.is_finite()));
    }
}
