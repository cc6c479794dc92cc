//! Questions of the portal, answered from the lake: what was, also before this hub was started.
//!
//! Every figure comes from a query that `noroshi query` answers too. Queries take turns, and past a queue of them a
//! question is refused, so that memory stays bounded; answers are shared by all who ask the same ([`Answers`]). Rows of
//! the lake are the same for everybody who may ask: rights are checked before, and a filter that depends on who asks is
//! part of the question.

use super::answers::Answers;
use noroshi_api::backend::{Answered, BackendError, PacketQuery};
use noroshi_api::filter::{Expr, Field, KIND_SQL, sql_shown};
use noroshi_api::memory::Figures;
use noroshi_api::query::Answer;
use noroshi_api::views::{Count, PacketView, Page, Rates, SampleView, SessionView};
use noroshi_model::packet::Oddities;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use noroshi_store::format::{self, Format};
use noroshi_store::{Lake, Limits, QueryError};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

/// What one query of the portal may use; an answer must begin before the door's own limit. Memory is per query, and so
/// many run at once as there are turns.
const LIMITS: Limits = Limits { time: Duration::from_secs(20), memory: 256 << 20, rows: 200_000 };
/// Queries that wait for their turn; one more is refused. Larger: longer waits under a flood of questions.
const QUEUE: usize = 128;
/// When a refused question should be asked again.
const AGAIN_SECONDS: u64 = 2;
/// Answers are fresh for so long at least: the lake gets new rows every five seconds.
const FRESH: Duration = Duration::from_secs(4);
/// The length of a range changes slowly.
const LENGTH_FRESH: Duration = Duration::from_secs(30);
/// Bytes of answers of each kind that are kept.
const ANSWER_BYTES: usize = 8 << 20;
/// A range that ends so close to the present ends at the present.
const PRESENT: i64 = 2 * SECOND;
/// How far back the page of one value looks, and the points of its series.
const VALUE_SECONDS: i64 = 7 * 86_400;
const VALUE_POINTS: i64 = 168;
const VALUE_TOP: usize = 12;
/// Payload bytes shown of a packet.
const PAYLOAD: usize = 96;
/// Slots of a sensor's last day, and after how long all are counted again, because a sensor that was cut off sends late.
const DAY_SLOT: i64 = 900 * SECOND;
const DAY_SLOTS: i64 = 96;
const DAY_WHOLE: i64 = 600 * SECOND;

/// Figures of the first page.
#[derive(Clone, Default, serde::Serialize)]
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

/// The lake, as the portal asks it. Clones share everything.
#[derive(Clone)]
pub struct Past {
    lake: Lake,
    turns: Arc<Turns>,
    kept_days: Arc<Mutex<KeptDays>>,
    overviews: Answers<Overview>,
    days: Answers<Days>,
    packets: Answers<Page<PacketView>>,
    figures: Answers<Figures>,
    pub(super) explored: Answers<Answer>,
    pub(super) lengths: Answers<u64>,
    pub(super) sessions: Answers<Page<SessionView>>,
    pub(super) samples: Answers<Page<SampleView>>,
    pub(super) outlooks: Answers<super::outlook::Outlook>,
}

/// Queries take turns, one for each core.
struct Turns {
    free: Semaphore,
    waiting: AtomicUsize,
}

impl Turns {
    fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Turns { free: Semaphore::new(cores), waiting: AtomicUsize::new(0) }
    }

    async fn next(&self) -> Answered<SemaphorePermit<'_>> {
        /// Counts who waits, also when they go away.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if let Ok(turn) = self.free.try_acquire() {
            return Ok(turn);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= QUEUE {
            return Err(BackendError::Busy { again_seconds: AGAIN_SECONDS });
        }
        let closed = |error: tokio::sync::AcquireError| unavailable(&error);
        self.free.acquire().await.map_err(closed)
    }
}

pub(super) fn unavailable(error: &dyn std::fmt::Display) -> BackendError {
    BackendError::Unavailable { part: "lake", cause: error.to_string() }
}

/// A range as the key of an answer: one that ends at the present is the same question a moment later.
pub(super) fn range_key(from: Nanos, to: Nanos, now: Nanos) -> String {
    match (now.0 - to.0).abs() <= PRESENT {
        true => format!("the last {}", to.0 - from.0),
        false => format!("{} to {}", from.0, to.0),
    }
}

