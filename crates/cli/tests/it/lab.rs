//! Hub and sensors as processes, and an independent look into the hub's journal.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(240);

pub struct Lab {
    folder: tempfile::TempDir,
    /// What hubs and sensors find in their environment.
    environment: Vec<(String, PathBuf)>,
}

/// A process that is killed when the test is done with it, however that ends.
pub struct Process(pub Child);

impl Process {
    pub fn kill(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }

    /// Not another step until it is killed.
    pub fn freeze(&self) {
        run(&format!("kill -STOP {}", self.0.id()));
    }

    /// Asks it to end, and waits until it has.
    pub fn end(&mut self) {
        run(&format!("kill -TERM {}", self.0.id()));
        assert!(self.0.wait().unwrap().success());
    }

    /// A line of `/proc/PID/status` that gives an amount of memory, such as `VmRSS`.
    pub fn kibibytes(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_matches([':', ' ', '\t']).split(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Lab {
    /// A hub that keeps everything in its journal, where it can be looked at.
    pub fn new() -> Lab {
        Lab::made(false)
    }

    /// A hub as it is outside of tests: what sensors send moves on into the lake.
    pub fn with_lake() -> Lab {
        Lab::made(true)
    }

    fn made(lake: bool) -> Lab {
        // The port is free again when the listener is dropped; nothing else on this machine is likely to take it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let lab = Lab { folder: tempfile::tempdir().unwrap(), environment: Vec::new() };
        let config = format!(
            "data = {:?}\nlisten = \"127.0.0.1:{port}\"\nlake = {lake}\nworkers = 1\n",
            lab.data().to_str().unwrap()
        );
        std::fs::write(lab.path("hub.toml"), config).unwrap();
        std::fs::create_dir_all(lab.data()).unwrap();
        std::fs::create_dir_all(lab.path("sensors")).unwrap();
        lab
    }

    /// Everything started from now on finds this in its environment.
    pub fn set(&mut self, name: &str, value: impl Into<PathBuf>) {
        self.environment.push((name.into(), value.into()));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("hub")
    }

    pub fn state(&self, name: &str) -> PathBuf {
        self.path("sensors").join(name)
    }

    /// To be run beside the test, its log in a file of its own.
    fn program(&self, log: &str) -> Command {
        let file = std::fs::File::options().create(true).append(true).open(self.path(log)).unwrap();
        let mut command = noroshi();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).env("RUST_LOG", "warn");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the hub and waits until it says that it is up.
    pub fn hub(&self) -> Process {
        let mut child = self.program("hub.log").args(["hub", "--config"]).arg(self.path("hub.toml")).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("hub is up"), "{line}{}", self.log("hub.log"));
        Process(child)
    }

    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn fleet(&self, arguments: &[&str]) -> String {
        self.ask(&[&["fleet"], arguments].concat())
    }

    /// What a command says of this hub's data.
    pub fn ask(&self, arguments: &[&str]) -> String {
        let done = noroshi().args(arguments).arg("--data").arg(self.data()).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Runs the line that `fleet token` prints, as a shell would.
    pub fn enrol(&self, name: &str) {
        let line = self.fleet(&["token", name]);
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..2], ["noroshi-sensor", "enroll"], "{line}");
        assert_eq!(line.lines().count(), 1);
        let done = noroshi().arg("sensor").args(&words[1..]).arg("--state").arg(self.state(name)).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Starts the program with these arguments.
    pub fn start(&self, log: &str, arguments: &[std::ffi::OsString]) -> Process {
        Process(self.program(log).args(arguments).stdout(Stdio::null()).spawn().unwrap())
    }

    pub fn sensor(&self, name: &str, capture: &Path, speed: Option<f64>) -> Process {
        let mut command = self.program(&format!("{name}.log"));
        command.args(["sensor", "run", "--state"]).arg(self.state(name)).arg("--replay").arg(capture);
        if let Some(speed) = speed {
            command.arg("--speed").arg(speed.to_string());
        }
        Process(command.stdout(Stdio::null()).spawn().unwrap())
    }

    /// Reads the journal's file with SQLite alone, changing nothing in it.
    pub fn journal<T>(&self, read: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        let options = SqliteConnectOptions::new().filename(self.data().join("journal.db")).read_only(true);
        look(options, read)
    }

    /// The same when no hub runs: what a hub would find is found in a copy, so that the recovery is not ours.
    pub fn journal_at_rest<T>(&self, read: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        for name in ["journal.db", "journal.db-wal"] {
            if self.data().join(name).exists() {
                std::fs::copy(self.data().join(name), folder.path().join(name)).unwrap();
            }
        }
        look(SqliteConnectOptions::new().filename(folder.path().join("journal.db")), read)
    }

    pub fn last_seq(&self) -> i64 {
        self.journal(async |connection| {
            let query = "select coalesce(max(last_seq), 0) from batches";
            sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
        })
    }
}

fn look<T>(options: SqliteConnectOptions, read: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = options.busy_timeout(Duration::from_secs(20));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let found = read(&mut connection).await;
        connection.close().await.unwrap();
        found
    })
}

pub fn noroshi() -> Command {
    Command::new(env!("CARGO_BIN_EXE_noroshi"))
}

/// Gives other processes time; wakes for nothing else.
pub fn tick(milliseconds: u64) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(Duration::from_millis(milliseconds));
}

/// Runs a command that must succeed; its words are separated by spaces.
pub fn run(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let done = Command::new(words[0]).args(&words[1..]).output().unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
}

const INSIDE: &str = "NOROSHI_TEST_INSIDE_NAMESPACE";

/// Runs `test` again inside new namespaces, by the flags of unshare(1), so that mounts end with it. True inside.
pub fn in_namespace(flags: &str, test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let made = Command::new("unshare").args([flags, "true"]).status();
    if !made.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "namespaces are not available");
        println!("skipped: this machine makes no namespaces");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.arg(flags).arg(program).args(["--exact", test, "--nocapture", "--include-ignored"]).env(INSIDE, "1");
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    print!("{text}{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success());
    assert!(text.contains("1 passed"), "the test inside did not run");
    false
}
