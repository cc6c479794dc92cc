//! Models with a card: what they learned from, how they did, and what they look at.

use super::examples::{Example, FEATURES};
use noroshi_model::{Addr, Nanos};
use noroshi_stats::classify::{self, Stumps};
use noroshi_stats::nearness::macro_f1;
use noroshi_stats::regression::Linear;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Name and version of the file.
pub const SCHEMA: &str = "noroshi.model/1";
/// Share of the time span whose examples are learned from.
const LEARNED: f64 = 0.6;
/// Cost of the support vector machine, and passes at most.
const COST: f64 = 1.0;
const PASSES: usize = 200;
/// Rounds and rate of the boosted stumps.
const ROUNDS: usize = 300;
const RATE: f64 = 0.1;
/// Numbers of features tried in the selection.
const SIZES: [usize; 5] = [2, 4, 6, 10, 15];
/// Examples learned from per class.
const PER_CLASS_MAX: usize = 20_000;

/// How each way did on sources never seen and later.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scores {
    /// Examples.
    pub examples: usize,
    /// Sources.
    pub sources: usize,
    /// Share of backscatter.
    pub backscatter: f64,
    /// Macro-F1 of the linear support vector machine on selected features, as published.
    pub support_vectors: f64,
    /// Macro-F1 of the boosted stumps.
    pub stumps: f64,
    /// Macro-F1 of always saying the larger class.
    pub majority: f64,
}

/// What a reader must know before using the model.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Card {
    /// What it answers.
    pub question: String,
    /// What it learned from, in the words of whoever trained it.
    pub data: String,
    /// `real` or `generated`.
    pub origin: String,
    /// First and last minute of the data.
    pub from: Nanos,
    /// Last minute.
    pub until: Nanos,
    /// Version of the program.
    pub version: String,
    /// Examples learned from.
    pub examples: usize,
    /// Sources learned from.
    pub sources: usize,
    /// How the test part was chosen.
    pub split: String,
    /// On the test part; none when it had a single class.
    pub scores: Option<Scores>,
}

/// One feature and what it is worth.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Feature {
    /// Its name.
    pub feature: String,
    /// How well it alone tells the classes apart (F-score).
    pub separation: f64,
    /// Share of the gain of the stumps.
    pub gain: f64,
    /// Weight in the support vector machine, of the standardised feature; none when it was not selected. Positive speaks
    /// for backscatter.
    pub weight: Option<f64>,
}

/// A stump in a file.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Question {
    feature: usize,
    cut: f64,
    below: f64,
    above: f64,
}

/// The model.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Model {
    /// [`SCHEMA`].
    pub schema: String,
    /// What a reader must know.
    pub card: Card,
    /// Ranked, most telling first.
    pub features: Vec<Feature>,
    means: Vec<f64>,
    deviations: Vec<f64>,
    selected: Vec<usize>,
    intercept: f64,
    weights: Vec<f64>,
    start: f64,
    stumps: Vec<Question>,
}

/// Why nothing could be learned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Untrainable {
    /// The part learned from has a single class.
    OneClass,
    /// There are too few examples.
    TooFew,
}

/// Examples whose class the flags tell, split: learned from, and later ones of other sources.
fn split(examples: &[Example]) -> (Vec<&Example>, Vec<&Example>) {
    let known: Vec<&Example> = examples.iter().filter(|example| example.backscatter.is_some()).collect();
    let first = known.iter().map(|example| example.at).min().unwrap_or_default();
    let last = known.iter().map(|example| example.at).max().unwrap_or_default();
    let cut = Nanos(first.0 + ((last.0 - first.0) as f64 * LEARNED) as i64);
    let early: Vec<&Example> = known.iter().filter(|example| example.at <= cut).copied().collect();
    let sources: BTreeSet<Addr> = early.iter().map(|example| example.source).collect();
    let late = known.into_iter().filter(|example| example.at > cut && !sources.contains(&example.source)).collect();
    (early, late)
}

