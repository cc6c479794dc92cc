//! Hub and sensor as processes: the pasted line, a policy change, and kills that lose nothing.

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt16Type, UInt32Type};
use arrow_ipc::reader::StreamReader;
use noroshi_packet::capture::Reader;
use noroshi_simulate::{Scenario, World, write_day};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::{Connection, Row, SqliteConnection};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(240);

struct Lab {
    folder: tempfile::TempDir,
}

/// A process that is killed when the test is done with it, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Lab {
    fn new() -> Lab {
        // The port is free again when the listener is dropped; nothing else on this machine is likely to take it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let lab = Lab { folder: tempfile::tempdir().unwrap() };
        let config = format!(
            "data = {:?}\nlisten = \"127.0.0.1:{port}\"\nlake = false\nworkers = 1\n",
            lab.data().to_str().unwrap()
        );
        std::fs::write(lab.path("hub.toml"), config).unwrap();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("hub")
    }

    /// Starts the hub and waits until it says that it is up.
    fn hub(&self) -> Process {
        let mut child = program().args(["hub", "--config"]).arg(self.path("hub.toml")).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("hub is up"), "{line}");
        Process(child)
    }

    fn fleet(&self, arguments: &[&str]) -> String {
        let done = noroshi().arg("fleet").args(arguments).arg("--data").arg(self.data()).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Runs the line that `fleet token` prints, as a shell would.
    fn enrol(&self, name: &str) {
        let line = self.fleet(&["token", name]);
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..2], ["noroshi-sensor", "enroll"], "{line}");
        assert_eq!(line.lines().count(), 1);
        let state = self.path(name);
        let done = noroshi().arg("sensor").args(&words[1..]).arg("--state").arg(&state).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn sensor(&self, name: &str, capture: &Path, speed: Option<f64>) -> Process {
        let mut command = program();
        command.args(["sensor", "run", "--state"]).arg(self.path(name)).arg("--replay").arg(capture);
        if let Some(speed) = speed {
            command.arg("--speed").arg(speed.to_string());
        }
        Process(command.stdout(Stdio::null()).spawn().unwrap())
    }

    /// Reads the journal's file with SQLite alone.
    fn journal<T>(&self, read: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(self.data().join("journal.db"))
                .busy_timeout(Duration::from_secs(20));
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            read(&mut connection).await
        })
    }

    fn last_seq(&self) -> i64 {
        self.journal(async |connection| {
            let query = "select coalesce(max(last_seq), 0) from batches";
            sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
        })
    }

    /// Every stored record, in order of its number, which must follow each other without hole or repetition.
    fn stored(&self) -> Vec<(i64, u16, u32)> {
        self.journal(async |connection| {
            let query = "select first_seq, last_seq, bytes from batches order by first_seq";
            let (mut next, mut found) = (1, Vec::new());
            for row in sqlx::query(query).fetch_all(connection).await.unwrap() {
                let (first, last, bytes): (i64, i64, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
                assert_eq!(first, next, "a hole or a repetition");
                next = last + 1;
                let before = found.len();
                for batch in StreamReader::try_new(&bytes[..], None).unwrap() {
                    let batch = batch.unwrap();
                    let ts = batch["ts"].as_primitive::<TimestampNanosecondType>();
                    let dport = batch["dport"].as_primitive::<UInt16Type>();
                    let seq = batch["seq"].as_primitive::<UInt32Type>();
                    found.extend((0..batch.num_rows()).map(|i| (ts.value(i), dport.value(i), seq.value(i))));
                }
                assert_eq!((found.len() - before) as i64, last + 1 - first, "no gaps are declared in this test");
            }
            found
        })
    }
}

fn noroshi() -> Command {
    Command::new(env!("CARGO_BIN_EXE_noroshi"))
}

/// To be run beside the test.
fn program() -> Command {
    let mut command = noroshi();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// A generated capture: the test needs one that is long enough to be interrupted often.
fn generated(folder: &Path, packets: u64) -> PathBuf {
    let world = World::new(&Scenario::load("darknet-day").unwrap(), 7, packets);
    write_day(&world, folder, &mut |_| {}).unwrap().capture
}

fn sent(capture: &Path) -> Vec<(i64, u16, u32)> {
    let mut found = Vec::new();
    let mut reader = Reader::open(capture).unwrap();
    while let Some(raw) = reader.next_batch() {
        let batch = noroshi_packet::decode::decode(raw, 0);
        found.extend(batch.rows.iter().map(|row| (row.ts.0, row.dport, row.seq)));
    }
    found
}

/// Gives other processes time; wakes for nothing else.
fn tick(milliseconds: u64) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(Duration::from_millis(milliseconds));
}

