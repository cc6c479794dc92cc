//! The warning with everything as processes: a hub that is killed in a storm of detections, a real mail server that counts
//! what it is told; and how long a warning takes.

use super::lab::{Lab, PATIENCE, Process, tick};
use noroshi_simulate::{Scenario, World, write_day};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Kills of the hub while a week arrives and while mails leave; `NOROSHI_WARNING_KILLS` asks for more.
const KILLS: u32 = 15;
/// Seconds over which the week is spread, when nobody interrupts.
const WEEK_SECONDS: f64 = 30.0;

const EVERYBODY: &str = r#"
[[member]]
id = "lower"
name = "Lower half of the Internet"
prefixes = ["0.0.0.0/1"]
contacts = [{ name = "NOC", mail = "noc@lower.example" }]

[[member]]
id = "upper"
name = "Upper half of the Internet"
prefixes = ["128.0.0.0/1"]
language = "ja"
contacts = [{ name = "NOC", mail = "noc@upper.example" }]

[[rule]]
name = "everything"
action = "alert"

[limits]
digest_interval_seconds = 1
digest_gather_seconds = 1
digest_incidents_max = 20
"#;

/// A Python with aiosmtpd; none when it is absent, which only a continuous-integration run forbids.
fn python() -> Option<String> {
    let program = std::env::var("NOROSHI_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&program).args(["-c", "import aiosmtpd"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    assert!(std::env::var_os("CI").is_none(), "aiosmtpd is missing (pip install -r tests/interop/requirements.txt)");
    println!("skipped: aiosmtpd is missing");
    None
}

/// A hub that warns these members through a real mail server, which keeps what it accepts.
struct Warning {
    lab: Lab,
    _sink: Process,
}

impl Warning {
    fn new(python: &str, members: &str, settings: &str) -> Warning {
        let lab = Lab::new();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/smtp_sink.py");
        let mut sink = Command::new(python);
        let mut sink = sink.arg(script).arg(lab.path("mails")).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(sink.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let mut config = std::fs::read_to_string(lab.path("hub.toml")).unwrap();
        config.push_str(
            "portal = \"127.0.0.1:0\"\nflight_sql = \"127.0.0.1:0\"\n[warning]\nmembers = \"members.toml\"\n",
        );
        write!(config, "smtp = \"127.0.0.1:{}\"\n{settings}", port.trim()).unwrap();
        std::fs::write(lab.path("hub.toml"), config).unwrap();
        std::fs::write(lab.path("members.toml"), members).unwrap();
        Warning { lab, _sink: Process(sink) }
    }

    fn mails(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.lab.path("mails")).unwrap_or_default();
        // The last line may not be whole yet.
        text.split_inclusive('\n').filter(|l| l.ends_with('\n')).map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    /// Rows of the desk's own database, with SQLite alone.
    fn ask(&self, query: &'static str) -> Vec<(String, String)> {
        use sqlx::{Connection, Row};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let path = self.lab.data().join("warning.db");
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).busy_timeout(PATIENCE);
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
            let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows.iter().map(|row| (row.get(0), row.get(1))).collect()
        })
    }

    fn count(&self, query: &'static str) -> u64 {
        self.ask(query)[0].0.parse().unwrap()
    }

    /// Whether everything that arrived is decided about, all of that is delivered, and nothing waits for a digest.
    fn settled(&self) -> bool {
        let last: i64 = self.lab.journal(async |connection| {
            let query = "select coalesce(max(row), 0) from batches where sensor = 'kyoto'";
            sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
        });
        let position = self.ask("select position, '' from desk_cursors where reader = 'journal'");
        let row = position.first().and_then(|(text, _)| text.split_once(':')?.1.parse::<i64>().ok());
        if row.is_none_or(|row| row < last) {
            return false;
        }
        let waiting =
            "select cast(count(*) as text), '' from desk_incidents where json_array_length(value, '$.waiting') > 0";
        self.count("select cast(count(*) as text), '' from outbox where state = 'queued'") == 0
            && self.count("select cast(count(*) as text), '' from outbox where state = 'delivered'") > 0
            && self.count(waiting) == 0
    }
}

