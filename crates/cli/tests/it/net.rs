//! Live capture in a network namespace of its own: a veth pair, real AF_PACKET, and other people's tools aimed at
//! addresses that exist nowhere else. There is no route out, and that is checked before anything is sent.

use super::lab::{Lab, PATIENCE, Process, in_namespace, run, tick};
use arrow_ipc::reader::StreamReader;
use noroshi_detect::{Config, Engine};
use sqlx::Row;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Instant;

/// Benchmarking addresses (RFC 2544): nobody's, anywhere.
const OURS: &str = "198.18.0.1";

/// A pair of interfaces, packets sent on `tx` arriving on `rx`, and nothing else anywhere.
fn wire() {
    run("ip link set lo up");
    for family in ["all", "default"] {
        // Neighbour discovery of IPv6 would send packets of its own.
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{family}/disable_ipv6"), "1").unwrap();
    }
    run("ip link add tx type veth peer name rx");
    run("ip link set tx arp off");
    run("ip link set rx up");
    run("ip link set tx up");
    run(&format!("ip addr add {OURS}/16 dev tx"));
    for family in ["-4", "-6"] {
        let routes = Command::new("ip").args([family, "route", "show", "default"]).output().unwrap();
        assert!(routes.stdout.is_empty(), "a default route inside the namespace");
    }
    let links = Command::new("ip").args(["-br", "link"]).output().unwrap();
    let names = String::from_utf8(links.stdout).unwrap();
    let ours = |name: &str| ["lo", "tx", "rx"].contains(&name.split(['@', ' ']).next().unwrap());
    assert!(names.lines().all(ours), "foreign interfaces inside the namespace: {names}");
}

/// Packets that the kernel counted on an interface.
fn counter(name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}")).unwrap();
    text.trim().parse().unwrap()
}

fn live(lab: &Lab) -> Process {
    let arguments = ["sensor", "run", "--interface", "rx", "--state"].map(std::ffi::OsString::from);
    let mut arguments = arguments.to_vec();
    arguments.push(lab.state("kyoto").into());
    lab.start("kyoto.log", &arguments)
}

/// Stored records, and declared losses by reason.
fn account(lab: &Lab) -> (u64, BTreeMap<String, u64>) {
    lab.journal(async |connection| {
        let stored: i64 = sqlx::query_scalar("select coalesce(sum(records), 0) from batches")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        let rows =
            sqlx::query("select reason, sum(count) from gaps group by reason").fetch_all(connection).await.unwrap();
        (stored as u64, rows.iter().map(|row| (row.get(0), row.get::<i64, _>(1) as u64)).collect())
    })
}

fn until_accounted(lab: &Lab, sent: u64) -> (u64, BTreeMap<String, u64>) {
    let started = Instant::now();
    loop {
        let (stored, lost) = account(lab);
        let all = stored + lost.values().sum::<u64>();
        assert!(all <= sent, "{stored} stored and {lost:?} of {sent} sent");
        if all == sent {
            return (stored, lost);
        }
        assert!(started.elapsed() < PATIENCE, "{stored} stored and {lost:?} of {sent} sent: {}", lab.log("kyoto.log"));
        tick(20);
    }
}

/// Waits until the sensor sees what arrives: its first packets.
fn until_live(lab: &Lab, socket: &UdpSocket) -> u64 {
    let started = Instant::now();
    let mut sent = 0;
    while account(lab).0 == 0 {
        assert!(started.elapsed() < PATIENCE, "the sensor sees nothing: {}", lab.log("kyoto.log"));
        socket.send_to(b"hello", "198.18.9.9:9").unwrap();
        sent += 1;
        tick(20);
    }
    sent
}

#[test]
fn what_was_sent_is_captured_or_dropped_or_filtered_and_counted() {
    const BURST: u32 = 500_000;
    if !in_namespace("-rn", "net::what_was_sent_is_captured_or_dropped_or_filtered_and_counted") {
        return;
    }
    wire();
    let lab = Lab::new();
    let _hub = lab.hub();
    lab.enrol("kyoto");
    lab.fleet(&["set", "kyoto", "filter=udp and dst port 9"]);
    let sensor = live(&lab);
    let socket = UdpSocket::bind((OURS, 4000)).unwrap();
    // Packets from before the ring was open are nobody's loss; from here on each one counts.
    until_live(&lab, &socket);
    let (stored, lost) = account(&lab);
    let unseen = counter("tx/statistics/tx_packets") - stored - lost.values().sum::<u64>();
    let settled = until_settled(&lab);
    let before = counter("tx/statistics/tx_packets");
    assert!(before - settled <= unseen, "packets vanish");
    // The sensor stands still while far more arrives than its ring holds, one half of it filtered.
    let pid = sensor.0.id().to_string();
    run(&format!("kill -STOP {pid}"));
    for n in 0..BURST {
        let port = if n % 2 == 0 { 9 } else { 10 };
        socket.send_to(&n.to_be_bytes(), ("198.18.7.7", port)).unwrap();
    }
    run(&format!("kill -CONT {pid}"));
    let sent = counter("tx/statistics/tx_packets") - before;
    assert_eq!(sent, u64::from(BURST), "the kernel's own count of what left");
    let (stored, lost) = until_accounted(&lab, settled + sent);
    println!("{sent} sent; {stored} stored in all, lost {lost:?}");
    assert!(lost["kernel"] > sent / 4, "it was no overload: {lost:?}");
    assert!(lost["filter"] > 0, "{lost:?}");
    assert!(lost.keys().all(|reason| ["kernel", "filter"].contains(&reason.as_str())), "{lost:?}");
}

