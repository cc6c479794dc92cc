//! Learning of weights and calibration from labelled profiles in the order of time.
//!
//! What was observed in the oldest seven tenths is known, the rest are the questions: what is learned is how to judge what
//! comes later. A verdict is asked for in very different states of knowledge, and each is practised ([`PRACTICE`]):
//! families known by dozens of observations; by one or two; by a single run of a sample in the sandbox; and few families
//! or many. Weights of similarity come from a logistic regression on pairs; weights of evidence from a conditional logit
//! over the candidate families with "none of them" as an alternative (McFadden 1974), where a part of the questions has
//! its own family hidden; calibration from the answers to questions that the fit did not see, in three turns (cross
//! validation), so that every question serves. Weights of evidence are never negative, so that a reason that speaks for a
//! family cannot count against it.

use crate::calibrate::Steps;
use crate::feature::DIMENSIONS;
use crate::index::{Index, Scratch};
use crate::judge::{Weighed, dot, probabilities, softmax, weigh};
use crate::model::{BANDS, Card, EVIDENCE, INPUTS, Model, VIEWS};
use crate::profile::{Origin, Profile};
use std::collections::BTreeMap;

/// Part of the profiles, oldest first, that become the index.
const KNOWN: f64 = 0.7;
/// Turns of the cross validation.
const TURNS: usize = 3;
const PAIR_ROUNDS: usize = 60;
const ROUNDS: usize = 120;
/// Penalty on squared weights, so that what hardly matters stays near zero.
const RIDGE: f32 = 2e-4;

/// A state of knowledge that is practised.
struct Practice {
    /// Which profiles are known: of darknets, of the sandbox.
    darknet: bool,
    sandbox: bool,
    /// Profiles of a family at most, the latest.
    of_family: usize,
    /// One family in so many is known; the right one is, unless it is hidden.
    one_in: u64,
    /// Every so manieth question is asked.
    every: usize,
    /// Of the asked, every so manieth has its family hidden: the prior probability of something new.
    hide_every: usize,
}

/// The states of knowledge. A large collection rarely meets something new, a small one often.
const PRACTICE: [Practice; 5] = [
    Practice { darknet: true, sandbox: false, of_family: usize::MAX, one_in: 1, every: 1, hide_every: 12 },
    Practice { darknet: true, sandbox: true, of_family: 3, one_in: 1, every: 3, hide_every: 8 },
    Practice { darknet: false, sandbox: true, of_family: 3, one_in: 1, every: 2, hide_every: 6 },
    Practice { darknet: false, sandbox: true, of_family: 1, one_in: 4, every: 2, hide_every: 4 },
    Practice { darknet: false, sandbox: true, of_family: 1, one_in: 16, every: 2, hide_every: 4 },
];

/// One question with its candidates.
struct Question {
    band: usize,
    packets: u64,
    /// Which candidate is right; the number of candidates when none is.
    right: usize,
    candidates: Vec<Weighed>,
}

/// Trains on profiles ordered by time; all must have labels. Deterministic.
pub fn train(profiles: &[Profile], card: Card) -> Model {
    let observed: Vec<&Profile> = profiles.iter().filter(|profile| profile.origin != Origin::Sandbox).collect();
    let (known, later) = observed.split_at((observed.len() as f64 * KNOWN) as usize);
    let until = known.last().map(|profile| profile.first).unwrap_or_default();
    let runs: Vec<&Profile> =
        profiles.iter().filter(|profile| profile.origin == Origin::Sandbox && profile.first <= until).collect();
    let mut model = Model { card, background: background(&observed), ..Model::blank() };
    model.similarity = pair_weights(known);
    let mut questions = Vec::new();
    for (number, practice) in PRACTICE.iter().enumerate() {
        let index = practice.index(&model, known, &runs);
        if !index.is_empty() {
            questions.extend(ask(&index, &model, later, practice, number as u64));
        }
    }
    let mut seen: [Vec<(f32, bool)>; VIEWS] = Default::default();
    for turn in 0..TURNS {
        let mut fit = model.clone();
        let others: Vec<&Question> =
            questions.iter().enumerate().filter(|(k, _)| k % TURNS != turn).map(|(_, question)| question).collect();
        descend(&mut fit, &others);
        for question in questions.iter().skip(turn).step_by(TURNS) {
            let p = probabilities(&fit, question.packets, &question.candidates);
            let best = (0..question.candidates.len()).max_by(|a, b| p[*a].total_cmp(&p[*b]));
            let Some(best) = best else { continue };
            seen[question.candidates[best].view].push((p[best], best == question.right));
        }
    }
    descend(&mut model, &questions.iter().collect::<Vec<_>>());
    if seen[1].is_empty() {
        // Without runs of samples nothing was learned about them; what holds for darknets is the best guess.
        model.weights[1] = model.weights[0].clone();
        seen[1] = seen[0].clone();
    }
    model.calibration = seen.map(Steps::fit);
    model
}

impl Practice {
    /// What is known in this state.
    fn index(&self, model: &Model, observed: &[&Profile], runs: &[&Profile]) -> Index {
        let mut index = Index::new(model.similarity);
        for (wanted, profiles) in [(self.darknet, observed), (self.sandbox, runs)] {
            if !wanted {
                continue;
            }
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            let mut latest: Vec<&Profile> = Vec::new();
            for profile in profiles.iter().rev() {
                let count = counts.entry(profile.label.as_deref().unwrap_or_default()).or_default();
                *count += 1;
                if *count <= self.of_family {
                    latest.push(profile);
                }
            }
            latest.into_iter().rev().for_each(|profile| _ = index.insert(profile));
        }
        index
    }
}

