//! Captures through sensor and hub into the journal: every packet once.

use super::support::{Lab, capture, expected_packets};
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt16Type};
use noroshi_packet::capture::Reader;

#[tokio::test(flavor = "multi_thread")]
async fn rows_equal_packets_for_real_captures() {
    let lab = Lab::start().await;
    let names = [
        "scan/ndpi__synscan.pcap",
        "amplification_ddos/stopddos__pkt.TCP.synflood.spoofed.pcap",
        "bruteforce_honeypot/ndpi__vnc.pcap",
        "ipv6/suricata__ipv6_evasion_ipv6_rsmurf_rsmurf6.pcap",
        "malformed/ndpi__fuzz_2006_06_26_2594.pcap",
    ];
    for (at, name) in names.into_iter().enumerate() {
        let Some(path) = capture(name) else { return };
        let sensor = format!("s{at}");
        lab.enrol(&sensor).await.unwrap();
        let done = lab.replay(&sensor, &path).await.unwrap();
        assert_eq!(done.produced, expected_packets(&path), "{name}");
        assert_eq!(done.acknowledged, done.produced);
        assert_eq!(lab.count(&sensor).await as u64, expected_packets(&path), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_and_order_survive_the_way() {
    let Some(path) = capture("scan/ndpi__synscan.pcap") else { return };
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    lab.replay("kyoto", &path).await.unwrap();
    let mut sent = Vec::new();
    let mut reader = Reader::open(&path).unwrap();
    while let Some(raw) = reader.next_batch() {
        let batch = noroshi_packet::decode::decode(raw, 0);
        sent.extend(batch.rows.iter().map(|row| (row.ts.0, row.dport)));
    }
    let mut stored = Vec::new();
    for batch in lab.rows("kyoto").await {
        let ts = batch["ts"].as_primitive::<TimestampNanosecondType>();
        let dport = batch["dport"].as_primitive::<UInt16Type>();
        stored.extend((0..batch.num_rows()).map(|i| (ts.value(i), dport.value(i))));
    }
    assert_eq!(sent, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_replay_again_sends_nothing_twice() {
    let Some(path) = capture("scan/ndpi__synscan.pcap") else { return };
    let mut lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    lab.replay("kyoto", &path).await.unwrap();
    lab.restart().await;
    lab.replay("kyoto", &path).await.unwrap();
    assert_eq!(lab.count("kyoto").await as u64, expected_packets(&path));
}
