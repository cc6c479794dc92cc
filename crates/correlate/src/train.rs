//! Learning of weights and calibration from labelled profiles in the order of time.
//!
//! The oldest seven tenths become the index, the rest the questions: what is learned is how to judge what comes later.
//! Weights of similarity come from a logistic regression on pairs; weights of evidence from a conditional logit over
//! the candidate families with "none of them" as an alternative (McFadden 1974), where every sixth question has its own
//! family hidden; calibration from questions that neither of them saw. Weights are never negative, so that a reason
//! that speaks for a family cannot count against it.

use crate::calibrate::Steps;
use crate::feature::DIMENSIONS;
use crate::index::{Index, Scratch};
use crate::judge::{dot, probabilities, softmax, weigh};
use crate::model::{BANDS, Card, INPUTS, Model};
use crate::profile::Profile;
use std::collections::BTreeMap;

/// Part of the profiles, oldest first, that become the index.
const KNOWN: f64 = 0.7;
/// Every so manieth question has its family hidden.
const HIDE_EVERY: usize = 6;
/// Every so manieth question is kept for calibration.
const CALIBRATE_EVERY: usize = 3;
const PAIR_ROUNDS: usize = 60;
const ROUNDS: usize = 120;
/// Penalty on squared weights, so that what hardly matters stays near zero.
const RIDGE: f32 = 2e-4;

/// One question with its candidates.
struct Question {
    band: usize,
    packets: u64,
    /// Which candidate is right; the number of candidates when none is.
    right: usize,
    candidates: Vec<crate::judge::Weighed>,
}

/// Trains on profiles ordered by time; all must have labels. Deterministic.
pub fn train(profiles: &[Profile], card: Card) -> Model {
    let (known, later) = profiles.split_at((profiles.len() as f64 * KNOWN) as usize);
    let mut model = Model { card, background: background(profiles), ..Model::blank() };
    model.similarity = pair_weights(known);
    let mut index = Index::new(model.similarity);
    for profile in known {
        index.insert(profile);
    }
    let questions = ask(&index, &model, later);
    let (fit, check): (Vec<_>, Vec<_>) = questions.into_iter().enumerate().partition(|(k, _)| k % CALIBRATE_EVERY != 0);
    let fit: Vec<Question> = fit.into_iter().map(|(_, question)| question).collect();
    descend(&mut model, &fit);
    let seen = check.iter().filter_map(|(_, question)| {
        let p = probabilities(&model, question.packets, &question.candidates);
        let best = (0..question.candidates.len()).max_by(|a, b| p[*a].total_cmp(&p[*b]))?;
        Some((p[best], best == question.right))
    });
    model.calibration = Steps::fit(seen.collect());
    model
}

/// Mean share of each token, each family counting alike.
fn background(profiles: &[Profile]) -> Vec<(u32, f32)> {
    let mut families: BTreeMap<&str, (f32, BTreeMap<u32, f32>)> = BTreeMap::new();
    for profile in profiles {
        let (count, sums) = families.entry(profile.label.as_deref().unwrap_or_default()).or_default();
        *count += 1.0;
        for (token, share) in &profile.features {
            *sums.entry(token.0).or_default() += share;
        }
    }
    let mut all: BTreeMap<u32, f32> = BTreeMap::new();
    for (count, sums) in families.values() {
        for (token, sum) in sums {
            *all.entry(*token).or_default() += sum / count / families.len() as f32;
        }
    }
    all.into_iter().filter(|(_, share)| *share > 0.0005).collect()
}

/// Logistic regression on pairs: are these two of one family, given what they have in common?
fn pair_weights(profiles: &[Profile]) -> [f32; DIMENSIONS] {
    let mut index = Index::new([1.0; DIMENSIONS]);
    let mut families: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for profile in profiles {
        let number = index.insert(profile);
        families.entry(profile.label.as_deref().unwrap_or_default()).or_default().push(number);
    }
    let mut pairs: Vec<([f32; DIMENSIONS], f32)> = Vec::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound.max(1) as u64) as usize
    };
    for profile in profiles.iter().step_by(3) {
        let own = &families[profile.label.as_deref().unwrap_or_default()];
        for same in [true, false] {
            let other = if same { own[draw(own.len())] } else { draw(profiles.len()) as u32 };
            let equal = own.contains(&other);
            let common = index.common(&profile.features, other);
            pairs.push((common.map(|common| common.map_or(0.0, |common| common - 0.5)), f32::from(u8::from(equal))));
        }
    }
    let (mut weights, mut bias) = ([0.5f32; DIMENSIONS], 0.0f32);
    for _ in 0..PAIR_ROUNDS {
        let (mut slope, mut slope_bias) = ([0.0f32; DIMENSIONS], 0.0f32);
        for (common, equal) in &pairs {
            let p = 1.0 / (1.0 + (-bias - dot(&weights, common)).exp());
            for (slope, x) in slope.iter_mut().zip(common) {
                *slope += (p - equal) * x;
            }
            slope_bias += p - equal;
        }
        let step = 8.0 / pairs.len().max(1) as f32;
        for (weight, slope) in weights.iter_mut().zip(slope) {
            *weight = (*weight - step * slope).max(0.02);
        }
        bias -= step * slope_bias;
    }
    weights
}

