//! The tables of observations and findings, declared once each.
//!
//! One entry gives a table its number in the journal, its columns in the lake, what questions narrow it by, the order of
//! its rows and what it may occupy. To add a table: declare its columns beside the type of its rows, give it the next
//! number in [`SchemaId`], and add it to [`TABLES`]. Journal, lake, queries, retention, fsck and data dictionary follow.
//!
//! A finding that grows is said again: the row with the newest `ts` of an `id` is the one that stands.

use crate::columns::{Column, PACKETS, schema_of};
use crate::findings::{ALERTS, ATTACKS, CAMPAIGNS, INFECTIONS, LINKS, SCANS};
use crate::flow::FLOWS;
use crate::request::REQUESTS;
use crate::session::SESSIONS;
use crate::stream::SchemaId;
use arrow_schema::SchemaRef;

/// Who may write a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writer {
    /// Sensors, over the wire.
    Sensor,
    /// Detectors inside the hub; never anything from outside.
    Hub,
}

/// One table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Name in questions and of its folder in the lake.
    pub name: &'static str,
    /// One row per what.
    pub rows: &'static str,
    /// Number of its schema in the journal and on the wire.
    pub schema: SchemaId,
    /// Columns; the first is the time that rows are partitioned and kept by.
    pub columns: &'static [Column],
    /// Who may write it.
    pub writer: Writer,
    /// Columns whose least and greatest value per file are kept, so that questions skip files.
    pub narrowed_by: &'static [&'static str],
    /// Order of rows in a compacted file, most significant first.
    pub order: &'static [&'static str],
    /// Bytes that it may occupy unless configured otherwise; the oldest hours go first.
    pub keep_bytes: u64,
}

impl Table {
    /// Arrow schema of its batches.
    pub fn arrow(&self) -> SchemaRef {
        schema_of(self.columns)
    }
}

const GIB: u64 = 1 << 30;

/// A table of findings: narrowed by time and id, in the order of time.
const fn findings(name: &'static str, rows: &'static str, schema: SchemaId, columns: &'static [Column]) -> Table {
    Table {
        name,
        rows,
        schema,
        columns,
        writer: Writer::Hub,
        narrowed_by: &["ts", "id"],
        order: &["ts"],
        keep_bytes: 4 * GIB,
    }
}

/// Every table that is written through the journal.
pub const TABLES: &[Table] = &[
    Table {
        name: "packets",
        rows: "one row per packet",
        schema: SchemaId::PACKETS,
        columns: PACKETS,
        writer: Writer::Sensor,
        narrowed_by: &["ts", "sensor", "proto", "dport"],
        order: &["proto", "dport", "src", "ts"],
        keep_bytes: 64 * GIB,
    },
    Table {
        name: "sessions",
        rows: "one row per dialogue with a honeypot",
        schema: SchemaId::SESSIONS,
        columns: SESSIONS,
        writer: Writer::Sensor,
        narrowed_by: &["ts", "sensor"],
        order: &["ts"],
        keep_bytes: 16 * GIB,
    },
    Table {
        name: "requests",
        rows: "one row per request to an amplification honeypot",
        schema: SchemaId::REQUESTS,
        columns: REQUESTS,
        writer: Writer::Sensor,
        narrowed_by: &["ts", "sensor"],
        order: &["ts"],
        keep_bytes: 16 * GIB,
    },
    Table {
        name: "flows",
        rows: "one row per minute, source, destination, port and flags, where the policy keeps sums only",
        schema: SchemaId::FLOWS,
        columns: FLOWS,
        writer: Writer::Sensor,
        narrowed_by: &["ts", "sensor", "proto", "dport"],
        order: &["proto", "dport", "src", "ts"],
        keep_bytes: 16 * GIB,
    },
    findings("scans", "one row each time a scan is told of", SchemaId::SCANS, SCANS),
    findings("campaigns", "one row each time a campaign is told of", SchemaId::CAMPAIGNS, CAMPAIGNS),
    findings("attacks", "one row each time an attack is told of", SchemaId::ATTACKS, ATTACKS),
    findings("infections", "one row each time an infection is told of", SchemaId::INFECTIONS, INFECTIONS),
    findings("links", "one row each time a finding is compared with known samples", SchemaId::LINKS, LINKS),
    findings("alerts", "one row per message to a recipient", SchemaId::ALERTS, ALERTS),
];

/// The table of that schema.
pub fn of_schema(schema: SchemaId) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.schema == schema)
}

/// The table of that name.
pub fn named(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::{Type, find};

    #[test]
    fn declarations_are_whole() {
        for (at, table) in TABLES.iter().enumerate() {
            assert!(TABLES[..at].iter().all(|other| other.name != table.name && other.schema != table.schema));
            assert_eq!(table.columns[0].kind, Type::Time, "{}: rows are partitioned by their first column", table.name);
            let sensor = find(table.columns, "sensor").map(|column| column.kind);
            assert_eq!(sensor, Some(Type::Keyword), "{} names the sensor", table.name);
            for name in table.narrowed_by.iter().chain(table.order) {
                assert!(find(table.columns, name).is_some(), "{} has no column {name}", table.name);
            }
        }
    }
}
