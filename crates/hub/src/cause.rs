//! Which malware is behind what is found: each campaign and each dialogue is compared with the profiles of known samples.
//!
//! Profiles lie as files in the folder `profiles` of the hub's data (`noroshi malware run` writes them, schema
//! noroshi.profile/1). A new file is read within seconds, and campaigns and dialogues that were looked at before are looked at
//! again when it explains them. What was judged is a row of table `links`.

use crate::questions::now;
use crate::services::{Context, ServiceResult};
use noroshi_correlate::live::{Correlator, Link, RECENT_MAX};
use noroshi_correlate::profile::{EXACT_MAX, Exact, LINE_BYTES_MAX};
use noroshi_correlate::{Builder, Model, Origin, Profile};
use noroshi_model::findings::{LinkRow, links};
use noroshi_model::{Addr, Nanos, tables};
use noroshi_store::journal::Recorder;
use noroshi_store::{Lake, Limits, QueryError};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// New findings and new profiles are looked for so often.
const EVERY: Duration = Duration::from_secs(10);
/// Findings judged in one round; the rest waits for the next.
const ROUND: usize = 64;
/// Packets of a finding that are looked at: accuracy does not grow past a few thousand (BENCHMARKS.md).
const PACKETS: usize = 20_000;
/// Members of a campaign whose packets are looked at.
const MEMBERS: usize = 500;
/// Profiles that are read from one folder.
const PROFILES: usize = 200_000;
/// Name of the stream in the journal.
const PART: &str = "cause";
const LIMITS: Limits = Limits { time: Duration::from_secs(60), memory: 512 << 20, rows: 200_000 };

/// The folder that profiles are read from.
pub fn profiles_folder(data: &Path) -> PathBuf {
    data.join("profiles")
}

/// Samples known by their behaviour, kept up with a folder of files.
pub struct Known {
    folder: PathBuf,
    files: BTreeMap<PathBuf, (Option<SystemTime>, u64)>,
    correlator: Correlator,
}

impl Known {
    /// Knows nothing until [`Known::read`].
    pub fn new(data: &Path) -> Self {
        let correlator = Correlator::new(Model::shipped(), RECENT_MAX);
        Known { folder: profiles_folder(data), files: BTreeMap::new(), correlator }
    }

    /// Profiles that are known.
    pub fn len(&self) -> usize {
        self.correlator.known()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Judges a finding that somebody asks about.
    pub fn look(&mut self, profile: &Profile) -> Link {
        self.correlator.look(profile)
    }

    /// Judges a finding and remembers it for samples to come.
    pub fn judge(&mut self, profile: Profile) -> Link {
        self.correlator.judge(profile)
    }

    /// Reads files that are new; gives earlier findings that their samples explain.
    pub fn read(&mut self) -> Vec<Link> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "ndjson"));
        paths.sort();
        let mut explained = Vec::new();
        for path in paths {
            // A pipe or a device would keep the hub waiting.
            let Some(meta) = path.metadata().ok().filter(|meta| meta.is_file()) else { continue };
            let stamp = (meta.modified().ok(), meta.len());
            if self.files.get(&path) != Some(&stamp) {
                explained.extend(self.learn(&path));
                self.files.insert(path, stamp);
            }
        }
        explained
    }

    fn learn(&mut self, path: &Path) -> Vec<Link> {
        let Ok(file) = std::fs::File::open(path) else { return Vec::new() };
        let (mut reader, mut line, mut number) = (std::io::BufReader::new(file), Vec::new(), 0);
        let mut explained = Vec::new();
        while self.len() < PROFILES {
            line.clear();
            number += 1;
            // One byte more than allowed tells that a line is too long, without reading it.
            match reader.by_ref().take(LINE_BYTES_MAX as u64 + 2).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) if !line.ends_with(b"\n") && line.len() > LINE_BYTES_MAX => {
                    tracing::warn!(path = %path.display(), line = number, "a line is too long; the rest is not read");
                    break;
                }
                Ok(_) if line.trim_ascii().is_empty() => continue,
                Ok(_) => {}
            }
            match Profile::from_json(line.trim_ascii_end()) {
                Ok(profile) => explained.extend(self.correlator.learn(&profile)),
                Err(error) => tracing::warn!(path = %path.display(), line = number, %error, "no profile"),
            }
        }
        explained
    }
}

