//! Questions of the portal, answered from the lake: what was, also before this hub was started.
//!
//! Every figure comes from a query that `noroshi query` answers too. Queries take turns, so that many viewers cost no
//! more than a few; answers that everybody sees alike are kept for some seconds.

use noroshi_api::backend::{Answered, BackendError, PacketQuery};
use noroshi_api::filter::{Expr, Field, KIND_SQL, Kind, sql_shown};
use noroshi_api::memory::Figures;
use noroshi_api::query::{Answer, Group, Measure, Query};
use noroshi_api::views::{Count, PacketView, Page, Rates};
use noroshi_model::packet::Oddities;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use noroshi_store::format::{self, Format};
use noroshi_store::{Lake, Limits, QueryError};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// What one query of the portal may use; an answer must begin before the door's own limit.
const LIMITS: Limits = Limits { time: Duration::from_secs(20), memory: 512 << 20, rows: 200_000 };
/// Queries at once: as many as small machines have cores.
const AT_ONCE: usize = 2;
/// Answers that all see alike are kept so long.
pub(super) const KEEP_NANOS: i64 = 4 * SECOND;
/// How far back the page of one value looks, and the points of its series.
const VALUE_SECONDS: i64 = 7 * 86_400;
const VALUE_POINTS: i64 = 168;
/// Payload bytes shown of a packet.
const PAYLOAD: usize = 96;
/// Slots of a sensor's last day, and after how long all are counted again, because a sensor that was cut off sends late.
const DAY_SLOT: i64 = 900 * SECOND;
const DAY_SLOTS: i64 = 96;
const DAY_WHOLE: i64 = 600 * SECOND;

/// Figures of the first page.
#[derive(Clone, Default)]
pub struct Overview {
    pub packets: u64,
    pub sources: u64,
    pub newest: Option<Nanos>,
    pub hour: Rates,
    pub ports: Vec<Count>,
    pub countries: Vec<Count>,
}

/// Packets per slot of the last day, by kind, for each sensor.
pub type Days = HashMap<String, Rates>;

/// Packets by sensor, kind and slot since 1970.
#[derive(Default)]
struct KeptDays {
    counted: Nanos,
    /// When every slot was counted last.
    whole: Nanos,
    counts: BTreeMap<(String, String, i64), u64>,
}

impl KeptDays {
    fn days(&self) -> Days {
        let start = self.counted.0.div_euclid(DAY_SLOT) + 1 - DAY_SLOTS;
        let mut days = Days::new();
        for ((sensor, kind, slot), count) in &self.counts {
            let entry = days.entry(sensor.clone()).or_insert_with(|| Rates {
                start: Nanos(start * DAY_SLOT),
                slot_seconds: (DAY_SLOT / SECOND) as u64,
                series: BTreeMap::new(),
            });
            let line = entry.series.entry(kind.clone()).or_insert_with(|| vec![0; DAY_SLOTS as usize]);
            if let Some(cell) = usize::try_from(slot - start).ok().and_then(|at| line.get_mut(at)) {
                *cell += count;
            }
        }
        days
    }
}

/// The lake, as the portal asks it.
pub struct Past {
    lake: Lake,
    turns: Semaphore,
    overview: Mutex<Option<(Nanos, Overview)>>,
    days: Mutex<KeptDays>,
    pub(super) outlooks: Mutex<Option<super::outlook::Outlook>>,
}

fn failed(error: QueryError) -> BackendError {
    match error {
        QueryError::Lake(_) => BackendError::Unavailable { part: "lake", cause: error.to_string() },
        // A bound of time, memory or rows was reached: the caller can ask for less.
        bound => BackendError::Refused(format!("{bound}; ask for a shorter range or a narrower filter")),
    }
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_f64().map(|n| n as u64)).unwrap_or(0)
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Microseconds since 1970, as queries here cast times.
pub(super) fn micros(value: &Value) -> Option<Nanos> {
    value.as_i64().map(|us| Nanos(us.saturating_mul(1000)))
}

pub(super) fn instant(at: Nanos) -> String {
    format!("timestamp '{}'", at.rfc3339())
}

impl Past {
    /// Over that lake.
    pub fn new(lake: Lake) -> Self {
        Past {
            lake,
            turns: Semaphore::new(AT_ONCE),
            overview: Mutex::default(),
            days: Mutex::default(),
            outlooks: Mutex::default(),
        }
    }

    /// The rows of a query.
    pub async fn rows(&self, sql: &str) -> Answered<Vec<Vec<Value>>> {
        let unavailable = |cause: String| BackendError::Unavailable { part: "lake", cause };
        let _turn = self.turns.acquire().await.map_err(|error| unavailable(error.to_string()))?;
        let mut rows = self.lake.query(sql, LIMITS).await.map_err(failed)?;
        let mut out = Vec::new();
        match format::write(&mut rows, Format::Json, &mut out).await {
            Ok(_) => {}
            Err(format::WriteError::Query(error)) => return Err(failed(error)),
            Err(error) => return Err(unavailable(error.to_string())),
        }
        #[derive(serde::Deserialize)]
        struct Document {
            rows: Vec<Vec<Value>>,
        }
        serde_json::from_slice::<Document>(&out)
            .map(|document| document.rows)
            .map_err(|error| unavailable(error.to_string()))
    }

