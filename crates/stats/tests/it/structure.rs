//! Change points, sparse dependence and factors, against independent implementations.
//!
//! References were computed once with Python: NumPy 2.4.6, scikit-learn 1.9.1, ruptures 1.1.10; their input is the
//! congruential sequence of [`sequence`].

use nalgebra::DMatrix;
use noroshi_stats::{bocpd, glasso, nmf, pelt};

/// Numbers from 0 to 1 by the ISO C example generator, the same in any language.
fn sequence(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = (state * 1_103_515_245 + 12_345) % (1 << 31);
            state as f64 / (1_u64 << 31) as f64
        })
        .collect()
}

/// Biased covariance of columns.
fn covariance(rows: &[Vec<f64>]) -> Vec<f64> {
    let (count, size) = (rows.len() as f64, rows[0].len());
    let means: Vec<f64> = (0..size).map(|c| rows.iter().map(|row| row[c]).sum::<f64>() / count).collect();
    let mut matrix = vec![0.0; size * size];
    for row in rows {
        for a in 0..size {
            for b in 0..size {
                matrix[a * size + b] += (row[a] - means[a]) * (row[b] - means[b]) / count;
            }
        }
    }
    matrix
}

/// Forty rows of eight variables: four follow one factor, three another, one stands alone.
fn two_groups() -> Vec<Vec<f64>> {
    let (own, first, second) = (sequence(320, 12_345), sequence(40, 99), sequence(40, 7));
    let common = |row: usize, column: usize| match column {
        0..=3 => 2.0 * first[row],
        4..=6 => 1.5 * second[row],
        _ => 0.0,
    };
    (0..40).map(|row| (0..8).map(|column| own[row * 8 + column] + common(row, column)).collect()).collect()
}

#[test]
fn graphical_lasso_as_scikit_learn() {
    let matrix = covariance(&two_groups());
    let loose = glasso::graphical_lasso(&matrix, 8, 0.05, 1e-10, None).unwrap();
    let strict = glasso::graphical_lasso(&matrix, 8, 0.15, 1e-10, Some(&loose)).unwrap();
    let entry = |found: &glasso::Precision, block: usize, a: usize, b: usize| {
        let block = &found.blocks[block];
        block.precision[a * block.variables.len() + b]
    };
    for (ours, theirs) in [
        (entry(&loose, 0, 0, 0), 6.536681691),
        (entry(&loose, 0, 0, 3), -2.26609011),
        (entry(&loose, 0, 2, 1), -2.720405791),
        (entry(&loose, 1, 0, 1), -1.758000695),
        (entry(&loose, 1, 2, 2), 6.745779791),
        (entry(&strict, 0, 0, 1), -0.740379073),
        (entry(&strict, 0, 2, 2), 4.438768818),
        (entry(&strict, 1, 0, 2), -0.84457759),
        (entry(&strict, 1, 1, 1), 4.614736279),
    ] {
        // Their figures are printed with nine places.
        assert!((ours - theirs).abs() < 1e-7, "{ours} is not {theirs}");
    }
    let edges: Vec<_> = strict.edges().collect();
    assert_eq!(edges, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (4, 5), (4, 6)]);
    assert!(loose.converged && strict.converged);
}

#[test]
fn graphical_lasso_of_fewer_rows_than_variables() {
    let (own, common) = (sequence(120, 5), sequence(6, 8));
    let rows: Vec<Vec<f64>> = (0..6)
        .map(|row| (0..20).map(|c| own[row * 20 + c] + if c < 5 { 3.0 * common[row] } else { 0.0 }).collect())
        .collect();
    let found = glasso::graphical_lasso(&covariance(&rows), 20, 0.1, 1e-10, None).unwrap();
    let theirs = [
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (0, 5),
        (0, 9),
        (1, 2),
        (1, 3),
        (1, 4),
        (1, 8),
        (1, 12),
        (1, 14),
        (2, 3),
        (2, 4),
        (2, 8),
        (2, 9),
        (2, 14),
        (2, 16),
        (3, 4),
        (3, 19),
        (4, 7),
        (4, 8),
        (4, 14),
    ];
    assert_eq!(found.edges().collect::<Vec<_>>(), theirs);
    let block = &found.blocks[0];
    assert!((block.precision[0] - 6.179258303192266).abs() < 1e-6);
    assert!((block.precision[1] + 1.6494067435922732).abs() < 1e-6);
}

