//! The daily brief: what is new, what grew and what fell, what to expect tomorrow, and how yesterday's forecast did.
//!
//! Pure composition of [`crate::series::surge`] and [`super::next`] for the last slot that is known; everything in it
//! could be computed by hand from the same series.

use super::{Forecast, SEASON, WARM_UP, next};
use crate::series::surge::{Settings, Surge, surges_in};
use crate::series::{Series, TOTAL};
use noroshi_model::Nanos;
use noroshi_stats::baseline::quantile;
use serde::Serialize;

/// Slots of history drawn beside an expectation.
const DRAWN: usize = 8 * SEASON;
/// A series fell when its count is at most this share of its median of four weeks ...
const FALL_RATIO: f64 = 1.0 / 3.0;
/// ... and the difference is at least so many counts: less is no reason to look.
const FALL_COUNT: f64 = 100.0;
/// Slots over which what is usual is taken for a fall.
const FALL_SLOTS: usize = 28;

/// What a person reads in the morning.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Brief {
    /// Start of the slot that the brief is about: the last one that is known.
    pub day: Nanos,
    /// Length of a slot.
    pub slot_seconds: u32,
    /// Series first seen in this slot that rose above what chance explains.
    pub new: Vec<Rise>,
    /// Series that rose above what their history explains.
    pub grew: Vec<Rise>,
    /// Series that nearly fell silent.
    pub fell: Vec<Fall>,
    /// The next slot, per series, total first.
    pub expected: Vec<Expected>,
    /// The forecasts for this slot, made the slot before.
    pub checked: Vec<Check>,
}

/// A series that rose.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Rise {
    /// `tcp/445`.
    pub key: String,
    /// Count of the slot.
    pub count: f64,
    /// Median before.
    pub usual: f64,
    /// Adjusted probability, were the series as before.
    pub probability: f64,
}

/// A series that fell.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Fall {
    /// `tcp/445`.
    pub key: String,
    /// Count of the slot.
    pub count: f64,
    /// Median of four weeks before.
    pub usual: f64,
}

/// What the next slot should bring.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Expected {
    /// `total`, `tcp/445`.
    pub key: String,
    /// Count of the brief's slot; none in a gap.
    pub count: Option<f64>,
    /// For the next slot.
    pub forecast: Forecast,
    /// Recent counts, oldest first, the brief's slot last; none in a gap.
    pub history: Vec<Option<f64>>,
}

/// A forecast that has met its day.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Check {
    /// `total`, `tcp/445`.
    pub key: String,
    /// What was expected.
    pub expected: f64,
    /// What came.
    pub count: f64,
    /// Whether it came within the 80 % interval; none when there was no interval yet.
    pub within80: Option<bool>,
}

/// The brief of the last known slot; `shown` series are forecast, the total and the largest of the last four weeks.
/// `None` when nothing is known.
pub fn brief(series: &[Series], shown: usize) -> Option<Brief> {
    let total = series.iter().find(|series| series.key == TOTAL)?;
    let slot = total.values.iter().rposition(|value| value.is_finite())?;
    let (new, grew): (Vec<Surge>, Vec<Surge>) =
        surges_in(series, slot, &Settings::default()).into_iter().partition(|surge| surge.new);
    let mut brief = Brief {
        day: total.time(slot),
        slot_seconds: total.slot_seconds,
        new: new.into_iter().map(rise).collect(),
        grew: grew.into_iter().map(rise).collect(),
        fell: falls(series, slot),
        expected: Vec::new(),
        checked: Vec::new(),
    };
    for series in largest(series, slot, shown) {
        let until = |end: usize| Series { values: series.values[..end].to_vec(), ..series.clone() };
        let count = series.values[slot];
        if let Some(forecast) = next(&until(slot + 1)) {
            let drawn = &series.values[(slot + 1).saturating_sub(DRAWN)..=slot];
            let history = drawn.iter().map(|value| Some(*value).filter(|value| value.is_finite())).collect();
            let count = Some(count).filter(|count| count.is_finite());
            brief.expected.push(Expected { key: series.key.clone(), count, forecast, history });
        }
        if let Some(forecast) = next(&until(slot)).filter(|_| count.is_finite()) {
            let within80 = forecast.interval80.map(|(low, high)| (low..=high).contains(&count));
            brief.checked.push(Check { key: series.key.clone(), expected: forecast.point, count, within80 });
        }
    }
    Some(brief)
}

