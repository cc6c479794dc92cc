//! What was learned: weights, background shares and calibration, with a card that says from what.

use crate::calibrate::Steps;
use crate::feature::{DIMENSIONS, Token};
use serde::{Deserialize, Serialize};

/// Name and version of the model file.
pub const SCHEMA: &str = "noroshi.correlate-model/2";

/// Numbers that can only speak for a candidate family: for each dimension how well the nearest profiles and the whole
/// family explain what was seen, then the similarity of the nearest, of the three nearest, and how many there are.
pub(crate) const EVIDENCE: usize = 2 * DIMENSIONS + 3;

/// All numbers that describe a candidate: its evidence, and by how many profiles it is known, one of [`SUPPORT`].
pub(crate) const INPUTS: usize = EVIDENCE + SUPPORT.len() + 1;

/// Profiles of a family at which it is known better: one; two to four; five to fifteen; more.
pub(crate) const SUPPORT: [u32; 3] = [2, 5, 16];

/// Ways a family can be known: by what darknets and honeypots saw of it, or by samples in the sandbox. Each has weights
/// and calibration of its own: a sandbox shows one source and its own kernel.
pub(crate) const VIEWS: usize = 2;

/// Packets at which evidence is weighed differently: below 20, 50, 150, 500, and above.
pub const BANDS: [u64; 4] = [20, 50, 150, 500];

/// Where a model comes from and what it is good for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Card {
    /// What it was trained on; on generated data it says so.
    pub data: String,
    /// Profiles and families in training.
    pub profiles: u64,
    /// Families in training.
    pub families: u64,
    /// How it was trained.
    pub method: String,
    /// What it must not be used for.
    pub limits: String,
}

/// Weights and calibration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Model {
    /// [`SCHEMA`].
    pub schema: String,
    /// The card.
    pub card: Card,
    /// Weight of each dimension in similarity, from pairs of profiles of the same and of different families.
    pub similarity: [f32; DIMENSIONS],
    /// Weight of each input of a candidate, by the way it is known.
    pub(crate) weights: [Vec<f32>; VIEWS],
    /// How far evidence counts, by band of packets.
    pub(crate) scale: [f32; BANDS.len() + 1],
    /// Score of "none of the known", by band of packets.
    pub(crate) none: [f32; BANDS.len() + 1],
    /// Mean share of each token over all families in training, ordered: what is usual.
    pub(crate) background: Vec<(u32, f32)>,
    /// From the first candidate's probability to how often it is right, by the way it is known.
    pub(crate) calibration: [Steps; VIEWS],
}

/// A model file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Not a model.
    #[error("it is no model of correlation: {0}")]
    Json(#[from] serde_json::Error),
    /// Numbers that cannot be.
    #[error("it has a number that is not finite, or a background that is not in order: train it again")]
    Numbers,
    /// Of another version, or incomplete.
    #[error(
        "its \"schema\" is \"{found}\" with {inputs} weights; needed is \"{SCHEMA}\" with {INPUTS}: train it again with this version"
    )]
    Version {
        /// As found.
        found: String,
        /// Weights in it.
        inputs: usize,
    },
}

/// Share that a token has in no family of the training data.
const UNSEEN: f32 = 0.001;

impl Model {
    /// The model that comes with the program. Trained on generated data, as its card says.
    pub fn shipped() -> Self {
        Self::read(include_bytes!("../model/behaviour.json")).expect("the shipped model is checked by a test")
    }

    /// From a model file.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let model: Model = serde_json::from_slice(bytes)?;
        let bad = model.weights.iter().find(|weights| weights.len() != INPUTS);
        if model.schema != SCHEMA || bad.is_some() {
            return Err(ModelError::Version { found: model.schema, inputs: bad.map_or(INPUTS, Vec::len) });
        }
        if !model.whole() {
            return Err(ModelError::Numbers);
        }
        Ok(model)
    }

    fn whole(&self) -> bool {
        let all = self.weights.iter().flatten().chain(&self.similarity).chain(&self.scale).chain(&self.none);
        let finite = all.chain(self.background.iter().map(|(_, share)| share)).all(|number| number.is_finite());
        finite
            && self.background.is_sorted_by(|a, b| a.0 < b.0)
            && self.calibration.iter().all(|steps| steps.is_sound())
    }

    /// As a file.
    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts")
    }

    /// How usual a token is.
    #[inline]
    pub(crate) fn usual(&self, token: Token) -> f32 {
        let found = self.background.binary_search_by_key(&token.0, |(key, _)| *key);
        found.map_or(UNSEEN, |at| self.background[at].1.max(UNSEEN))
    }

    /// Band of a number of packets.
    pub fn band(packets: u64) -> usize {
        BANDS.partition_point(|limit| *limit <= packets)
    }

    pub(crate) fn blank() -> Self {
        let mut weights = vec![0.3; INPUTS];
        weights[EVIDENCE - 3..].fill(0.0);
        weights[EVIDENCE - 3..EVIDENCE - 1].copy_from_slice(&[4.0, 2.0]);
        Model {
            schema: SCHEMA.to_owned(),
            card: Card::default(),
            similarity: [1.0; DIMENSIONS],
            weights: [weights.clone(), weights],
            scale: [1.0; BANDS.len() + 1],
            none: [3.0; BANDS.len() + 1],
            background: Vec::new(),
            calibration: Default::default(),
        }
    }
}
