//! hpfeeds over real sockets, against the reference implementation (the package `hpfeeds` in NOROSHI_PYTHON): its broker
//! with our two clients, our broker with its clients.

use noroshi_import::hpfeeds::{Feed, Publisher, Server, Subscription, accounts};
use noroshi_import::{Budget, Counts, Format, Item, Record, open_bytes};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const ACCOUNTS: &str = r#"{
  "pot": {"owner": "o", "secret": "s3cret", "pubchans": ["cowrie.sessions"], "subchans": []},
  "cert": {"owner": "o", "secret": "another", "pubchans": [], "subchans": ["cowrie.sessions"]}
}"#;

/// The Python in which the reference implementation is; none (and a note) where it is not, which CI does not accept.
fn python() -> Option<String> {
    let python = std::env::var("NOROSHI_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import hpfeeds, aiorun"]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none(), "{python} has no hpfeeds[broker]");
    println!("skipped: {python} has no hpfeeds[broker]");
    None
}

/// A program of theirs, until the test is done with it.
struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Peer {
    fn start(mut command: Command) -> Peer {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Peer { input: child.stdin.take(), child, lines }
    }

    fn client(python: &str, what: &str, port: u16, account: (&str, &str)) -> Peer {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/hpfeeds_peer.py");
        let mut command = Command::new(python);
        command.args([script, what, &port.to_string(), account.0, account.1, "cowrie.sessions"]);
        Peer::start(command)
    }

    fn broker(python: &str, folder: &Path) -> (Peer, u16) {
        let file = folder.join("accounts.json");
        std::fs::write(&file, ACCOUNTS).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(python);
        command.args(["-m", "hpfeeds.scripts.broker", "--name", "theirs", "--auth"]).arg(&file);
        command.args(["--bind", &format!("127.0.0.1:{port}")]);
        let (mut peer, begun) = (Peer::start(command), Instant::now());
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = peer.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "their broker: {:?}",
                peer.lines.try_iter().collect::<Vec<_>>()
            );
            std::thread::yield_now();
        }
        (peer, port)
    }
}

fn feed(ident: &str, port: u16) -> Feed {
    format!("hpfeeds://{ident}@127.0.0.1:{port}/cowrie.sessions").parse().unwrap()
}

/// A record of Cowrie, as it publishes them.
fn message(n: usize) -> String {
    format!(
        "{{\"eventid\":\"cowrie.login.failed\",\"timestamp\":\"2026-01-01T00:00:00.000000Z\",\"session\":\"{n:012x}\",\
         \"src_ip\":\"192.0.2.1\",\"username\":\"root\",\"password\":\"{n}\",\"sensor\":\"\",\"message\":\"m\"}}"
    )
}

/// Reads a feed as the import does, on a thread of its own.
fn import(source: impl Read + Send + 'static) -> (Receiver<Record>, std::thread::JoinHandle<Counts>) {
    let (sender, rows) = channel();
    let reading = std::thread::spawn(move || {
        let mut reader = open_bytes(source, "hpfeeds", Some(Format::Hpfeeds), Budget::default()).unwrap();
        while let Some(item) = reader.next_item().unwrap() {
            let Item::Row(row) = item else { panic!("{item:?}") };
            // The greeting of the broker is a row of its own.
            if row.kind != "hpfeeds.info" {
                drop(sender.send(row));
            }
        }
        reader.counts()
    });
    (rows, reading)
}

/// Publishes numbered messages until the first is received: only then has the subscription arrived. Then ten more. All
/// from the first on must come, once and in order.
fn exchange(mut publish: impl FnMut(&str), mut received: impl FnMut(Duration) -> Option<usize>) {
    let (begun, mut next) = (Instant::now(), 0);
    let mut got = loop {
        publish(&message(next));
        next += 1;
        if let Some(first) = received(Duration::from_millis(100)) {
            break vec![first];
        }
        assert!(begun.elapsed() < PATIENCE, "nothing came");
    };
    for n in next..next + 10 {
        publish(&message(n));
    }
    next += 10;
    while got.last() != Some(&(next - 1)) {
        got.push(received(PATIENCE).expect("all that was published"));
    }
    assert_eq!(got, (got[0]..next).collect::<Vec<_>>());
}

fn number(row: &Record) -> usize {
    assert_eq!((row.format, row.kind.as_str(), row.sensor.as_str()), (Format::Hpfeeds, "cowrie.login.failed", "pot"));
    assert_eq!(row.extra["channel"], "cowrie.sessions");
    assert_eq!(row.src.unwrap().to_string(), "192.0.2.1");
    row.password.as_deref().unwrap().parse().unwrap()
}

fn told(line: &str) -> usize {
    let (head, payload) = line.split_once(" {").unwrap_or_else(|| panic!("{line}"));
    assert_eq!(head, "pot cowrie.sessions");
    let value: serde_json::Value = serde_json::from_str(&format!("{{{payload}")).unwrap();
    value["password"].as_str().unwrap().parse().unwrap()
}

