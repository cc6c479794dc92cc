//! Roll-ups made again from the packets.
//!
//! Only what the packets still tell is made again: rows older than the oldest hour of packets stay as they are. The
//! result is in the form that compaction gives, so a lake that was compacted comes out the same bit for bit, as long as
//! countries and networks are looked up in the same tables. Each table is replaced in one commit; its position in the
//! journal stays. The hub must not run meanwhile.

use super::maintain::{Compaction, conform};
use super::spec::Feed;
use super::table::LiveFile;
use super::types::{NO_HOUR, from_lake, hour_name};
use super::{Lake, LakeError, LakeTable};
use crate::query::Limits;
use crate::rollup::{Grouping, PacketColumns, READ, Rollups, Span};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use deltalake::kernel::Add;
use deltalake::protocol::{DeltaOperation, SaveMode};
use futures::stream;
use noroshi_model::columns::PACKETS;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A roll-up that was made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Table.
    pub table: &'static str,
    /// Its rows now.
    pub rows: u64,
    /// Rows from this hour on come from the packets.
    pub since: String,
}

impl Lake {
    /// Makes all roll-ups again from the packets. Nothing is done when there are none.
    pub async fn rebuild_rollups(&self) -> Result<Vec<Rebuilt>, LakeError> {
        let packets = self.base("packets");
        let hours: BTreeSet<String> = packets.files().await?.into_iter().map(|file| file.partition).collect();
        let Some(since) = hours.iter().find(|hour| *hour != NO_HOUR) else { return Ok(Vec::new()) };
        let finest = self.count_again(&hours, since).await?;
        let mut rebuilt = Vec::new();
        for (grouping, mut counted) in Grouping::ALL.into_iter().zip(finest) {
            for span in grouping.spans() {
                let table = self.rollup(grouping, *span);
                let mut adds = self.write_rows(table, &kept_sql(grouping, *span, since)).await?;
                match *span == grouping.finest() {
                    true => adds.append(&mut counted),
                    false => adds.extend(self.write_rows(table, &coarser_sql(grouping, *span, since)).await?),
                }
                self.replace_since(table, grouping.filed(*span), since, adds).await?;
                rebuilt.push(self.account(table, since).await?);
            }
        }
        Ok(rebuilt)
    }

    /// Counts the packets hour by hour and writes rows of each grouping's finest table that no version names yet.
    async fn count_again(&self, hours: &BTreeSet<String>, since: &str) -> Result<Vec<Vec<Add>>, LakeError> {
        let mut adds: Vec<Vec<Add>> = Grouping::ALL.iter().map(|_| Vec::new()).collect();
        for hour in hours {
            let mut rollups = Rollups::default();
            let whole = |grouping: &Grouping| hour.as_str() >= whole_since(*grouping, since).as_str();
            let groupings: Vec<Grouping> = Grouping::ALL.into_iter().filter(whole).collect();
            for batch in self.ask(self.base("packets"), &packets_sql(hour, since)).await? {
                let fail = |source| LakeError::Rows { table: "packets", source };
                let sensors = batch.column_by_name("sensor").expect("the query selects it");
                let sensors = cast(sensors, &DataType::Utf8).map_err(fail)?;
                let sensors = sensors.as_string::<i32>();
                let columns = PACKETS.iter().filter(|column| READ.contains(&column.name));
                let batch = from_lake(columns, &batch).map_err(fail)?;
                if let Some(packets) = PacketColumns::of(&batch) {
                    let groupings = groupings.iter().copied();
                    rollups.add_for(groupings, |row| sensors.value(row), &packets, &self.shared.enrich);
                }
            }
            for (grouping, adds) in Grouping::ALL.into_iter().zip(&mut adds) {
                let table = self.rollup(grouping, grouping.finest());
                let rows = rollups.rows(grouping, grouping.finest());
                let rows = rows.map_err(|source| LakeError::Rows { table: table.spec.name, source })?;
                adds.extend(table.write_aside(stream::iter(rows.map(Ok)), 1).await?);
            }
        }
        Ok(adds)
    }

    async fn ask(&self, table: &LakeTable, sql: &str) -> Result<Vec<RecordBatch>, LakeError> {
        let limits = Limits { time: Duration::from_secs(86_400), rows: usize::MAX, ..Limits::default() };
        let answer = self.answer(sql, limits).await;
        let fail = |error: crate::QueryError| LakeError::Rewrite { table: table.spec.name, reason: error.to_string() };
        Ok(answer.map_err(fail)?.batches)
    }

    /// Writes the answer as files of a table that no version names yet.
    async fn write_rows(&self, table: &LakeTable, sql: &str) -> Result<Vec<Add>, LakeError> {
        let batches = self.ask(table, sql).await?;
        let batches = batches.iter().map(|batch| conform(batch, &table.spec.schema)).collect::<Result<Vec<_>, _>>();
        let batches = batches.map_err(|source| LakeError::Rows { table: table.spec.name, source })?;
        table.write_aside(stream::iter(batches.into_iter().filter(|batch| batch.num_rows() > 0).map(Ok)), 1).await
    }