pub(super) fn filter_key(filter: Option<&Expr>) -> String {
    filter.map(Expr::to_sql).unwrap_or_default()
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
            turns: Arc::new(Turns::new()),
            kept_days: Arc::default(),
            overviews: Answers::new(FRESH, ANSWER_BYTES),
            days: Answers::new(4 * FRESH, ANSWER_BYTES),
            packets: Answers::new(FRESH, ANSWER_BYTES),
            figures: Answers::new(FRESH, ANSWER_BYTES),
            explored: Answers::new(FRESH, ANSWER_BYTES),
            lengths: Answers::new(LENGTH_FRESH, ANSWER_BYTES),
            sessions: Answers::new(FRESH, ANSWER_BYTES),
            samples: Answers::new(FRESH, ANSWER_BYTES),
            outlooks: Answers::new(15 * FRESH, ANSWER_BYTES),
        }
    }

    /// Forgets every answer, because rows were removed.
    pub async fn forget(&self) {
        *self.kept_days.lock().await = KeptDays::default();
        self.overviews.clear();
        self.days.clear();
        self.packets.clear();
        self.figures.clear();
        self.explored.clear();
        self.lengths.clear();
        self.sessions.clear();
        self.samples.clear();
        self.outlooks.clear();
    }

    /// The rows of a query.
    pub async fn rows(&self, sql: &str) -> Answered<Vec<Vec<Value>>> {
        let _turn = self.turns.next().await?;
        let mut rows = self.lake.query(sql, LIMITS).await.map_err(failed)?;
        let mut out = Vec::new();
        match format::write(&mut rows, Format::Json, &mut out).await {
            Ok(_) => {}
            Err(format::WriteError::Query(error)) => return Err(failed(error)),
            Err(error) => return Err(unavailable(&error)),
        }
        #[derive(serde::Deserialize)]
        struct Document {
            rows: Vec<Vec<Value>>,
        }
        serde_json::from_slice::<Document>(&out).map(|document| document.rows).map_err(|error| unavailable(&error))
    }

    /// Single packets, newest first.
    pub async fn packets(&self, query: &PacketQuery, now: Nanos) -> Answered<Page<PacketView>> {
        let range = range_key(query.from, query.to, now);
        let key = format!("{range} {} {}", query.take, filter_key(query.filter.as_ref()));
        let (past, query) = (self.clone(), query.clone());
        self.packets.get(key, move || async move { past.packets_now(&query).await }).await
    }

    async fn packets_now(&self, query: &PacketQuery) -> Answered<Page<PacketView>> {
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

    /// Figures of the first page. `newest` is the newest packet that is known without asking.
    pub async fn overview(&self, newest: Option<Nanos>, now: Nanos) -> Answered<Overview> {
        let past = self.clone();
        self.overviews.get(String::new(), move || async move { past.overview_now(newest, now).await }).await
    }

    async fn overview_now(&self, newest: Option<Nanos>, now: Nanos) -> Answered<Overview> {
        let from = Nanos(now.0 - 3600 * SECOND);
        let (day, hour) = (instant(Nanos(now.0 - 86_400 * SECOND)), instant(from));
        let all = format!("SELECT sum(packets), distinct_of(sources) FROM minutes_tools WHERE minute >= {day}");
        let ranked = |table: &str, key: &str, only: &str| {
            format!(
                "SELECT {key}, sum(packets), distinct_of(sources) FROM {table} WHERE minute >= {hour} AND {only} \
                 GROUP BY {key} ORDER BY 2 DESC, 1 LIMIT 8"
            )
        };
        let ports = ranked("minutes_ports", "port", "port IS NOT NULL AND proto IN (6, 17, 132)");
        let countries = ranked("minutes_countries", "country", "country IS NOT NULL");
        let newest = async {
            if newest.is_some() {
                return Ok(newest);
            }
            let sql = format!("SELECT cast(max(ts) AS bigint) FROM packets WHERE ts >= {day}");
            Ok(self.rows(&sql).await?.first().and_then(|row| micros(&row[0])))
        };
        let (all, ports, countries, hour, newest) = tokio::try_join!(
            self.rows(&all),
            self.rows(&ports),
            self.rows(&countries),
            self.kinds(None, from, now, 60),
            newest,
        )?;
        let counts = |rows: Vec<Vec<Value>>| {
            let count =
                |row: &Vec<Value>| Count { value: text(&row[0]), packets: number(&row[1]), sources: number(&row[2]) };
            rows.iter().map(count).collect::<Vec<_>>()
        };
        Ok(Overview {
            packets: all.first().map_or(0, |row| number(&row[0])),
            sources: all.first().map_or(0, |row| number(&row[1])),
            newest,
            hour,
            ports: counts(ports),
            countries: counts(countries),
        })
    }

    /// Packets per slot, by kind, in one query.
    async fn kinds(&self, filter: Option<&Expr>, from: Nanos, to: Nanos, slot_seconds: u64) -> Answered<Rates> {
        let slot = slot_seconds as i64 * SECOND;
        let start = from.0.div_euclid(slot) * slot;
        let points = usize::try_from((to.0 - start + slot - 1) / slot).unwrap_or_default();
        let narrowed = filter.map(|filter| format!(" AND {}", filter.to_sql())).unwrap_or_default();
        let sql = format!(
            "SELECT (cast(ts AS bigint) - {}) / {} AS slot, {KIND_SQL} AS kind, count(*) FROM packets \
             WHERE ts >= {} AND ts < {}{narrowed} GROUP BY 1, 2",
            start / 1000,
            slot / 1000,
            instant(from),
            instant(to),
        );
        let mut rates = Rates { start: Nanos(start), slot_seconds, series: BTreeMap::new() };
        for row in self.rows(&sql).await? {
            let line = rates.series.entry(text(&row[1])).or_insert_with(|| vec![0; points]);
            if let Some(cell) = row[0].as_u64().and_then(|slot| line.get_mut(slot as usize)) {
                *cell += number(&row[2]);
            }
        }
        Ok(rates)
    }

    /// The last day of every sensor. Slots that have passed are kept: only the newest are counted again.
    pub async fn days(&self, now: Nanos) -> Answered<Days> {
        let past = self.clone();
        self.days.get(String::new(), move || async move { past.days_now(now).await }).await
    }

    async fn days_now(&self, now: Nanos) -> Answered<Days> {
        let mut kept = self.kept_days.lock().await;
        if now.0 > kept.counted.0 {
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
        let key = format!("{} {}", top.name(), filter.to_sql());
        let (past, filter) = (self.clone(), filter.clone());
        let make = move || async move { past.figures_now(&filter, top, now).await };
        Ok(Figures { country, ..self.figures.get(key, make).await? })
    }

    async fn figures_now(&self, filter: &Expr, top: Field, now: Nanos) -> Answered<Figures> {
        let (since, to) = (Nanos(now.0 - VALUE_SECONDS * SECOND), Nanos(now.0 + SECOND));
        let conditions = format!("ts >= {} AND ts < {} AND {}", instant(since), instant(to), filter.to_sql());
        let tool = sql_shown(Field::Tool);
        let whole = format!(
            "SELECT count(*), count(DISTINCT src), count(DISTINCT dst), cast(min(ts) AS bigint), \
             cast(max(ts) AS bigint), array_to_string(array_agg(DISTINCT {tool}), ',') FROM packets WHERE {conditions}"
        );
        let key = sql_shown(top);
        let ranked = format!(
            "SELECT {key}, count(*), count(DISTINCT src) FROM packets WHERE {conditions} GROUP BY 1 \
             ORDER BY 2 DESC, 1 LIMIT {VALUE_TOP}"
        );
        let (whole, ranked) = tokio::try_join!(self.rows(&whole), self.rows(&ranked))?;
        let Some(row) = whole.first().filter(|row| number(&row[0]) > 0) else { return Ok(Figures::default()) };
        let first = micros(&row[3]).unwrap_or(since);
        let slot_seconds = ((now.0 - first.0) / SECOND / VALUE_POINTS).max(10) as u64;
        let top = |row: &Vec<Value>| Count {
            value: super::explore::key_text(top, &row[0]),
            packets: number(&row[1]),
            sources: number(&row[2]),
        };
        let mut tools: Vec<String> =
            text(&row[5]).split(',').filter(|tool| !tool.is_empty()).map(str::to_owned).collect();
        tools.sort();
        Ok(Figures {
            packets: number(&row[0]),
            sources: number(&row[1]),
            destinations: number(&row[2]),
            first: Some(first),
            last: micros(&row[4]),
            country: None,
            tools,
            rates: self.kinds(Some(filter), first, to, slot_seconds).await?,
            top: ranked.iter().map(top).collect(),
        })
    }
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
