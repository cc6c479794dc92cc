//! Labelled profiles, found again by what they share: an inverted index over tokens, with an exact ranking of the best.
//!
//! Postings of the rarest tokens are read first and up to a budget, so the work of one query is bounded however many
//! profiles there are. Shares are kept in one byte each; a profile takes about 200 bytes.

use crate::feature::{DIMENSIONS, Token};
use crate::profile::{Origin, Profile};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Postings that one query reads at most. More finds hardly more (the rest are the commonest tokens), and costs about a
/// nanosecond each.
const POSTINGS_MAX: usize = 400_000;
/// Profiles that are compared exactly.
const CANDIDATES: usize = 300;
/// Profiles that are handed on.
const NEAREST: usize = 96;

/// A profile near to the one asked about.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Near {
    /// Its number in the index.
    pub profile: u32,
    /// Weighted share of behaviour in common, 0 to 1.
    pub similarity: f32,
}

/// Everything known of one family, summed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) profiles: u32,
    /// Sum of shares by token, ordered.
    pub(crate) sums: Vec<(u32, f32)>,
    /// Profiles that have the dimension at all.
    pub(crate) having: [u32; DIMENSIONS],
}

impl Family {
    fn add(&mut self, features: &[(Token, f32)]) {
        self.profiles += 1;
        let mut last = usize::MAX;
        for (token, share) in features {
            match self.sums.binary_search_by_key(&token.0, |(key, _)| *key) {
                Ok(at) => self.sums[at].1 += share,
                Err(at) => self.sums.insert(at, (token.0, *share)),
            }
            if token.dimension() != last && token.dimension() < DIMENSIONS {
                last = token.dimension();
                self.having[last] += 1;
            }
        }
    }

    /// Mean share of a token among the profiles that have its dimension.
    #[inline]
    pub(crate) fn share(&self, token: Token) -> f32 {
        let found = self.sums.binary_search_by_key(&token.0, |(key, _)| *key);
        found.map_or(0.0, |at| self.sums[at].1 / self.having[token.dimension()].max(1) as f32)
    }
}

/// Room that queries work in; reusing it spares an allocation of the size of the index.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    scores: Vec<f32>,
    touched: Vec<u32>,
}

/// Labelled profiles.
#[derive(Clone, Debug)]
pub struct Index {
    /// Weight of each dimension in similarity.
    weights: [f32; DIMENSIONS],
    pub(crate) families: Vec<Family>,
    family_numbers: HashMap<String, u32, FixedState>,
    pub(crate) family_of: Vec<u32>,
    /// Whether a profile is of a sample in the sandbox.
    pub(crate) sandboxed: Vec<bool>,
    names: Vec<Box<str>>,
    starts: Vec<u32>,
    tokens: Vec<u32>,
    shares: Vec<u8>,
    postings: HashMap<u32, Vec<u32>, FixedState>,
}

impl Index {
    /// Nothing known. `weights`: of each dimension in similarity, as [`crate::Model::similarity`] has them.
    pub fn new(weights: [f32; DIMENSIONS]) -> Self {
        Index {
            weights,
            families: Vec::new(),
            family_numbers: HashMap::default(),
            family_of: Vec::new(),
            sandboxed: Vec::new(),
            names: Vec::new(),
            starts: vec![0],
            tokens: Vec::new(),
            shares: Vec::new(),
            postings: HashMap::default(),
        }
    }

    /// Profiles held.
    pub fn len(&self) -> usize {
        self.family_of.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.family_of.is_empty()
    }

    /// Families held.
    pub fn families(&self) -> impl ExactSizeIterator<Item = &str> {
        self.families.iter().map(|family| &*family.name)
    }

    /// Name of a profile.
    pub fn name(&self, profile: u32) -> &str {
        self.names.get(profile as usize).map_or("", |name| name)
    }

    /// Family of a profile.
    pub fn family(&self, profile: u32) -> &str {
        self.family_of.get(profile as usize).map_or("", |family| &self.families[*family as usize].name)
    }

    /// Adds a profile under its label, or under its own name when it has none; gives its number.
    pub fn insert(&mut self, profile: &Profile) -> u32 {
        let label = profile.label.as_deref().unwrap_or(&profile.name);
        let next = self.families.len() as u32;
        let family = *self.family_numbers.entry(label.to_owned()).or_insert(next);
        if family == next {
            self.families.push(Family { name: label.to_owned(), ..Family::default() });
        }
        self.families[family as usize].add(&profile.features);
        let number = self.family_of.len() as u32;
        self.family_of.push(family);
        self.sandboxed.push(profile.origin == Origin::Sandbox);
        self.names.push(profile.name.as_str().into());
        for (token, share) in &profile.features {
            self.tokens.push(token.0);
            self.shares.push((share * 255.0).round() as u8);
            self.postings.entry(token.0).or_default().push(number);
        }
        self.starts.push(self.tokens.len() as u32);
        number
    }

