//! Ready-made statistics: a name, a definition in words, and the question in SQL.
//!
//! Counts come from roll-ups where there is one for the key. Distinct counts named `sources`, `destinations` or
//! `networks` that come from a roll-up are sketches with a relative standard error of 1.6 % ([`crate::rollup::sketch`]);
//! everything else is exact.

mod catalogue;

pub use catalogue::STATISTICS;

use crate::lake::Lake;
use crate::query::{Answer, Limits, QueryError, nearest};
use noroshi_model::Nanos;

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
}

impl Default for Parameters {
    /// Everything, ten rows.
    fn default() -> Self {
        Parameters { since: None, until: None, sensor: None, limit: 10 }
    }
}

/// One ready-made statistic.
#[derive(Clone, Copy)]
pub struct Statistic {
    /// Name on the command line.
    pub name: &'static str,
    /// What it is, exactly.
    pub definition: &'static str,
    /// The question.
    sql: fn(&Parameters) -> String,
}

impl Statistic {
    /// The question in SQL.
    pub fn sql(&self, parameters: &Parameters) -> String {
        (self.sql)(parameters)
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
        self.answer(&find(name)?.sql(parameters), limits).await
    }
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

    /// The window that is compared with the past, as two expressions: what was asked for, else the last day of the
    /// data in `table`.
    fn window(&self, table: &str) -> (String, String) {
        let end = || format!("(select max(minute) + interval '1 minute' from {table})");
        let until = self.until.map_or_else(end, instant);
        let since = self.since.map_or_else(|| format!("({until} - interval '1 day')"), instant);
        (since, until)
    }
}

fn instant(at: Nanos) -> String {
    format!("timestamp '{}'", at.rfc3339())
}
