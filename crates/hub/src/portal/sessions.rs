//! Dialogues with honeypots and the files in them, from the lake.

use super::past::{Past, micros, number, text};
use noroshi_api::backend::{Answered, BackendError, SessionFilter, Slice};
use noroshi_api::views::{Page, SampleView, SessionDetail, SessionView, read_steps};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;
use serde_json::Value;

/// Separates what a list holds: no keyboard types it.
const UNIT: char = '\u{1f}';
/// Separates the parts of an id; names of sensors and origins have none.
const PART: char = '~';
/// Steps shown of one dialogue.
const STEPS: usize = 5_000;

const COLUMNS: &str = "cast(ts AS bigint) AS at, cast(\"end\" AS bigint) AS until, sensor, origin, session, ip(src), country(src), dport, \
    protocol, client, fingerprint, logins_accepted, logins_refused, array_to_string(credentials, chr(31)), \
    array_to_string(commands, chr(31)), array_to_string(urls, chr(31)), array_to_string(hashes, chr(31)), bytes_in, \
    bytes_out, truncated";

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn list(value: &Value) -> Vec<String> {
    text(value).split(UNIT).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn view(row: &[Value]) -> SessionView {
    let maybe = |place: usize| row[place].as_str().map(str::to_owned);
    let ts = micros(&row[0]).unwrap_or(Nanos(0));
    SessionView {
        id: [text(&row[2]), text(&row[3]), text(&row[4])].join(&PART.to_string()),
        ts,
        seconds: micros(&row[1]).map_or(0.0, |end| (end.0 - ts.0).max(0) as f64 / SECOND as f64),
        sensor: text(&row[2]),
        origin: text(&row[3]),
        src: maybe(5),
        country: maybe(6),
        dport: row[7].as_u64().map(|port| port as u16),
        protocol: text(&row[8]),
        client: maybe(9),
        fingerprint: maybe(10),
        logins_accepted: number(&row[11]),
        logins_refused: number(&row[12]),
        credentials: list(&row[13]),
        commands: list(&row[14]),
        urls: list(&row[15]),
        hashes: list(&row[16]),
        bytes_in: number(&row[17]),
        bytes_out: number(&row[18]),
        truncated: row[19].as_bool().unwrap_or(false),
    }
}

fn conditions(filter: &SessionFilter) -> String {
    let mut all = vec!["true".to_owned()];
    all.extend(filter.src.map(|src| format!("src = addr('{src}')")));
    if !filter.text.is_empty() {
        let lists = ["credentials", "commands", "urls", "hashes"];
        let found = lists.map(|l| format!("strpos(array_to_string({l}, chr(31)), {}) > 0", quoted(&filter.text)));
        all.push(format!("({})", found.join(" OR ")));
    }
    all.join(" AND ")
}

impl Past {
    /// Dialogues, newest first.
    pub async fn sessions(&self, filter: &SessionFilter, slice: Slice) -> Answered<Page<SessionView>> {
        let wanted = conditions(filter);
        let key = format!("{} {} {wanted}", slice.skip, slice.take);
        let past = self.clone();
        self.sessions.get(key, move || async move { past.sessions_now(&wanted, slice).await }).await
    }

    async fn sessions_now(&self, wanted: &str, slice: Slice) -> Answered<Page<SessionView>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sessions WHERE {wanted} ORDER BY ts DESC LIMIT {} OFFSET {}",
            slice.take, slice.skip
        );
        let count = format!("SELECT count(*) FROM sessions WHERE {wanted}");
        let (rows, total) = tokio::try_join!(self.rows(&sql), self.rows(&count))?;
        Ok(Page {
            items: rows.iter().map(|row| view(row)).collect(),
            total: total.first().map_or(0, |row| number(&row[0])),
            complete: true,
            notes: Vec::new(),
        })
    }

    /// One dialogue.
    pub async fn session(&self, id: &str) -> Answered<SessionDetail> {
        let missing = || BackendError::NotFound("session");
        let parts: Vec<&str> = id.splitn(3, PART).collect();
        let [sensor, origin, session] = parts[..] else { return Err(missing()) };
        let sql = format!(
            "SELECT {COLUMNS}, steps FROM sessions WHERE sensor = {} AND origin = {} AND session = {} LIMIT 1",
            quoted(sensor),
            quoted(origin),
            quoted(session)
        );
        let rows = self.rows(&sql).await?;
        let row = rows.first().ok_or_else(missing)?;
        Ok(SessionDetail { session: view(row), steps: read_steps(&text(&row[20]), STEPS) })
    }

    /// Files, most frequent first.
    pub async fn samples(&self, slice: Slice) -> Answered<Page<SampleView>> {
        let past = self.clone();
        let key = format!("{} {}", slice.skip, slice.take);
        self.samples.get(key, move || async move { past.samples_now(slice).await }).await
    }

    async fn samples_now(&self, slice: Slice) -> Answered<Page<SampleView>> {
        let sql = format!(
            "SELECT hash, count(*) AS sessions, count(DISTINCT src), cast(min(ts) AS bigint), cast(max(ts) AS bigint), \
             min(places), count(*) OVER () FROM (SELECT unnest(hashes) AS hash, src, ts, \
             array_to_string(urls, chr(31)) AS places FROM sessions) GROUP BY hash \
             ORDER BY sessions DESC, hash LIMIT {} OFFSET {}",
            slice.take, slice.skip
        );
        let rows = self.rows(&sql).await?;
        let sample = |row: &Vec<Value>| SampleView {
            hash: text(&row[0]),
            family: None,
            sessions: number(&row[1]),
            sources: number(&row[2]),
            first: micros(&row[3]).unwrap_or(Nanos(0)),
            last: micros(&row[4]).unwrap_or(Nanos(0)),
            urls: list(&row[5]).into_iter().take(5).collect(),
        };
        Ok(Page {
            total: rows.first().map_or(0, |row| number(&row[6])),
            items: rows.iter().map(sample).collect(),
            complete: true,
            notes: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_cannot_leave_its_quotes() {
        let sql = conditions(&SessionFilter { text: "x') OR true --".into(), src: None });
        assert!(sql.contains("'x'') OR true --'"), "{sql}");
    }
}
