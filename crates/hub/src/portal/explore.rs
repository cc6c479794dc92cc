//! Explore: packets by any fields, over any range.
//!
//! A short range is counted from the packets themselves, exactly. A long one is counted from the roll-ups where they hold
//! its key, and from the packets with estimated distinct counts otherwise; the answer says so.

use super::past::{Past, filter_key, instant, micros, number, range_key, text};
use noroshi_api::backend::Answered;
use noroshi_api::filter::{Field, Shape, sql_column, sql_shown};
use noroshi_api::query::{Answer, Group, Query, Series};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;
use noroshi_store::{Grouping, statistics};
use serde_json::Value;

/// Packets in a range up to which sources and destinations are counted exactly; past it they are estimated
/// (HyperLogLog) and the answer says so. An exact count keeps every address in memory.
const EXACT_UP_TO: u64 = 5_000_000;
const MINUTE_SECONDS: u64 = 60;

/// Where the rows of an answer come from.
#[derive(Clone, Copy)]
enum Source {
    /// Packets, every distinct address counted.
    Exact,
    /// Packets, distinct addresses estimated.
    Estimated,
    /// A roll-up, and the key in it.
    Rolled(Grouping, &'static str),
}

impl Source {
    fn note(self) -> Option<&'static str> {
        match self {
            Source::Exact => None,
            Source::Estimated => {
                Some("distinct sources and destinations are estimates (HyperLogLog, about 2 %): the range is long")
            }
            Source::Rolled(..) => Some(
                "counted from the roll-ups, in whole minutes; distinct sources and destinations are estimates \
                 (HyperLogLog, about 2 %): the range is long",
            ),
        }
    }
}

/// The roll-up that holds a question's key; one with a filter needs the packets.
fn rolled(query: &Query) -> Option<Source> {
    let [field] = query.by[..] else { return None };
    let (grouping, key) = match field {
        Field::Dport => (Grouping::Port, "CASE WHEN proto IN (6, 17, 132) THEN port END"),
        Field::Country => (Grouping::Country, "country"),
        _ => return None,
    };
    let whole = query.slot_seconds.is_multiple_of(MINUTE_SECONDS) && query.filter.is_none();
    whole.then_some(Source::Rolled(grouping, key))
}

/// The text of a key, which a filter takes back.
pub(super) fn key_text(field: Field, value: &Value) -> String {
    let alias = field.aliases().iter().find(|(_, number)| value.as_u64() == Some(*number));
    alias.map_or_else(|| text(value), |(name, _)| (*name).to_owned())
}

/// The condition that a group's key holds, from values that the lake gave.
fn is_key(field: Field, value: &Value) -> String {
    let column = sql_column(field);
    match field.shape() {
        Shape::Address if field != Field::Network && !value.is_null() => {
            format!("{column} = addr('{}')", text(value).replace('\'', "''"))
        }
        shape => is_value(&format!("({column})"), shape, value),
    }
}

fn is_value(column: &str, shape: Shape, value: &Value) -> String {
    match (shape, value) {
        (_, Value::Null) => format!("{column} IS NULL"),
        (Shape::Number { .. }, value) => format!("{column} = {}", number(value)),
        (_, value) => format!("{column} = '{}'", text(value).replace('\'', "''")),
    }
}

impl Past {
    async fn source_for(&self, query: &Query, now: Nanos) -> Answered<Source> {
        let (from, to) = (query.from, query.to);
        let past = self.clone();
        let count = move || async move {
            let sql = format!(
                "SELECT sum(packets) FROM minutes_tools WHERE minute >= {} AND minute < {}",
                instant(Nanos(from.0 - 60 * SECOND)),
                instant(to)
            );
            Ok(past.rows(&sql).await?.first().map_or(0, |row| number(&row[0])))
        };
        let long = self.lengths.get(range_key(from, to, now), count).await? > EXACT_UP_TO;
        Ok(if long { rolled(query).unwrap_or(Source::Estimated) } else { Source::Exact })
    }

    /// Statistics, as [`Query::sql`] says them.
    pub async fn explore(&self, query: &Query, now: Nanos) -> Answered<Answer> {
        let by: Vec<_> = query.by.iter().map(|field| field.name()).collect();
        let key = format!(
            "{} {} {} {} {} {} {}",
            by.join(","),
            range_key(query.from, query.to, now),
            query.measure.name(),
            query.slot_seconds,
            query.groups,
            query.series,
            filter_key(query.filter.as_ref()),
        );
        let (past, query) = (self.clone(), query.clone());
        let make = move || async move {
            let source = past.source_for(&query, now).await?;
            past.explore_from(&query, source).await
        };
        self.explored.get(key, make).await
    }