/// The profile of sources within a time, from their packets in the lake. `monitored` is the size of the space that sees them.
pub async fn of_sources(
    lake: &Lake,
    name: &str,
    sources: &[Addr],
    (first, last): (Nanos, Nanos),
    monitored: u64,
) -> Result<Profile, QueryError> {
    let mut builder = Builder::new(monitored);
    if sources.is_empty() {
        return Ok(builder.finish(name, Origin::Darknet));
    }
    let members: Vec<String> = sources.iter().take(MEMBERS).map(|addr| format!("addr('{addr}')")).collect();
    let conditions = format!(
        "ts >= timestamp '{}' and ts <= timestamp '{}' and src in ({})",
        first.rfc3339(),
        // The lake keeps microseconds apart from what is left of them.
        Nanos(last.0.saturating_add(1000)).rfc3339(),
        members.join(", ")
    );
    for batch in lake.packets(&conditions, PACKETS, LIMITS).await? {
        batch.rows.iter().for_each(|row| builder.add(row, batch.payload(row)));
    }
    Ok(builder.finish(name, Origin::Darknet))
}

/// The profile of a dialogue: what it shares exactly with samples.
pub fn of_session(name: &str, hashes: &[String], urls: &[String], credentials: &[String]) -> Profile {
    let exact = Exact {
        hashes: hashes.iter().take(EXACT_MAX).map(|hash| hash.to_lowercase()).collect(),
        urls: urls.iter().take(EXACT_MAX).cloned().collect(),
        hosts: Vec::new(),
        credentials: credentials.iter().take(EXACT_MAX).cloned().collect(),
    };
    Profile { name: name.to_owned(), exact, ..Profile::default() }
}

/// Compares what is found with known samples until the hub stops.
pub async fn run(context: Context) -> ServiceResult {
    let Some(lake) = context.lake.clone() else { return Ok(()) };
    let recorder = context.journal.recorder(PART);
    let mut done = judged(&lake).await.unwrap_or_default();
    let mut round = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            _ = round.tick() => {}
        }
        if let Err(error) = look(&lake, &recorder, &context.known, &mut done).await {
            tracing::warn!(%error, "findings wait to be compared with samples; trying again");
        }
    }
}

type LookError = Box<dyn std::error::Error + Send + Sync>;

/// What was judged before this hub was started.
async fn judged(lake: &Lake) -> Result<BTreeSet<String>, LookError> {
    let rows = rows(lake, "select distinct id from links").await?;
    Ok(rows.iter().filter_map(|row| Some(row[0].as_str()?.to_owned())).collect())
}

async fn rows(lake: &Lake, sql: &str) -> Result<Vec<Vec<Value>>, LookError> {
    let mut rows = lake.query(sql, LIMITS).await?;
    let mut out = Vec::new();
    noroshi_store::format::write(&mut rows, noroshi_store::format::Format::Json, &mut out).await?;
    let mut document: Value = serde_json::from_slice(&out)?;
    Ok(serde_json::from_value(document["rows"].take())?)
}

/// One round: new samples first, then findings that nobody judged yet. Nothing is judged while no sample is known.
async fn look(
    lake: &Lake,
    recorder: &Recorder,
    known: &Mutex<Known>,
    done: &mut BTreeSet<String>,
) -> Result<(), LookError> {
    let (mut found, nothing) = {
        let mut known = known.lock().await;
        (known.read(), known.is_empty())
    };
    if !nothing {
        let waiting = waiting(lake, done).await?;
        let mut known = known.lock().await;
        for (id, profile) in waiting {
            found.push(known.judge(profile));
            done.insert(id);
        }
    }
    let rows: Vec<LinkRow> = found.iter().filter_map(row).collect();
    if !rows.is_empty() {
        let table = tables::named("links").ok_or("the table is declared")?;
        recorder.record(table, &links(&rows)).await?;
    }
    Ok(())
}