    /// Puts the new files in the place of all partitions that reach past `since`, then compacts those.
    async fn replace_since(&self, table: &LakeTable, filed: Span, since: &str, new: Vec<Add>) -> Result<(), LakeError> {
        let first = &since[..filed.partition_letters()];
        // Letters sort after digits: rows without a time are among them.
        let affected = |file: &LiveFile| &*file.partition >= first;
        let old: Vec<LiveFile> = table.files().await?.into_iter().filter(affected).collect();
        let operation = DeltaOperation::Write {
            mode: SaveMode::Overwrite,
            partition_by: Some(vec![table.spec.partition.to_owned()]),
            predicate: None,
        };
        if !table.replace(&old, new, false, operation).await? {
            let reason = "it was written to meanwhile: stop the hub first".to_owned();
            return Err(LakeError::Rewrite { table: table.spec.name, reason });
        }
        let mut partitions = BTreeMap::<String, Vec<LiveFile>>::new();
        for file in table.files().await?.into_iter().filter(affected) {
            partitions.entry(file.partition.clone()).or_default().push(file);
        }
        for (partition, files) in partitions {
            self.compact_partition(table, partition, files, Compaction::default()).await?;
        }
        Ok(())
    }

    async fn account(&self, table: &LakeTable, since: &str) -> Result<Rebuilt, LakeError> {
        let rows = table.files().await?.iter().map(|file| file.rows).sum();
        Ok(Rebuilt { table: table.spec.name, rows, since: since.to_owned() })
    }

    fn base(&self, name: &str) -> &LakeTable {
        self.shared.tables.iter().find(|table| table.spec.name == name).expect("a declared table")
    }

    fn rollup(&self, grouping: Grouping, span: Span) -> &LakeTable {
        let wanted = |table: &&LakeTable| matches!(table.spec.feed, Feed::Rollup(g, s) if g == grouping && s == span);
        self.shared.tables.iter().find(wanted).expect("a span that the grouping has")
    }
}

/// The first instant of an hour partition, for SQL.
fn instant(hour: &str) -> String {
    format!("timestamp '{hour}:00:00Z'")
}

/// Rows of an hour of packets. Those without a plausible hour share one partition with hours that one batch had too many
/// of; of these, what is older than `since` is among the rows that stay.
fn packets_sql(hour: &str, since: &str) -> String {
    let mut names: Vec<String> = READ.iter().map(|name| format!("\"{name}\"")).collect();
    names.push("ts_nanos".to_owned());
    let all = match hour == NO_HOUR {
        true => format!(" and (ts is null or ts >= {} or ts < {})", instant(since), instant("1990-01-01T00")),
        false => String::new(),
    };
    format!("select {} from packets where hour = '{hour}'{all}", names.join(", "))
}

/// The hour from which on a grouping is counted from the packets: days that are not added up from hours begin with the
/// first day of which no packets are missing.
fn whole_since(grouping: Grouping, since: &str) -> String {
    let first: noroshi_model::Nanos = format!("{since}:00:00Z").parse().unwrap_or_default();
    match grouping.finest() {
        Span::Day if !since.ends_with("T00") => {
            let day = Span::Day.nanos();
            hour_name(noroshi_model::Nanos((first.0.div_euclid(day) + 1) * day))
        }
        _ => since.to_owned(),
    }
}

/// Rows of the first affected partition that are older than what is counted or added up again.
fn kept_sql(grouping: Grouping, span: Span, since: &str) -> String {
    let filed = grouping.filed(span);
    let first = &since[..filed.partition_letters()];
    let (time, partition) = (span.word(), filed.partition());
    let until = match span {
        Span::Day if grouping.finest() == Span::Day => instant(&whole_since(grouping, since)),
        // A day that began before the oldest packets is added up again from its hours, which are whole.
        Span::Day => instant(&format!("{}T00", &since[..10])),
        Span::Minute | Span::Hour => instant(since),
    };
    let table = grouping.table(span);
    let schema = crate::lake::rollup_schema(grouping, span);
    let columns = schema.fields().iter().map(|field| format!("\"{}\"", field.name())).collect::<Vec<_>>().join(", ");
    format!("select {columns} from {table} where \"{partition}\" = '{first}' and \"{time}\" < {until}")
}

/// Rows added up from the next finer table.
fn coarser_sql(grouping: Grouping, span: Span, since: &str) -> String {
    let finer = span.finer().expect("the finest are counted from packets");
    let (filed, from_filed) = (grouping.filed(span), grouping.filed(finer));
    let (time, from_time, from_partition) = (span.word(), finer.word(), from_filed.partition());
    let from = match span {
        Span::Day => instant(&format!("{}T00", &since[..10])),
        Span::Minute | Span::Hour => instant(since),
    };
    let keys = grouping.key_fields().iter().map(|field| format!("\"{}\"", field.name())).collect::<Vec<_>>().join(", ");
    let letters = filed.partition_letters();
    format!(
        "select date_trunc('{time}', \"{from_time}\") \"{time}\", sensor, {keys}, sum(packets) packets, \
         sum(bytes) bytes, sketch_merge({set}) {set}, sketch_merge(destinations) destinations, \
         case when \"{from_partition}\" = '{NO_HOUR}' then '{NO_HOUR}' else substr(\"{from_partition}\", 1, {letters}) \
         end \"{partition}\" from {source} where \"{from_time}\" >= {from} or \"{from_partition}\" = '{NO_HOUR}' \
         group by 1, sensor, {keys}, {group_partition}",
        partition = filed.partition(),
        set = grouping.set(),
        source = grouping.table(finer),
        group_partition = format_args!(
            "case when \"{from_partition}\" = '{NO_HOUR}' then '{NO_HOUR}' \
             else substr(\"{from_partition}\", 1, {letters}) end"
        ),
    )
}