/// At least this many kills of each side.
const KILLS: u32 = 30;

#[test]
fn kills_of_either_side_lose_nothing_and_repeat_nothing() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let lab = Lab::new();
    let packets = 240_000;
    let capture = generated(&lab.path("day"), packets);
    let mut hub = lab.hub();
    lab.enrol("kyoto");
    // The day in about half a minute, if nobody interrupts.
    let speed = Some(86_400.0 / 30.0);
    let mut sensor = lab.sensor("kyoto", &capture, speed);
    let (mut hub_kills, mut sensor_kills) = (0, 0);
    let started = Instant::now();
    let step = packets as i64 / (2 * i64::from(KILLS) + 4);
    let mut threshold = 0;
    loop {
        assert!(started.elapsed() < PATIENCE, "hangs after {hub_kills} and {sensor_kills} kills");
        if let Some(status) = sensor.0.try_wait().unwrap() {
            assert!(status.success(), "the sensor ends with {status}");
            break;
        }
        if hub_kills >= KILLS && sensor_kills >= KILLS || lab.last_seq() < threshold {
            tick(10);
            continue;
        }
        threshold = lab.last_seq() + step;
        tick(random.random_range(0..60));
        // One in ten kills takes both at once.
        let both = random.random_range(0..10) == 0;
        let hub_first = hub_kills <= sensor_kills;
        if both || hub_first {
            hub.0.kill().unwrap();
            hub.0.wait().unwrap();
            hub = lab.hub();
            hub_kills += 1;
        }
        if both || !hub_first {
            sensor.0.kill().unwrap();
            sensor.0.wait().unwrap();
            sensor = lab.sensor("kyoto", &capture, speed);
            sensor_kills += 1;
        }
    }
    println!("{hub_kills} kills of the hub, {sensor_kills} of the sensor, {:?}", started.elapsed());
    assert!(hub_kills >= KILLS && sensor_kills >= KILLS, "the replay ended after {hub_kills} and {sensor_kills} kills");
    let (sent, stored) = (sent(&capture), lab.stored());
    assert_eq!(sent.len(), stored.len(), "lost or repeated");
    assert!(sent == stored, "content or order differs");
    let doctor = noroshi().arg("doctor").arg("--data").arg(lab.data()).output().unwrap();
    let text = String::from_utf8_lossy(&doctor.stdout);
    assert!(text.contains(&format!("{} = {} + 0  balances", sent.len(), sent.len())), "{text}");
    drop(hub);
}

#[test]
fn a_person_steers_a_sensor_from_the_command_line() {
    let lab = Lab::new();
    let capture = generated(&lab.path("day"), 20_000);
    let refused = noroshi().args(["fleet", "list", "--data"]).arg(lab.data()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no hub is running"));
    let _hub = lab.hub();
    assert!(lab.fleet(&["list"]).contains("no sensor has enrolled yet"));
    lab.enrol("kyoto");
    let _sensor = lab.sensor("kyoto", &capture, Some(86_400.0 / 20.0));
    let started = Instant::now();
    while lab.last_seq() == 0 {
        assert!(started.elapsed() < PATIENCE);
        tick(10);
    }
    let changed = lab.fleet(&["set", "kyoto", "payload_bytes=0", "filter=tcp"]);
    assert!(changed.contains("policy revision 2") && changed.contains("in force on the sensor after"), "{changed}");
    assert!(changed.contains("payload_bytes: 256 -> 0"), "{changed}");
    let wrong = noroshi().args(["fleet", "set", "kyoto", "payload_byte=0", "--data"]).arg(lab.data()).output().unwrap();
    assert_eq!(wrong.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean \"payload_bytes\""));
    assert!(lab.fleet(&["rollback", "kyoto"]).contains("policy revision 3"));
    let shown = lab.fleet(&["show", "kyoto"]);
    assert!(shown.contains("X25519MLKEM768") && shown.contains("rollback to revision 1"), "{shown}");
    assert!(lab.fleet(&["revoke", "kyoto"]).contains("live connections were cut"));
    assert!(lab.fleet(&["list"]).contains("revoked"));
}