#[test]
fn graphical_lasso_on_bad_input() {
    assert!(glasso::graphical_lasso(&[1.0, f64::NAN, f64::NAN, 1.0], 2, 0.1, 1e-4, None).is_none());
    assert!(glasso::graphical_lasso(&[1.0], 2, 0.1, 1e-4, None).is_none());
    assert!(glasso::graphical_lasso(&[1.0], 1, 0.0, 1e-4, None).is_none());
    // Equal variables (a singular covariance) and one without variance.
    let equal = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    let found = glasso::graphical_lasso(&equal, 3, 0.4, 1e-6, None).unwrap();
    assert_eq!(found.edges().collect::<Vec<_>>(), [(0, 1)]);
    assert!(found.blocks[0].precision.iter().all(|value| value.is_finite()));
}

#[test]
fn factors_as_scikit_learn() {
    let cells: Vec<f64> = sequence(54, 3).iter().map(|value| (value * 10.0).floor()).collect();
    let table = DMatrix::from_row_slice(6, 9, &cells);
    let factors = nmf::factorise(&table, 2, 3_000, 0.0).unwrap();
    assert!((factors.error - 4.043516005596577).abs() < 1e-9, "{}", factors.error);
    let early = nmf::factorise(&table, 2, 50, 0.0).unwrap();
    assert!((early.error - 4.227014373916933).abs() < 1e-9, "{}", early.error);
    assert!((early.patterns[(0, 0)] - 6.976381778466231).abs() < 1e-8);
    assert!((early.members[(1, 0)] - 0.4044274296644731).abs() < 1e-8);
    let turned = nmf::factorise(&table.transpose(), 2, 50, 0.0).unwrap();
    assert!(turned.patterns.nrows() == 9 && turned.error < 5.0);
    assert!(nmf::factorise(&DMatrix::from_element(2, 2, -1.0), 1, 10, 0.0).is_none());
    assert!(nmf::factorise(&DMatrix::from_element(2, 2, f64::NAN), 1, 10, 0.0).is_none());
    let nothing = nmf::factorise(&DMatrix::zeros(3, 4), 2, 10, 1e-5).unwrap();
    assert!(nothing.error == 0.0 && nothing.members.iter().all(|value| value.is_finite()));
}

/// Sides longer than 200 start from approximate singular vectors; four planted patterns stand out, so that both starts
/// lead to the same factors.
#[test]
fn factors_of_a_large_table() {
    let (loads, moves, noise) = (sequence(260 * 4, 5), sequence(300 * 4, 6), sequence(260 * 300, 9));
    let cell = |row: usize, column: usize| {
        let common: f64 =
            (0..4).map(|one| (1 + one) as f64 * loads[row * 4 + one].powi(4) * moves[column * 4 + one].powi(4)).sum();
        20.0 * common + 0.1 * noise[row * 300 + column]
    };
    let table = DMatrix::from_fn(260, 300, cell);
    let exact = table.clone().svd(true, true);
    let mut order: Vec<usize> = (0..260).collect();
    order.sort_by(|a, b| exact.singular_values[*b].total_cmp(&exact.singular_values[*a]));
    let (left, right) = (exact.u.unwrap(), exact.v_t.unwrap());
    let patterns = DMatrix::from_fn(260, 4, |row, one| left[(row, order[one])].abs());
    let members = DMatrix::from_fn(4, 300, |one, column| right[(order[one], column)].abs());
    let theirs = nmf::factorise_from(&table, patterns, members, 100, 0.0);
    let ours = nmf::factorise(&table, 4, 100, 0.0).unwrap();
    assert!((ours.error / theirs.error - 1.0).abs() < 1e-6, "{} is not {}", ours.error, theirs.error);
    assert!((ours.patterns - theirs.patterns).amax() < 1e-4);
}

