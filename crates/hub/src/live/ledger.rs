//! What was told of findings so far, and what is new about them: from looks at all findings to rows of the lake.

use noroshi_detect::engine::Findings;
use noroshi_model::finding::{Attack, Campaign, Scan};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Silence in the data, in seconds, after which a finding is told to be over. Larger: later endings; smaller: findings
/// that end and go on again.
pub const OVER_SECONDS: i64 = 3_600;

/// What is remembered of one finding.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Known {
    packets: u64,
    told: Nanos,
    closed: bool,
    /// As it was told, as JSON.
    #[serde(default)]
    finding: String,
}

/// A finding of any kind, told at one moment; a row of the lake on its way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Telling<T> {
    /// When.
    pub at: Nanos,
    /// The same for every telling.
    pub id: String,
    /// Whether it is over.
    pub closed: bool,
    /// What.
    pub finding: T,
}

/// What a look brought.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// Attacks that are new, have grown, or are over.
    pub attacks: Vec<Attack>,
    /// Rows for the lake: table and JSON.
    pub rows: Vec<(&'static str, String)>,
    /// What is to be remembered, by key.
    pub kept: Vec<(String, Option<String>)>,
    /// Something has grown and is not told yet: look again.
    pub untold: bool,
}

/// What was told so far. A finding that grew is told again when it has twice the packets, or has changed at all since so
/// many seconds. One that is no longer found, since with more packets it is part of another, is taken back: it is told
/// as closed, with confidence 0. So the newest tellings that are not taken back are what the detectors found.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    again_seconds: u32,
    known: BTreeMap<String, Known>,
}

/// What every kind of finding has.
trait Finding: Serialize {
    const TABLE: &'static str;
    fn id(&self) -> String;
    fn packets(&self) -> u64;
    fn last(&self) -> Nanos;
}

/// What is said of a finding that is taken back.
const TAKEN_BACK: &str = "taken back: with more packets it is part of another finding, or none";

/// A row for the lake, of a finding that is JSON already; reads back as a [`Telling`].
fn row(at: Nanos, id: &str, closed: bool, finding: &str) -> String {
    let head = json!({"at": at, "id": id, "closed": closed}).to_string();
    format!("{},\"finding\":{finding}}}", head.trim_end_matches('}'))
}

impl Finding for Attack {
    const TABLE: &'static str = "attacks";
    fn id(&self) -> String {
        format!("{}-{}-{}-{}", self.kind, self.vector, self.victim, self.first.0)
    }
    fn packets(&self) -> u64 {
        self.packets
    }
    fn last(&self) -> Nanos {
        self.last
    }
}

impl Finding for Campaign {
    const TABLE: &'static str = "campaigns";
    fn id(&self) -> String {
        self.id.clone()
    }
    fn packets(&self) -> u64 {
        self.packets
    }
    fn last(&self) -> Nanos {
        self.last
    }
}

impl Finding for Scan {
    const TABLE: &'static str = "scans";
    fn id(&self) -> String {
        let mut id = format!("{}-{}-{}", self.kind, self.protocol, self.source);
        if let Some(port) = self.port {
            // Writing to text does not fail.
            let _ = write!(id, "-{port}");
        }
        format!("{id}-{}", self.first.0)
    }
    fn packets(&self) -> u64 {
        self.packets
    }
    fn last(&self) -> Nanos {
        self.last
    }
}

/// Prefix of keys under which the ledger is kept.
const KEY: &str = "told/";

impl Ledger {
    /// A ledger in which nothing was told.
    pub fn new(again_seconds: u32) -> Self {
        Ledger { again_seconds, known: BTreeMap::new() }
    }

