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

/// Programs: the sensor and the flood, built unless they are named.
fn programs(args: &[String]) -> Result<(PathBuf, PathBuf), String> {
    if let Some(folder) = option(args, "--programs") {
        let folder = Path::new(folder);
        return Ok((folder.join("noroshi-sensor"), folder.join("examples/flood")));
    }
    let build = ["build", "--release", "--locked", "-p", "noroshi-sensor", "--bins", "--examples"];
    step("build noroshi-sensor (release)", &mut cargo(&build))?;
    let folder =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("release");
    Ok((folder.join("noroshi-sensor"), folder.join("examples/flood")))
}

pub(super) fn run(args: &[String]) -> Outcome {
    let (sensor, flood) = programs(args)?;
    let at = free()?;
    let mut command = Command::new(&sensor);
    command.args(["lure", "--telnet", &at.to_string()]);
    let ours = Server::start("noroshi-sensor", &mut command, at)?;
    let peer = match (option(args, "--cowrie"), option(args, "--cowrie-at")) {
        (Some(words), Some(at)) => {
            let at = at.parse().map_err(|_| format!("--cowrie-at wants ADDR:PORT, not `{at}`"))?;
            Some(Server::start("Cowrie", Command::new("bash").args(["-c", &format!("exec {words}")]), at)?)
        }
        _ => {
            println!("Cowrie is not given (--cowrie COMMAND --cowrie-at ADDR:PORT) and is left out");
            None
        }
    };
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(ours.round(4_000)?);
        if let Some(peer) = &peer {
            other.push(peer.round(120)?);
        }
    }
    let own = median(own);
    println!("telnet dialogues per second of server processor time: {own:.0}");
    if !other.is_empty() {
        let other = median(other);
        println!("Cowrie: {other:.1}; ours are {:.1} times as many", own / other);
    }
    drop((ours, peer));
    datagrams(&flood)
}

fn datagrams(flood: &Path) -> Outcome {
    let source =
        shared().ok_or("the bare loop is not here: set NOROSHI_SHARED to the shared folder")?.join("bench/udp_floor.c");
    let folder = root().join("target/bench");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let floor = folder.join("udp_floor");
    step("build udp_floor", Command::new("cc").args(["-O2", "-pthread", "-o"]).arg(&floor).arg(source))?;
    let (mut own, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(number(&output(Command::new(flood).arg("3"))?, "requests_per_cpu_s")?);
        bare.push(number(&output(Command::new(&floor).args(["3", "64", "300"]))?, "replies_per_responder_cpu_s")?);
    }
    let (own, bare) = (median(own), median(bare));
    println!("requests per second of the serving thread: {own:.0}; bare loop: {bare:.0}; share {:.2}", own / bare);
    Ok(())
}
