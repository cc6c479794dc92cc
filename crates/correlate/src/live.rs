//! What a hub holds: forwards for each new campaign, infection and session, backwards for each new sample.

use crate::feature::DIMENSIONS;
use crate::index::{Index, Scratch};
use crate::joins::{Join, Joins, Owner};
use crate::judge::Verdict;
use crate::model::Model;
use crate::profile::Profile;
use serde::Serialize;
use std::collections::VecDeque;

/// Findings that a new sample is compared with, when nobody says how many.
pub const RECENT_MAX: usize = 20_000;
/// A finding without its own behaviour in common with a new sample is not judged again.
const WORTH_ANOTHER_LOOK: f32 = 0.3;

/// What is said about one finding.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Link {
    /// The finding: source, campaign, session or infection.
    pub finding: String,
    /// What behaviour says.
    pub verdict: Verdict,
    /// What is equal.
    pub joins: Vec<Join>,
    /// Name and version of what judged.
    pub detector: String,
}

/// Known samples, recent findings, and the model.
pub struct Correlator {
    model: Model,
    known: Index,
    joins: Joins,
    recent: VecDeque<Profile>,
    recent_index: Index,
    recent_first: u32,
    recent_max: usize,
    scratch: Scratch,
}

impl Correlator {
    /// Knows nothing yet; keeps at most `recent_max` findings for samples to come.
    pub fn new(model: Model, recent_max: usize) -> Self {
        let weights: [f32; DIMENSIONS] = model.similarity;
        Correlator {
            model,
            known: Index::new(weights),
            joins: Joins::default(),
            recent: VecDeque::new(),
            recent_index: Index::new(weights),
            recent_first: 0,
            recent_max: recent_max.max(1),
            scratch: Scratch::default(),
        }
    }

    /// Labelled profiles held.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Judges a new finding and remembers it for samples to come.
    pub fn judge(&mut self, finding: Profile) -> Link {
        let link = self.look(&finding);
        if self.recent.len() == self.recent_max {
            self.recent.pop_front();
            self.recent_first += 1;
        }
        self.recent_index.insert(&Profile { label: Some(String::new()), ..finding.clone() });
        self.recent.push_back(finding);
        // The index cannot forget; when half of it is past, it is made anew.
        if self.recent_index.len() > 2 * self.recent_max {
            self.recent_index = Index::new(self.model.similarity);
            self.recent_first = 0;
            for profile in &self.recent {
                self.recent_index.insert(&Profile { label: Some(String::new()), ..profile.clone() });
            }
        }
        link
    }

    /// Takes a new labelled sample; gives the recent findings that it explains: those that share a value with it, and
    /// those whose verdict is now its family.
    pub fn learn(&mut self, sample: &Profile) -> Vec<Link> {
        self.known.insert(sample);
        let owner = Owner { name: sample.name.clone(), label: sample.label.clone() };
        self.joins.add(&owner, &sample.exact);
        let family = sample.label.as_deref().unwrap_or(&sample.name);
        let near = self.recent_index.nearest(sample, &mut self.scratch);
        let alike = near.iter().filter(|near| near.similarity >= WORTH_ANOTHER_LOOK);
        let mut places: Vec<usize> =
            alike.filter_map(|near| near.profile.checked_sub(self.recent_first)).map(|at| at as usize).collect();
        let mut only_this = Joins::default();
        only_this.add(&owner, &sample.exact);
        let equal = self.recent.iter().enumerate().filter(|(_, finding)| !only_this.find(&finding.exact).is_empty());
        places.extend(equal.map(|(at, _)| at));
        places.sort_unstable();
        places.dedup();
        let mut links = Vec::new();
        for at in places {
            let Some(finding) = self.recent.get(at).cloned() else { continue };
            let link = self.look(&finding);
            let explains = link.verdict.family.as_deref() == Some(family);
            if explains || link.joins.iter().any(|join| join.owner == owner) {
                links.push(link);
            }
        }
        links
    }

    /// Judges a finding without remembering it.
    pub fn look(&mut self, finding: &Profile) -> Link {
        Link {
            finding: finding.name.clone(),
            verdict: self.known.judge(&self.model, finding, &mut self.scratch),
            joins: self.joins.find(&finding.exact),
            detector: crate::detector(),
        }
    }
}
