//! Who will hit this sensor tomorrow: a list per sensor, ranked by probability, with its own back-test.
//!
//! Candidates are the sources that any sensor saw in the last days. A logistic regression learns from earlier days which
//! of them came (Soldo, Le and Markopoulou, "Predictive Blacklisting as an Implicit Recommendation System", INFOCOM
//! 2010, named the parts: recency, neighbourhood of victims, neighbourhood of sources). Beside it stand the lists that
//! people keep: the worst offenders here, the worst offenders everywhere, and yesterday's sources.

use super::backtest::SCORED;
use super::hazard::{Judged, judge};
use crate::sightings::Sightings;
use hashbrown::{HashMap, HashSet};
use noroshi_model::{Addr, Prefix};
use noroshi_stats::classify::{logistic, sigmoid};
use noroshi_stats::nearness;
use noroshi_stats::regression::Linear;
use serde::Serialize;

/// Days a source stays a candidate.
const WINDOW: i64 = 14;
/// Days between fits.
const REFIT: i64 = 7;
/// Days learned from.
const LEARN: i64 = 28;
/// Rows a fit learns from; candidates beyond are thinned evenly.
const ROWS_MAX: usize = 60_000;
/// Ridge penalty.
const PENALTY: f64 = 1.0;
/// Sensors compared at most.
const SENSORS_MAX: usize = 256;

/// What the probability rests on, in order.
pub const FEATURES: [&str; 9] = [
    "days since it was here",
    "days here",
    "observations here",
    "days since it was anywhere",
    "days anywhere",
    "sensors it visited",
    "visited sensors like this one",
    "its network was here yesterday",
    "never here before",
];

/// A source on the list.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Entry {
    /// Who.
    pub source: Addr,
    /// Probability of at least one visit on the next day.
    pub probability: f64,
    /// Days in the last two weeks on which this sensor saw it.
    pub days_here: u32,
    /// Sensors that saw it in the last two weeks.
    pub sensors: u32,
}

/// The list of one sensor.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct List {
    /// For whom.
    pub sensor: String,
    /// Most probable first.
    pub entries: Vec<Entry>,
}

/// How a way of making lists did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Method {
    /// `predictive`, `worst here`, `worst everywhere`, `yesterday`.
    pub method: &'static str,
    /// Entries listed, over all sensors and days.
    pub listed: u64,
    /// Entries that came on their day.
    pub hits: u64,
    /// Hits over listed.
    pub precision: f64,
    /// Hits over all sources that came.
    pub recall: f64,
    /// Observations by hits over all observations.
    pub observations: f64,
}

/// Back-test and present lists.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Blocklist {
    /// Entries per list.
    pub size: usize,
    /// Days scored.
    pub days: usize,
    /// The ways compared, ours first; empty when there are too few days.
    pub methods: Vec<Method>,
    /// Probabilities of all candidates, judged; lists are made only when they beat the base rate.
    pub judged: Option<Judged>,
    /// Lists for the day after the data.
    pub lists: Vec<List>,
}

/// Where a source was, by sensor: days since, days, observations.
type Places = HashMap<u16, (u32, u32, u32)>;

/// What a source did at a sensor on a day.
type Visits = HashMap<(Addr, u16), u32>;

/// Everything by day.
struct Days {
    visits: Vec<Visits>,
    /// Jaccard similarity of sensors over the days before the scored part.
    alike: Vec<f64>,
    sensors: usize,
}

/// A candidate for one sensor.
#[derive(Clone)]
struct Candidate {
    source: Addr,
    features: Vec<f64>,
    days_here: u32,
    observations_here: u32,
    observations: u32,
    yesterday: u32,
    sensors: u32,
}

/// Makes and scores lists of `size` entries. The table must be finished.
pub fn blocklist(sightings: &Sightings, size: usize) -> Blocklist {
    let empty = Blocklist { size, days: 0, methods: Vec::new(), judged: None, lists: Vec::new() };
    let Some(days) = days(sightings) else { return empty };
    let count = days.visits.len();
    let begin = (count - (count as f64 * SCORED) as usize).max(WINDOW as usize + 2);
    let mut scores = Scores::default();
    let mut model = None;
    for day in begin..count {
        if (day - begin).is_multiple_of(REFIT as usize) {
            model = learn(&days, day);
        }
        if let Some(model) = &model
            && !days.visits[day].is_empty()
        {
            score_day(&days, day, model, size, &mut scores);
        }
    }
    let judged = judge(&scores.said, &scores.happened);
    let mut lists = Vec::new();
    if judged.as_ref().is_some_and(Judged::publishable)
        && let Some(model) = learn(&days, count)
    {
        lists = (0..days.sensors).map(|sensor| list(sightings, &days, count, sensor, &model, size)).collect();
    }
    Blocklist { size, days: scores.days, methods: scores.methods(), judged, lists }
}

