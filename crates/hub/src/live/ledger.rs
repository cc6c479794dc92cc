//! What was told of findings so far, and what is new about them: from looks at all findings to rows of the lake.

use noroshi_detect::engine::Findings;
use noroshi_model::finding::{Attack, Campaign, Scan};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Silence in the data, in seconds, after which a finding is told to be over. Larger: later endings; smaller: findings
/// that end and go on again.
pub const OVER_SECONDS: i64 = 3_600;

/// What is remembered of one finding.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Known {
    packets: u64,
    last: Nanos,
    told: Nanos,
    closed: bool,
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

/// What was told so far. A finding that grew is told again when it has twice the packets, or has grown at all since so
/// many seconds.
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
        let due = match self.known.get(&id) {
            None => true,
            Some(known) if known.closed && !moment.last => known.packets != finding.packets(),
            Some(known) if closed => !known.closed || known.packets != finding.packets(),
            Some(known) => {
                let grown = (known.packets, known.last) != (finding.packets(), finding.last());
                let late = moment.now.0.saturating_sub(known.told.0) >= i64::from(self.again_seconds) * SECOND;
                let due = finding.packets() >= known.packets.saturating_mul(2) || grown && late;
                news.untold |= grown && !due;
                due
            }
        };
        if !due {
            return false;
        }
        let known = Known { packets: finding.packets(), last: finding.last(), told: moment.now, closed };
        let telling = Telling { at: moment.now, id: finding.id(), closed, finding };
        // Plain data with text keys: it always has a JSON form.
        if let (Ok(row), Ok(value)) = (serde_json::to_string(&telling), serde_json::to_string(&known)) {
            news.rows.push((T::TABLE, row));
            news.kept.push((format!("{KEY}{id}"), Some(value)));
        }
        self.known.insert(id, known);
        true
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
