//! `cargo xtask bench lures`: telnet dialogues beside Cowrie's, and requests beside a bare socket loop.
//!
//! What counts is the server's processor time, read from `/proc/PID/stat` (telnet) or by the serving thread itself (UDP),
//! so that the figures hold on a busy machine. Ours and the peer's rounds alternate. Everything is on loopback.

use crate::Outcome;
use crate::run::{cargo, option, output, root, shared, step};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Dialogues at once.
const AT_ONCE: usize = 16;
/// Rounds of each; the median counts.
const ROUNDS: usize = 3;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Clock ticks per second in `/proc/PID/stat`: USER_HZ of every Linux that this runs on (proc(5)).
const TICKS: f64 = 100.0;
/// Longest wait until a server listens.
const START: Duration = Duration::from_secs(60);

/// A server that ends with the measurement.
struct Server {
    child: Child,
    telnet: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    fn start(name: &str, command: &mut Command, telnet: SocketAddr) -> Result<Self, String> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Server { child: child.map_err(|e| format!("{name} did not start: {e}"))?, telnet };
        let begun = Instant::now();
        while TcpStream::connect(telnet).is_err() {
            if begun.elapsed() > START {
                return Err(format!("{name} does not listen on {telnet}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Processor seconds so far, user and system (proc(5), fields 14 and 15 of stat).
    fn seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after = stat.rsplit(") ").next().unwrap_or_default();
        after.split(' ').skip(11).take(2).filter_map(|text| text.parse::<f64>().ok()).sum::<f64>() / TICKS
    }

    /// Dialogues per second of processor time.
    fn round(&self, dialogues: usize) -> Result<f64, String> {
        let (begun, next, failed) = (self.seconds(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while next.fetch_add(1, Ordering::Relaxed) < dialogues {
                        if dialogue(self.telnet).is_err() {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        match failed.into_inner() {
            0 => Ok(dialogues as f64 / (self.seconds() - begun).max(1.0 / TICKS)),
            failed => Err(format!("{failed} of {dialogues} dialogues with {} failed", self.telnet)),
        }
    }
}

/// Log in, two commands, leave: the same bytes to both.
fn dialogue(to: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    for (wait, say) in [
        ("ogin:", "root\r\n"),
        ("assword:", "1234\r\n"),
        ("# ", "uname -a\r\n"),
        ("# ", "cat /proc/cpuinfo\r\n"),
        ("# ", "exit\r\n"),
    ] {
        let (mut seen, mut buffer) = (Vec::new(), [0; 4_096]);
        while !seen.windows(wait.len()).any(|part| part == wait.as_bytes()) {
            match stream.read(&mut buffer)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                length => seen.extend_from_slice(&buffer[..length]),
            }
        }
        stream.write_all(say.as_bytes())?;
    }
    Ok(())
}

/// Cowrie in a folder of its own, which is removed with it.
struct Peer {
    command: Command,
    folder: PathBuf,
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Peer {
    /// With the Cowrie of this Python's environment. It refuses to run as root, who therefore starts it as nobody.
    fn prepare(python: &str) -> Result<(Peer, SocketAddr), String> {
        let at = free()?;
        let folder = std::env::temp_dir().join(format!("noroshi-bench-cowrie-{}", std::process::id()));
        let wrong = |e: std::io::Error| format!("{}: {e}", folder.display());
        let nobody = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").map_err(wrong)?) == 0;
        for inner in ["", "etc", "var/log/cowrie", "var/run", "var/lib/cowrie/tty", "var/lib/cowrie/downloads"] {
            std::fs::create_dir_all(folder.join(inner)).map_err(wrong)?;
        }
        let settings = format!(
            "[honeypot]\nhostname = svr04\n[telnet]\nenabled = true\nlisten_endpoints = tcp:{}:interface=127.0.0.1\n\
             [ssh]\nenabled = false\n",
            at.port()
        );
        std::fs::write(folder.join("etc/cowrie.cfg"), settings).map_err(wrong)?;
        // Not resolved: the environment is found by the place of the link.
        let twistd = Path::new(python).with_file_name("twistd");
        let mut command = Command::new(if nobody { "setpriv" } else { python });
        if nobody {
            output(Command::new("chown").args(["-R", "65534:65534"]).arg(&folder))?;
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", python]);
        }
        command.arg(twistd).args(["--nodaemon", "--pidfile=", "cowrie"]).current_dir(&folder).env("HOME", &folder);
        Ok((Peer { command, folder }, at))
    }
}

fn free() -> Result<SocketAddr, String> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
    listener.local_addr().map_err(|e| e.to_string())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The number after `"name":` in a line of JSON.
fn number(line: &str, name: &str) -> Result<f64, String> {
    let rest = line.split_once(&format!("\"{name}\":")).map(|(_, rest)| rest).unwrap_or_default();
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.parse().map_err(|_| format!("no {name} in {line}"))
}

/// The folder with the sensor and its examples, built unless it is named.
fn programs(args: &[String]) -> Result<PathBuf, String> {
    if let Some(folder) = option(args, "--programs") {
        return Ok(folder.into());
    }
    let build = ["build", "--release", "--locked", "-p", "noroshi-sensor", "--bins", "--examples"];
    step("build noroshi-sensor (release)", &mut cargo(&build))?;
    Ok(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("release"))
}

/// The sensor with a telnet door.
fn sensor(programs: &Path) -> Result<Server, String> {
    let at = free()?;
    let mut command = Command::new(programs.join("noroshi-sensor"));
    Server::start("noroshi-sensor", command.args(["lure", "--telnet", &at.to_string()]), at)
}

/// A goal that is missed makes the command fail, after everything was measured.
fn judge(missed: &mut Vec<&'static str>, goal: &'static str, met: bool) {
    println!("goal {}: {goal}", if met { "met" } else { "MISSED" });
    if !met {
        missed.push(goal);
    }
}

pub(super) fn run(args: &[String]) -> Outcome {
    let programs = programs(args)?;
    let ours = sensor(&programs)?;
    let mut missed = Vec::new();
    let peer = match option(args, "--cowrie") {
        Some(python) => {
            let (mut peer, at) = Peer::prepare(python)?;
            Some((Server::start("Cowrie", &mut peer.command, at)?, peer))
        }
        None => {
            println!("Cowrie is not given (--cowrie PYTHON) and is left out");
            None
        }
    };
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(ours.round(4_000)?);
        if let Some((peer, _)) = &peer {
            other.push(peer.round(120)?);
        }
    }
    let own = median(own);
    println!("telnet dialogues per second of server processor time: {own:.0}");
    if !other.is_empty() {
        let other = median(other);
        println!("Cowrie: {other:.1}; ours are {:.1} times as many", own / other);
        judge(&mut missed, "25 times Cowrie's telnet dialogues per second of processor time", own / other >= 25.0);
    }
    drop((ours, peer));
    crowd(&programs, &mut missed)?;
    datagrams(&programs, &mut missed)?;
    if missed.is_empty() { Ok(()) } else { Err(format!("missed: {}", missed.join("; "))) }
}

/// Many dialogues that stay open, at a sensor that has not served before.
fn crowd(programs: &Path, missed: &mut Vec<&'static str>) -> Outcome {
    let server = sensor(programs)?;
    let words = [server.telnet.to_string(), server.child.id().to_string(), "10000".to_owned()];
    let said = output(Command::new(programs.join("examples/crowd")).args(words))?;
    println!("{}", said.trim_end());
    let resident = said.split_once("open: ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
    let resident = resident.ok_or_else(|| format!("no resident size in: {said}"))?;
    judge(missed, "10,000 open dialogues in 256 MiB", resident <= 256 << 10);
    Ok(())
}

fn datagrams(programs: &Path, missed: &mut Vec<&'static str>) -> Outcome {
    let flood = programs.join("examples/flood");
    let source =
        shared().ok_or("the bare loop is not here: set NOROSHI_SHARED to the shared folder")?.join("bench/udp_floor.c");
    let folder = root().join("target/bench");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let floor = folder.join("udp_floor");
    step("build udp_floor", Command::new("cc").args(["-O2", "-pthread", "-o"]).arg(&floor).arg(source))?;
    let (mut own, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(number(&output(Command::new(&flood).arg("3"))?, "requests_per_cpu_s")?);
        bare.push(number(&output(Command::new(&floor).args(["3", "64", "300"]))?, "replies_per_responder_cpu_s")?);
    }
    let (own, bare) = (median(own), median(bare));
    println!("requests per second of the serving thread: {own:.0}; bare loop: {bare:.0}; share {:.2}", own / bare);
    judge(missed, "half of the bare loop's requests per second of a core", own / bare >= 0.5);
    Ok(())
}
