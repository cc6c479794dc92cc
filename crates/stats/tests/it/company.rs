//! Shares, decay, nearness, lags, classifiers and the skip-gram, against independent implementations.
//!
//! References were computed once with Python: NumPy 2.4.6, SciPy 1.17.1, scikit-learn 1.9.1; their input is the
//! congruential sequence of [`sequence`]. The skip-gram is compared with gensim each time the test runs, where
//! `NOROSHI_PYTHON` (default `python3`) has it.

use super::close;
use noroshi_stats::skipgram::{Embedding, Settings};
use noroshi_stats::{classify, decay, lag, nearness, share};
use std::io::Write;

/// Numbers from -0.5 to 0.5 by Knuth's 64-bit congruential generator (MMIX).
fn sequence(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1_u64 << 31) as f64 - 0.5
        })
        .collect()
}

#[test]
fn intervals_as_garwood() {
    for (count, low, high) in [
        (0, 0.0, 3.6888794541139354),
        (1, 0.025317807984289876, 5.571643390938898),
        (10, 4.7953886961324335, 18.39035604201778),
        (400, 361.75629663114347, 441.1866480966759),
    ] {
        let ours = share::poisson_interval(count, 0.95).unwrap();
        assert!((ours.0 - low).abs() < 1e-6 * low.max(1e-3), "{ours:?}");
        close(ours.1, high, 1e-6);
    }
    let quotient = share::location_quotient(10, 100, 20, 1_000).unwrap();
    close(quotient.value, 5.0, 1e-12);
    close(quotient.high, 18.39035604201778 / 2.0, 1e-6);
    for (here, all_here, part, all) in [(0, 10, 0, 10), (5, 0, 5, 10), (6, 10, 5, 10), (5, 10, 20, 10)] {
        assert_eq!(share::location_quotient(here, all_here, part, all), None);
    }
}

#[test]
fn entropy_and_divergence_as_scipy() {
    let (a, b) = ([5.0, 0.0, 3.0, 9.0, 1.0], [1.0, 4.0, 3.0, 0.0, 2.0]);
    close(share::entropy(&a).unwrap(), 1.6758220575766962, 1e-12);
    close(share::jensen_shannon(&a, &b).unwrap(), 0.5265908244542113, 1e-12);
    assert_eq!(share::jensen_shannon(&[1.0, 0.0], &[0.0, 7.0]), Some(1.0));
    assert_eq!((share::entropy(&[0.0, f64::NAN]), share::jensen_shannon(&[1.0], &[1.0, 2.0])), (None, None));
}

#[test]
fn decay_as_scipy() {
    let points: Vec<(f64, f64, f64)> = (1..=30)
        .map(|i| {
            let time = f64::from(i);
            let wobble = 0.01 * f64::from((i * 37) % 11 - 5) / 5.0;
            (time, (1.0 / (1.0 + (time / 0.7).powf(1.3)) + wobble).clamp(0.0, 1.0), 1.0)
        })
        .collect();
    let curve = decay::fit(&points).unwrap();
    close(curve.alpha, 1.29274678, 1e-6);
    close(curve.beta, 0.6963932, 1e-6);
    close(curve.at(curve.until(0.2).unwrap()), 0.2, 1e-9);
    let rising: Vec<(f64, f64, f64)> = (1..9).map(|i| (f64::from(i), f64::from(i) / 10.0, 1.0)).collect();
    assert_eq!(decay::fit(&rising), None);
    assert_eq!(decay::fit(&[(f64::NAN, 0.5, 1.0), (1.0, 2.0, 1.0), (2.0, 0.5, 0.0)]), None);
}

#[test]
fn ranks_shapes_and_sets() {
    let x: Vec<f64> = (0..40).map(|i| f64::from((i * 37) % 23 + i % 5)).collect();
    let y: Vec<f64> = (0..40).map(|i| f64::from((i * 29) % 31) - x[i as usize] * 0.5).collect();
    close(nearness::spearman(&x, &y).unwrap(), -0.2313289516485293, 1e-12);
    close(nearness::pearson(&x, &y).unwrap(), -0.26634705269946474, 1e-12);
    close(nearness::warped(&x, &y, 6).unwrap(), 6.7125, 1e-12);
    assert_eq!(nearness::jaccard(&[1, 2, 3], &[2, 3, 4, 5]), Some(0.4));
    assert_eq!(nearness::jaccard::<u8>(&[], &[]), None);
    assert_eq!((nearness::pearson(&[1.0; 9], &x[..9]), nearness::warped(&[], &x, 3)), (None, None));
    let truth = [0, 0, 0, 1, 1, 2, 2, 2];
    let predicted = [Some(0), Some(0), Some(1), Some(1), Some(1), Some(2), Some(0), None];
    close(nearness::macro_f1(&truth, &predicted).unwrap(), 0.6555555555555556, 1e-12);
}

