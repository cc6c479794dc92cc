//! Many telnet dialogues at once, each from a loopback address of its own group, and what the server needs for them.
//!
//! `crowd ADDR:PORT PID COUNT` logs in COUNT times, types a command in each dialogue, keeps all of them open, and prints
//! the server's resident memory before and after, and the processor time it used.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Dialogues per source address; the default limit of a lure is 50.
const PER_SOURCE: usize = 40;

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a resident size");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number of KiB")
}

/// Clock ticks in user and system mode (proc(5), fields 14 and 15 of stat).
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    let after = stat.rsplit(") ").next().expect("a state");
    after.split(' ').skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum()
}

async fn dialogue(to: SocketAddr, n: usize) -> std::io::Result<TcpStream> {
    let source = n / PER_SOURCE;
    let from = SocketAddr::from(([127, 1, (source / 250) as u8, (source % 250 + 1) as u8], 0));
    let socket = TcpSocket::new_v4()?;
    socket.bind(from)?;
    let mut stream = socket.connect(to).await?;
    stream
        .write_all(b"root\r\nroot\r\ncat /proc/cpuinfo; cd /tmp; echo -ne '\\x7f\\x45\\x4c\\x46' > .x; uname -a\r\n")
        .await?;
    let mut seen = Vec::new();
    let mut buffer = [0; 2_048];
    while !String::from_utf8_lossy(&seen).contains("GNU/Linux") {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        seen.extend_from_slice(&buffer[..length]);
    }
    Ok(stream)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    noroshi_wire::raise_descriptors();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [to, pid, count] = &words[..] else { panic!("crowd ADDR:PORT PID COUNT") };
    let (to, pid, count): (SocketAddr, u32, usize) =
        (to.parse().expect("an address"), pid.parse().expect("a process"), count.parse().expect("a number"));
    let (before, begun) = (resident(pid), ticks(pid));
    let mut open = Vec::with_capacity(count);
    let mut n = 0;
    while n < count {
        // A hundred at a time: a listen queue is short.
        let batch = (n..count.min(n + 100)).map(|at| tokio::spawn(dialogue(to, at))).collect::<Vec<_>>();
        n += batch.len();
        for visit in batch {
            open.push(visit.await.expect("no panic")?);
        }
    }
    let seconds = (ticks(pid) - begun) as f64 / 100.0;
    println!(
        "{} dialogues open: {} KiB resident, {} KiB before; {seconds:.2} s of processor time, {:.0} dialogues per second of it",
        open.len(),
        resident(pid),
        before,
        count as f64 / seconds.max(0.01)
    );
    Ok(())
}