/// At most so many of each class, evenly.
fn thin(examples: Vec<&Example>) -> Vec<&Example> {
    let of = |class: bool| -> Vec<&Example> {
        let all: Vec<&Example> = examples.iter().filter(|one| one.backscatter == Some(class)).copied().collect();
        let step = all.len().div_ceil(PER_CLASS_MAX).max(1);
        all.into_iter().step_by(step).collect()
    };
    let mut kept = of(false);
    kept.extend(of(true));
    kept
}

/// Learns from examples in the order of time. `data` and `origin` go into the card.
pub fn train(examples: &[Example], data: &str, origin: &str) -> Result<Model, Untrainable> {
    let (early, late) = split(examples);
    if early.len() < 50 {
        return Err(Untrainable::TooFew);
    }
    let early = thin(early);
    let (rows, targets) = table(&early);
    let separation = classify::separation(&rows, &targets).ok_or(Untrainable::OneClass)?;
    let width = FEATURES.len();
    let column = |feature: usize| rows.iter().map(|row| row[feature]).collect::<Vec<f64>>();
    let (means, deviations): (Vec<f64>, Vec<f64>) = (0..width)
        .map(|feature| {
            let values = column(feature);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
            (mean, spread.sqrt().max(1e-9))
        })
        .unzip();
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|a, b| separation[*b].total_cmp(&separation[*a]).then(a.cmp(b)));
    let scaled: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| row.iter().zip(&means).zip(&deviations).map(|((value, mean), sd)| (value - mean) / sd).collect())
        .collect();
    let (selected, machine) = select(&scaled, &targets, &order).ok_or(Untrainable::OneClass)?;
    let stumps = classify::boosted(&rows, &targets, ROUNDS, RATE).ok_or(Untrainable::OneClass)?;
    let weight = |feature: usize| selected.iter().position(|one| *one == feature).map(|at| machine.coefficients[at]);
    let mut features: Vec<Feature> = (0..width)
        .map(|feature| Feature {
            feature: FEATURES[feature].to_owned(),
            separation: separation[feature],
            gain: stumps.gains[feature],
            weight: weight(feature),
        })
        .collect();
    features.sort_by(|a, b| b.gain.total_cmp(&a.gain).then(b.separation.total_cmp(&a.separation)));
    let instants = || examples.iter().map(|example| example.at);
    let sources: BTreeSet<Addr> = early.iter().map(|example| example.source).collect();
    let mut model = Model {
        schema: SCHEMA.to_owned(),
        card: Card {
            question: "is this source answering a flood (backscatter), or scanning?".to_owned(),
            data: data.to_owned(),
            origin: origin.to_owned(),
            from: instants().min().unwrap_or_default(),
            until: instants().max().unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            examples: early.len(),
            sources: sources.len(),
            split: "learned from the first 60 % of the time; tested on later minutes of sources not learned from"
                .to_owned(),
            scores: None,
        },
        features,
        means,
        deviations,
        selected,
        intercept: machine.intercept,
        weights: machine.coefficients,
        start: stumps.start,
        stumps: stumps
            .stumps
            .iter()
            .map(|stump| Question { feature: stump.feature, cut: stump.cut, below: stump.below, above: stump.above })
            .collect(),
    };
    model.card.scores = model.score_on(&late);
    Ok(model)
}

fn table(examples: &[&Example]) -> (Vec<Vec<f64>>, Vec<bool>) {
    examples.iter().map(|example| (example.features.clone(), example.backscatter == Some(true))).unzip()
}

fn f1(truth: &[bool], said: impl Iterator<Item = bool>) -> f64 {
    let truth: Vec<usize> = truth.iter().map(|class| usize::from(*class)).collect();
    let said: Vec<Option<usize>> = said.map(|class| Some(usize::from(class))).collect();
    macro_f1(&truth, &said).unwrap_or(0.0)
}

