//! The policy: changed at the hub, in force on the sensor, seen in what is stored.

use super::support::{Lab, capture, expected_packets, record};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use noroshi_model::flow::flows;
use noroshi_model::policy::SPOOL_BYTES_MIN;
use noroshi_sensor::run::{Retime, RunOptions, SourceOptions};
use noroshi_sensor::spool::Spool;
use noroshi_testkit::PacketBuilder;
use noroshi_wire::message::policy_hash;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_takes_effect_live_and_is_acknowledged() {
    let Some(path) = capture("bruteforce_honeypot/ndpi__vnc.pcap") else { return };
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let source = SourceOptions::Replay {
        paths: vec![path.clone()],
        speed: Some(4.0),
        retime: Retime::Keep,
        again: false,
        then: Vec::new(),
    };
    let options =
        RunOptions { state: lab.state("kyoto"), source, ceiling: None, stay: true, lures: Default::default() };
    let stop = CancellationToken::new();
    let running = tokio::spawn(noroshi_sensor::run::run(options, stop.clone()));
    let context = lab.hub().context();
    let mut durable = context.journal.subscribe();
    durable.wait_for(|row| *row > 0).await.unwrap();

    let changed = context.fleet.set("kyoto", &["payload_bytes=0".into()]).await.unwrap();
    assert_eq!(changed.revision, 2);
    assert_eq!(changed.changes, ["payload_bytes: 256 -> 0"]);
    let milliseconds = changed.acknowledged_ms.expect("the sensor answers");
    println!("in force after {milliseconds} ms");
    let requested = context.fleet.show("kyoto").await.unwrap().policies[1].request.clone();
    assert_eq!(changed.hash.as_deref(), Some(policy_hash(&requested).as_str()));

    // What is stored from here on has no payload.
    let before = durable.borrow_and_update().max(0);
    durable.wait_for(|row| *row > before + 2).await.unwrap();
    let with_payload: Vec<bool> =
        lab.rows("kyoto").await.iter().map(|b| b["payload"].null_count() < b.num_rows()).collect();
    assert!(with_payload[0], "the first batch was under the first policy");
    assert!(!with_payload.last().unwrap(), "the last one is not");
    let switch = with_payload.iter().rposition(|with| *with).unwrap();
    assert!(switch as i64 <= before, "nothing after the acknowledgement: batch {switch}, acknowledged at {before}");

    let back = context.fleet.rollback("kyoto", None).await.unwrap();
    assert_eq!((back.revision, back.changes), (3, vec!["payload_bytes: 0 -> 256".to_owned()]));
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ceiling_wins_and_the_account_still_balances() {
    let Some(path) = capture("bruteforce_honeypot/ndpi__vnc.pcap") else { return };
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let context = lab.hub().context();
    let wanted = ["payload_bytes=1000".to_owned(), "filter=tcp".to_owned(), "sample_one_in=3".to_owned()];
    let changed = context.fleet.set("kyoto", &wanted).await.unwrap();
    assert_eq!(changed.acknowledged_ms, None, "nobody is connected");
    let ceiling = lab.state("ceiling.toml");
    std::fs::write(&ceiling, "payload_bytes = 0\nsource_addresses = \"truncated\"\n").unwrap();
    let mut options = lab.options("kyoto", &path);
    options.ceiling = Some(ceiling);
    let done = noroshi_sensor::run::run(options, CancellationToken::new()).await.unwrap();
    assert_eq!(done.produced, expected_packets(&path));
    for batch in lab.rows("kyoto").await {
        assert_eq!(batch["payload"].null_count(), batch.num_rows());
        let sources = batch["src"].as_fixed_size_binary();
        assert!((0..batch.num_rows()).filter(|i| !sources.is_null(*i)).all(|i| sources.value(i)[15] == 0));
    }
    let account = &context.journal.conservation().await.unwrap()[0];
    assert!(account.balances());
    assert!(account.stored > 0 && account.stored <= expected_packets(&path).div_ceil(3), "{account:?}");
    assert_eq!(account.produced, expected_packets(&path));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_schema_are_refused_at_the_hub() {
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let fleet = &lab.hub().context().fleet;
    for bad in ["command=/bin/sh", "upload=http://203.0.113.1/", "path=/etc/passwd", "payload_bytes=99999", "x"] {
        assert!(fleet.set("kyoto", &[bad.to_owned()]).await.is_err(), "{bad}");
    }
    assert!(fleet.set("osaka", &["payload_bytes=1".into()]).await.unwrap_err().to_string().contains("kyoto"));
    assert_eq!(fleet.show("kyoto").await.unwrap().policies.len(), 1);
}

/// Sums instead of packets: every packet is counted in a row, and the account says how many were folded.
#[tokio::test(flavor = "multi_thread")]
async fn coarser_records_count_every_packet() {
    let Some(path) = capture("scan/ndpi__synscan.pcap") else { return };
    let lab = Lab::start().await;
    for granularity in ["flows", "counters"] {
        lab.enrol(granularity).await.unwrap();
        let context = lab.hub().context();
        context.fleet.set(granularity, &[format!("granularity={granularity}")]).await.unwrap();
        let done = lab.replay(granularity, &path).await.unwrap();
        assert_eq!(done.produced, expected_packets(&path));
        let rows: Vec<_> = lab.rows(granularity).await.iter().flat_map(|b| flows(b).unwrap()).collect();
        assert_eq!(rows.iter().map(|(_, sum)| sum.packets).sum::<u64>(), expected_packets(&path));
        assert!((rows.len() as u64) < expected_packets(&path));
        assert_eq!(rows.iter().any(|(key, _)| key.addresses.is_some()), granularity == "flows");
        let accounts = context.journal.conservation().await.unwrap();
        let account = accounts.iter().find(|account| account.sensor == granularity).unwrap();
        assert!(account.balances() && account.stored == rows.len() as u64, "{account:?}");
    }
}

/// A spool that is too small for a hub that is away: the oldest are given up, and counted to the record.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_is_declared_exactly() {
    const PACKETS: u64 = 24_000;
    let Some(more) = capture("scan/ndpi__synscan.pcap") else { return };
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    // While the hub is away the capture thread goes on alone.
    let path = noise(&lab.state("noise.pcap"), PACKETS);
    let spool = Spool::open(&lab.state("kyoto").join("spool"), SPOOL_BYTES_MIN).unwrap();
    record(&path, &spool, false);
    assert_eq!(spool.state().last_seq, PACKETS);
    let given_up = spool.quota_losses();
    assert!(given_up > 0 && spool.bytes() <= SPOOL_BYTES_MIN);
    drop(spool);

    let done = lab.replay("kyoto", &more).await.unwrap();
    let total = PACKETS + expected_packets(&more);
    assert_eq!((done.produced, done.acknowledged), (total, total));
    let account = lab.hub().context().journal.conservation().await.unwrap().remove(0);
    assert!(account.balances(), "{account:?}");
    assert_eq!((account.stored, account.lost), (total - given_up, given_up));
    assert_eq!(lab.count("kyoto").await as u64, account.stored);
}

/// A capture of UDP packets full of bytes that do not compress.
fn noise(path: &std::path::Path, packets: u64) -> std::path::PathBuf {
    let packet = || {
        let payload: [u8; 1400] = rand::random();
        PacketBuilder::ipv4([198, 18, 0, 1], [198, 18, 0, 2]).udp(9, 9).payload(payload).build()
    };
    let packets: Vec<_> =
        (0..packets).map(|n| ((1_700_000_000 + n as i64 / 1_000) * 1_000_000_000, packet())).collect();
    let records: Vec<_> = packets.iter().map(|(ts, bytes)| (*ts, &bytes[..])).collect();
    std::fs::write(path, noroshi_testkit::pcap(&records)).unwrap();
    path.to_owned()
}
