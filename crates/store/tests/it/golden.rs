//! Stored files of each version are read by today's code: one backup per version under `tests/golden`, with the answers that
//! were written down when it was made. They are added to, never made again; CONTRIBUTING.md says how.

use crate::lake::{ask, move_all, open};
use crate::sample::journal_batch;
use noroshi_model::stream::{Gap, GapReason};
use noroshi_store::lake::Compaction;
use std::path::{Path, PathBuf};

/// What is asked of each, before and after the journal's rest is moved.
const QUESTIONS: [&str; 9] = [
    "select count(*), sum(seq), sum(wire_len), count(distinct src), count(distinct ip_id) from packets",
    "select sensor, count(*), min(ts), max(ts), sum(ts_nanos) from packets group by 1 order by 1",
    "select proto, dport, count(*), count(distinct src) from packets group by 1, 2 order by 1, 2",
    "select tcp_options, sum(tool_bits), count(*) from packets group by 1 order by 1",
    "select ip(src) source, count(*) n from packets group by 1 order by n desc, source limit 5",
    "select proto, port, sum(packets), sum(bytes), distinct_of(sources) from minutes_ports group by 1, 2 order by 1, 2",
    "select tool, sum(packets), distinct_of(sources), distinct_of(destinations) from hours_tools group by 1 order by 1",
    "select network, sum(packets), distinct_of(destinations) from days_networks group by 1 order by 1",
    "select reason, sum(count) from gaps group by 1 order by 1",
];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

async fn answers(folder: &Path) -> serde_json::Value {
    let mut store = open(folder).await;
    let mut found = serde_json::Map::new();
    for when in ["as stored", "after moving"] {
        for sql in QUESTIONS {
            found.insert(format!("{when}: {sql}"), ask(&store.lake, sql).await.into());
        }
        let backlog = store.journal.backlog().await.unwrap().0;
        found.insert(format!("{when}: batches in the journal"), backlog.into());
        move_all(&mut store).await;
    }
    let accounts = serde_json::to_value(store.journal.conservation().await.unwrap()).unwrap();
    found.insert("accounts".into(), accounts);
    found.into()
}

#[tokio::test]
async fn every_version_is_read_with_the_answers_of_its_time() {
    let mut versions = 0;
    for entry in std::fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        noroshi_store::backup::restore(&path, &data).unwrap();
        let expected = std::fs::read(path.with_extension("json")).unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        assert_eq!(answers(&data).await, expected, "{}", path.display());
        // And written again: compaction reads every column of every file.
        let store = open(&data).await;
        let before = ask(&store.lake, QUESTIONS[0]).await;
        store.lake.compact(Compaction { fresh_files: 1, ..Compaction::default() }).await.unwrap();
        assert_eq!(ask(&store.lake, QUESTIONS[0]).await, before);
        versions += 1;
    }
    assert!(versions > 0);
}

/// Makes the files of a new version: `NOROSHI_GOLDEN=2 cargo test -p noroshi-store --test it golden::make -- --ignored`.
#[tokio::test]
#[ignore = "adds files to the work tree"]
async fn make() {
    let version = std::env::var("NOROSHI_GOLDEN").expect("NOROSHI_GOLDEN names the version");
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    store.journal.append(journal_batch("tokyo", 0, 299)).await.unwrap();
    move_all(&mut store).await;
    let mut lossy = journal_batch("osaka", 40_000, 40_199);
    (lossy.first_seq, lossy.last_seq) = (5, 204);
    lossy.gaps = vec![Gap::whole(0, 4, GapReason::Kernel)];
    store.journal.append(lossy).await.unwrap();
    move_all(&mut store).await;
    store.lake.compact(Compaction { fresh_files: 2, ..Compaction::default() }).await.unwrap();
    // Some wait in the journal.
    store.journal.append(journal_batch("tokyo", 300, 399)).await.unwrap();
    let path = golden().join(version);
    noroshi_store::backup::backup(folder.path(), &path).await.unwrap();
    let data = folder.path().join("again");
    noroshi_store::backup::restore(&path, &data).unwrap();
    let text = serde_json::to_string_pretty(&answers(&data).await).unwrap();
    std::fs::write(path.with_extension("json"), text + "\n").unwrap();
}
