//! Ready-made statistics: a name, a definition in words, and the question in SQL.
//!
//! Counts come from roll-ups where there is one for the key, each part of the window from the coarsest that covers it
//! exactly ([`window`]). Distinct counts named `sources`, `destinations` or `ports` that come from a roll-up are sketches
//! with a relative standard error of 1.6 % ([`crate::rollup::sketch`]); everything else is exact.

mod catalogue;
mod heavy;
mod window;

pub use catalogue::STATISTICS;

use crate::lake::Lake;
use crate::query::{Answer, Limits, QueryError, nearest};
use crate::rollup::{Grouping, Span};
use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use noroshi_model::Nanos;
use window::Window;

/// What part of the lake a statistic is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// From here on.
    pub since: Option<Nanos>,
    /// Before here.
    pub until: Option<Nanos>,
    /// Only this sensor.
    pub sensor: Option<String>,
    /// Rows of a ranking.
    pub limit: usize,
    /// The last minute that the lake holds; the window of a comparison ends after it unless `until` is given.
    pub latest: Option<Nanos>,
}

impl Default for Parameters {
    /// Everything, ten rows.
    fn default() -> Self {
        Parameters { since: None, until: None, sensor: None, limit: 10, latest: None }
    }
}

/// Those whose window ends, unless it is given, with the last minute of the data.
const OF_THE_LAST_DAY: [&str; 5] =
    ["new-ports", "rising-ports", "falling-ports", "first-seen-networks", "returning-networks"];

/// One ready-made statistic.
#[derive(Clone, Copy)]
pub struct Statistic {
    /// Name on the command line.
    pub name: &'static str,
    /// What it is, exactly.
    pub definition: &'static str,
    /// The question.
    sql: fn(&Asked) -> String,
}

/// What is asked, and what is known of the answer before it is.
struct Asked {
    parameters: Parameters,
    /// The keys of which some are the answer ([`heavy`]), if they are known.
    keys: Option<Vec<String>>,
}

impl std::ops::Deref for Asked {
    type Target = Parameters;
    fn deref(&self) -> &Parameters {
        &self.parameters
    }
}

/// The statistic of that name.
pub fn find(name: &str) -> Result<&'static Statistic, QueryError> {
    let names = || STATISTICS.iter().map(|statistic| statistic.name);
    STATISTICS.iter().find(|statistic| statistic.name == name).ok_or_else(|| QueryError::UnknownStatistic {
        name: name.to_owned(),
        nearest: nearest(name, names()).map(str::to_owned),
    })
}

impl Lake {
    /// Answers a ready-made statistic.
    pub async fn statistic(&self, name: &str, parameters: &Parameters, limits: Limits) -> Result<Answer, QueryError> {
        let sql = self.statistic_sql(name, parameters, limits).await?;
        self.answer(&sql, limits).await
    }

    /// The question behind a ready-made statistic, its window fixed by what the lake holds now.
    pub async fn statistic_sql(
        &self,
        name: &str,
        parameters: &Parameters,
        limits: Limits,
    ) -> Result<String, QueryError> {
        let statistic = find(name)?;
        let latest = match parameters.latest {
            None if OF_THE_LAST_DAY.contains(&statistic.name) => self.latest_minute(limits).await?,
            given => given,
        };
        let mut asked = Asked { parameters: Parameters { latest, ..parameters.clone() }, keys: None };
        asked.keys = self.heavy_keys(statistic.name, &asked, limits).await?;
        Ok((statistic.sql)(&asked))
    }

    /// The last minute with packets. It lies in the last day, so only that day's minutes are looked at.
    async fn latest_minute(&self, limits: Limits) -> Result<Option<Nanos>, QueryError> {
        let sql = "select max(minute) from minutes_tools where minute >= (select max(\"day\") from days_tools)";
        let answer = self.answer(sql, limits).await?;
        let newest = answer.batches.iter().filter(|batch| batch.num_rows() > 0).find_map(|batch| {
            let column = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>()?;
            (!column.is_null(0)).then(|| Nanos(column.value(0).saturating_mul(1000)))
        });
        Ok(newest)
    }
}

/// Rows of a roll-up between two times, as a subquery with `columns` and `t`, when each row's span begins. A minute belongs
/// to the window when it starts in it; with `coarse`, whole hours and days inside come as one row per key.
pub fn rollup(grouping: Grouping, columns: &str, since: Nanos, until: Nanos, coarse: bool) -> String {
    let coarsest = if coarse { Span::Day } else { Span::Minute };
    window::rows(&Parameters::default(), grouping, columns, (Some(since.0), Some(until.0)), coarsest)
}

impl Parameters {
    /// Conditions on time and sensor; `time` is the table's time column. More conditions may follow with `and`.
    fn scope(&self, time: &str) -> String {
        let mut conditions = vec!["true".to_owned()];
        conditions.extend(self.since.map(|since| format!("{time} >= {}", instant(since))));
        conditions.extend(self.until.map(|until| format!("{time} < {}", instant(until))));
        conditions.extend(self.of_sensor());
        conditions.join(" and ")
    }

    fn of_sensor(&self) -> Option<String> {
        self.sensor.as_ref().map(|sensor| format!("sensor = '{}'", sensor.replace('\'', "''")))
    }

    /// Condition on the sensor alone.
    fn sensor_only(&self) -> String {
        self.of_sensor().unwrap_or_else(|| "true".to_owned())
    }

    /// What was asked for.
    fn asked(&self) -> Window {
        (self.since.map(|since| since.0), self.until.map(|until| until.0))
    }

    /// The window that is compared with the past: what was asked for, else the last day of the data.
    fn window(&self) -> (i64, i64) {
        let end = || self.latest.map_or(0, |latest| latest.0.saturating_add(Span::Minute.nanos()));
        let until = self.until.map_or_else(end, |until| until.0);
        let since = self.since.map_or(until.saturating_sub(Span::Day.nanos()), |since| since.0);
        (since, until)
    }
}

impl Parameters {
    /// As [`Parameters::window`] for groupings that are counted by the day: by default the last day (UTC) of the data.
    fn days(&self) -> (i64, i64) {
        let (since, until) = self.window();
        let day = Span::Day.nanos();
        (self.since.map_or((until - 1).div_euclid(day) * day, |_| since), until)
    }
}

fn instant(at: Nanos) -> String {
    format!("timestamp '{}'", at.rfc3339())
}