#[test]
fn pelt_as_ruptures() {
    let values: Vec<f64> = sequence(120, 11)
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let level =
                [(40, 5.0), (75, -4.0)].iter().filter(|(from, _)| index >= *from).map(|(_, by)| by).sum::<f64>();
            let burst = if (76..78).contains(&index) { 9.0 } else { 0.0 };
            ((value * 6.0).floor() + level + burst).max(0.0)
        })
        .collect();
    assert_eq!(pelt::changes(&values, pelt::penalty(120), 1.0), PELT_REFERENCE);
    let mut holes = values.clone();
    holes.insert(10, f64::NAN);
    let moved: Vec<usize> = PELT_REFERENCE.iter().map(|cut| cut + 1).collect();
    assert_eq!(pelt::changes(&holes, pelt::penalty(120), 1.0), moved);
    for odd in [vec![], vec![1.0], vec![f64::NAN; 5], vec![3.0; 50], vec![0.0; 50]] {
        assert!(pelt::changes(&odd, pelt::penalty(odd.len()), 1.0).is_empty());
    }
}

const PELT_REFERENCE: [usize; 2] = [40, 78];

/// The posterior by brute force: every way to cut the series, weighed by prior and marginal likelihood.
fn young_by_enumeration(values: &[f64], settings: &bocpd::Settings) -> f64 {
    let hazard = 1.0 / settings.expected_length;
    let (mut young, mut all) = (0.0, 0.0);
    for cuts in 0..1_u32 << (values.len() - 1) {
        let mut weight = 1.0;
        let mut start = 0;
        for end in 1..=values.len() {
            let cut = end == values.len() || cuts >> (end - 1) & 1 == 1;
            if end < values.len() {
                weight *= if cut { hazard } else { 1.0 - hazard };
            }
            if cut {
                weight *=
                    marginal(&values[start..end], settings.prior_mean * settings.prior_weight, settings.prior_weight);
                if end == values.len() && end - start <= settings.young {
                    young += weight;
                }
                start = end;
            }
        }
        all += weight;
    }
    young / all
}

/// Probability of counts with one gamma-distributed rate, by multiplying what each adds (no logarithms).
fn marginal(counts: &[f64], mut shape: f64, mut rate: f64) -> f64 {
    let mut product = 1.0;
    for &count in counts {
        let mut term = (rate / (rate + 1.0)).powf(shape);
        for step in 0..count as u32 {
            term *= (shape + f64::from(step)) / (f64::from(step) + 1.0) / (rate + 1.0);
        }
        product *= term;
        shape += count;
        rate += 1.0;
    }
    product
}

#[test]
fn online_posterior_is_exact() {
    let settings =
        bocpd::Settings { expected_length: 8.0, prior_mean: 3.0, prior_weight: 0.5, dispersion: 1.0, young: 2 };
    let counts = [2.0, 3.0, 1.0, 2.0, 9.0, 8.0, 11.0, 0.0, 1.0, 2.0, 2.0];
    let mut detector = bocpd::Detector::new(settings);
    for end in 1..=counts.len() {
        let ours = detector.update(counts[end - 1]).unwrap();
        let exact = young_by_enumeration(&counts[..end], &settings);
        assert!((ours - exact).abs() < 1e-9, "after {end}: {ours} is not {exact}");
    }
}

#[test]
fn online_detection_on_bad_input() {
    let mut detector = bocpd::Detector::new(bocpd::Settings { expected_length: f64::NAN, ..Default::default() });
    assert_eq!(detector.length(), None);
    assert_eq!(detector.update(f64::NAN), None);
    assert_eq!(detector.update(-1.0), None);
    assert_eq!(detector.update(5.0), Some(1.0));
    for _ in 1..2_000 {
        assert!(detector.update(5.0).unwrap().is_finite());
    }
    assert_eq!(detector.length(), Some(2_000));
    assert!(detector.update(1e12).unwrap() > 0.99);
}