fn rise(surge: Surge) -> Rise {
    Rise { key: surge.key, count: surge.count, usual: surge.usual, probability: surge.probability }
}

/// The total, then the series with most counts in the last four weeks.
fn largest(series: &[Series], slot: usize, shown: usize) -> Vec<&Series> {
    let recent = |series: &Series| -> f64 {
        let from = (slot + 1).saturating_sub(FALL_SLOTS).min(series.values.len());
        series.values[from..].iter().take(FALL_SLOTS).filter(|value| value.is_finite()).sum()
    };
    let mut list: Vec<(&Series, f64)> =
        series.iter().filter(|series| series.values.len() > slot).map(|series| (series, recent(series))).collect();
    let first = |series: &Series| series.key != TOTAL;
    list.sort_by(|a, b| first(a.0).cmp(&first(b.0)).then(b.1.total_cmp(&a.1)).then(a.0.key.cmp(&b.0.key)));
    list.into_iter().take(shown.max(1)).map(|(series, _)| series).collect()
}

fn falls(series: &[Series], slot: usize) -> Vec<Fall> {
    let mut falls: Vec<Fall> = series
        .iter()
        .filter(|series| series.key != TOTAL)
        .filter_map(|series| {
            let count = series.values.get(slot).copied().filter(|count| count.is_finite())?;
            let mut before = series.values[slot.saturating_sub(FALL_SLOTS)..slot].to_vec();
            let usual = quantile(&mut before, 0.5).filter(|_| before.len() >= WARM_UP)?;
            let fell = count <= FALL_RATIO * usual && usual - count >= FALL_COUNT;
            fell.then(|| Fall { key: series.key.clone(), count, usual })
        })
        .collect();
    falls.sort_by(|a, b| (b.usual - b.count).total_cmp(&(a.usual - a.count)).then(a.key.cmp(&b.key)));
    falls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(key: &str, values: Vec<f64>) -> Series {
        Series { key: key.to_owned(), start: Nanos(0), slot_seconds: 86_400, values }
    }

    /// Eight weeks with a weekly season.
    fn weeks(level: f64) -> Vec<f64> {
        (0..56).map(|day| level + 10.0 * f64::from(day % 7)).collect()
    }

    #[test]
    fn the_last_known_day_is_told() {
        let with_last = |level: f64, last: f64| [weeks(level), vec![last]].concat();
        let mut fresh = vec![0.0; 56];
        fresh.push(900.0);
        let all = [
            series(TOTAL, with_last(700.0, 2_500.0)),
            series("tcp/23", with_last(300.0, 1_500.0)),
            series("tcp/80", with_last(400.0, 20.0)),
            series("tcp/7547", fresh),
        ];
        let brief = brief(&all, 3).unwrap();
        assert_eq!(brief.day, Nanos::from_seconds(56 * 86_400));
        let keys = |rises: &[Rise]| rises.iter().map(|rise| rise.key.clone()).collect::<Vec<_>>();
        assert_eq!((keys(&brief.new), keys(&brief.grew)), (vec!["tcp/7547".into()], vec!["tcp/23".into()]));
        assert_eq!(brief.fell.len(), 1);
        assert_eq!((brief.fell[0].key.as_str(), brief.fell[0].usual), ("tcp/80", 430.0));
        let shown: Vec<&str> = brief.expected.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(shown, [TOTAL, "tcp/80", "tcp/23"]);
        // The season is exact, so yesterday's forecast was near what would have come, and far from what did.
        let check = brief.checked.iter().find(|check| check.key == "tcp/80").unwrap();
        assert!((check.expected - 400.0).abs() < 40.0 && check.count == 20.0, "{check:?}");
        assert_ne!(check.within80, Some(true));
    }

    #[test]
    fn gaps_and_emptiness_have_defined_results() {
        assert_eq!(brief(&[], 3), None);
        assert_eq!(brief(&[series(TOTAL, vec![f64::NAN; 4])], 3), None);
        let mut values = weeks(100.0);
        values.push(f64::NAN);
        let told = brief(&[series(TOTAL, values)], 3).unwrap();
        assert_eq!(told.day, Nanos::from_seconds(55 * 86_400));
        let one = brief(&[series(TOTAL, vec![5.0])], 3).unwrap();
        assert!(one.expected.is_empty() && one.checked.is_empty());
    }
}
