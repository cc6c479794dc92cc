//! Table `sessions`: one row per dialogue with a honeypot, ours or another's.
//!
//! Lists hold what people search for; `steps` holds the whole dialogue in order, as JSON, for replay and study.
//! Every text here was chosen by a stranger: escape it wherever it is shown.

use crate::columns::{Column, Type, optional, required, schema_of};
use crate::rows::RowsError;
use crate::{Addr, Nanos, arrays};
use arrow_array::{ArrayRef, RecordBatch};
use serde::{Deserialize, Serialize};

/// One dialogue with a honeypot.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Session {
    /// When the connection was made.
    pub ts: Nanos,
    /// When it ended, or was last heard of.
    pub end: Nanos,
    /// Sensor name; empty for files that name none.
    pub sensor: String,
    /// Which honeypot kept it: `noroshi`, `cowrie`, `dionaea`, …
    pub origin: String,
    /// Unique within its origin and sensor.
    pub id: String,
    /// Who came.
    pub src: Option<Addr>,
    /// Whom they met.
    pub dst: Option<Addr>,
    /// Source port.
    pub sport: Option<u16>,
    /// Destination port.
    pub dport: Option<u16>,
    /// `telnet`, `ssh`, `http`, …
    pub protocol: String,
    /// What the client calls itself.
    pub client: Option<String>,
    /// Fingerprint of the client's handshake (HASSH for SSH, JA4 for TLS).
    pub fingerprint: Option<String>,
    /// Architecture that the client was shown.
    pub arch: Option<String>,
    /// Logins that were accepted.
    pub logins_accepted: u32,
    /// Logins that were refused.
    pub logins_refused: u32,
    /// `user:password`, in the order tried, repeats kept.
    pub credentials: Vec<String>,
    /// Lines that were typed, in order.
    pub commands: Vec<String>,
    /// Places that the client named to fetch from, each once.
    pub urls: Vec<String>,
    /// SHA-256 of files that were left or fetched, each once.
    pub hashes: Vec<String>,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// Some limit of bytes, lines or time was reached, so that the rest is missing.
    pub truncated: bool,
    /// The dialogue in order: a JSON array of `{"t": seconds, "k": kind, …}`.
    pub steps: String,
    /// SHA-256 of the recording, where one was kept.
    pub recording: Option<String>,
    /// What else the origin said, as a JSON object.
    pub extra: String,
}

/// Table `sessions`.
pub const SESSIONS: &[Column] = &[
    required("ts", Type::Time, "", "when the connection was made"),
    required("end", Type::Time, "", "when it ended, or was last heard of"),
    required("sensor", Type::Keyword, "", "sensor name; empty for files that name none"),
    required("origin", Type::Keyword, "", "which honeypot kept it: noroshi, cowrie, dionaea, ..."),
    required("session", Type::Text, "", "identifier, unique within origin and sensor"),
    optional("src", Type::Address, "", "who came"),
    optional("dst", Type::Address, "", "whom they met"),
    optional("sport", Type::U16, "", "source port"),
    optional("dport", Type::U16, "", "destination port"),
    required("protocol", Type::Keyword, "", "telnet, ssh, http, ..."),
    optional("client", Type::Text, "", "what the client calls itself"),
    optional("fingerprint", Type::Keyword, "", "HASSH for SSH, JA4 for TLS"),
    optional("arch", Type::Keyword, "", "architecture that the client was shown"),
    required("logins_accepted", Type::U32, "logins", "logins that were accepted"),
    required("logins_refused", Type::U32, "logins", "logins that were refused"),
    required("credentials", Type::Texts, "", "user:password in the order tried, repeats kept"),
    required("commands", Type::Texts, "", "lines that were typed, in order"),
    required("urls", Type::Texts, "", "places the client named to fetch from, each once"),
    required("hashes", Type::Texts, "", "SHA-256 of files left or fetched, each once"),
    required("bytes_in", Type::U64, "bytes", "from the client"),
    required("bytes_out", Type::U64, "bytes", "to the client"),
    required("truncated", Type::Bool, "", "a limit was reached, the rest is missing"),
    required("steps", Type::Text, "JSON", "the dialogue in order"),
    optional("recording", Type::Text, "", "SHA-256 of the recording"),
    required("evidence", Type::U8, "", "always 2: a dialogue needs a handshake"),
    required("extra", Type::Text, "JSON", "what else the origin said"),
];

