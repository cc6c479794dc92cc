//! Who sees it first: which sensor or service moves before which other, with significance.
//!
//! Two questions, answered apart. Does the series of one lead that of the other (cross-correlation of what an
//! autoregression leaves unexplained, against all circular shifts)? And of the sources seen at both, where were they seen
//! first (sign test)? Both are corrected for the number of pairs (Benjamini and Hochberg). A lead is called a predictor
//! only when it made forecasts of the last quarter better that were learned from the first three.

use crate::sightings::{Service, Sightings};
use hashbrown::HashMap;
use noroshi_model::{Addr, Nanos};
use noroshi_stats::{baseline, lag, regression, tail};
use serde::Serialize;

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Sensors: an item is a source asking for a service.
    Sensor,
    /// Services: an item is a source.
    Service,
}

/// Settings.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Slots that a lead may last to each side.
    pub reach: usize,
    /// Seconds of a slot of the series.
    pub slot_seconds: i64,
    /// Adjusted probability up to which a lead is believed.
    pub probability: f64,
    /// Series compared, the largest.
    pub series_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { reach: 24, slot_seconds: 3_600, probability: 0.05, series_max: 20 }
    }
}

/// One that moves before another.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Lead {
    /// Who moves first.
    pub first: String,
    /// Who follows.
    pub second: String,
    /// Slots by which the series leads; 0 is together.
    pub slots: Option<i64>,
    /// Correlation at that lag, of prewhitened series.
    pub correlation: Option<f64>,
    /// Adjusted probability of so much by chance.
    pub series_probability: Option<f64>,
    /// Items seen at both, not at the same instant.
    pub shared: u64,
    /// Of them, those that `first` saw earlier.
    pub earlier: u64,
    /// Median seconds from the first sight at `first` to that at `second`.
    pub median_seconds: Option<f64>,
    /// Adjusted probability of so uneven an order by chance.
    pub order_probability: f64,
    /// How much smaller the squared error of one-slot forecasts of `second` became with the lags of `first`, on slots not
    /// learned from: 0.1 is a tenth. Only for leads of the series that were significant in the part learned from.
    pub predicts: Option<f64>,
}

/// How early a sensor or service is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Rank {
    /// Which.
    pub name: String,
    /// Mean place among those that saw the same item: 0 always first, 1 always last.
    pub place: f64,
    /// Items seen here and elsewhere.
    pub shared: u64,
    /// Of them, seen here first.
    pub first: u64,
}

/// All of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Leads {
    /// What was compared.
    pub by: By,
    /// Seconds of a slot.
    pub slot_seconds: i64,
    /// Believed leads, the surest first.
    pub leads: Vec<Lead>,
    /// Pairs tested.
    pub tested: usize,
    /// Earliest first.
    pub ranks: Vec<Rank>,
}

/// Order of the autoregression, slots: a day of hours would be learned from too little.
const ORDER: usize = 12;
/// Share of the series that predictors are learned from.
const LEARNED: f64 = 0.75;
/// Ridge penalty of the predictors.
const PENALTY: f64 = 1.0;
/// Most slots of a series.
const SLOTS_MAX: i64 = 20_000;

/// Names, series, and first sights per item as (item, place, instant), sorted.
struct Places {
    names: Vec<String>,
    series: Vec<Vec<f64>>,
    firsts: Vec<((Addr, Service), usize, Nanos)>,
}

/// Finds leads in a finished table.
pub fn leads(sightings: &Sightings, by: By, settings: &Settings) -> Leads {
    let places = places(sightings, by, settings);
    let orders = orders(&places.firsts, places.names.len());
    let mut found = Vec::new();
    for a in 0..places.names.len() {
        for b in a + 1..places.names.len() {
            found.push(pair(&places, &orders, (a, b), settings));
        }
    }
    let tested = found.len();
    let series: Vec<f64> = found.iter().map(|lead| lead.series_probability.unwrap_or(1.0)).collect();
    let order: Vec<f64> = found.iter().map(|lead| lead.order_probability).collect();
    for (index, (series, order)) in
        tail::benjamini_hochberg(&series).into_iter().zip(tail::benjamini_hochberg(&order)).enumerate()
    {
        let lead = &mut found[index];
        lead.series_probability = lead.series_probability.map(|_| series);
        lead.order_probability = order;
    }
    let believed = |lead: &Lead| {
        let moves = lead.slots.is_some_and(|slots| slots > 0)
            && lead.series_probability.is_some_and(|probability| probability <= settings.probability);
        moves || lead.order_probability <= settings.probability
    };
    found.retain(believed);
    let sure = |lead: &Lead| lead.order_probability.min(lead.series_probability.unwrap_or(1.0));
    found.sort_by(|x, y| {
        sure(x)
            .total_cmp(&sure(y))
            .then(y.shared.cmp(&x.shared))
            .then_with(|| (&x.first, &x.second).cmp(&(&y.first, &y.second)))
    });
    Leads { by, slot_seconds: settings.slot_seconds, leads: found, tested, ranks: ranks(&places) }
}

