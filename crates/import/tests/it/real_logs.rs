//! The shared logs: every line accounted for, and the figures of `facts.json`.

use noroshi_import::{Budget, Format, ImportError, Item, Sessions, Summary, open};
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The shared data; none (and a note) where it is absent, which CI does not accept.
pub fn shared() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = PathBuf::from(std::env::var("NOROSHI_SHARED").unwrap_or_else(|_| default.into())).join("data");
    if root.is_dir() {
        return Some(root);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", root.display());
    eprintln!("skipped: no shared data at {}", root.display());
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

/// Line feeds in a file, counted without the crate's own line reader.
fn line_feeds(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let mut text = bytes.clone();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        text.clear();
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    }
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn read(path: &Path) -> Result<(Summary, Format, u64), ImportError> {
    let mut reader = open(path, None, Budget::default())?;
    let (mut summary, mut sessions, mut dialogues) = (Summary::default(), Sessions::default(), 0);
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Row(row) => {
                dialogues += u64::from(sessions.push(&row).is_some());
                summary.add(&row);
            }
            Item::Reject(reject) => summary.reject(reject),
        }
    }
    dialogues += sessions.finish().len() as u64;
    summary.counts = reader.counts();
    Ok((summary, reader.format(), dialogues))
}

#[test]
fn every_line_of_every_file_is_accounted_for() {
    let Some(root) = shared() else { return };
    let mut formats = std::collections::BTreeMap::<Format, (u32, u64, u64)>::new();
    for folder in ["honeypot-logs", "zeek-suricata-flows", "reactive-telescope", "intel-feed-fixtures"] {
        for path in files(&root.join(folder)) {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            match read(&path) {
                Ok((summary, format, _)) => {
                    let counts = summary.counts;
                    assert!(counts.balanced(), "{name}: {counts:?}");
                    assert_eq!(counts.lines, line_feeds(&path) + u64::from(counts.unterminated), "{name}");
                    assert_eq!(summary.rejects.len() as u64, counts.rejects, "{name}");
                    assert_eq!(counts.rejects, 0, "{name}: {:?}", summary.rejects);
                    let entry = formats.entry(format).or_default();
                    *entry = (entry.0 + 1, entry.1 + counts.lines, entry.2 + counts.rows);
                }
                Err(ImportError::Unknown { .. }) => {
                    let log = name.ends_with(".log") || name.ends_with("flow") || name.ends_with(".gz");
                    assert!(!log && !name.contains("cowrie") && !name.contains("shadowserver"), "{name} was refused");
                }
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
    eprintln!("{formats:?}");
    let files_of = |format| formats.get(&format).map_or(0, |entry| entry.0);
    assert_eq!((files_of(Format::Cowrie), files_of(Format::CowrieText)), (2, 2));
    assert_eq!((files_of(Format::ZeekTsv), files_of(Format::ZeekJson)), (12, 18));
    assert_eq!((files_of(Format::Spoki), files_of(Format::Binetflow), files_of(Format::Eve)), (2, 3, 1));
    assert_eq!((files_of(Format::Dshield), files_of(Format::Shadowserver)), (3, 2));
}

fn table<K: Clone + Eq + std::hash::Hash + ToString>(tally: &noroshi_import::summary::Tally<K>) -> Value {
    tally
        .top(usize::MAX)
        .into_iter()
        .map(|(key, count)| (key.to_string(), json!(count)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn cowrie_logs_equal_the_facts() {
    let Some(root) = shared() else { return };
    for (folder, log) in
        [("ssh-bruteforce-digitalocean", "cowrie.2024-01-10.json"), ("telnet-script", "cowrie.2023-12-13.json")]
    {
        let folder = root.join("honeypot-logs").join(folder);
        let facts: Value = serde_json::from_slice(&std::fs::read(folder.join("facts.json")).unwrap()).unwrap();
        let (summary, _, dialogues) = read(&folder.join("cowrie").join(log)).unwrap();
        assert_eq!(json!(summary.counts.rows), facts["lines"]);
        assert_eq!(json!(summary.first.unwrap().rfc3339()), facts["first"]);
        assert_eq!(json!(summary.last.unwrap().rfc3339()), facts["last"]);
        assert_eq!(table(&summary.kinds), facts["eventid"]);
        assert_eq!(json!(summary.sessions.distinct()), facts["sessions"]);
        assert_eq!(json!(dialogues), facts["sessions"]);
        assert_eq!(table(&summary.sources), facts["src_ip"]);
        assert_eq!(json!(summary.logins_accepted), facts["login_success"]);
        assert_eq!(json!(summary.logins_refused), facts["login_failed"]);
        let most = facts["top_credentials"].as_array().unwrap().len();
        assert_eq!(json!(summary.credentials.top(most)), facts["top_credentials"]);
        assert_eq!(json!(summary.commands), facts["commands"]);
        assert_eq!(json!(summary.hashes), facts["file_download_shasum"]);
        assert_eq!(table(&summary.fingerprints), facts["hassh"]);
        assert_eq!(table(&summary.clients), facts["client_versions"]);
    }
}

#[test]
fn the_text_log_tells_the_same_logins_as_the_json() {
    let Some(root) = shared() else { return };
    let folder = root.join("honeypot-logs/ssh-bruteforce-digitalocean/cowrie");
    let (json, _, _) = read(&folder.join("cowrie.2024-01-10.json")).unwrap();
    let (text, _, _) = read(&folder.join("cowrie.2024-01-10.log")).unwrap();
    assert_eq!((json.logins_accepted, json.logins_refused), (text.logins_accepted, text.logins_refused));
    assert_eq!(table(&json.credentials), table(&text.credentials));
    assert_eq!(table(&json.fingerprints), table(&text.fingerprints));
    assert_eq!(json.commands, text.commands);
}

#[test]
fn packets_of_the_reactive_telescope() {
    let Some(root) = shared() else { return };
    let path = root.join("reactive-telescope/2021-10-13.210000.test.spoki.tcp.raw.1634158800.csv.gz");
    let mut reader = open(&path, None, Budget::default()).unwrap();
    let mut batch = noroshi_model::packet::PacketBatch::default();
    while let Some(item) = reader.next_item().unwrap() {
        let Item::Row(row) = item else { panic!("{item:?}") };
        assert!(noroshi_import::packets::push(&mut batch, &row));
    }
    // zcat … | awk -F'|' 'NR>1 && $13==1 && $14==0' | wc -l
    assert_eq!(batch.rows.len(), 5069);
    let syn = batch.rows.iter().filter(|row| row.tcp_flags & 0x12 == 0x02).count();
    assert_eq!(syn, 374);
    let columns = noroshi_model::columns::PACKETS;
    assert_eq!(noroshi_model::rows::record_batch(&batch, columns).num_rows(), 5069);
}