/// The rows as one batch with the columns of [`SESSIONS`].
pub fn record_batch(rows: &[Session]) -> RecordBatch {
    let all = || rows.iter();
    let arrays: Vec<ArrayRef> = vec![
        arrays::times(all().map(|row| Some(row.ts))),
        arrays::times(all().map(|row| Some(row.end))),
        arrays::keywords(all().map(|row| Some(&*row.sensor))),
        arrays::keywords(all().map(|row| Some(&*row.origin))),
        arrays::texts(all().map(|row| Some(&*row.id))),
        arrays::addresses(all().map(|row| row.src)),
        arrays::addresses(all().map(|row| row.dst)),
        arrays::u16s(all().map(|row| row.sport)),
        arrays::u16s(all().map(|row| row.dport)),
        arrays::keywords(all().map(|row| Some(&*row.protocol))),
        arrays::texts(all().map(|row| row.client.as_deref())),
        arrays::keywords(all().map(|row| row.fingerprint.as_deref())),
        arrays::keywords(all().map(|row| row.arch.as_deref())),
        arrays::u32s(all().map(|row| Some(row.logins_accepted))),
        arrays::u32s(all().map(|row| Some(row.logins_refused))),
        arrays::text_lists(all().map(|row| &*row.credentials)),
        arrays::text_lists(all().map(|row| &*row.commands)),
        arrays::text_lists(all().map(|row| &*row.urls)),
        arrays::text_lists(all().map(|row| &*row.hashes)),
        arrays::u64s(all().map(|row| Some(row.bytes_in))),
        arrays::u64s(all().map(|row| Some(row.bytes_out))),
        arrays::bools(all().map(|row| Some(row.truncated))),
        arrays::texts(all().map(|row| Some(&*row.steps))),
        arrays::texts(all().map(|row| row.recording.as_deref())),
        arrays::u8s(all().map(|_| Some(crate::packet::Evidence::Handshake as u8))),
        arrays::texts(all().map(|row| Some(&*row.extra))),
    ];
    RecordBatch::try_new(schema_of(SESSIONS), arrays).expect("arrays follow the declared columns")
}

/// Sessions from a batch with the columns of [`SESSIONS`]; the inverse of [`record_batch`].
pub fn sessions(batch: &RecordBatch) -> Result<Vec<Session>, RowsError> {
    let read = arrays::Read::new(batch, SESSIONS)?;
    let (ts, end, sensor, origin) =
        (read.times("ts"), read.times("end"), read.keywords("sensor"), read.keywords("origin"));
    let (id, src, dst) = (read.texts("session"), read.addresses("src"), read.addresses("dst"));
    let (sport, dport, protocol) = (read.u16s("sport"), read.u16s("dport"), read.keywords("protocol"));
    let (client, fingerprint, arch) = (read.texts("client"), read.keywords("fingerprint"), read.keywords("arch"));
    let (accepted, refused) = (read.u32s("logins_accepted"), read.u32s("logins_refused"));
    let (credentials, commands) = (read.text_lists("credentials"), read.text_lists("commands"));
    let (urls, hashes) = (read.text_lists("urls"), read.text_lists("hashes"));
    let (bytes_in, bytes_out, truncated) = (read.u64s("bytes_in"), read.u64s("bytes_out"), read.bools("truncated"));
    let (steps, recording, extra) = (read.texts("steps"), read.texts("recording"), read.texts("extra"));
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    (0..batch.num_rows())
        .map(|row| {
            let impossible = |column| RowsError::Value { row, column };
            Ok(Session {
                ts: ts(row).ok_or(impossible("ts"))?,
                end: end(row).ok_or(impossible("end"))?,
                sensor: text(sensor(row)),
                origin: text(origin(row)),
                id: text(id(row)),
                src: src(row),
                dst: dst(row),
                sport: sport(row),
                dport: dport(row),
                protocol: text(protocol(row)),
                client: client(row).map(str::to_owned),
                fingerprint: fingerprint(row).map(str::to_owned),
                arch: arch(row).map(str::to_owned),
                logins_accepted: accepted(row).unwrap_or(0),
                logins_refused: refused(row).unwrap_or(0),
                credentials: credentials(row),
                commands: commands(row),
                urls: urls(row),
                hashes: hashes(row),
                bytes_in: bytes_in(row).unwrap_or(0),
                bytes_out: bytes_out(row).unwrap_or(0),
                truncated: truncated(row).unwrap_or(false),
                steps: text(steps(row)),
                recording: recording(row).map(str::to_owned),
                extra: text(extra(row)),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_the_declared_columns() {
        let row = Session { credentials: vec!["root:vizxv".into()], src: Some(Addr::v4(1)), ..Session::default() };
        let rows = [row, Session::default()];
        let batch = record_batch(&rows);
        assert_eq!(sessions(&batch).unwrap(), rows);
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(batch.num_columns(), SESSIONS.len());
        assert!(batch.column_by_name("src").unwrap().is_null(1));
        assert_eq!(record_batch(&[]).num_rows(), 0);
    }
}
