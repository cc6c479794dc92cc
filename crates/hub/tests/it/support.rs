//! A hub in a temporary folder, sensors beside it, and an independent look into the journal.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_ipc::reader::StreamReader;
use noroshi_hub::{Config, Hub};
use noroshi_model::policy::Policy;
use noroshi_sensor::capture::Shared;
use noroshi_sensor::policy::{InForce, pseudonyms};
use noroshi_sensor::run::{Retime, RunOptions, SourceOptions, Summary};
use noroshi_sensor::source::{Replay, ReplayPlan};
use noroshi_sensor::spool::Spool;
use noroshi_sensor::state::StateDir;
use noroshi_sensor::{SensorError, enrol};
use noroshi_wire::SensorName;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub struct Lab {
    pub hub: Option<Hub>,
    pub folder: TempDir,
}

impl Lab {
    pub async fn start() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let mut lab = Lab { hub: None, folder };
        lab.start_hub("127.0.0.1:0").await;
        lab
    }

    /// Starts a hub at this address.
    pub async fn start_hub(&mut self, listen: &str) {
        let config = Config {
            listen: listen.parse().unwrap(),
            lake: false,
            workers: 0,
            ..Config::in_folder(self.folder.path().join("hub"))
        };
        self.hub = Some(Hub::start(config, vec![]).await.unwrap());
    }

    pub fn hub(&self) -> &Hub {
        self.hub.as_ref().unwrap()
    }

    /// Stops the hub; the answer is where it was.
    pub async fn stop(&mut self) -> String {
        let address = self.hub().context().sensor_address.to_string();
        self.hub.take().unwrap().stop().await;
        address
    }

    /// Stops the hub and starts it again at the same address.
    pub async fn restart(&mut self) {
        let address = self.stop().await;
        self.start_hub(&address).await;
    }

    pub fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Token, line, enrolment: what a person does, without the terminal.
    pub async fn enrol(&self, name: &str) -> Result<(), SensorError> {
        let context = self.hub().context();
        let sensor: SensorName = name.parse().unwrap();
        let invitation = context.fleet.token(&sensor, &context.sensor_address.to_string()).await.unwrap();
        let state = StateDir::open(&self.state(name))?;
        enrol::enrol(&state, &invitation, false).await.map(drop)
    }

    pub fn options(&self, name: &str, capture: &Path) -> RunOptions {
        let source = SourceOptions::Replay {
            paths: vec![capture.to_owned()],
            speed: None,
            retime: Retime::Keep,
            again: false,
            then: Vec::new(),
        };
        RunOptions { state: self.state(name), source, ceiling: None, stay: false, lures: Default::default() }
    }

    pub async fn replay(&self, name: &str, capture: &Path) -> Result<Summary, SensorError> {
        noroshi_sensor::run::run(self.options(name, capture), CancellationToken::new()).await
    }

    /// Every row of the journal, decoded with nothing of ours but the file's place.
    pub async fn rows(&self, sensor: &str) -> Vec<RecordBatch> {
        let journal = &self.hub().context().journal;
        let rows = journal.read_after(0, usize::MAX).await.unwrap();
        let mut next = std::collections::HashMap::new();
        let mut found = Vec::new();
        for row in rows.into_iter().filter(|row| row.sensor == sensor) {
            // The hub's own streams begin at 0.
            let expected = next.entry(row.epoch).or_insert(u64::from(!sensor.starts_with("hub:")));
            assert_eq!(row.first_seq, *expected, "numbers follow each other");
            *expected = row.last_seq + 1;
            let lost: u64 = row.gaps.iter().map(|gap| gap.count).sum();
            let before = found.len();
            if !row.bytes.is_empty() {
                found.extend(StreamReader::try_new(&row.bytes[..], None).unwrap().map(Result::unwrap));
            }
            let stored: usize = found[before..].iter().map(RecordBatch::num_rows).sum();
            assert_eq!(stored as u64 + lost, row.last_seq + 1 - row.first_seq, "produced = stored + declared");
        }
        found
    }

    pub async fn count(&self, sensor: &str) -> usize {
        self.rows(sensor).await.iter().map(RecordBatch::num_rows).sum()
    }
}

/// A keyword or text of a row.
pub fn text(batch: &RecordBatch, column: &str, row: usize) -> String {
    let array = batch.column_by_name(column).unwrap();
    match array.as_dictionary_opt::<Int32Type>() {
        Some(words) => words.values().as_string::<i32>().value(words.key(row).unwrap()).to_owned(),
        None => array.as_string::<i32>().value(row).to_owned(),
    }
}

fn shared() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    PathBuf::from(std::env::var("NOROSHI_SHARED").unwrap_or_else(|_| default.into()))
}

/// A capture of the shared data, or `None` where that is not at hand (then the test says so).
pub fn capture(name: &str) -> Option<PathBuf> {
    let path = shared().join("data/captures").join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "shared data is missing: {}", path.display());
    eprintln!("skipped: {} is not at hand", path.display());
    None
}

/// Every shared capture, or `None` where they are not at hand (then the test says so).
pub fn captures() -> Option<Vec<PathBuf>> {
    let folder = shared().join("data/captures");
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "shared data is missing: {}", folder.display());
        eprintln!("skipped: {} is not at hand", folder.display());
        return None;
    }
    let (mut folders, mut found) = (vec![folder], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end != "json" && end != "md") => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    Some(found)
}

/// What a capture holds, by the facts that another tool wrote beside it.
pub fn expected_packets(capture: &Path) -> u64 {
    let facts = std::fs::read_to_string(format!("{}.json", capture.display())).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
    facts["expect"]["packets"].as_u64().unwrap()
}

/// What a sensor's capture thread does with a capture, alone: no hub, no policy but the loosest.
pub fn record(path: &Path, spool: &Spool, clock_suspect: bool) {
    let policy = Policy::default();
    let key = std::array::from_fn(|at| at as u8);
    let force = Arc::new(InForce::join(1, &policy, &policy, pseudonyms(key).unwrap()).unwrap());
    let shared = Shared {
        policy: watch::channel(force.clone()).1,
        adopted: watch::channel(force).0,
        losses: Default::default(),
        newest: i64::MIN.into(),
        ended: watch::channel(false).0,
        stop: false.into(),
        sensor: "kyoto".into(),
        clock_suspect: clock_suspect.into(),
    };
    let plan = ReplayPlan { paths: vec![path.to_owned()], speed: None, shift: 0, then: Vec::new() };
    noroshi_sensor::capture::run(Box::new(Replay::open(plan, 0).unwrap()), spool, &shared).unwrap();
}