/// Campaigns that are over or have grown enough to be told, and dialogues, that were not judged yet.
async fn waiting(lake: &Lake, done: &BTreeSet<String>) -> Result<Vec<(String, Profile)>, LookError> {
    let campaigns = "select id, array_to_string(last_value(members order by ts), ' '), cast(min(\"first\") as bigint), \
                     cast(max(\"last\") as bigint) from campaigns group by id order by max(ts) desc limit 5000";
    let mut found = Vec::new();
    for row in rows(lake, campaigns).await? {
        let (Some(id), Some(members)) = (row[0].as_str(), row[1].as_str()) else { continue };
        let key = format!("campaign-{id}");
        if found.len() >= ROUND || done.contains(&key) {
            continue;
        }
        let members: Vec<Addr> = members.split(' ').filter_map(|text| text.parse().ok()).collect();
        let at = |place: usize| Nanos(row[place].as_i64().unwrap_or(0).saturating_mul(1000));
        found.push((key.clone(), of_sources(lake, &key, &members, (at(2), at(3)), space(lake).await?).await?));
    }
    let sessions = "select concat(sensor, '~', origin, '~', session), array_to_string(hashes, chr(31)), \
                    array_to_string(urls, chr(31)), array_to_string(credentials, chr(31)) from sessions \
                    where cardinality(hashes) > 0 or cardinality(urls) > 0 order by ts desc limit 5000";
    for row in rows(lake, sessions).await? {
        let Some(id) = row[0].as_str() else { continue };
        let key = format!("session-{id}");
        if found.len() < ROUND && !done.contains(&key) {
            let list = |place: usize| -> Vec<String> {
                let text = row[place].as_str().unwrap_or_default();
                text.split('\u{1f}').filter(|item| !item.is_empty()).map(str::to_owned).collect()
            };
            found.push((key.clone(), of_session(&key, &list(1), &list(2), &list(3))));
        }
    }
    Ok(found)
}

/// About how many addresses the sensors watch: the destinations of the last day.
pub(crate) async fn space(lake: &Lake) -> Result<u64, LookError> {
    let since = Nanos(now().0 - 86_400_000_000_000).rfc3339();
    let sql = format!("select distinct_of(destinations) from minutes_tools where minute >= timestamp '{since}'");
    let seen = rows(lake, &sql).await?.first().and_then(|row| row[0].as_u64()).unwrap_or(0);
    Ok(seen.max(1))
}