/// Mean share of each token, each family counting alike.
fn background(profiles: &[&Profile]) -> Vec<(u32, f32)> {
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
fn pair_weights(profiles: &[&Profile]) -> [f32; DIMENSIONS] {
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

fn ask(index: &Index, model: &Model, later: &[&Profile], practice: &Practice, salt: u64) -> Vec<Question> {
    let mut scratch = Scratch::default();
    let asked = later.iter().skip(salt as usize % practice.every).step_by(practice.every).enumerate();
    let questions = asked.map(|(k, profile)| {
        let mut candidates = weigh(index, model, profile, &mut scratch);
        let label = profile.label.as_deref().unwrap_or_default();
        let of = |one: &Weighed| index.families[one.family as usize].name == label;
        let hidden = k % practice.hide_every == 1;
        candidates.retain(|one| {
            if of(one) {
                !hidden
            } else {
                mix((salt << 48) | ((k as u64) << 20) | u64::from(one.family)).is_multiple_of(practice.one_in)
            }
        });
        let right = candidates.iter().position(of).unwrap_or(candidates.len());
        Question { band: Model::band(profile.packets), packets: profile.packets, right, candidates }
    });
    questions.filter(|question| !question.candidates.is_empty()).collect()
}

/// Spreads numbers evenly (the finisher of splitmix64).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Adam (Kingma and Ba 2015) over the log-likelihood of the right alternatives.
fn descend(model: &mut Model, questions: &[&Question]) {
    const BATCH: usize = 64;
    let mut moments = vec![(0.0f32, 0.0f32); PARAMETERS];
    let mut step = 0;
    for round in 0..ROUNDS {
        let rate = 0.05 * (1.0 - round as f32 / ROUNDS as f32) + 0.001;
        for batch in 0..questions.len().div_ceil(BATCH) {
            let mut slope = vec![0.0f32; PARAMETERS];
            // Questions of one batch are spread over time.
            let stride = questions.len().div_ceil(BATCH);
            let chosen: Vec<&Question> = questions.iter().copied().skip(batch).step_by(stride).collect();
            for question in &chosen {
                add_slope(model, question, &mut slope);
            }
            step += 1;
            let count = chosen.len().max(1) as f32;
            for (at, slope) in slope.iter().enumerate() {
                let parameter = parameter(model, at);
                let slope = slope / count + if at < WEIGHTS { RIDGE * *parameter } else { 0.0 };
                let (m, v) = &mut moments[at];
                *m = 0.9 * *m + 0.1 * slope;
                *v = 0.999 * *v + 0.001 * slope * slope;
                let (m, v) = (*m / (1.0 - 0.9f32.powi(step)), *v / (1.0 - 0.999f32.powi(step)));
                *parameter -= rate * m / (v.sqrt() + 1e-8);
                if at < WEIGHTS && at % INPUTS < EVIDENCE {
                    *parameter = parameter.max(0.0);
                } else if (WEIGHTS..WEIGHTS + BANDS.len() + 1).contains(&at) {
                    *parameter = parameter.max(0.05);
                }
            }
        }
    }
}

/// Weights, then scales, then scores of "none".
const WEIGHTS: usize = VIEWS * INPUTS;
const PARAMETERS: usize = WEIGHTS + 2 * (BANDS.len() + 1);

fn parameter(model: &mut Model, at: usize) -> &mut f32 {
    let bands = BANDS.len() + 1;
    match at {
        _ if at < WEIGHTS => &mut model.weights[at / INPUTS][at % INPUTS],
        _ if at < WEIGHTS + bands => &mut model.scale[at - WEIGHTS],
        _ => &mut model.none[at - WEIGHTS - bands],
    }
}

fn add_slope(model: &Model, question: &Question, slope: &mut [f32]) {
    let (band, bands) = (question.band, BANDS.len() + 1);
    let plain: Vec<f32> = question.candidates.iter().map(|one| dot(&model.weights[one.view], &one.inputs)).collect();
    let mut p: Vec<f32> = plain.iter().map(|score| model.scale[band] * score).collect();
    p.push(model.none[band]);
    softmax(&mut p);
    p[question.right] -= 1.0;
    for (k, one) in question.candidates.iter().enumerate() {
        let push = model.scale[band] * p[k];
        for (slope, x) in slope[one.view * INPUTS..].iter_mut().zip(&one.inputs) {
            *slope += push * x;
        }
        slope[WEIGHTS + band] += p[k] * plain[k];
    }
    slope[WEIGHTS + bands + band] += p[question.candidates.len()];
}

/// The tokens that tell families apart best, for a page about the model: mean weight of each dimension.
pub fn importance(model: &Model) -> Vec<(crate::feature::Dimension, f32)> {
    let mut all: Vec<_> = crate::feature::Dimension::ALL
        .into_iter()
        .map(|dimension| {
            let of = |view: usize| {
                model.weights[view][dimension as usize] + model.weights[view][DIMENSIONS + dimension as usize]
            };
            (dimension, (of(0) + of(1)) / 2.0)
        })
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}