fn days(sightings: &Sightings) -> Option<Days> {
    let day = |second: i64| second.div_euclid(86_400);
    let (first, last) = sightings.span().map(|(a, b)| (day(a.seconds()), day(b.seconds())))?;
    let count = usize::try_from(last - first + 1).ok().filter(|count| *count <= 4_000)?;
    let sensors = sightings.sensors().len();
    if sensors > SENSORS_MAX {
        return None;
    }
    let mut visits: Vec<Visits> = vec![HashMap::new(); count];
    for row in sightings.rows() {
        let day = (day(row.at.seconds()) - first) as usize;
        *visits[day].entry((row.source, row.sensor)).or_default() += 1;
    }
    let known = count - (count as f64 * SCORED) as usize;
    let mut sources = vec![Vec::new(); sensors];
    for day in &visits[..known] {
        day.keys().for_each(|(source, sensor)| sources[usize::from(*sensor)].push(*source));
    }
    for list in &mut sources {
        list.sort_unstable();
        list.dedup();
    }
    let alike = (0..sensors * sensors)
        .map(|cell| nearness::jaccard(&sources[cell / sensors], &sources[cell % sensors]).unwrap_or(0.0))
        .collect();
    Some(Days { visits, alike, sensors })
}

/// The candidates of every sensor on a day, from the days before it.
fn candidates(days: &Days, day: usize) -> Vec<Vec<Candidate>> {
    let from = day.saturating_sub(WINDOW as usize);
    let mut seen: HashMap<Addr, Places> = HashMap::new();
    let mut anywhere: HashMap<Addr, (u32, u32)> = HashMap::new();
    let mut networks: Vec<HashSet<Prefix>> = vec![HashSet::new(); days.sensors];
    for (at, visits) in days.visits[from..day].iter().enumerate() {
        let since = (day - from - at) as u32;
        let mut today = HashSet::new();
        for ((source, sensor), count) in visits {
            let cell = seen.entry(*source).or_default().entry(*sensor).or_insert((since, 0, 0));
            *cell = (since, cell.1 + 1, cell.2.saturating_add(*count));
            if today.insert(*source) {
                let all = anywhere.entry(*source).or_insert((since, 0));
                *all = (since, all.1 + 1);
            }
            if since == 1 {
                networks[usize::from(*sensor)].insert(source.network());
            }
        }
    }
    let mut sources: Vec<(Addr, Places)> = seen.into_iter().collect();
    sources.sort_unstable_by_key(|source| source.0);
    let yesterday = day.checked_sub(1).map(|day| &days.visits[day]);
    (0..days.sensors)
        .map(|sensor| {
            sources
                .iter()
                .map(|(source, places)| {
                    let here = places.get(&(sensor as u16)).copied();
                    let (since_any, days_any) = anywhere[source];
                    let alike: f64 = places
                        .iter()
                        .filter(|(other, _)| usize::from(**other) != sensor)
                        .map(|(other, (since, _, _))| {
                            days.alike[sensor * days.sensors + usize::from(*other)] / f64::from(*since)
                        })
                        .sum();
                    let (since, days_here, observations_here) = here.unwrap_or((2 * WINDOW as u32, 0, 0));
                    let near = networks[sensor].contains(&source.network());
                    Candidate {
                        source: *source,
                        features: vec![
                            f64::from(since).ln(),
                            f64::from(days_here).ln_1p(),
                            f64::from(observations_here).ln_1p(),
                            f64::from(since_any).ln(),
                            f64::from(days_any).ln_1p(),
                            (places.len() as f64).ln(),
                            alike,
                            f64::from(u8::from(near)),
                            f64::from(u8::from(here.is_none())),
                        ],
                        days_here,
                        observations_here,
                        observations: places.values().map(|place| place.2).sum(),
                        yesterday: yesterday.and_then(|day| day.get(&(*source, sensor as u16))).copied().unwrap_or(0),
                        sensors: places.len() as u32,
                    }
                })
                .collect()
        })
        .collect()
}

/// Learns from the days before `now`.
fn learn(days: &Days, now: usize) -> Option<Linear> {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    let from = now.saturating_sub(LEARN as usize).max(2);
    for day in (from..now).filter(|day| !days.visits[*day].is_empty()) {
        for (sensor, list) in candidates(days, day).into_iter().enumerate() {
            for candidate in list {
                targets.push(days.visits[day].contains_key(&(candidate.source, sensor as u16)));
                rows.push(candidate.features);
            }
        }
    }
    if rows.len() > ROWS_MAX {
        let step = rows.len().div_ceil(ROWS_MAX);
        rows = rows.into_iter().step_by(step).collect();
        targets = targets.into_iter().step_by(step).collect();
    }
    logistic(&rows, &targets, PENALTY)
}

#[derive(Default)]
struct Scores {
    days: usize,
    said: Vec<f64>,
    happened: Vec<bool>,
    /// Listed, hits, observations by hits; per method.
    sums: [(u64, u64, u64); 4],
    came: u64,
    observations: u64,
}

const METHODS: [&str; 4] = ["predictive", "worst here", "worst everywhere", "yesterday"];

impl Scores {
    fn methods(&self) -> Vec<Method> {
        let share = |part: u64, all: u64| if all > 0 { part as f64 / all as f64 } else { 0.0 };
        let method = |(method, (listed, hits, observations)): (&'static str, (u64, u64, u64))| Method {
            method,
            listed,
            hits,
            precision: share(hits, listed),
            recall: share(hits, self.came),
            observations: share(observations, self.observations),
        };
        if self.days == 0 { Vec::new() } else { METHODS.into_iter().zip(self.sums).map(method).collect() }
    }
}