fn ask(index: &Index, model: &Model, later: &[Profile]) -> Vec<Question> {
    let mut scratch = Scratch::default();
    let questions = later.iter().enumerate().map(|(k, profile)| {
        let mut candidates = weigh(index, model, profile, &mut scratch);
        let label = profile.label.as_deref().unwrap_or_default();
        let of = |one: &crate::judge::Weighed| index.families[one.family as usize].name == label;
        if k % HIDE_EVERY == 1 {
            candidates.retain(|one| !of(one));
        }
        let right = candidates.iter().position(of).unwrap_or(candidates.len());
        Question { band: Model::band(profile.packets), packets: profile.packets, right, candidates }
    });
    questions.filter(|question| !question.candidates.is_empty()).collect()
}

/// Adam (Kingma and Ba 2015) over the log-likelihood of the right alternatives.
fn descend(model: &mut Model, questions: &[Question]) {
    const BATCH: usize = 64;
    const OTHERS: usize = 2 * (BANDS.len() + 1);
    let mut moments = vec![(0.0f32, 0.0f32); INPUTS + OTHERS];
    let mut step = 0;
    for round in 0..ROUNDS {
        let rate = 0.05 * (1.0 - round as f32 / ROUNDS as f32) + 0.001;
        for batch in 0..questions.len().div_ceil(BATCH) {
            let mut slope = vec![0.0f32; INPUTS + OTHERS];
            // Questions of one batch are spread over time.
            let stride = questions.len().div_ceil(BATCH);
            let chosen: Vec<&Question> = questions.iter().skip(batch).step_by(stride).collect();
            for question in &chosen {
                add_slope(model, question, &mut slope);
            }
            step += 1;
            let count = chosen.len().max(1) as f32;
            for (at, slope) in slope.iter().enumerate() {
                let parameter = parameter(model, at);
                let slope = slope / count + if at < INPUTS { RIDGE * *parameter } else { 0.0 };
                let (m, v) = &mut moments[at];
                *m = 0.9 * *m + 0.1 * slope;
                *v = 0.999 * *v + 0.001 * slope * slope;
                let (m, v) = (*m / (1.0 - 0.9f32.powi(step)), *v / (1.0 - 0.999f32.powi(step)));
                *parameter -= rate * m / (v.sqrt() + 1e-8);
                if at < INPUTS {
                    *parameter = parameter.max(0.0);
                } else if at < INPUTS + BANDS.len() + 1 {
                    *parameter = parameter.max(0.05);
                }
            }
        }
    }
}

fn parameter(model: &mut Model, at: usize) -> &mut f32 {
    let bands = BANDS.len() + 1;
    match at {
        _ if at < INPUTS => &mut model.weights[at],
        _ if at < INPUTS + bands => &mut model.scale[at - INPUTS],
        _ => &mut model.none[at - INPUTS - bands],
    }
}

fn add_slope(model: &Model, question: &Question, slope: &mut [f32]) {
    let (band, bands) = (question.band, BANDS.len() + 1);
    let plain: Vec<f32> = question.candidates.iter().map(|one| dot(&model.weights, &one.inputs)).collect();
    let mut p: Vec<f32> = plain.iter().map(|score| model.scale[band] * score).collect();
    p.push(model.none[band]);
    softmax(&mut p);
    p[question.right] -= 1.0;
    for (k, one) in question.candidates.iter().enumerate() {
        let push = model.scale[band] * p[k];
        for (slope, x) in slope.iter_mut().zip(&one.inputs) {
            *slope += push * x;
        }
        slope[INPUTS + band] += p[k] * plain[k];
    }
    slope[INPUTS + bands + band] += p[question.candidates.len()];
}

/// The tokens that tell families apart best, for a page about the model: mean weight of each dimension.
pub fn importance(model: &Model) -> Vec<(crate::feature::Dimension, f32)> {
    let mut all: Vec<_> = crate::feature::Dimension::ALL
        .into_iter()
        .map(|dimension| {
            (dimension, model.weights[dimension as usize] + model.weights[DIMENSIONS + dimension as usize])
        })
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}