/// A row of table `links`; none for a dialogue that shares nothing.
fn row(link: &Link) -> Option<LinkRow> {
    let (kind, finding) = match link.finding.split_once('-')? {
        ("campaign", id) => ("campaign", id),
        ("session", id) if !link.joins.is_empty() => ("session", id),
        _ => return None,
    };
    let joined = link.joins.iter().map(|join| join.owner.name.clone());
    let mut samples: Vec<String> =
        link.verdict.candidates.iter().map(|one| one.nearest.clone()).chain(joined).collect();
    let mut seen = BTreeSet::new();
    samples.retain(|name| seen.insert(name.clone()));
    let family = link.verdict.family.clone().or_else(|| link.joins.iter().find_map(|join| join.owner.label.clone()));
    Some(LinkRow {
        at: now(),
        kind,
        finding: finding.to_owned(),
        family,
        probability: link.verdict.candidates.first().map(|one| f64::from(one.probability)),
        samples,
        judgement: json!({"verdict": link.verdict, "joins": link.joins}).to_string(),
        detector: link.detector.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_model::finding::{Campaign, Tool};
    use noroshi_model::findings::{State, Told, campaigns};
    use noroshi_model::packet::{Has, OptionKinds, Packet, PacketBatch, Transport, proto, tcp};
    use noroshi_model::rows::packets_record_batch;
    use noroshi_model::time::SECOND;
    use noroshi_store::{Journal, Mover};

    const SOURCES: u32 = 20;
    const PACKETS_SENT: u64 = 2_000;

    /// A bot that asks for telnet with its own window, options and lifetime.
    fn packet(n: u64, begin: Nanos) -> Packet {
        let mut row = Packet { ts: Nanos(begin.0 + n as i64 * SECOND / 10), ..Packet::BLANK };
        row.has = Has(Has::IP.0 | Has::PORTS.0 | Has::TCP.0 | Has::TIME.0 | Has::IP_ID.0);
        row.src = Addr::v4(0x0b00_0000 + (n % u64::from(SOURCES)) as u32 * 257);
        row.dst = Addr::v4(0xc612_0000 | (n.wrapping_mul(2_654_435_761) & 0xffff) as u32);
        (row.proto, row.transport) = (proto::TCP, Transport::Tcp);
        (row.dport, row.sport) = (if n.is_multiple_of(10) { 2323 } else { 23 }, 1024 + (n * 7 % 60_000) as u16);
        (row.tcp_flags, row.window, row.ttl) = (tcp::SYN, 14_600, 47);
        row.seq = (n as u32).wrapping_mul(2_246_822_519);
        row.options = OptionKinds::parse("MSTNW").expect("options");
        (row.wire_len, row.cap_len) = (60, 60);
        row
    }

    fn sample(name: &str, begin: Nanos) -> String {
        let mut builder = Builder::new(65_536);
        (0..PACKETS_SENT).for_each(|n| builder.add(&packet(n + 77, begin), &[]));
        let profile = Profile { label: Some("telnet-bot".into()), ..builder.finish(name, Origin::Sandbox) };
        let endless = "x".repeat(2 * LINE_BYTES_MAX);
        format!("this line is no profile\n\n{}\n{endless}", profile.to_json())
    }

    fn campaign(begin: Nanos) -> Campaign {
        let members = (0..SOURCES).map(|n| Addr::v4(0x0b00_0000 + n * 257)).collect();
        Campaign {
            id: "tcp-23".into(),
            ports: vec![23, 2323],
            tool: Tool::Unknown,
            sources: u64::from(SOURCES),
            packets: PACKETS_SENT,
            first: begin,
            last: Nanos(begin.0 + PACKETS_SENT as i64 * SECOND / 10),
            members,
            confidence: 0.9,
            thresholds: Default::default(),
            detector: "test".into(),
            evidence: Vec::new(),
            reason: String::new(),
        }
    }

    #[tokio::test]
    async fn a_campaign_is_compared_once_with_samples_that_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path().join("journal.db")).await.unwrap();
        let lake = Lake::open(folder.path().join("lake")).await.unwrap();
        let mut mover = Mover::new(lake.clone(), journal.clone()).await.unwrap();
        let begin = Nanos(now().0 - 3600 * SECOND);
        let told = campaign(begin);
        let told = Told { at: now(), sensor: "", id: &told.id, state: State::Closed, finding: &told };
        journal.recorder("test").record(tables::named("campaigns").unwrap(), &campaigns(&[told])).await.unwrap();
        let rows = (0..PACKETS_SENT).map(|n| packet(n, begin)).collect();
        let batch = packets_record_batch(&PacketBatch { rows, sensor: "a".into(), ..PacketBatch::default() });
        journal.recorder("packets").record(tables::named("packets").unwrap(), &batch).await.unwrap();
        while mover.step().await.unwrap().through != 0 {}

        let (recorder, known) = (journal.recorder(PART), Mutex::new(Known::new(folder.path())));
        let mut done = judged(&lake).await.unwrap();
        look(&lake, &recorder, &known, &mut done).await.unwrap();
        assert_eq!(recorder.recorded().await.unwrap(), 0, "nothing is judged while no sample is known");
        std::fs::create_dir(profiles_folder(folder.path())).unwrap();
        std::fs::write(profiles_folder(folder.path()).join("a.ndjson"), sample("5f2c", begin)).unwrap();
        for _ in 0..2 {
            look(&lake, &recorder, &known, &mut done).await.unwrap();
            assert_eq!(recorder.recorded().await.unwrap(), 1, "a campaign is judged once");
        }
        while mover.step().await.unwrap().through != 0 {}
        let links = rows_of(&lake).await;
        let judgement: Value = serde_json::from_str(links[0][3].as_str().unwrap()).unwrap();
        assert_eq!(links[0][..3], ["campaign".into(), "tcp-23".into(), "5f2c".into()] as [Value; 3]);
        assert_eq!(judgement["verdict"]["candidates"][0]["family"], "telnet-bot");
        assert_eq!(judgement["verdict"]["packets"], PACKETS_SENT);
        assert!(judgement["verdict"]["candidates"][0]["reasons"].as_array().is_some_and(|all| !all.is_empty()));
        assert_eq!(judged(&lake).await.unwrap(), done, "a hub that starts again knows what was judged");
    }

    async fn rows_of(lake: &Lake) -> Vec<Vec<Value>> {
        rows(lake, "select kind, finding, array_to_string(samples, ' '), judgement from links").await.unwrap()
    }
}