#[test]
fn lags_as_numpy_and_scipy() {
    let noise = sequence(400, 1);
    let mut series = vec![0.0; 400];
    for i in 0..400 {
        let before = |lag: usize| if i >= lag { series[i - lag] } else { 0.0 };
        series[i] = noise[i] + 0.6 * before(1) - 0.3 * before(2);
    }
    let weights = lag::autoregression(&series, 2);
    close(weights[0], 0.52898943, 1e-7);
    close(weights[1], -0.28878716, 1e-7);
    for (before, count, theirs) in [(3, 20, 0.0025768280029296875), (10, 20, 1.0), (0, 7, 0.015625)] {
        close(lag::sign_test(before, count), theirs, 1e-9);
    }
    let (lead, own) = (sequence(300, 3), sequence(300, 4));
    let follow: Vec<f64> = (0..300).map(|i| own[i] * 0.8 + if i > 2 { 0.3 * lead[i - 3] } else { 0.0 }).collect();
    let (statistic, probability) = lag::granger(&follow, &lead, 4).unwrap();
    close(statistic, 8.604276266263772, 1e-8);
    close(probability, 1.4308430501249154e-06, 1e-6);
    close(lag::granger(&lead, &follow, 4).unwrap().1, 0.14539699261595665, 1e-8);
    let found = lag::leads(&lead, &follow, 12, 6).unwrap();
    assert_eq!(found.slots, 3);
    assert!(found.probability < 0.01, "{found:?}");
    let chance = lag::leads(&lead, &own, 12, 6).unwrap();
    assert!(chance.probability > 0.05, "{chance:?}");
    assert_eq!((lag::leads(&lead, &[0.0; 300], 12, 6), lag::granger(&[f64::NAN; 50], &[1.0; 50], 2)), (None, None));
}

#[test]
fn leads_are_found_by_chance_as_often_as_they_say() {
    // Two hundred pairs of independent series: a twentieth of the probabilities may be below a twentieth.
    let below = (0..200)
        .filter(|pair| {
            let (a, b) = (sequence(240, 1_000 + pair), sequence(240, 9_000 + pair));
            lag::leads(&a, &b, 6, 4).unwrap().probability <= 0.05
        })
        .count();
    assert!(below <= 20, "{below} of 200");
}

/// Rows and classes that the references were learned from.
fn classes() -> (Vec<Vec<f64>>, Vec<bool>) {
    let (values, noise) = (sequence(600, 5), sequence(200, 9));
    let rows: Vec<Vec<f64>> = values.chunks_exact(3).map(|row| row.iter().map(|value| value * 4.0).collect()).collect();
    let targets = rows.iter().zip(noise).map(|(row, noise)| row[0] - 0.5 * row[1] + noise * 2.0 > 0.2).collect();
    (rows, targets)
}

#[test]
fn classifiers_as_scikit_learn() {
    let (rows, targets) = classes();
    let logistic = classify::logistic(&rows, &targets, 2.0).unwrap();
    close(logistic.intercept, -0.48407279, 1e-6);
    for (ours, theirs) in logistic.coefficients.iter().zip([2.36754447, -0.97959695, 0.2098373]) {
        close(*ours, theirs, 1e-6);
    }
    // Their solver stops by another rule; the coefficients agree to what it promises.
    let machine = classify::support_vectors(&rows, &targets, 0.5, 10_000).unwrap();
    close(machine.intercept, -0.31714666, 1e-3);
    for (ours, theirs) in machine.coefficients.iter().zip([1.63112896, -0.69810426, 0.28098911]) {
        close(*ours, theirs, 1e-3);
    }
    for (ours, theirs) in classify::separation(&rows, &targets).unwrap().iter().zip([
        1.4267451717667186,
        0.12976630870610778,
        0.00020182361609347285,
    ]) {
        close(*ours, theirs, 1e-9);
    }
    let stumps = classify::boosted(&rows, &targets, 60, 0.3).unwrap();
    let right = rows.iter().zip(&targets).filter(|(row, target)| (stumps.predict(row) > 0.0) == **target).count();
    assert!(right >= 180, "{right} of 200");
    assert!(stumps.gains[0] > stumps.gains[1] && stumps.gains[1] > stumps.gains[2]);
}

#[test]
fn a_rare_class_that_features_separate_does_not_diverge() {
    // Three of a thousand, far away on one feature, which itself has values of very different size.
    let rows: Vec<Vec<f64>> =
        (0..1_000).map(|i| vec![if i % 400 == 7 { 60.0 } else { f64::from(i % 9) * 0.1 }, f64::from(i % 5)]).collect();
    let targets: Vec<bool> = (0..1_000).map(|i| i % 400 == 7).collect();
    let model = classify::logistic(&rows, &targets, 1.0).unwrap();
    for (row, target) in rows.iter().zip(&targets) {
        let said = classify::sigmoid(model.predict(row));
        assert!(if *target { said > 0.9 } else { said < 0.1 }, "{said} {row:?}");
    }
}

