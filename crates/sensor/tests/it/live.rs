//! Live capture on the loopback of a network namespace that this test makes for itself.

use noroshi_packet::capture::RawBatch;
use noroshi_sensor::source::{Interfaces, Source, SourceError, Taken};
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

const INSIDE: &str = "NOROSHI_TEST_INSIDE_NAMESPACE";
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `test` of this file again, as root of a new user and network namespace.
fn in_namespace(test: &str) {
    let program = std::env::current_exe().unwrap();
    let made = Command::new("unshare").args(["-rn", "true"]).status();
    if !made.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "namespaces are not available");
        println!("skipped: this machine makes no network namespaces");
        return;
    }
    let mut command = Command::new("unshare");
    command.arg("-rn").arg(program).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    print!("{text}{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success());
    assert!(text.contains("1 passed"), "the test inside did not run");
}

fn inside() -> bool {
    if std::env::var_os(INSIDE).is_none() {
        return false;
    }
    // Nothing can leave: there is no interface but loopback, hence no route.
    let routes = Command::new("ip").args(["route", "show", "default"]).output().unwrap();
    assert!(routes.stdout.is_empty(), "a default route inside the namespace");
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    true
}

fn collect(source: &mut Interfaces, packets: usize) -> (RawBatch, u64) {
    let (mut all, mut drops) = (RawBatch::default(), 0);
    let started = Instant::now();
    while all.records.len() + (drops as usize) < packets {
        assert!(started.elapsed() < PATIENCE, "{} of {packets}, {drops} dropped", all.records.len());
        if let Taken::Packets { raw, kernel_drops } = source.next(Duration::from_millis(50)).unwrap() {
            let base = all.data.len() as u32;
            all.data.extend_from_slice(&raw.data);
            all.records.extend(raw.records.into_iter().map(|mut record| {
                record.start += base;
                record
            }));
            drops += kernel_drops;
        }
    }
    (all, drops)
}

#[test]
fn every_packet_sent_is_captured_or_counted_as_dropped() {
    const NAME: &str = "live::every_packet_sent_is_captured_or_counted_as_dropped";
    const PACKETS: usize = 50_000;
    if !inside() {
        return in_namespace(NAME);
    }
    let mut source = Interfaces::open(&["lo".into()]).unwrap();
    // Bound and never read: no answers, so that what is sent is all there is.
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..PACKETS as u32 {
        sender.send_to(&n.to_be_bytes(), receiver.local_addr().unwrap()).unwrap();
    }
    let (raw, drops) = collect(&mut source, PACKETS);
    assert_eq!(raw.records.len() + drops as usize, PACKETS);
    println!("{} captured, {drops} dropped", raw.records.len());
    let batch = noroshi_packet::decode::decode(raw, 0);
    let numbers: Vec<u32> =
        batch.rows.iter().map(|r| u32::from_be_bytes(batch.payload(r).try_into().unwrap())).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
    assert!(batch.rows.iter().all(|row| row.dport == receiver.local_addr().unwrap().port()));
    // The end: nothing more comes, and that is said.
    assert!(matches!(source.next(Duration::from_millis(1)).unwrap(), Taken::Idle));
}

#[test]
fn an_unknown_interface_names_those_that_exist() {
    let Err(SourceError::Interface { known, .. }) = Interfaces::open(&["no-such-if".into()]) else {
        panic!("an interface that does not exist was opened")
    };
    assert!(known.contains(&"lo".to_owned()), "{known:?}");
}