fn places(sightings: &Sightings, by: By, settings: &Settings) -> Places {
    let mut sizes: HashMap<u32, u64> = HashMap::new();
    let mut services: HashMap<Service, u32> = HashMap::new();
    let mut place_of = |row: &crate::sightings::Sighting| match by {
        By::Sensor => u32::from(row.sensor),
        By::Service => {
            let next = services.len() as u32;
            *services.entry(row.service).or_insert(next)
        }
    };
    let raw: Vec<u32> = sightings.rows().iter().map(&mut place_of).collect();
    raw.iter().for_each(|place| *sizes.entry(*place).or_default() += 1);
    let mut largest: Vec<(u64, u32)> = sizes.into_iter().map(|(place, size)| (size, place)).collect();
    largest.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    largest.truncate(settings.series_max);
    let kept: HashMap<u32, usize> = largest.iter().map(|(_, place)| *place).zip(0..).collect();
    let mut names = vec![String::new(); kept.len()];
    match by {
        By::Sensor => kept.iter().for_each(|(raw, at)| names[*at].clone_from(&sightings.sensors()[*raw as usize])),
        By::Service => {
            for (service, raw) in &services {
                if let Some(at) = kept.get(raw) {
                    names[*at] = service.to_string();
                }
            }
        }
    }
    let rows = || sightings.rows().iter().zip(&raw).filter_map(|(row, raw)| Some((row, *kept.get(raw)?)));
    Places { series: series(rows(), names.len(), settings), firsts: firsts(rows(), names.len(), by), names }
}

type Row<'a> = (&'a crate::sightings::Sighting, usize);

/// Unique sources per slot and place, as log(1 + x). Slots in which no place saw anybody are gaps.
fn series<'a>(rows: impl Iterator<Item = Row<'a>>, count: usize, settings: &Settings) -> Vec<Vec<f64>> {
    let slot = |at: Nanos| at.seconds().div_euclid(settings.slot_seconds.max(1));
    let mut seen: Vec<(usize, i64, Addr)> = rows.map(|(row, place)| (place, slot(row.at), row.source)).collect();
    let (Some(first), Some(last)) = (seen.iter().map(|row| row.1).min(), seen.iter().map(|row| row.1).max()) else {
        return vec![Vec::new(); count];
    };
    if last - first >= SLOTS_MAX {
        return vec![Vec::new(); count];
    }
    seen.sort_unstable();
    seen.dedup();
    let mut table = vec![vec![0.0_f64; (last - first + 1) as usize]; count];
    seen.iter().for_each(|(place, slot, _)| table[*place][(slot - first) as usize] += 1.0);
    for slot in 0..(last - first + 1) as usize {
        let gap = table.iter().all(|values| values[slot] == 0.0);
        table.iter_mut().for_each(|values| values[slot] = if gap { f64::NAN } else { values[slot].ln_1p() });
    }
    table
}

/// First sight of each item at each place, of items that were new when all places were watching.
fn firsts<'a>(rows: impl Iterator<Item = Row<'a>>, count: usize, by: By) -> Vec<((Addr, Service), usize, Nanos)> {
    let mut began = vec![None; count];
    let mut first: HashMap<((Addr, Service), usize), Nanos> = HashMap::new();
    for (row, place) in rows {
        began[place].get_or_insert(row.at);
        let service = if by == By::Sensor { row.service } else { Service::new(0, None) };
        first.entry(((row.source, service), place)).or_insert(row.at);
    }
    // A sensor that began late would come second for no other reason. Services have no beginning.
    let all_watch = if by == By::Sensor { began.iter().flatten().max().copied() } else { None };
    let mut list: Vec<_> = first.into_iter().map(|((item, place), at)| (item, place, at)).collect();
    list.sort_unstable();
    let mut kept = Vec::new();
    for item in list.chunk_by(|a, b| a.0 == b.0) {
        if item.len() > 1 && item.iter().all(|(_, _, at)| all_watch.is_none_or(|began| *at > began)) {
            kept.extend_from_slice(item);
        }
    }
    kept
}

