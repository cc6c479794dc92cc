//! Live capture in a network namespace of its own: a veth pair and real AF_PACKET. There is no route out, and that is
//! checked before anything is sent.

use super::lab::{Lab, PATIENCE, Process, in_namespace, run, tick};
use super::trial::wanted;
use sqlx::Row;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::Instant;

/// Benchmarking addresses (RFC 2544): nobody's, anywhere.
const OURS: &str = "198.18.0.1";

/// A pair of interfaces, packets sent on `out0` arriving on `in0`, and nothing else anywhere.
fn wire() {
    // Interfaces are looked up in /sys, which shows those of the namespace that mounted it.
    run("mount -t sysfs none /sys");
    run("ip link set lo up");
    for family in ["all", "default"] {
        // Neighbour discovery of IPv6 would send packets of its own.
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{family}/disable_ipv6"), "1").unwrap();
    }
    run("ip link add name out0 type veth peer name in0");
    run("ip link set out0 arp off");
    run("ip link set in0 up");
    run("ip link set out0 up");
    run(&format!("ip addr add {OURS}/16 dev out0"));
    for family in ["-4", "-6"] {
        let routes = Command::new("ip").args([family, "route", "show", "default"]).output().unwrap();
        assert!(routes.stdout.is_empty(), "a default route inside the namespace");
    }
    // In these names anybody may send here.
    run("ip route add local 10.0.0.0/8 dev lo");
    let links = Command::new("ip").args(["-br", "link"]).output().unwrap();
    let names = String::from_utf8(links.stdout).unwrap();
    let ours = |name: &str| ["lo", "out0", "in0"].contains(&name.split(['@', ' ']).next().unwrap());
    assert!(names.lines().all(ours), "foreign interfaces inside the namespace: {names}");
}

/// Packets that the kernel counted on an interface.
fn counter(name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}")).unwrap();
    text.trim().parse().unwrap()
}