/// Messages by recipient and incident; a mail that was repeated after a crash has the same id.
fn tellings(mails: &[Value]) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut found: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for mail in mails.iter().filter(|mail| mail["kind"] != "continuing") {
        assert!(mail["count"].as_u64().unwrap() <= 20, "the header names every incident");
        for incident in mail["incidents"].as_array().unwrap() {
            let key = (mail["to"][0].as_str().unwrap().to_owned(), incident.as_str().unwrap().to_owned());
            found.entry(key).or_default().insert(mail["id"].as_str().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn each_incident_reaches_each_recipient_once_however_often_the_hub_is_killed() {
    let Some(python) = python() else { return };
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let kills = std::env::var("NOROSHI_WARNING_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let warning = Warning::new(&python, EVERYBODY, "observed = [\"198.18.0.0/16\"]\n");
    let world = World::new(&Scenario::load("backscatter-week").unwrap(), 7, 40_000);
    let capture = write_day(&world, &warning.lab.path("day"), &mut |_| {}).unwrap().capture;
    let mut hub = warning.lab.hub();
    warning.lab.enrol("kyoto");
    let mut sensor = warning.lab.sensor("kyoto", &capture, Some(7.0 * 86_400.0 / WEEK_SECONDS));
    let (mut patience, mut quiet) = (Instant::now(), 0);
    for _ in 0..kills {
        tick(random.random_range(20..600));
        hub.kill();
        hub = warning.lab.hub();
    }
    loop {
        let done = sensor.0.try_wait().unwrap().is_some();
        // The detectors look every few seconds: longer than that nobody has anything to say.
        quiet = if done && warning.settled() { quiet + 1 } else { 0 };
        if quiet == 12 {
            break;
        }
        if !done {
            patience = Instant::now();
        }
        assert!(patience.elapsed() < PATIENCE, "hangs: {}", warning.lab.log("hub.log"));
        tick(500);
    }
    hub.kill();
    let mails = warning.mails();
    let told = tellings(&mails);
    let twice: Vec<_> = told.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "told in two messages: {twice:#?}");
    let decided = warning.ask("select member, incident from told");
    let decided: BTreeSet<_> = decided.into_iter().map(|(member, id)| (format!("noc@{member}.example"), id)).collect();
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), decided, "every telling that was decided arrived");
    for to in ["noc@lower.example", "noc@upper.example"] {
        let count = told.keys().filter(|(recipient, _)| recipient == to).count();
        assert!(count >= 10, "{to} heard of {count}");
    }
    let distinct: BTreeSet<&str> = mails.iter().map(|mail| mail["id"].as_str().unwrap()).collect();
    println!(
        "{kills} kills: {} tellings in {} messages, {} mails sent again under their Message-ID",
        told.len(),
        distinct.len(),
        mails.len() - distinct.len()
    );
}

/// Members, and attacks on them, for the latency; `NOROSHI_LATENCY_TRIALS` asks for more, at most 250.
const TRIALS: usize = 100;
/// Packets a second that another sensor sends meanwhile; `NOROSHI_LATENCY_LOAD` asks for others.
const LOAD: u64 = 50_000;
/// Pause between two attacks in milliseconds.
const PAUSE: u64 = 200;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}

/// A web server that notes when a post was complete, by the path.
fn web_sink() -> (SocketAddr, Arc<Mutex<BTreeMap<String, u128>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, posts) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(BTreeMap::new())));
    let kept = posts.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let kept = kept.clone();
            std::thread::spawn(move || take(stream.unwrap(), &kept));
        }
    });
    (address, posts)
}