/// Per pair of places (a < b): seconds from a to b, one per item seen at both at different instants.
fn orders(firsts: &[((Addr, Service), usize, Nanos)], count: usize) -> Vec<Vec<f64>> {
    let mut table = vec![Vec::new(); count * count];
    for item in firsts.chunk_by(|a, b| a.0 == b.0) {
        for (index, (_, a, first)) in item.iter().enumerate() {
            for (_, b, second) in &item[index + 1..] {
                if first != second {
                    table[a * count + b].push(second.seconds_since(*first));
                }
            }
        }
    }
    table
}

fn pair(places: &Places, orders: &[Vec<f64>], (a, b): (usize, usize), settings: &Settings) -> Lead {
    let gaps = &orders[a * places.names.len() + b];
    let before = gaps.iter().filter(|gap| **gap > 0.0).count() as u64;
    let shared = gaps.len() as u64;
    let series = lag::leads(&places.series[a], &places.series[b], settings.reach, ORDER);
    let order_probability = lag::sign_test(before, shared);
    let by_series = series.filter(|found| found.probability < order_probability).map(|found| found.slots >= 0);
    let forward = by_series.unwrap_or(before * 2 >= shared);
    let (first, second) = if forward { (a, b) } else { (b, a) };
    // Who leads decides whose autoregression whitens.
    let series = lag::leads(&places.series[first], &places.series[second], settings.reach, ORDER);
    let mut seconds: Vec<f64> = gaps.iter().map(|gap| if forward { *gap } else { -gap }).collect();
    Lead {
        first: places.names[first].clone(),
        second: places.names[second].clone(),
        slots: series.map(|found| found.slots),
        correlation: series.map(|found| found.correlation),
        series_probability: series.map(|found| found.probability),
        shared,
        earlier: if forward { before } else { shared - before },
        median_seconds: baseline::quantile(&mut seconds, 0.5),
        order_probability,
        predicts: predicts(&places.series[first], &places.series[second], settings),
    }
}

/// Gain of lags of `first` in forecasts of `second`, learned from the first three quarters; `None` when the lead is not
/// significant there.
fn predicts(first: &[f64], second: &[f64], settings: &Settings) -> Option<f64> {
    let cut = (second.len() as f64 * LEARNED) as usize;
    let lead = lag::leads(&first[..cut], &second[..cut], settings.reach, ORDER)?;
    let slots = usize::try_from(lead.slots).ok().filter(|slots| *slots > 0)?;
    if lead.probability > settings.probability {
        return None;
    }
    let row = |at: usize, with: bool| {
        let own = [1, 2, 3, 24].map(|lag| at.checked_sub(lag).map_or(f64::NAN, |at| second[at]));
        let others = [slots, slots + 1].map(|lag| at.checked_sub(lag).map_or(f64::NAN, |at| first[at]));
        let row: Vec<f64> = own.into_iter().chain(others.into_iter().filter(|_| with)).collect();
        row.iter().all(|value| value.is_finite()).then_some(row)
    };
    let error = |with: bool| {
        // The same slots on both sides: those that are known with the leader's lags.
        let known = |at: &usize| row(*at, true).is_some() && second[*at].is_finite();
        let (rows, targets): (Vec<Vec<f64>>, Vec<f64>) =
            (0..cut).filter(known).filter_map(|at| Some((row(at, with)?, second[at]))).unzip();
        let model = regression::ridge(&rows, &targets, None, PENALTY)?;
        let errors: Vec<f64> = (cut..second.len())
            .filter(known)
            .filter_map(|at| Some((second[at] - model.predict(&row(at, with)?)).powi(2)))
            .collect();
        (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
    };
    let (without, with) = (error(false)?, error(true)?);
    (without > 0.0).then(|| 1.0 - with / without)
}

fn ranks(places: &Places) -> Vec<Rank> {
    let mut sums = vec![(0.0, 0_u64, 0_u64); places.names.len()];
    for item in places.firsts.chunk_by(|a, b| a.0 == b.0) {
        for (_, place, at) in item {
            let earlier = item.iter().filter(|other| other.2 < *at).count() as f64;
            let same = item.iter().filter(|other| other.2 == *at).count() as f64;
            let sum = &mut sums[*place];
            sum.0 += (earlier + (same - 1.0) / 2.0) / (item.len() - 1) as f64;
            sum.1 += 1;
            sum.2 += u64::from(earlier == 0.0);
        }
    }
    let mut ranks: Vec<Rank> = places
        .names
        .iter()
        .zip(sums)
        .filter(|(_, sum)| sum.1 > 0)
        .map(|(name, (place, shared, first))| Rank { name: name.clone(), place: place / shared as f64, shared, first })
        .collect();
    ranks.sort_by(|a, b| a.place.total_cmp(&b.place).then_with(|| a.name.cmp(&b.name)));
    ranks
}

#[cfg(test)]
mod tests;
