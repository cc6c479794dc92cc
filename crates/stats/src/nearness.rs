//! How alike two things are: sets, ranks, shapes, directions.

/// Jaccard similarity of two ascending lists without doubles; `None` when both are empty.
pub fn jaccard<T: Ord>(a: &[T], b: &[T]) -> Option<f64> {
    let shared = common(a, b);
    let all = a.len() + b.len() - shared;
    (all > 0).then(|| shared as f64 / all as f64)
}

/// Members of both of two ascending lists without doubles.
pub fn common<T: Ord>(a: &[T], b: &[T]) -> usize {
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, shared) = (i + 1, j + 1, shared + 1),
        }
    }
    shared
}

/// Pearson correlation over the pairs known on both sides; `None` with fewer than three or a constant side.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let pairs: Vec<(f64, f64)> =
        a.iter().zip(b).filter(|(a, b)| a.is_finite() && b.is_finite()).map(|(a, b)| (*a, *b)).collect();
    if pairs.len() < 3 {
        return None;
    }
    let count = pairs.len() as f64;
    let (ma, mb) = (pairs.iter().map(|p| p.0).sum::<f64>() / count, pairs.iter().map(|p| p.1).sum::<f64>() / count);
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        aa += (a - ma).powi(2);
        bb += (b - mb).powi(2);
        ab += (a - ma) * (b - mb);
    }
    let found = ab / (aa.sqrt() * bb.sqrt());
    found.is_finite().then(|| found.clamp(-1.0, 1.0))
}

/// Spearman's rank correlation (1904): Pearson's of the ranks, ties at their mean rank.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b): (Vec<f64>, Vec<f64>) =
        a.iter().zip(b).filter(|(a, b)| a.is_finite() && b.is_finite()).map(|(a, b)| (*a, *b)).unzip();
    pearson(&ranks(&a), &ranks(&b))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let same = order[from..].iter().take_while(|&&index| values[index] == values[order[from]]).count();
        let mean = from as f64 + (same + 1) as f64 / 2.0;
        order[from..from + same].iter().for_each(|&index| ranks[index] = mean);
        from += same;
    }
    ranks
}

/// Dynamic time warping distance (Sakoe and Chiba, IEEE TASSP 1978) with absolute differences and a band of `band`
/// slots, over the length of the path's longer side. Holes cost nothing. `None` when a side is empty or the lengths
/// differ by more than the band.
pub fn warped(a: &[f64], b: &[f64], band: usize) -> Option<f64> {
    if a.is_empty() || b.is_empty() || a.len().abs_diff(b.len()) > band {
        return None;
    }
    let cost = |i: usize, j: usize| {
        let difference = (a[i] - b[j]).abs();
        if difference.is_finite() { difference } else { 0.0 }
    };
    let mut above = vec![f64::INFINITY; b.len()];
    for i in 0..a.len() {
        let mut row = vec![f64::INFINITY; b.len()];
        for j in i.saturating_sub(band)..(i + band + 1).min(b.len()) {
            let before = if i == 0 && j == 0 {
                0.0
            } else {
                let left = if j > 0 { row[j - 1] } else { f64::INFINITY };
                let corner = if j > 0 { above[j - 1] } else { f64::INFINITY };
                above[j].min(left).min(corner)
            };
            row[j] = before + cost(i, j);
        }
        above = row;
    }
    Some(above[b.len() - 1] / a.len().max(b.len()) as f64).filter(|distance| distance.is_finite())
}

/// Cosine of the angle between two vectors; 0 when one has no length.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        aa += a * a;
        bb += b * b;
        ab += a * b;
    }
    let length = (aa * bb).sqrt();
    if length > 0.0 { ab / length } else { 0.0 }
}

/// Class of each item by the majority of its `k` nearest others in cosine (leave one out); a tie gives none, and so does
/// an item without length. Vectors stand one after the other, `width` values each.
pub fn nearest_classes(vectors: &[f32], width: usize, classes: &[usize], k: usize) -> Vec<Option<usize>> {
    if width == 0 {
        return vec![None; classes.len()];
    }
    let unit: Vec<f32> = vectors
        .chunks_exact(width)
        .flat_map(|row| {
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            row.iter().map(move |value| if length > 0.0 { value / length } else { 0.0 })
        })
        .collect();
    let rows: Vec<&[f32]> = unit.chunks_exact(width).take(classes.len()).collect();
    let most = classes.iter().max().map_or(0, |most| most + 1);
    (0..rows.len())
        .map(|item| {
            if rows[item].iter().all(|value| *value == 0.0) {
                return None;
            }
            let mut near: Vec<(f32, usize)> = (0..rows.len())
                .filter(|&other| other != item)
                .map(|other| (rows[item].iter().zip(rows[other]).map(|(a, b)| a * b).sum(), other))
                .collect();
            let k = k.min(near.len());
            if k == 0 {
                return None;
            }
            near.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let mut votes = vec![0_usize; most];
            near[..k].iter().for_each(|(_, other)| votes[classes[*other]] += 1);
            let top = votes.iter().copied().max()?;
            let mut winners = votes.iter().enumerate().filter(|(_, count)| **count == top);
            let winner = winners.next()?.0;
            winners.next().is_none().then_some(winner)
        })
        .collect()
}

/// Mean over the classes of the harmonic mean of precision and recall; every class counts alike, however small. An item
/// without a prediction is missed. `None` without items.
pub fn macro_f1(truth: &[usize], predicted: &[Option<usize>]) -> Option<f64> {
    let classes = truth.iter().max()? + 1;
    let mut scores = Vec::new();
    for class in 0..classes {
        let count = |test: &dyn Fn(usize, Option<usize>) -> bool| {
            truth.iter().zip(predicted).filter(|(t, p)| test(**t, **p)).count() as f64
        };
        let real = count(&|t, _| t == class);
        if real == 0.0 {
            continue;
        }
        let right = count(&|t, p| t == class && p == Some(class));
        let claimed = count(&|_, p| p == Some(class));
        scores.push(2.0 * right / (real + claimed));
    }
    Some(scores.iter().sum::<f64>() / scores.len() as f64)
}
