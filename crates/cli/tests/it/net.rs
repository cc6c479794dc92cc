//! Live capture in a network namespace of its own: a veth pair and real AF_PACKET. There is no route out, and that is
//! checked before anything is sent.

use super::lab::{Lab, PATIENCE, Process, in_namespace, run, tick};
use sqlx::Row;
use std::collections::BTreeMap;
use std::net::UdpSocket;
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