    async fn explore_from(&self, query: &Query, source: Source) -> Answered<Answer> {
        let groups = self.rows(&groups_sql(query, source)).await?;
        let series = self.rows(&series_sql(query, source, &groups)).await?;
        let keys = query.by.len();
        let key = |row: &Vec<Value>| query.by.iter().zip(row).map(|(field, value)| key_text(*field, value)).collect();
        let points = query.points();
        let mut lines = vec![vec![0u64; points]; query.series.min(groups.len()) + 1];
        let (mut packets, mut newest) = (0, None);
        for row in &series {
            let (count, at) = (number(&row[2]), micros(&row[3]));
            packets += count;
            newest = newest.max(at);
            let line = row[1].as_i64().and_then(|line| usize::try_from(line).ok()).unwrap_or(lines.len() - 1);
            let slot = row[0].as_u64().map_or(usize::MAX, |slot| slot as usize);
            if let Some(cell) = lines.get_mut(line).and_then(|line| line.get_mut(slot)) {
                *cell += count;
            }
        }
        let rest = lines.pop().unwrap_or_default();
        let mut shown: Vec<Series> =
            lines.into_iter().zip(&groups).map(|(values, row)| Series { key: key(row), values }).collect();
        if rest.iter().any(|count| *count > 0) {
            shown.push(Series { key: Vec::new(), values: rest });
        }
        let when = |value: &Value| micros(value).unwrap_or(query.from);
        Ok(Answer {
            by: query.by.iter().map(|field| field.name().to_owned()).collect(),
            measure: query.measure,
            from: query.from,
            to: query.to,
            start: query.series_start(),
            slot_seconds: query.slot_seconds,
            groups_total: groups.first().map_or(0, |row| number(&row[keys + 6])),
            groups: groups
                .iter()
                .map(|row| Group {
                    key: key(row),
                    packets: number(&row[keys]),
                    bytes: number(&row[keys + 1]),
                    sources: number(&row[keys + 2]),
                    destinations: number(&row[keys + 3]),
                    first: when(&row[keys + 4]),
                    last: when(&row[keys + 5]),
                })
                .collect(),
            packets,
            series: shown,
            complete: true,
            notes: source.note().map(str::to_owned).into_iter().collect(),
            sql: query.sql(),
            newest,
        })
    }
}

fn groups_sql(query: &Query, source: Source) -> String {
    if let Source::Rolled(grouping, key) = source {
        let columns = format!("{key} AS k, packets, bytes, sources, destinations");
        let rows = statistics::rollup(grouping, &columns, query.from, query.to, true);
        return format!(
            "SELECT k, sum(packets) AS packets, sum(bytes) AS bytes, distinct_of(sources) AS sources, \
             distinct_of(destinations) AS destinations, cast(min(t) AS bigint) AS first, \
             cast(max(t) AS bigint) AS last, count(*) OVER () AS groups \
             FROM {rows} GROUP BY 1 ORDER BY {} DESC, 1 LIMIT {}",
            query.measure.name(),
            query.groups
        );
    }
    let keys: Vec<_> = query.by.iter().map(|field| sql_shown(*field)).collect();
    let keys_named: Vec<_> = keys.iter().enumerate().map(|(n, key)| format!("{key} AS k{n}")).collect();
    let places: Vec<_> = (1..=keys.len()).map(|n| n.to_string()).collect();
    let distinct = |column: &str| match source {
        Source::Exact => format!("count(DISTINCT {column})"),
        _ => format!("approx_distinct({column})"),
    };
    format!(
        "SELECT {}, count(*) AS packets, sum(wire_len) AS bytes, {} AS sources, {} AS destinations, \
         cast(min(ts) AS bigint) AS first, cast(max(ts) AS bigint) AS last, count(*) OVER () AS groups \
         FROM packets WHERE {} GROUP BY {} ORDER BY {} DESC, {} LIMIT {}",
        keys_named.join(", "),
        distinct("src"),
        distinct("dst"),
        query.conditions(),
        places.join(", "),
        query.measure.name(),
        places.join(", "),
        query.groups
    )
}

