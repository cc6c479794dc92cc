//! A statistics query and its answer: what Explore asks, and what everything else can ask too.

use crate::filter::{Expr, Field, FilterError, parse, sql_shown};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most fields to group by.
pub const MAX_FIELDS: usize = 3;
/// Most groups in an answer.
pub const MAX_GROUPS: usize = 1000;
/// Most series in an answer; the rest is summed.
pub const MAX_SERIES: usize = 24;
/// Most points of a series.
pub const MAX_POINTS: u64 = 2000;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Packets.
    #[default]
    Packets,
    /// Bytes on the wire.
    Bytes,
    /// Distinct sources.
    Sources,
    /// Distinct destinations.
    Destinations,
}

impl Measure {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Measure::Packets => "packets",
            Measure::Bytes => "bytes",
            Measure::Sources => "sources",
            Measure::Destinations => "destinations",
        }
    }
}

/// A statistics query, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// Fields to group by, at least one.
    pub by: Vec<Field>,
    /// What to count over.
    pub filter: Option<Expr>,
    /// By what groups are ordered.
    pub measure: Measure,
    /// Start, inclusive.
    pub from: Nanos,
    /// End, exclusive.
    pub to: Nanos,
    /// Length of a slot of the series, in seconds.
    pub slot_seconds: u64,
    /// Groups to return.
    pub groups: usize,
    /// Series to return.
    pub series: usize,
}

/// The query cannot be asked.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum QueryError {
    /// The filter does not parse.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Any other parameter; the text says which and what fits.
    #[error("{0}")]
    Parameter(String),
}

/// Parameters as they come in: the same names in the address bar, the API and the command line.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RawQuery {
    /// Fields to group by, separated by commas; see `/api/v1/fields`.
    pub by: Option<String>,
    /// Filter, such as `dport = 23 and not country = JP`.
    pub filter: Option<String>,
    /// What groups are ordered by and the series count.
    pub measure: Option<Measure>,
    /// Start: RFC 3339, seconds since 1970, or `-24h` (also m, d) before the end.
    pub from: Option<String>,
    /// End, exclusive, in the same forms; the present when missing.
    pub to: Option<String>,
    /// Slot of the series in seconds; chosen by the range when missing.
    pub slot: Option<u64>,
    /// Groups to return, at most 1000.
    pub groups: Option<usize>,
    /// Series to return, at most 24.
    pub series: Option<usize>,
}

impl RawQuery {
    /// Checks everything; `now` stands for a missing end.
    pub fn check(&self, now: Nanos) -> Result<Query, QueryError> {
        let by = fields(self.by.as_deref().unwrap_or("dport"))?;
        let filter = parse(self.filter.as_deref().unwrap_or_default())?;
        let (from, to) = range(self.from.as_deref(), self.to.as_deref(), now)?;
        let seconds = ((to.0 - from.0) / SECOND).max(1) as u64;
        // A slot longer than the range shows as much as one of its length.
        let slot_seconds = self.slot.unwrap_or_else(|| fitting_slot(seconds)).clamp(1, seconds.max(86_400));
        if seconds / slot_seconds > MAX_POINTS {
            let least = seconds.div_ceil(MAX_POINTS);
            return Err(QueryError::Parameter(format!("slot is too short for this range; at least {least} seconds")));
        }
        Ok(Query {
            by,
            filter,
            measure: self.measure.unwrap_or_default(),
            from,
            to,
            slot_seconds,
            groups: self.groups.unwrap_or(50).clamp(1, MAX_GROUPS),
            series: self.series.unwrap_or(8).clamp(1, MAX_SERIES),
        })
    }
}

fn fields(text: &str) -> Result<Vec<Field>, QueryError> {
    let mut by = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let field = Field::find(name).filter(|field| field.groups()).ok_or_else(|| {
            QueryError::Parameter(format!("by: \"{name}\" cannot be grouped by; see /api/v1/fields for those that can"))
        })?;
        if !by.contains(&field) {
            by.push(field);
        }
    }
    match by.len() {
        0 => Err(QueryError::Parameter("by: at least one field".into())),
        n if n > MAX_FIELDS => Err(QueryError::Parameter(format!("by: at most {MAX_FIELDS} fields"))),
        _ => Ok(by),
    }
}

/// 2200-01-01: times past it are mistakes, and leave room to reckon with.
const LATEST: i64 = 7_258_118_400 * SECOND;

/// The range between two texts; `-24h` counts back from the end.
pub fn range(from: Option<&str>, to: Option<&str>, now: Nanos) -> Result<(Nanos, Nanos), QueryError> {
    let at = |name: &str, text: &str, base: Nanos| -> Result<Nanos, QueryError> {
        let parsed = match text.strip_prefix('-') {
            Some(ago) => duration(ago).map(|seconds| Nanos(base.0.saturating_sub(seconds.saturating_mul(SECOND)))),
            None => text.parse().ok(),
        };
        parsed.ok_or_else(|| {
            QueryError::Parameter(format!("{name}: \"{text}\" is no time (2026-01-31T12:00:00Z, or -24h, -7d, -30m)"))
        })
    };
    let to = to.filter(|text| !text.is_empty()).map_or(Ok(now), |text| at("to", text, now))?;
    let from = at("from", from.filter(|text| !text.is_empty()).unwrap_or("-24h"), to)?;
    if from >= to {
        return Err(QueryError::Parameter("from must be before to".into()));
    }
    if from.0 < 0 || to.0 > LATEST {
        return Err(QueryError::Parameter("from and to: between the years 1970 and 2200".into()));
    }
    Ok((from, to))
}

fn duration(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    text[..text.len() - 1].parse::<u32>().ok().map(|n| i64::from(n) * unit)
}