    /// Single packets, newest first.
    pub async fn packets(&self, query: &PacketQuery) -> Answered<Page<PacketView>> {
        let mut conditions = format!("ts >= {} AND ts < {}", instant(query.from), instant(query.to));
        if let Some(filter) = &query.filter {
            conditions += &format!(" AND {}", filter.to_sql());
        }
        let sql = packet_sql(&conditions, query.take);
        let count = format!("SELECT count(*) FROM packets WHERE {conditions}");
        let (rows, total) = tokio::try_join!(self.rows(&sql), self.rows(&count))?;
        Ok(Page {
            items: rows.iter().map(|row| packet_view(row)).collect(),
            total: total.first().map_or(0, |row| number(&row[0])),
            complete: true,
            notes: Vec::new(),
        })
    }

    /// The newest packet of a sensor within the last day, one with payload before others.
    pub async fn sample_of(&self, sensor: &str, now: Nanos) -> Answered<Option<PacketView>> {
        let name = sensor.replace('\'', "''");
        let since = instant(Nanos(now.0 - 86_400 * SECOND));
        for more in [" AND payload IS NOT NULL", ""] {
            let rows = self.rows(&packet_sql(&format!("ts >= {since} AND sensor = '{name}'{more}"), 1)).await?;
            if let Some(row) = rows.first() {
                return Ok(Some(packet_view(row)));
            }
        }
        Ok(None)
    }

    /// Figures of the first page.
    pub async fn overview(&self, now: Nanos) -> Answered<Overview> {
        let mut kept = self.overview.lock().await;
        if let Some((at, view)) = &*kept
            && now.0 - at.0 < KEEP_NANOS
        {
            return Ok(view.clone());
        }
        let (day, hour) = (instant(Nanos(now.0 - 86_400 * SECOND)), instant(Nanos(now.0 - 3600 * SECOND)));
        let all = format!("SELECT sum(packets), distinct_of(sources) FROM minutes_tools WHERE minute >= {day}");
        let newest = format!("SELECT cast(max(ts) AS bigint) FROM packets WHERE ts >= {day}");
        let ranked = |table: &str, key: &str, only: &str| {
            format!(
                "SELECT {key}, sum(packets), distinct_of(sources) FROM {table} WHERE minute >= {hour} AND {only} \
                 GROUP BY {key} ORDER BY 2 DESC, 1 LIMIT 8"
            )
        };
        let ports = ranked("minutes_ports", "port", "port IS NOT NULL AND proto IN (6, 17, 132)");
        let countries = ranked("minutes_countries", "country", "country IS NOT NULL");
        let kinds = Query {
            by: vec![Field::Kind],
            filter: None,
            measure: Measure::Packets,
            from: Nanos(now.0 - 3600 * SECOND),
            to: now,
            slot_seconds: 60,
            groups: 8,
            series: 8,
        };
        let all = self.rows(&all).await?;
        let counts = |rows: Vec<Vec<Value>>| {
            let count =
                |row: &Vec<Value>| Count { value: text(&row[0]), packets: number(&row[1]), sources: number(&row[2]) };
            rows.iter().map(count).collect::<Vec<_>>()
        };
        let view = Overview {
            packets: all.first().map_or(0, |row| number(&row[0])),
            sources: all.first().map_or(0, |row| number(&row[1])),
            newest: self.rows(&newest).await?.first().and_then(|row| micros(&row[0])),
            hour: rates_of(self.explore(&kinds).await?),
            ports: counts(self.rows(&ports).await?),
            countries: counts(self.rows(&countries).await?),
        };
        *kept = Some((now, view.clone()));
        Ok(view)
    }

    /// The last day of every sensor. Slots that have passed are kept: only the newest are counted again.
    pub async fn days(&self, now: Nanos) -> Answered<Days> {
        let mut kept = self.days.lock().await;
        if now.0 - kept.counted.0 >= 4 * KEEP_NANOS {
            let newest = now.0.div_euclid(DAY_SLOT);
            let oldest = newest + 1 - DAY_SLOTS;
            let again = now.0 - kept.whole.0 >= DAY_WHOLE;
            // The slot before the newest may still have been filling when it was counted.
            let from = if again { oldest } else { kept.counted.0.div_euclid(DAY_SLOT) - 1 };
            let sql = format!(
                "SELECT sensor, cast(ts AS bigint) / {} AS slot, {KIND_SQL} AS kind, count(*) FROM packets \
                 WHERE ts >= {} AND ts < {} GROUP BY 1, 2, 3",
                DAY_SLOT / 1000,
                instant(Nanos(from * DAY_SLOT)),
                instant(Nanos((newest + 1) * DAY_SLOT)),
            );
            let rows = self.rows(&sql).await?;
            kept.counts.retain(|key, _| (oldest..from).contains(&key.2));
            kept.counts.extend(
                rows.iter().filter_map(|row| Some(((text(&row[0]), text(&row[2]), row[1].as_i64()?), number(&row[3])))),
            );
            kept.counted = now;
            kept.whole = if again { now } else { kept.whole };
        }
        Ok(kept.days())
    }

