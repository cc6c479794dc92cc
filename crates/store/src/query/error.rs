//! Why a query has no answer, in words for who typed it.

use super::Limits;
use crate::lake::LakeError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use std::time::Duration;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It is not SQL.
    #[error("this is not SQL: {0}")]
    Syntax(String),
    /// It names a table that does not exist.
    #[error("there is no table \"{name}\"{}; tables: {}", hint(.nearest), .known.join(", "))]
    UnknownTable {
        /// What was asked for.
        name: String,
        /// The table with the most similar name.
        nearest: Option<String>,
        /// All tables.
        known: Vec<String>,
    },
    /// It names a statistic that does not exist.
    #[error("there is no statistic \"{name}\"{}; `noroshi stats` lists them", hint(.nearest))]
    UnknownStatistic {
        /// What was asked for.
        name: String,
        /// The statistic with the most similar name.
        nearest: Option<String>,
    },
    /// It names a column that does not exist.
    #[error("there is no column \"{name}\"{}; columns: {}", hint(.nearest), .known.join(", "))]
    UnknownColumn {
        /// What was asked for.
        name: String,
        /// The column with the most similar name.
        nearest: Option<String>,
        /// All columns in reach.
        known: Vec<String>,
    },
    /// It would change something.
    #[error(
        "only questions are answered here (SELECT, WITH, EXPLAIN, DESCRIBE); this statement would change something"
    )]
    NotAQuestion,
    /// It took too long.
    #[error("the query took longer than {limit:?}: narrow the time (where ts >= …), ask a roll-up, or raise the limit")]
    Time {
        /// The limit.
        limit: Duration,
    },
    /// It needs too much memory.
    #[error("the query needs more than {} MiB of memory: narrow the time (where ts >= …), group by fewer columns, or raise the limit", .limit >> 20)]
    Memory {
        /// The limit in bytes.
        limit: usize,
    },
    /// Its answer is too long.
    #[error("the answer has more than {limit} rows: add a LIMIT, aggregate, or raise the limit")]
    Rows {
        /// The limit.
        limit: usize,
    },
    /// A file of the lake cannot be read back.
    #[error("a file of the lake is damaged or missing ({0}): run `noroshi fsck`, which names it")]
    Damaged(String),
    /// The store of the lake does not answer.
    #[error(
        "the store of the lake does not answer or refuses ({0}); check AWS_ENDPOINT_URL, the credentials and the network"
    )]
    Unreachable(String),
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// It is wrong in another way.
    #[error("{0}")]
    Other(String),
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The engine's errors in our words.
pub(super) fn explain(error: DataFusionError, limits: Limits) -> QueryError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => return QueryError::Memory { limit: limits.memory },
        DataFusionError::SQL(error, _) => return QueryError::Syntax(error.to_string()),
        DataFusionError::SchemaError(error, _) => {
            if let SchemaError::FieldNotFound { field, valid_fields } = &**error {
                let known: Vec<String> = valid_fields.iter().map(|column| column.name.clone()).collect();
                return QueryError::UnknownColumn {
                    name: field.name.clone(),
                    nearest: nearest(&field.name, known.iter().map(String::as_str)).map(str::to_owned),
                    known,
                };
            }
        }
        DataFusionError::ParquetError(error) => return QueryError::Damaged(first_line(&error.to_string())),
        DataFusionError::ObjectStore(error) if matches!(**error, object_store::Error::Generic { .. }) => {
            return QueryError::Unreachable(first_line(&error.to_string()));
        }
        DataFusionError::ObjectStore(error) => return QueryError::Damaged(first_line(&error.to_string())),
        _ => {}
    }
    let text = error.find_root().to_string();
    let text = text.strip_prefix("Error during planning: ").unwrap_or(&text);
    QueryError::Other(text.lines().next().unwrap_or_default().to_owned())
}

/// The most similar name, unless nothing is similar: at most a third of the letters differ, or one holds the other.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let rank = |other: &str| {
        let distance = distance(&name, other);
        let contained = name.len() >= 3 && (other.contains(&*name) || name.contains(other));
        (contained || distance * 3 <= name.len().max(other.len())).then_some(distance)
    };
    known.filter_map(|other| Some((rank(other)?, other))).min().map(|(_, other)| other)
}

/// Edits between two words (Levenshtein), one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (a, b, expected) in [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "abc", 0), ("flaw", "lawn", 2)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_name_is_similar_or_none() {
        let tables = ["packets", "minutes_ports", "gaps"];
        for (name, expected) in [
            ("packet", Some("packets")),
            ("PACKTES", Some("packets")),
            ("ports", Some("minutes_ports")),
            ("zebra", None),
        ] {
            assert_eq!(nearest(name, tables.into_iter()), expected, "{name}");
        }
    }
}