/// The number of accounted packets, when no more are on their way.
fn until_settled(lab: &Lab) -> u64 {
    let total = || {
        let (stored, lost) = account(lab);
        stored + lost.values().sum::<u64>()
    };
    let mut before = total();
    loop {
        // Ten times what a batch waits on the sensor.
        tick(500);
        let now = total();
        if now == before {
            return now;
        }
        before = now;
    }
}

/// A tool, how the engine must call it, the port it asks for and its arguments. Each has a source address of its own,
/// because it is sources that are called something. Nobody has published a mark of hping3; it must be called unknown
/// and not by another's name.
const TOOLS: [(&str, &str, u16, &str); 4] = [
    (
        "nmap",
        "nmap",
        1101,
        "-n -Pn -sS --send-ip --disable-arp-ping --max-retries 0 --min-rate 500 --host-timeout 5s -S 198.18.0.11 \
         -e tx -p 1101 198.18.1.0/25",
    ),
    (
        "masscan",
        "masscan",
        1102,
        "--adapter tx --adapter-ip 198.18.0.12 --adapter-port 61000 --router-mac 02-00-00-00-00-02 --rate 1000 \
         --wait 0 -p 1102 198.18.2.0/25",
    ),
    (
        "zmap",
        "zmap",
        1103,
        "-i tx -S 198.18.0.13 -G 02:00:00:00:00:02 -b /dev/null -r 1000 -c 1 -q -o /dev/null -p 1103 198.18.3.0/25",
    ),
    ("hping3", "unknown", 1104, "--rand-dest 198.18.4.x -I tx -a 198.18.0.14 -S -c 128 -i u1000 -p 1104"),
];

#[test]
fn real_tools_are_captured_live_and_called_by_their_name() {
    let missing: Vec<&str> = TOOLS.iter().map(|tool| tool.0).filter(|tool| !on_path(tool)).collect();
    if !missing.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "Debian packages are missing: {missing:?}");
        return println!("skipped: install {missing:?} from Debian");
    }
    if !in_namespace("-rn", "net::real_tools_are_captured_live_and_called_by_their_name") {
        return;
    }
    wire();
    let lab = Lab::new();
    let _hub = lab.hub();
    lab.enrol("kyoto");
    let _sensor = live(&lab);
    let socket = UdpSocket::bind((OURS, 4000)).unwrap();
    until_live(&lab, &socket);
    for (tool, _, _, arguments) in TOOLS {
        let done = Command::new(tool).args(arguments.split_whitespace()).output().unwrap();
        // No one answers, which some of them call a failure.
        println!(
            "{tool}: {} {}",
            done.status,
            String::from_utf8_lossy(&done.stderr).lines().last().unwrap_or_default()
        );
    }
    until_settled(&lab);
    let mut engine = Engine::new(Config::default());
    let batches = lab.journal(async |connection| {
        let query = "select bytes from batches where records > 0 order by row";
        let rows = sqlx::query(query).fetch_all(connection).await.unwrap();
        rows.iter().map(|row| row.get::<Vec<u8>, _>(0)).collect::<Vec<_>>()
    });
    let mut probes: BTreeMap<u16, u64> = BTreeMap::new();
    for bytes in batches {
        for batch in StreamReader::try_new(&bytes[..], None).unwrap() {
            let packets = noroshi_model::rows::packet_batch(&batch.unwrap()).unwrap();
            packets.rows.iter().for_each(|row| *probes.entry(row.dport).or_default() += 1);
            engine.observe(packets);
        }
    }
    engine.work();
    let found = engine.finish(1_000);
    for (tool, label, port, _) in TOOLS {
        assert!(probes.get(&port).is_some_and(|count| *count >= 90), "{tool} sent {:?}", probes.get(&port));
        let labels: Vec<String> =
            found.scans.iter().filter(|scan| scan.port == Some(port)).map(|scan| scan.tool.to_string()).collect();
        println!("{tool}: {} probes, called {labels:?}", probes[&port]);
        assert!(!labels.is_empty() && labels.iter().all(|found| found == label), "{tool} is called {labels:?}");
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).is_file())
}