    /// Takes back what [`News::kept`] gave; other keys are left alone.
    pub fn restore<'k>(&mut self, kept: impl IntoIterator<Item = (&'k str, &'k str)>) -> Result<(), serde_json::Error> {
        for (key, value) in kept {
            if let Some(id) = key.strip_prefix(KEY) {
                self.known.insert(id.to_owned(), serde_json::from_str(value)?);
            }
        }
        Ok(())
    }

    /// What is new in `found`, of packets up to `latest`, at the present `now`. `last` says that these findings are
    /// final: everything is told once more and closed.
    pub fn look(&mut self, found: &Findings, latest: Nanos, now: Nanos, last: bool) -> News {
        let mut news = News::default();
        let moment = Moment { latest, now, last };
        for attack in &found.attacks {
            if self.tell(attack, moment, &mut news) {
                news.attacks.push(attack.clone());
            }
        }
        for campaign in &found.campaigns {
            self.tell(campaign, moment, &mut news);
        }
        for scan in &found.scans {
            self.tell(scan, moment, &mut news);
        }
        self.take_back(found, now, &mut news);
        if last {
            let gone = std::mem::take(&mut self.known);
            news.kept.extend(gone.into_keys().map(|id| (format!("{KEY}{id}"), None)));
        }
        news
    }

    fn tell<T: Finding>(&mut self, finding: &T, moment: Moment, news: &mut News) -> bool {
        let id = format!("{}/{}", T::TABLE, finding.id());
        let over = moment.latest.seconds_since(finding.last()) > OVER_SECONDS as f64;
        let closed = moment.last || over;
        // Plain data with text keys: it always has a JSON form.
        let Ok(text) = serde_json::to_string(finding) else { return false };
        let due = match self.known.get(&id) {
            None => true,
            Some(known) => {
                let changed = known.finding != text;
                let late = moment.now.0.saturating_sub(known.told.0) >= i64::from(self.again_seconds) * SECOND;
                let doubled = finding.packets() >= known.packets.saturating_mul(2);
                let due = match (closed, known.closed) {
                    (true, true) => changed && (moment.last || late),
                    (true, false) | (false, true) => true,
                    (false, false) => doubled || changed && late,
                };
                news.untold |= changed && !due;
                due
            }
        };
        if !due {
            return false;
        }
        news.rows.push((T::TABLE, row(moment.now, &finding.id(), closed, &text)));
        let known = Known { packets: finding.packets(), told: moment.now, closed, finding: text };
        self.note(id, known, news);
        true
    }

    fn note(&mut self, id: String, known: Known, news: &mut News) {
        if let Ok(value) = serde_json::to_string(&known) {
            news.kept.push((format!("{KEY}{id}"), Some(value)));
        }
        self.known.insert(id, known);
    }

    /// What was told and is not found any more. Lists that are cut, and counts that are thinned, say nothing of what is
    /// not in them.
    fn take_back(&mut self, found: &Findings, now: Nanos, news: &mut News) {
        if found.approximate {
            return;
        }
        let mut whole = vec![Attack::TABLE, Campaign::TABLE];
        if found.scans.len() as u64 == found.totals.scans {
            whole.push(Scan::TABLE);
        }
        let mut there = BTreeSet::new();
        there.extend(found.attacks.iter().map(|attack| format!("{}/{}", Attack::TABLE, attack.id())));
        there.extend(found.campaigns.iter().map(|campaign| format!("{}/{}", Campaign::TABLE, Finding::id(campaign))));
        there.extend(found.scans.iter().map(|scan| format!("{}/{}", Scan::TABLE, scan.id())));
        let gone =
            |id: &&String| !there.contains(*id) && whole.iter().any(|table| id.split('/').next() == Some(*table));
        let gone: Vec<String> = self.known.keys().filter(gone).cloned().collect();
        for key in gone {
            let Some(known) = self.known.remove(&key) else { continue };
            news.kept.push((format!("{KEY}{key}"), None));
            let Some((name, id)) = key.split_once('/') else { continue };
            let Ok(mut finding) = serde_json::from_str::<serde_json::Value>(&known.finding) else { continue };
            (finding["confidence"], finding["reason"]) = (json!(0.0), json!(TAKEN_BACK));
            if let Some(&table) = whole.iter().find(|table| **table == name) {
                news.rows.push((table, row(now, id, true, &finding.to_string())));
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Moment {
    latest: Nanos,
    now: Nanos,
    last: bool,
}

/// Members of campaigns, for the watch over members' hosts.
pub fn campaign_members(found: &Findings) -> Vec<Addr> {
    found.campaigns.iter().flat_map(|campaign| campaign.members.iter().copied()).collect()
}