fn take(mut stream: TcpStream, posts: &Mutex<BTreeMap<String, u128>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some(rest) = line.strip_prefix("POST ") {
            path = rest.split(' ').next().unwrap_or_default().to_owned();
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_ok() {
        posts.lock().unwrap().entry(path).or_insert_with(now);
    }
    drop(stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"));
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// The network of the member of that number; its host is attacked. Loopback, so that no packet leaves this machine.
fn victim(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 40, number as u8, 7)
}

/// From the fifth forged request at a lure, which makes an attack of them, to the moment at which a mail server and a web
/// server have accepted the warning. Prints the figures; only that each arrived is asserted.
#[test]
#[ignore = "measures: cargo xtask bench warning"]
fn latency() {
    let Some(python) = python() else { return };
    let trials = (number("NOROSHI_LATENCY_TRIALS", TRIALS as u64) as usize).min(250);
    let load = number("NOROSHI_LATENCY_LOAD", LOAD);
    let (web, posts) = web_sink();
    let mut members = String::new();
    for n in 0..trials {
        write!(
            members,
            "[[member]]\nid = \"m{n}\"\nname = \"Member {n}\"\nprefixes = [\"127.40.{n}.0/24\"]\n[[member.mail]]\n\
             to = [\"noc@m{n}.example\"]\n[[member.webhook]]\nurl = \"http://{web}/m{n}\"\n"
        )
        .unwrap();
    }
    let warning = Warning::new(&python, &members, &format!("allow_webhooks = [\"{web}\"]\n"));
    let lab = &warning.lab;
    let _hub = lab.hub();
    let lure = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    lab.enrol("kyoto");
    std::fs::write(lab.path("ceiling.toml"), "lures = [\"ntp\"]\n").unwrap();
    let words = ["sensor", "run", "--lure-warm-up", "0", "--lure", &format!("ntp={lure}")].map(Into::into);
    let mut words: Vec<std::ffi::OsString> = words.to_vec();
    for (name, value) in [("--state", lab.state("kyoto")), ("--ceiling", lab.path("ceiling.toml"))] {
        words.extend([name.into(), value.into_os_string()]);
    }
    let _kyoto = lab.start("kyoto.log", &words);
    lab.fleet(&["set", "kyoto", "lures=ntp"]);
    let begun = Instant::now();
    while !lab.fleet(&["show", "kyoto"]).contains("\nlure ") {
        assert!(begun.elapsed() < PATIENCE, "no lure: {}", lab.log("kyoto.log"));
        tick(100);
    }
    // Background: as many packets as the attacks take, and some.
    let seconds = (trials as u64 * PAUSE / 1_000 + 5).max(10);
    let day = (load > 0).then(|| {
        let world = World::new(&Scenario::load("darknet-day").unwrap(), 7, load * seconds);
        write_day(&world, &lab.path("day"), &mut |_| {}).unwrap().capture
    });
    let _osaka = day.map(|capture| {
        lab.enrol("osaka");
        lab.sensor("osaka", &capture, Some(86_400.0 / seconds as f64))
    });
    tick(2_000);
    let (before, load_began) = (lab.last_seq(), Instant::now());
    let sent: Vec<u128> = (0..trials)
        .map(|n| {
            let forged = UdpSocket::bind((victim(n), 0)).unwrap();
            let monlist = [0x17, 0, 3, 42, 0, 0, 0, 0];
            for _ in 0..4 {
                forged.send_to(&monlist, lure).unwrap();
            }
            let at = now();
            forged.send_to(&monlist, lure).unwrap();
            tick(PAUSE);
            at
        })
        .collect();
    let rate = (lab.last_seq() - before) as f64 / load_began.elapsed().as_secs_f64();
    let begun = Instant::now();
    while warning.mails().len() < trials || posts.lock().unwrap().len() < trials {
        assert!(begun.elapsed() < PATIENCE, "{} mails of {trials}", warning.mails().len());
        tick(200);
    }
    let mails: BTreeMap<String, u128> = warning
        .mails()
        .iter()
        .map(|mail| (mail["to"][0].as_str().unwrap().to_owned(), u128::from(mail["at"].as_u64().unwrap())))
        .collect();
    let posts = posts.lock().unwrap();
    println!("{trials} attacks, {rate:.0} packets/s from another sensor meanwhile");
    let (to_mail, to_web) = (|n: usize| mails[&format!("noc@m{n}.example")], |n: usize| posts[&format!("/m{n}")]);
    for (name, at) in [("mail", &to_mail as &dyn Fn(usize) -> u128), ("webhook", &to_web)] {
        let mut took: Vec<f64> = (0..trials).map(|n| (at(n).saturating_sub(sent[n])) as f64 / 1e6).collect();
        took.sort_by(f64::total_cmp);
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| percentile(&took, share));
        println!("{name}: p50 {p50:.0} ms, p99 {p99:.0} ms, most {most:.0} ms");
    }
}