/// The finest slot that gives at most 240 points.
fn fitting_slot(seconds: u64) -> u64 {
    const STEPS: [u64; 12] = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 86_400];
    STEPS.into_iter().find(|step| seconds / step <= 240).unwrap_or_else(|| seconds.div_ceil(240))
}

impl Query {
    /// Points of each series.
    pub fn points(&self) -> usize {
        let start = self.series_start();
        (self.to.0 - start.0).div_euclid(self.slot_seconds as i64 * SECOND) as usize
            + usize::from((self.to.0 - start.0) % (self.slot_seconds as i64 * SECOND) != 0)
    }

    /// Start of the first slot: the range's start rounded down to a whole slot.
    pub fn series_start(&self) -> Nanos {
        let slot = self.slot_seconds as i64 * SECOND;
        Nanos(self.from.0.div_euclid(slot) * slot)
    }

    /// The conditions on table `packets`, for a `WHERE`.
    pub fn conditions(&self) -> String {
        let time =
            [format!("ts >= timestamp '{}'", self.from.rfc3339()), format!("ts < timestamp '{}'", self.to.rfc3339())];
        time.into_iter().chain(self.filter.as_ref().map(Expr::to_sql)).collect::<Vec<_>>().join("\n  AND ")
    }

    /// The query behind the table, for people who want to go on by themselves: `noroshi query` answers it.
    pub fn sql(&self) -> String {
        let keys: Vec<_> = self
            .by
            .iter()
            .map(|field| match sql_shown(*field) {
                column if column == field.name() => column,
                derived => format!("{derived} AS {}", field.name()),
            })
            .collect();
        let places: Vec<_> = (1..=self.by.len()).map(|n| n.to_string()).collect();
        format!(
            "SELECT {},\n       count(*) AS packets, sum(wire_len) AS bytes,\n       count(DISTINCT src) AS sources, \
             count(DISTINCT dst) AS destinations\nFROM packets\nWHERE {}\nGROUP BY {}\nORDER BY {} DESC\nLIMIT {}",
            keys.join(", "),
            self.conditions(),
            places.join(", "),
            self.measure.name(),
            self.groups
        )
    }
}

/// One group of an answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Values of the fields grouped by, in their order; empty where the packets have none.
    pub key: Vec<String>,
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Distinct sources.
    pub sources: u64,
    /// Distinct destinations.
    pub destinations: u64,
    /// First packet.
    #[schema(value_type = String)]
    pub first: Nanos,
    /// Last packet.
    #[schema(value_type = String)]
    pub last: Nanos,
}

/// One series of an answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// Key of the group; empty for everything that has no series of its own.
    pub key: Vec<String>,
    /// One value per slot.
    pub values: Vec<u64>,
}

/// The answer to a [`Query`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// Fields grouped by.
    pub by: Vec<String>,
    /// What groups are ordered by and the series count. Series of distinct counts hold packets.
    pub measure: Measure,
    /// Start of the range.
    #[schema(value_type = String)]
    pub from: Nanos,
    /// End of the range, exclusive.
    #[schema(value_type = String)]
    pub to: Nanos,
    /// Start of the first slot.
    #[schema(value_type = String)]
    pub start: Nanos,
    /// Length of a slot in seconds.
    pub slot_seconds: u64,
    /// Largest groups first.
    pub groups: Vec<Group>,
    /// How many groups there are in all.
    pub groups_total: u64,
    /// Packets that passed the filter.
    pub packets: u64,
    /// Packets per slot of the largest groups, then of the rest.
    pub series: Vec<Series>,
    /// False when a bound cut the answer short; `notes` says which.
    pub complete: bool,
    /// What the reader should know about this answer.
    pub notes: Vec<String>,
    /// The same question in SQL.
    pub sql: String,
    /// Newest packet that the answer could see: its freshness.
    #[schema(value_type = Option<String>)]
    pub newest: Option<Nanos>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Nanos = Nanos(1_767_225_600 * SECOND);

    fn raw(by: &str, from: &str) -> RawQuery {
        RawQuery { by: Some(by.into()), from: Some(from.into()), ..RawQuery::default() }
    }

    #[test]
    fn ranges_count_back_from_their_end() {
        let query = raw("dport,country", "-2h").check(NOW).unwrap();
        assert_eq!((NOW.0 - query.from.0) / SECOND, 7200);
        assert_eq!(query.slot_seconds, 30);
        assert_eq!(query.points(), 240);
    }

    #[test]
    fn refusals_name_the_parameter() {
        for (by, from, name) in [
            ("seq", "-1h", "by"),
            ("nothing", "-1h", "by"),
            ("", "-1h", "by"),
            ("src,dst,dport,sport", "-1h", "by"),
            ("dport", "yesterday", "from"),
            ("dport", "2027-01-01", "from"),
            ("dport", "1969-01-01", "from"),
        ] {
            let error = raw(by, from).check(NOW).unwrap_err().to_string();
            assert!(error.starts_with(name), "{by} {from}: {error}");
        }
        let long = RawQuery { slot: Some(u64::MAX), ..raw("dport", "-7d") }.check(NOW).unwrap();
        assert!(long.points() <= 2, "a slot of any length is safe");
        let short = RawQuery { slot: Some(1), ..raw("dport", "-7d") };
        assert!(short.check(NOW).unwrap_err().to_string().contains("slot"));
    }

    #[test]
    fn sql_says_the_same() {
        let mut asked = raw("kind,dport", "2025-12-31");
        asked.filter = Some("proto = tcp".into());
        let sql = asked.check(NOW).unwrap().sql();
        assert!(sql.contains("AS kind, dport,"), "{sql}");
        assert!(sql.contains("AND proto = 6\nGROUP BY 1, 2\nORDER BY packets DESC"), "{sql}");
    }
}