    /// A profile's tokens and shares.
    fn features(&self, profile: u32) -> (&[u32], &[u8]) {
        let range = self.starts[profile as usize] as usize..self.starts[profile as usize + 1] as usize;
        (&self.tokens[range.clone()], &self.shares[range])
    }

    /// Share of a token in a profile.
    #[inline]
    pub(crate) fn share(&self, profile: u32, token: Token) -> Option<f32> {
        let (tokens, shares) = self.features(profile);
        tokens.binary_search(&token.0).ok().map(|at| f32::from(shares[at]) / 255.0)
    }

    /// Whether a profile has a dimension.
    #[inline]
    pub(crate) fn has(&self, profile: u32, dimension: usize) -> bool {
        let (tokens, _) = self.features(profile);
        let at = tokens.partition_point(|token| (token >> 24) < dimension as u32);
        tokens.get(at).is_some_and(|token| token >> 24 == dimension as u32)
    }

    /// The profiles nearest to one, best first; ties in the order they were added.
    pub fn nearest(&self, profile: &Profile, scratch: &mut Scratch) -> Vec<Near> {
        let mut near: Vec<Near> = self
            .candidates(&profile.features, scratch)
            .into_iter()
            .map(|candidate| Near { profile: candidate, similarity: self.similarity(&profile.features, candidate) })
            .collect();
        near.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.profile.cmp(&b.profile)));
        near.truncate(NEAREST);
        near
    }

    fn candidates(&self, features: &[(Token, f32)], scratch: &mut Scratch) -> Vec<u32> {
        let Scratch { scores, touched } = scratch;
        scores.resize(self.len(), 0.0);
        let mut lists: Vec<(f32, &[u32])> = features
            .iter()
            .filter_map(|(token, share)| {
                let list = self.postings.get(&token.0)?;
                let rarity = (1.0 + self.len() as f32 / list.len() as f32).ln();
                Some((share * rarity * self.weights[token.dimension()], list.as_slice()))
            })
            .collect();
        lists.sort_by_key(|(_, list)| list.len());
        let mut budget = POSTINGS_MAX;
        for (weight, list) in lists {
            // Of a list too long the latest are read: what is active now.
            let list = &list[list.len().saturating_sub(budget)..];
            budget -= list.len();
            for at in list {
                let score = &mut scores[*at as usize];
                if *score == 0.0 {
                    touched.push(*at);
                }
                *score += weight;
            }
        }
        let mut best: Vec<u32> = touched.clone();
        let order = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
        if best.len() > CANDIDATES {
            best.select_nth_unstable_by(CANDIDATES, order);
            best.truncate(CANDIDATES);
        }
        for at in touched.drain(..) {
            scores[at as usize] = 0.0;
        }
        best
    }

    /// Weighted share of behaviour in common, over the dimensions that both have.
    fn similarity(&self, features: &[(Token, f32)], other: u32) -> f32 {
        let common = self.common(features, other);
        let (mut sum, mut whole) = (0.0, 0.0);
        for (dimension, common) in common.iter().enumerate() {
            if let Some(common) = common {
                sum += self.weights[dimension] * common;
                whole += self.weights[dimension];
            }
        }
        if whole > 0.0 { sum / whole } else { 0.0 }
    }

    /// Common share in each dimension that both have: the sum over values of the smaller share.
    pub(crate) fn common(&self, features: &[(Token, f32)], other: u32) -> [Option<f32>; DIMENSIONS] {
        let (tokens, shares) = self.features(other);
        let mut common = [None; DIMENSIONS];
        let mut theirs = 0u32;
        for token in tokens {
            theirs |= 1 << (token >> 24);
        }
        let mut at = 0;
        for (token, share) in features {
            let dimension = token.dimension();
            if theirs & 1 << dimension == 0 {
                continue;
            }
            while at < tokens.len() && tokens[at] < token.0 {
                at += 1;
            }
            let both = if tokens.get(at) == Some(&token.0) { share.min(f32::from(shares[at]) / 255.0) } else { 0.0 };
            *common[dimension].get_or_insert(0.0) += both;
        }
        common
    }
}
