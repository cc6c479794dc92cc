//! The judgement: candidates, their probability, or an abstention.

use crate::feature::{DIMENSIONS, Dimension, Token};
use crate::index::{Index, Near, Scratch};
use crate::model::{EVIDENCE, INPUTS, Model, SUPPORT};
use crate::profile::Profile;
use crate::reason::{Reason, reasons};
use serde::Serialize;

/// Families that a verdict names.
pub const TOP: usize = 5;
/// Below this probability of the first candidate no family is named (methods F). Lower names more and errs more.
pub const ABSTAIN_BELOW: f32 = 0.5;
/// Families that are weighed.
const FAMILIES_MAX: usize = 24;
/// Nearest profiles of a family that are asked.
const NEIGHBOURS: usize = 6;
/// Share of chance in what a family is expected to do: how much one value never seen of it can count against it.
const CHANCE: f32 = 0.05;
/// Packets below which nothing is said: the rule for scans, ten distinct destinations, in packets.
pub const PACKETS_MIN: u64 = 5;

/// A family that may be behind it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Candidate {
    /// Family.
    pub family: String,
    /// How often such a candidate is right, by calibration.
    pub probability: f32,
    /// Its nearest profile.
    pub nearest: String,
    /// Behaviour in common with that profile, 0 to 1.
    pub similarity: f32,
    /// Why, most telling first.
    pub reasons: Vec<Reason>,
}

/// What can be said.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Verdict {
    /// The family, unless it abstains.
    pub family: Option<String>,
    /// Candidates, most probable first, at most [`TOP`].
    pub candidates: Vec<Candidate>,
    /// Why no family is named.
    pub abstains: Option<String>,
    /// Packets it rests on.
    pub packets: u64,
}

/// A family with its numbers, before they are weighed.
#[derive(Clone, Debug)]
pub(crate) struct Weighed {
    pub(crate) family: u32,
    /// The way it is known, see [`crate::model::VIEWS`].
    pub(crate) view: usize,
    pub(crate) near: Near,
    pub(crate) inputs: [f32; INPUTS],
}

/// The candidate families of a profile.
pub(crate) fn weigh(index: &Index, model: &Model, profile: &Profile, scratch: &mut Scratch) -> Vec<Weighed> {
    let near = index.nearest(profile, scratch);
    let mut groups: Vec<(u32, Vec<Near>)> = Vec::new();
    for near in near {
        let family = index.family_of[near.profile as usize];
        match groups.iter().position(|(known, _)| *known == family) {
            Some(at) => groups[at].1.push(near),
            None if groups.len() < FAMILIES_MAX => groups.push((family, vec![near])),
            None => {}
        }
    }
    groups.into_iter().map(|(family, near)| describe(index, model, profile, family, &near)).collect()
}

fn describe(index: &Index, model: &Model, profile: &Profile, family: u32, near: &[Near]) -> Weighed {
    let known = &index.families[family as usize];
    let close = &near[..near.len().min(NEIGHBOURS)];
    let mut having = [0.0f32; DIMENSIONS];
    for (dimension, having) in having.iter_mut().enumerate() {
        *having = close.iter().filter(|near| index.has(near.profile, dimension)).count() as f32;
    }
    let mut inputs = [0.0; INPUTS];
    for (token, share) in &profile.features {
        let (dimension, usual) = (token.dimension(), model.usual(*token));
        let surprise = |expected: f32| share * (((1.0 - CHANCE) * expected + CHANCE * usual) / usual).ln();
        if having[dimension] > 0.0 {
            let sum: f32 = close.iter().filter_map(|near| index.share(near.profile, *token)).sum();
            inputs[dimension] += surprise(sum / having[dimension]);
        }
        if known.having[dimension] > 0 {
            inputs[DIMENSIONS + dimension] += surprise(known.share(*token));
        }
    }
    let mean = |k: usize| near.iter().take(k).map(|near| near.similarity).sum::<f32>() / near.len().min(k) as f32;
    inputs[2 * DIMENSIONS] = mean(1);
    inputs[2 * DIMENSIONS + 1] = mean(3);
    inputs[2 * DIMENSIONS + 2] = (near.len() as f32).ln();
    inputs[EVIDENCE + SUPPORT.partition_point(|limit| *limit <= known.profiles)] = 1.0;
    Weighed { family, view: usize::from(index.sandboxed[near[0].profile as usize]), near: near[0], inputs }
}