    /// What packets tell of a value.
    pub async fn figures(&self, filter: &Expr, top: Field, country: Option<String>, now: Nanos) -> Answered<Figures> {
        let (since, to) = (Nanos(now.0 - VALUE_SECONDS * SECOND), Nanos(now.0 + SECOND));
        let conditions = format!("ts >= {} AND ts < {} AND {}", instant(since), instant(to), filter.to_sql());
        let sql = format!(
            "SELECT count(*), count(DISTINCT src), count(DISTINCT dst), cast(min(ts) AS bigint), \
             cast(max(ts) AS bigint) FROM packets WHERE {conditions}"
        );
        let whole = self.rows(&sql).await?;
        let Some(row) = whole.first().filter(|row| number(&row[0]) > 0) else {
            return Ok(Figures { country, ..Figures::default() });
        };
        let first = micros(&row[3]).unwrap_or(since);
        let query = |by: Field, groups: usize| Query {
            by: vec![by],
            filter: Some(filter.clone()),
            measure: Measure::Packets,
            from: first,
            to,
            slot_seconds: ((now.0 - first.0) / SECOND / VALUE_POINTS).max(10) as u64,
            groups,
            series: 8,
        };
        let tools =
            format!("SELECT DISTINCT {} FROM packets WHERE {conditions} AND tool_bits <> 0", sql_shown(Field::Tool));
        let tools = self.rows(&tools).await?;
        Ok(Figures {
            packets: number(&row[0]),
            sources: number(&row[1]),
            destinations: number(&row[2]),
            first: Some(first),
            last: micros(&row[4]),
            country,
            tools: tools.iter().map(|row| text(&row[0])).filter(|tool| !tool.is_empty()).collect(),
            rates: rates_of(self.explore(&query(Field::Kind, 8)).await?),
            top: self.explore(&query(top, 12)).await?.groups.into_iter().map(count_of).collect(),
        })
    }
}

fn count_of(group: Group) -> Count {
    Count { value: group.key.join(" "), packets: group.packets, sources: group.sources }
}

fn rates_of(answer: Answer) -> Rates {
    let (start, slot_seconds) = (answer.start, answer.slot_seconds);
    let named = answer.series.into_iter().filter_map(|one| Some((one.key.into_iter().next()?, one.values)));
    Rates { start, slot_seconds, series: named.filter(|(kind, _)| Kind::NAMES.contains(&kind.as_str())).collect() }
}

fn packet_sql(conditions: &str, take: usize) -> String {
    format!(
        "SELECT cast(ts AS bigint) AS at, ts_nanos, sensor, ip(src), ip(dst), proto, sport, dport, tcp_flags, ttl, \"window\", \
         wire_len, payload_len, hex(payload, {PAYLOAD}), {KIND_SQL}, country(src), evidence, oddities \
         FROM packets WHERE {conditions} ORDER BY ts DESC LIMIT {take}"
    )
}

fn packet_view(row: &[Value]) -> PacketView {
    let at = |place: usize| number(&row[place]);
    let maybe = |place: usize| (!row[place].is_null()).then(|| at(place));
    let address = |place: usize| row[place].as_str().map_or_else(|| Addr(0).to_string(), str::to_owned);
    PacketView {
        ts: Nanos(micros(&row[0]).unwrap_or(Nanos(0)).0 + at(1) as i64),
        sensor: text(&row[2]),
        src: address(3),
        dst: address(4),
        proto: at(5) as u8,
        sport: maybe(6).map(|n| n as u16),
        dport: maybe(7).map(|n| n as u16),
        tcp_flags: maybe(8).map(|n| n as u8),
        ttl: at(9) as u8,
        window: maybe(10).map(|n| n as u16),
        wire_len: at(11) as u32,
        payload_len: at(12) as u32,
        payload: row[13].as_str().map(printable),
        kind: text(&row[14]),
        country: row[15].as_str().map(str::to_owned),
        evidence: match at(16) {
            2 => "handshake",
            1 => "challenge_verified",
            _ => "spoofable",
        }
        .to_owned(),
        oddities: Oddities(at(17) as u32).codes().map(str::to_owned).collect(),
    }
}

/// Bytes in hexadecimal as text, unprintable ones as dots.
fn printable(hex: &str) -> String {
    hex.as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .map(|b| if b.is_ascii_graphic() || b == b' ' { b as char } else { '·' })
        .collect()
}