/// The number of best features that does best on the last third of what is learned from, and the machine on them.
fn select(rows: &[Vec<f64>], targets: &[bool], order: &[usize]) -> Option<(Vec<usize>, Linear)> {
    let pick = |rows: &[&Vec<f64>], chosen: &[usize]| -> Vec<Vec<f64>> {
        rows.iter().map(|row| chosen.iter().map(|feature| row[*feature]).collect()).collect()
    };
    let part = |wanted: bool| -> (Vec<&Vec<f64>>, Vec<bool>) {
        rows.iter().zip(targets).enumerate().filter(|(i, _)| (i % 3 == 2) == wanted).map(|(_, (r, t))| (r, *t)).unzip()
    };
    let ((learn, learn_targets), (check, check_targets)) = (part(false), part(true));
    let best = SIZES
        .iter()
        .filter_map(|size| {
            let chosen = &order[..(*size).min(order.len())];
            let machine = classify::support_vectors(&pick(&learn, chosen), &learn_targets, COST, PASSES)?;
            let score = f1(&check_targets, pick(&check, chosen).iter().map(|row| machine.predict(row) > 0.0));
            Some((score, *size))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
    let chosen = order[..best.1.min(order.len())].to_vec();
    let all: Vec<&Vec<f64>> = rows.iter().collect();
    let machine = classify::support_vectors(&pick(&all, &chosen), targets, COST, PASSES)?;
    Some((chosen, machine))
}

impl Model {
    /// Whether the file can be used: sizes agree and values are numbers.
    pub fn sound(&self) -> bool {
        let width = FEATURES.len();
        let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        self.schema == SCHEMA
            && self.means.len() == width
            && self.deviations.len() == width
            && self.deviations.iter().all(|value| *value > 0.0)
            && self.selected.len() == self.weights.len()
            && self.selected.iter().all(|feature| *feature < width)
            && self.stumps.len() <= 10_000
            && self.stumps.iter().all(|stump| stump.feature < width && finite(&[stump.cut, stump.below, stump.above]))
            && finite(&self.means)
            && finite(&self.weights)
            && finite(&[self.intercept, self.start])
    }

    /// Probability of backscatter by the stumps.
    pub fn probability(&self, features: &[f64]) -> f64 {
        let stumps = Stumps {
            start: self.start,
            stumps: self
                .stumps
                .iter()
                .map(|q| classify::Stump { feature: q.feature, cut: q.cut, below: q.below, above: q.above })
                .collect(),
            gains: Vec::new(),
        };
        classify::sigmoid(stumps.predict(features))
    }

    /// Side of the support vector machine: positive is backscatter.
    pub fn margin(&self, features: &[f64]) -> f64 {
        let part = |(feature, weight): (&usize, &f64)| {
            weight * (features[*feature] - self.means[*feature]) / self.deviations[*feature]
        };
        self.intercept + self.selected.iter().zip(&self.weights).map(part).sum::<f64>()
    }

    /// Scores on the examples whose class the flags tell; `None` unless both classes are there.
    pub fn score(&self, examples: &[Example]) -> Option<Scores> {
        self.score_on(&examples.iter().filter(|example| example.backscatter.is_some()).collect::<Vec<_>>())
    }

    fn score_on(&self, examples: &[&Example]) -> Option<Scores> {
        let truth: Vec<bool> = examples.iter().map(|example| example.backscatter == Some(true)).collect();
        let positive = truth.iter().filter(|class| **class).count();
        if positive == 0 || positive == truth.len() {
            return None;
        }
        let larger = positive * 2 >= truth.len();
        Some(Scores {
            examples: truth.len(),
            sources: examples.iter().map(|example| example.source).collect::<BTreeSet<Addr>>().len(),
            backscatter: positive as f64 / truth.len() as f64,
            support_vectors: f1(&truth, examples.iter().map(|example| self.margin(&example.features) > 0.0)),
            stumps: f1(&truth, examples.iter().map(|example| self.probability(&example.features) > 0.5)),
            majority: f1(&truth, truth.iter().map(|_| larger)),
        })
    }
}