/// Probability of each candidate and, last, of none of them; not yet calibrated.
pub(crate) fn probabilities(model: &Model, packets: u64, weighed: &[Weighed]) -> Vec<f32> {
    let band = Model::band(packets);
    let score = |one: &Weighed| model.scale[band] * dot(&model.weights[one.view], &one.inputs);
    let mut scores: Vec<f32> = weighed.iter().map(score).collect();
    scores.push(model.none[band]);
    softmax(&mut scores);
    scores
}

pub(crate) fn dot(weights: &[f32], inputs: &[f32]) -> f32 {
    weights.iter().zip(inputs).map(|(w, x)| w * x).sum()
}

pub(crate) fn softmax(scores: &mut [f32]) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - top).exp();
        sum += *score;
    }
    for score in scores.iter_mut() {
        *score /= sum;
    }
}

impl Index {
    /// Which families may be behind a profile, how probably, and why.
    ///
    /// Cost: bounded by the budget of postings and 300 exact comparisons, whatever the size of the index.
    pub fn judge(&self, model: &Model, profile: &Profile, scratch: &mut Scratch) -> Verdict {
        let mut verdict = Verdict { packets: profile.packets, ..Verdict::default() };
        if profile.packets < PACKETS_MIN {
            verdict.abstains =
                Some(format!("{} packets are too few: at least {PACKETS_MIN} that probe are needed", profile.packets));
            return verdict;
        }
        let weighed = weigh(self, model, profile, scratch);
        let raw = probabilities(model, profile.packets, &weighed);
        let mut order: Vec<usize> = (0..weighed.len()).collect();
        order.sort_by(|a, b| raw[*b].total_cmp(&raw[*a]).then(weighed[*a].family.cmp(&weighed[*b].family)));
        let Some(first) = order.first() else {
            verdict.abstains = Some("no known profile has anything in common with it".into());
            return verdict;
        };
        let top = model.calibration[weighed[*first].view].at(raw[*first]);
        // What calibration takes from or gives to the first, the others share in proportion.
        let others = if raw[*first] < 1.0 { (1.0 - top) / (1.0 - raw[*first]) } else { 0.0 };
        for (rank, at) in order.iter().take(TOP).enumerate() {
            let one = &weighed[*at];
            let probability = if rank == 0 { top } else { (raw[*at] * others).min(top) };
            verdict.candidates.push(Candidate {
                family: self.families[one.family as usize].name.clone(),
                probability,
                nearest: self.name(one.near.profile).to_owned(),
                similarity: one.near.similarity,
                reasons: reasons(self, model, profile, one),
            });
        }
        if top < ABSTAIN_BELOW {
            let best = &verdict.candidates[0];
            verdict.abstains = Some(format!(
                "the best candidate, {}, has a probability of {:.0} %, below {:.0} %",
                best.family,
                top * 100.0,
                ABSTAIN_BELOW * 100.0
            ));
        } else {
            verdict.family = Some(verdict.candidates[0].family.clone());
        }
        verdict
    }

    /// Mean share of a value in a family; for reasons.
    pub(crate) fn family_values(&self, family: u32, dimension: Dimension) -> Vec<(Token, f32)> {
        let known = &self.families[family as usize];
        let having = known.having[dimension as usize].max(1) as f32;
        let from = known.sums.partition_point(|(token, _)| Token(*token).dimension() < dimension as usize);
        let inside = known.sums[from..].iter().take_while(|(token, _)| Token(*token).dimension() == dimension as usize);
        let mut values: Vec<(Token, f32)> = inside.map(|(token, sum)| (Token(*token), sum / having)).collect();
        values.sort_by(|a, b| b.1.total_cmp(&a.1));
        values
    }
}