#[test]
fn classifiers_on_bad_input() {
    let (rows, _) = classes();
    for (rows, targets) in [
        (vec![], vec![]),
        (rows.clone(), vec![true; rows.len()]),
        (vec![vec![f64::NAN], vec![1.0]], vec![true, false]),
        (vec![vec![1.0], vec![1.0, 2.0]], vec![true, false]),
    ] {
        assert!(classify::logistic(&rows, &targets, 1.0).is_none());
        assert!(classify::support_vectors(&rows, &targets, 1.0, 10).is_none());
        assert!(classify::boosted(&rows, &targets, 5, 0.1).is_none());
        assert!(classify::separation(&rows, &targets).is_none());
    }
    let constant = classify::boosted(&[vec![1.0], vec![1.0]], &[true, false], 5, 0.1).unwrap();
    assert!(constant.stumps.is_empty() && constant.predict(&[1.0]) == 0.0);
}

/// Five groups of forty words; a sentence has twelve of one group and four of anyone.
fn groups() -> Vec<Vec<u32>> {
    let draw = sequence(600 * 17, 11);
    draw.chunks_exact(17)
        .map(|draw| {
            let from = |value: f64, count: u32| ((value + 0.5) * f64::from(count)) as u32;
            let group = from(draw[0], 5);
            (0..16)
                .map(|at| if at % 4 == 3 { from(draw[1 + at], 200) } else { group * 40 + from(draw[1 + at], 40) })
                .collect()
        })
        .collect()
}

#[test]
fn company_as_gensim() {
    let sentences = groups();
    let truth: Vec<usize> = (0..200).map(|word| word / 40).collect();
    let score = |vectors: &[f32], width| {
        nearness::macro_f1(&truth, &nearness::nearest_classes(vectors, width, &truth, 7)).unwrap()
    };
    let mut ours = Embedding::new(Settings { width: 32, epochs: 10, ..Settings::default() });
    ours.train(&sentences);
    assert_eq!((ours.len(), ours.vectors().len()), (200, 200 * 32));
    let our_score = score(ours.vectors(), 32);
    assert!(our_score > 0.95, "{our_score}");
    let Some(theirs) = gensim(&sentences, 32, 10) else { return };
    assert_eq!(theirs.len(), 200 * 32);
    let their_score = score(&theirs, 32);
    // Both draw at random; what must agree is what the vectors are used for.
    assert!((our_score - their_score).abs() <= 0.03, "{our_score} against {their_score}");
    let similarity = |vectors: &[f32]| {
        let row = |word: usize| &vectors[word * 32..][..32];
        let pairs = (0..200).flat_map(|a| (a + 1..200).map(move |b| (a, b)));
        pairs.map(|(a, b)| f64::from(nearness::cosine(row(a), row(b)))).collect::<Vec<f64>>()
    };
    let agreement = nearness::spearman(&similarity(ours.vectors()), &similarity(&theirs)).unwrap();
    assert!(agreement > 0.8, "{agreement}");
}

#[test]
fn words_of_no_sentence_and_sentences_of_one_word() {
    let mut empty = Embedding::new(Settings { width: 0, epochs: 0, negative: 0, window: 0, rate: f32::NAN, seed: 0 });
    empty.train(&[]);
    assert!(empty.is_empty() && empty.vector(0).is_none());
    empty.train(&[vec![], vec![3]]);
    assert_eq!((empty.len(), empty.vector(3).map(<[f32]>::len)), (4, Some(1)));
    assert!(empty.vectors().iter().all(|value| value.is_finite()));
}

/// Vectors of words 0, 1, … as gensim learns them; `None`, with a word why, where it is not installed.
fn gensim(sentences: &[Vec<u32>], width: usize, epochs: usize) -> Option<Vec<f32>> {
    let python = std::env::var("NOROSHI_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/skipgram.py");
    let child = std::process::Command::new(&python)
        .args([script, &width.to_string(), "5", &epochs.to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let skip = |why: &str| {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}: install tests/interop/requirements.txt");
        println!("skipped: {why} (pip install -r crates/stats/tests/interop/requirements.txt)");
    };
    let Ok(mut child) = child else {
        skip(&format!("{python} does not start"));
        return None;
    };
    let mut input = child.stdin.take().unwrap();
    for sentence in sentences {
        let words: Vec<String> = sentence.iter().map(u32::to_string).collect();
        // A program that cannot import gensim ends before it reads; its exit code tells.
        if writeln!(input, "{}", words.join(" ")).is_err() {
            break;
        }
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        skip("gensim is not installed");
        return None;
    }
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().split_whitespace().map(|value| value.parse().unwrap()).collect())
}
