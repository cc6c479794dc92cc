//! Why a family is named: the dimensions that speak for it and against it, in words.

use crate::feature::{DIMENSIONS, Dimension, Token};
use crate::index::Index;
use crate::judge::Weighed;
use crate::model::Model;
use crate::profile::Profile;
use serde::Serialize;

/// Reasons for and against that are told.
const FOR: usize = 4;
const AGAINST: usize = 2;
/// Values of a dimension that are told.
const VALUES: usize = 3;
/// Evidence that is worth a sentence, in units of the natural logarithm of odds.
const WORTH: f32 = 0.15;

/// One reason.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Reason {
    /// Dimension of behaviour.
    pub dimension: &'static str,
    /// Natural logarithm of odds that it adds; negative speaks against.
    pub weight: f32,
    /// In words.
    pub text: String,
}

pub(crate) fn reasons(index: &Index, model: &Model, profile: &Profile, one: &Weighed) -> Vec<Reason> {
    let scale = model.scale[Model::band(profile.packets)];
    let mut all: Vec<(f32, Dimension)> = Dimension::ALL
        .into_iter()
        .map(|dimension| {
            let at = dimension as usize;
            let (weights, family) = (&model.weights[one.view], DIMENSIONS + at);
            (scale * (weights[at] * one.inputs[at] + weights[family] * one.inputs[family]), dimension)
        })
        .filter(|(weight, _)| weight.abs() >= WORTH)
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (speak_for, against): (Vec<_>, Vec<_>) = all.into_iter().partition(|(weight, _)| *weight > 0.0);
    let told = speak_for.into_iter().take(FOR).chain(against.into_iter().rev().take(AGAINST));
    told.map(|(weight, dimension)| Reason {
        dimension: dimension.name(),
        weight,
        text: sentence(index, profile, one.family, dimension, weight > 0.0),
    })
    .collect()
}

fn sentence(index: &Index, profile: &Profile, family: u32, dimension: Dimension, agrees: bool) -> String {
    let mut seen = profile.values(dimension).to_vec();
    seen.sort_by(|a, b| b.1.total_cmp(&a.1));
    let theirs = index.family_values(family, dimension);
    let name = &index.families[family as usize].name;
    let word = if agrees { "as" } else { "unlike" };
    format!("{}: {}, {word} {name} ({})", dimension.words(), listed(&seen), listed(&theirs))
}

fn listed(values: &[(Token, f32)]) -> String {
    let told: Vec<String> = values
        .iter()
        .take(VALUES)
        .filter(|(_, share)| *share >= 0.01)
        .map(
            |(token, share)| if *share > 0.995 { token.to_string() } else { format!("{token} {:.0} %", share * 100.0) },
        )
        .collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
}