fn score_day(days: &Days, day: usize, model: &Linear, size: usize, scores: &mut Scores) {
    scores.days += 1;
    let truth = &days.visits[day];
    scores.came += truth.len() as u64;
    scores.observations += truth.values().map(|count| u64::from(*count)).sum::<u64>();
    for (sensor, candidates) in candidates(days, day).into_iter().enumerate() {
        let came = |candidate: &Candidate| truth.get(&(candidate.source, sensor as u16)).copied();
        for candidate in &candidates {
            scores.said.push(sigmoid(model.predict(&candidate.features)));
            scores.happened.push(came(candidate).is_some());
        }
        let ways: [&dyn Fn(&Candidate) -> f64; 4] = [
            &|candidate| model.predict(&candidate.features),
            &|candidate| f64::from(candidate.observations_here),
            &|candidate| f64::from(candidate.observations),
            &|candidate| f64::from(candidate.yesterday),
        ];
        for (way, sum) in ways.iter().zip(&mut scores.sums) {
            // Lists of nothing known: a method that has no reason to list an address does not.
            let mut ranked: Vec<(f64, &Candidate)> = candidates.iter().map(|one| (way(one), one)).collect();
            ranked.retain(|(score, _)| *score != 0.0);
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.source.cmp(&b.1.source)));
            for (_, candidate) in ranked.iter().take(size) {
                sum.0 += 1;
                if let Some(count) = came(candidate) {
                    sum.1 += 1;
                    sum.2 += u64::from(count);
                }
            }
        }
    }
}

fn list(sightings: &Sightings, days: &Days, day: usize, sensor: usize, model: &Linear, size: usize) -> List {
    let mut entries: Vec<Entry> = candidates(days, day)
        .swap_remove(sensor)
        .into_iter()
        .map(|candidate| Entry {
            source: candidate.source,
            probability: sigmoid(model.predict(&candidate.features)),
            days_here: candidate.days_here,
            sensors: candidate.sensors,
        })
        .collect();
    entries.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.source.cmp(&b.source)));
    entries.truncate(size);
    List { sensor: sightings.sensors()[sensor].clone(), entries }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sightings::Service;
    use noroshi_model::Nanos;

    /// Sixty days, two sensors: ten sources come every day, and new ones each day never return. What was at `b` yesterday
    /// comes to `a` today.
    fn table() -> Sightings {
        let mut table = Sightings::new(1_000_000);
        let (a, b) = (table.sensor("a"), table.sensor("b"));
        let ssh = Service::new(6, Some(22));
        for day in 0..60_i64 {
            let at = |second: i64| Nanos::from_seconds(day * 86_400 + second);
            for source in 0..10 {
                table.add(at(60), Addr::v4(source), ssh, a);
            }
            for source in 0..20 {
                let stray = 10_000 + day as u32 * 100 + source;
                // A loud stranger that never returns.
                (0..5).for_each(|second| table.add(at(second), Addr::v4(stray << 8), ssh, a));
                let herald = 1_000_000 + day as u32 * 100 + source;
                table.add(at(70), Addr::v4(herald << 8), ssh, b);
                table.add(at(80), Addr::v4((herald - 100) << 8), ssh, a);
            }
        }
        table.finish();
        table
    }

    #[test]
    fn those_who_return_and_those_who_are_announced_are_listed() {
        let found = blocklist(&table(), 30);
        let ours = &found.methods[0];
        let best = found.methods[1..].iter().map(|method| method.hits).max().unwrap();
        assert!(ours.hits > best, "{:?}", found.methods);
        assert!(found.judged.as_ref().unwrap().publishable());
        let list = found.lists.iter().find(|list| list.sensor == "a").unwrap();
        let heralds = list.entries.iter().filter(|entry| entry.days_here == 0).count();
        let regulars = list.entries.iter().filter(|entry| entry.source < Addr::v4(10)).count();
        assert_eq!((regulars, heralds), (10, 20), "{:?}", list.entries);
    }

    #[test]
    fn tomorrow_does_not_change_yesterday() {
        let whole = table();
        let days_all = days(&whole).unwrap();
        let before = candidates(&days_all, 40);
        let mut cut = days(&whole).unwrap();
        cut.visits[40..].iter_mut().for_each(HashMap::clear);
        let after = candidates(&cut, 40);
        for (a, b) in before[0].iter().zip(&after[0]) {
            assert_eq!((a.source, &a.features), (b.source, &b.features));
        }
    }

    #[test]
    fn too_few_days_give_no_list() {
        let mut few = Sightings::new(10);
        assert!(blocklist(&few, 10).lists.is_empty());
        let a = few.sensor("a");
        few.add(Nanos(0), Addr::v4(1), Service::new(1, None), a);
        few.add(Nanos(i64::MAX), Addr::v4(1), Service::new(1, None), a);
        few.finish();
        assert!(blocklist(&few, 10).methods.is_empty());
    }
}