/// Packets per slot and line: the largest groups in their order, and all the rest.
fn series_sql(query: &Query, source: Source, groups: &[Vec<Value>]) -> String {
    let lines: String = groups
        .iter()
        .take(query.series)
        .enumerate()
        .map(|(line, row)| {
            let test = |(field, value): (&Field, &Value)| match source {
                Source::Rolled(..) => is_value("k", field.shape(), value),
                _ => is_key(*field, value),
            };
            let tests: Vec<_> = query.by.iter().zip(row).map(test).collect();
            format!(" WHEN {} THEN {line}", tests.join(" AND "))
        })
        .collect();
    let line = if lines.is_empty() { "-1".to_owned() } else { format!("CASE{lines} ELSE -1 END") };
    if let Source::Rolled(grouping, key) = source {
        // Minutes only: an hour's row has no place inside the hour.
        let rows = statistics::rollup(grouping, &format!("{key} AS k, packets"), query.from, query.to, false);
        return format!(
            "SELECT (cast(t AS bigint) - {}) / {} AS slot, {line} AS line, sum(packets), cast(max(t) AS bigint) \
             FROM {rows} GROUP BY 1, 2",
            query.series_start().0 / 1000,
            query.slot_seconds * 1_000_000,
        );
    }
    format!(
        "SELECT (cast(ts AS bigint) - {}) / {} AS slot, {line} AS line, count(*), cast(max(ts) AS bigint) \
         FROM packets WHERE {} GROUP BY 1, 2",
        query.series_start().0 / 1000,
        query.slot_seconds * 1_000_000,
        query.conditions()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_ipc::writer::StreamWriter;
    use noroshi_api::query::Measure;
    use noroshi_model::Addr;
    use noroshi_model::packet::{Has, Packet, PacketBatch, Transport, proto, tcp};
    use noroshi_model::rows::packets_record_batch;
    use noroshi_model::stream::SchemaId;
    use noroshi_store::{Enrich, Journal, JournalBatch, Lake, Mover, Origin};

    /// 2026-01-01T22:00:00Z, so that an hour and a day end inside.
    const START: i64 = 1_767_304_800;
    const PACKETS: u64 = 20_000;

    /// One packet a second, 40 sources on seven ports; every eleventh is ICMP and has no port.
    fn packet(n: u64) -> Packet {
        let mut row = Packet { ts: Nanos((START + n as i64) * SECOND), ..Packet::BLANK };
        row.has = Has(Has::IP.0 | Has::PORTS.0 | Has::TCP.0 | Has::TIME.0);
        row.src = Addr::v4(0x0b00_0000 + (n * 7919 % 40) as u32 * 256);
        row.dst = Addr::v4(0xc612_0000 | (n % 256) as u32);
        (row.proto, row.transport, row.dport, row.tcp_flags) = (proto::TCP, Transport::Tcp, (n % 7) as u16, tcp::SYN);
        if n.is_multiple_of(11) {
            row.has = Has(Has::IP.0 | Has::TIME.0);
            (row.proto, row.transport) = (1, Transport::Icmp);
        }
        row.wire_len = 60;
        row
    }

    async fn past(folder: &std::path::Path) -> Past {
        let journal = Journal::open(folder.join("journal.db")).await.unwrap();
        let enrich =
            Enrich::new(|addr| Origin { country: Some(if addr.0 & 256 == 0 { *b"JP" } else { *b"DE" }), asn: None });
        let lake = Lake::open_with(folder.join("lake"), enrich).await.unwrap();
        let rows = (0..PACKETS).map(packet).collect();
        let batch = packets_record_batch(&PacketBatch { rows, sensor: "a".into(), ..PacketBatch::default() });
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        let (sensor, epoch, schema) = ("a".to_owned(), [0; 16], SchemaId::PACKETS);
        let (first_seq, last_seq, gaps) = (0, PACKETS - 1, Vec::new());
        let batch = JournalBatch { sensor, epoch, first_seq, last_seq, schema, bytes: bytes.into(), gaps };
        journal.append(batch).await.unwrap();
        let mut mover = Mover::new(lake.clone(), journal).await.unwrap();
        while mover.step().await.unwrap().through != 0 {}
        Past::new(lake)
    }

    /// What both ways must agree on exactly: keys and counts. Distinct counts are estimated in one of them.
    fn exact(answer: &Answer) -> impl PartialEq + std::fmt::Debug + use<> {
        let counts = |group: &Group| (group.key.clone(), group.packets, group.bytes);
        let groups: Vec<_> = answer.groups.iter().map(counts).collect();
        (groups, answer.series.clone(), answer.packets, answer.groups_total)
    }

    #[tokio::test]
    async fn roll_ups_answer_as_the_packets_do() {
        let folder = tempfile::tempdir().unwrap();
        let past = past(folder.path()).await;
        for by in [Field::Dport, Field::Country] {
            let query = Query {
                by: vec![by],
                filter: None,
                measure: Measure::Packets,
                from: Nanos((START + 600) * SECOND),
                to: Nanos((START + 17_400) * SECOND),
                slot_seconds: 300,
                groups: 50,
                series: 3,
            };
            let from_packets = past.explore_from(&query, Source::Exact).await.unwrap();
            let source = rolled(&query).expect("a roll-up for the field");
            let from_roll_ups = past.explore_from(&query, source).await.unwrap();
            assert_eq!(exact(&from_roll_ups), exact(&from_packets), "{by:?}");
            assert_eq!(from_packets.packets, 16_800);
            for (rolled, counted) in from_roll_ups.groups.iter().zip(&from_packets.groups) {
                let error = rolled.sources as f64 / counted.sources as f64 - 1.0;
                assert!(error.abs() < 0.05, "{by:?}: {} sources estimated of {}", rolled.sources, counted.sources);
            }
        }
    }
}