#[test]
fn their_broker_our_subscription_becomes_rows_and_our_publisher_reaches_others() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (broker, port) = Peer::broker(&python, folder.path());
    let stop = Arc::new(AtomicBool::new(false));
    let (rows, reading) = import(Subscription::open(feed("cert", port), "another", stop.clone()).unwrap());
    let mut publisher = Publisher::open(&feed("pot", port), "s3cret").unwrap();
    exchange(
        |text| publisher.publish(text.as_bytes()).unwrap(),
        |wait| rows.recv_timeout(wait).ok().as_ref().map(number),
    );
    let theirs = Peer::client(&python, "subscribe", port, ("cert", "another"));
    exchange(
        |text| publisher.publish(text.as_bytes()).unwrap(),
        |wait| theirs.lines.recv_timeout(wait).ok().as_deref().map(told),
    );
    // What it refuses is said in its words: on the way in, and at the end of publishing.
    let mut wrong = Subscription::open(feed("cert", port), "wrong", stop.clone()).unwrap();
    let error = loop {
        if let Err(error) = wrong.read(&mut [0; 1_024]) {
            break error;
        }
    };
    assert!(error.to_string().contains("Authentication failed for cert"), "{error}");
    let mut stranger = Publisher::open(&feed("cert", port), "another").unwrap();
    stranger.publish(b"{}").unwrap();
    let refused = stranger.finish().unwrap_err().to_string();
    assert!(refused.contains("not allowed to pub here"), "{refused}");
    publisher.finish().unwrap();
    stop.store(true, Ordering::Relaxed);
    let counts = reading.join().unwrap();
    assert!(counts.balanced() && counts.rejects == 0, "{counts:?}");
    drop(broker);
}

#[test]
fn a_subscription_comes_back_when_the_broker_does() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (first, second) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let broker = Server::start("127.0.0.1:0", "ours", accounts(ACCOUNTS).unwrap(), first.clone()).unwrap();
    let port = broker.address().port();
    let (rows, reading) = import(Subscription::open(feed("cert", port), "another", stop.clone()).unwrap());
    let theirs = |port| {
        let mut peer = Peer::client(&python, "publish", port, ("pot", "s3cret"));
        let mut input = peer.input.take().unwrap();
        (peer, move |text: &str| writeln!(input, "{text}").unwrap())
    };
    let received = |wait| rows.recv_timeout(wait).ok().as_ref().map(number);
    let (peer, publish) = theirs(port);
    exchange(publish, received);
    drop(peer);
    first.store(true, Ordering::Relaxed);
    drop(broker);
    let begun = Instant::now();
    let broker = loop {
        match Server::start(("127.0.0.1", port), "ours", accounts(ACCOUNTS).unwrap(), second.clone()) {
            Ok(broker) => break broker,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
    };
    let (_peer, publish) = theirs(port);
    exchange(publish, received);
    stop.store(true, Ordering::Relaxed);
    second.store(true, Ordering::Relaxed);
    assert!(reading.join().unwrap().balanced());
    drop((broker, folder));
}

#[test]
fn our_broker_serves_their_clients_and_its_messages_become_rows() {
    let Some(python) = python() else { return };
    let stop = Arc::new(AtomicBool::new(false));
    let broker = Server::start("127.0.0.1:0", "ours", accounts(ACCOUNTS).unwrap(), stop.clone()).unwrap();
    let port = broker.address().port();
    let (rows, reading) = import(broker);
    let subscriber = Peer::client(&python, "subscribe", port, ("cert", "another"));
    let mut publisher = Peer::client(&python, "publish", port, ("pot", "s3cret"));
    let mut input = publisher.input.take().unwrap();
    exchange(
        |text| writeln!(input, "{text}").unwrap(),
        |wait| subscriber.lines.recv_timeout(wait).ok().as_deref().map(told),
    );
    // The import has them all, also those from before anyone had subscribed.
    let numbers: Vec<usize> =
        std::iter::from_fn(|| rows.recv_timeout(Duration::from_millis(500)).ok()).map(|row| number(&row)).collect();
    assert!(numbers.len() > 10);
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
    // A wrong secret and a channel without a right: refused, in words.
    let words = |peer: &Peer| peer.lines.recv_timeout(PATIENCE).unwrap();
    let thief = Peer::client(&python, "subscribe", port, ("cert", "wrong"));
    assert!(words(&thief).contains("authentication failed"));
    let curious = Peer::client(&python, "subscribe", port, ("pot", "s3cret"));
    assert!(words(&curious).contains("no right to subscribe"));
    let mut loud = Peer::client(&python, "publish", port, ("cert", "another"));
    writeln!(loud.input.take().unwrap(), "{}", message(0)).unwrap();
    assert!(words(&loud).contains("no right to publish"));
    stop.store(true, Ordering::Relaxed);
    let counts = reading.join().unwrap();
    assert!(counts.balanced() && counts.rejects == 0, "{counts:?}");
}