fn live(lab: &Lab) -> Process {
    let arguments = ["sensor", "run", "--interface", "in0", "--state"].map(std::ffi::OsString::from);
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
    if !in_namespace("-rnm", "net::what_was_sent_is_captured_or_dropped_or_filtered_and_counted") {
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
    let unseen = counter("out0/statistics/tx_packets") - stored - lost.values().sum::<u64>();
    let settled = until_settled(&lab);
    let before = counter("out0/statistics/tx_packets");
    assert!(before - settled <= unseen, "packets vanish");
    // The sensor stands still while far more arrives than its ring holds, one half of it filtered.
    let pid = sensor.0.id().to_string();
    run(&format!("kill -STOP {pid}"));
    for n in 0..BURST {
        let port = if n % 2 == 0 { 9 } else { 10 };
        socket.send_to(&n.to_be_bytes(), ("198.18.7.7", port)).unwrap();
    }
    run(&format!("kill -CONT {pid}"));
    let sent = counter("out0/statistics/tx_packets") - before;
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

/// Forged sources of the short form; `NOROSHI_FLOOD` asks for more.
const FORGED: u32 = 100_000;
/// What a flood may add to the memory of a sensor.
const GROWTH_KIBIBYTES_MAX: u64 = 64 << 10;

/// One datagram from each of so many addresses; the constant spreads consecutive numbers over 10.0.0.0/8.
fn flood(count: u32) {
    for n in 0..count {
        let source = Ipv4Addr::from(0x0a00_0000 | n.wrapping_mul(0x9e37_79b1) >> 8);
        let socket = UdpSocket::bind((source, 4000)).unwrap();
        socket.send_to(&n.to_be_bytes(), ("198.18.7.7", 9)).unwrap();
    }
}

#[test]
fn a_flood_of_forged_sources_takes_no_memory() {
    if !in_namespace("-rnm", "net::a_flood_of_forged_sources_takes_no_memory") {
        return;
    }
    let count = wanted("NOROSHI_FLOOD", FORGED);
    wire();
    let lab = Lab::new();
    let _hub = lab.hub();
    lab.enrol("kyoto");
    let mut sensor = live(&lab);
    let first = until_live(&lab, &UdpSocket::bind((OURS, 4000)).unwrap());
    for granularity in ["packets", "flows"] {
        lab.fleet(&["set", "kyoto", &format!("granularity={granularity}")]);
        let (sent, accounted) = (counter("out0/statistics/tx_packets"), until_settled(&lab));
        let before = sensor.kibibytes("VmRSS");
        flood(count);
        until_settled(&lab);
        let growth = sensor.kibibytes("VmHWM").saturating_sub(before);
        println!("{granularity}: {count} forged sources, {before} KiB before, at most {growth} KiB more");
        assert!(growth < GROWTH_KIBIBYTES_MAX, "{granularity}: {growth} KiB more");
        assert_eq!(counter("out0/statistics/tx_packets") - sent, u64::from(count));
        // Sums of a minute that is not over yet are written when the sensor ends, and sent when it is back.
        if granularity == "flows" {
            sensor.end();
            sensor = live(&lab);
        }
        // Of the first packets, sent while the ring was being opened, one may have been on its way.
        let (least, most) = (accounted + u64::from(count), accounted + u64::from(count) + first);
        let started = Instant::now();
        let mut all = until_settled(&lab);
        while all < least {
            assert!(started.elapsed() < PATIENCE, "{all} accounted for of {least}: {}", lab.log("kyoto.log"));
            all = until_settled(&lab);
        }
        assert!(all <= most, "{all} accounted for of at most {most}");
    }
}

/// A scanner of the world's, aimed at the benchmarking network of this namespace, and what it must be called.
struct RealTool {
    program: &'static str,
    arguments: &'static str,
    source: &'static str,
    port: u16,
    called: &'static str,
}

/// `--send-ip` and given addresses of the next hop: nobody answers ARP here.
const TOOLS: [RealTool; 4] = [
    RealTool {
        program: "nmap",
        arguments: "-n -Pn -sS --send-ip -e out0 --max-retries 0 -T5 -p 443 198.18.1.1-30",
        source: OURS,
        port: 443,
        called: "nmap",
    },
    RealTool {
        program: "zmap",
        arguments: "-b /dev/null -p 2323 -i out0 -G 02:00:00:00:00:01 -S 198.18.0.2 -n 400 -r 2000 -c 1 198.18.0.0/16",
        source: "198.18.0.2",
        port: 2323,
        called: "zmap",
    },
    RealTool {
        program: "masscan",
        arguments: "--adapter out0 --adapter-ip 198.18.0.3 --adapter-mac 02:00:00:00:00:02 \
                    --router-mac 02:00:00:00:00:01 -p 7547 198.18.4.0/24 --rate 1000 --wait 0",
        source: "198.18.0.3",
        port: 7547,
        called: "masscan",
    },
    // No fingerprint of hping3 is published: what it sends must not be called anything else.
    RealTool {
        program: "hping3",
        arguments: "-q -I out0 -a 198.18.0.4 -S -p 8080 -c 60 -i u2000 --rand-dest 198.18.3.x",
        source: "198.18.0.4",
        port: 8080,
        called: "unknown",
    },
];

#[test]
fn real_tools_are_captured_live_and_named() {
    let missing = TOOLS.iter().find(|tool| Command::new(tool.program).arg("--help").output().is_err());
    if let Some(tool) = missing {
        assert!(std::env::var_os("CI").is_none(), "{} is not installed", tool.program);
        println!("skipped: {} is not installed", tool.program);
        return;
    }
    if !in_namespace("-rnm", "net::real_tools_are_captured_live_and_named") {
        return;
    }
    wire();
    run("ip addr add 198.18.0.2/16 dev out0");
    let lab = Lab::with_lake();
    let _hub = lab.hub();
    lab.enrol("kyoto");
    let _sensor = live(&lab);
    lab.fleet(&["set", "kyoto", "prefixes=198.18.0.0/16"]);
    for tool in &TOOLS {
        // Debian's masscan does not end by itself when nothing ever answers.
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "15", tool.program]).args(tool.arguments.split_whitespace());
        command.output().unwrap();
    }
    let started = Instant::now();
    for tool in &TOOLS {
        let RealTool { program, source, port, called, .. } = tool;
        let question = format!("select distinct tool from scans where src = addr('{source}') and port = {port}");
        let answer = || lab.ask(&["query", &question, "--format", "csv"]);
        while answer().lines().nth(1) != Some(called) {
            assert!(started.elapsed() < PATIENCE, "{program}: {:?}\n{}", answer(), lab.log("hub.log"));
            tick(200);
        }
    }
}
