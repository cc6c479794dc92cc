//! A sensor with a good certificate and bad intentions.

use super::support::{Lab, capture};
use noroshi_model::packet::{Has, Packet, PacketBatch};
use noroshi_model::rows::packets_record_batch;
use noroshi_model::stream::{Gap, GapReason, SchemaId};
use noroshi_model::{Addr, Nanos};
use noroshi_sensor::state::StateDir;
use noroshi_wire::client::PutStream;
use noroshi_wire::message::{Epoch, Outcome};
use noroshi_wire::{BatchHead, ConnectError, Connection, batch};

const EPOCH: Epoch = Epoch([9; 16]);

/// `bytes` with one bit changed.
fn flip(bytes: &[u8], at: usize, bit: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1 << (bit % 8);
    bytes
}

fn packets(sensor: &str, rows: u64) -> Vec<u8> {
    let row = Packet { src: Addr::v4(1), dst: Addr::v4(2), ts: Nanos(1), has: Has::IP | Has::TIME, ..Packet::BLANK };
    let rows = vec![row; rows as usize];
    batch::encode(&packets_record_batch(&PacketBatch { sensor: sensor.into(), rows, ..PacketBatch::default() }))
        .unwrap()
}

fn head(first_seq: u64, rows: u64) -> BatchHead {
    let last_seq = first_seq + rows - 1;
    BatchHead { epoch: EPOCH, first_seq, last_seq, schema: SchemaId::PACKETS, rows, gaps: vec![] }
}

async fn connect(lab: &Lab, name: &str) -> Connection {
    let identity = StateDir::open(&lab.state(name)).unwrap().identity().unwrap().unwrap();
    Connection::open(&identity.hub, identity.pin, Some((&identity.certificate, &identity.key))).await.unwrap()
}

/// Whether the hub stored it.
async fn accepted(put: &PutStream, head: &BatchHead, body: Vec<u8>) -> bool {
    if put.send(head, body.into()).await.is_err() {
        return false;
    }
    matches!(put.ack().await, Ok(Some(ack)) if ack.outcome == Outcome::Stored)
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_batches_are_refused_and_cost_only_themselves() {
    let lab = Lab::start().await;
    lab.enrol("evil").await.unwrap();
    let connection = connect(&lab, "evil").await;
    let good = packets("evil", 10);
    assert!(accepted(&connection.put().await.unwrap(), &head(1, 10), good.clone()).await);
    let gap = |first_seq, last_seq, count| Gap { first_seq, last_seq, count, reason: GapReason::Kernel };
    let cases: Vec<(&str, BatchHead, Vec<u8>)> = vec![
        ("another sensor's name", head(11, 10), packets("kyoto", 10)),
        ("an empty name", head(11, 10), packets("", 10)),
        ("fewer rows than claimed", head(11, 10), packets("evil", 9)),
        ("more rows than claimed", head(11, 10), packets("evil", 11)),
        ("a hole", head(12, 10), good.clone()),
        ("an overlap", head(5, 10), good.clone()),
        ("other content for old numbers", head(1, 10), packets_at(2)),
        ("number zero", BatchHead { first_seq: 0, last_seq: 9, ..head(1, 10) }, good.clone()),
        ("an inverted range", BatchHead { first_seq: 20, last_seq: 11, ..head(11, 10) }, good.clone()),
        (
            "the end of all numbers",
            BatchHead { first_seq: u64::MAX - 9, last_seq: u64::MAX, ..head(11, 10) },
            good.clone(),
        ),
        ("an unknown schema", BatchHead { schema: SchemaId(77), ..head(11, 10) }, good.clone()),
        ("no schema", BatchHead { schema: SchemaId::NONE, ..head(11, 10) }, good.clone()),
        ("rows without data", head(11, 10), vec![]),
        ("data without rows", BatchHead { rows: 0, gaps: vec![gap(11, 20, 10)], ..head(11, 10) }, good.clone()),
        ("a gap too much", BatchHead { gaps: vec![gap(11, 20, 1)], ..head(11, 10) }, good.clone()),
        ("a gap elsewhere", BatchHead { gaps: vec![gap(1, 1, 1)], last_seq: 21, ..head(11, 10) }, good.clone()),
        ("a gap of nothing", BatchHead { gaps: vec![gap(11, 11, 0)], ..head(11, 10) }, good.clone()),
        ("a gap wider than wide", BatchHead { gaps: vec![gap(11, 12, 3)], last_seq: 23, ..head(11, 10) }, good.clone()),
        (
            "too many gaps",
            BatchHead { gaps: vec![gap(11, 6000, 1); 5980], last_seq: 6000, ..head(11, 10) },
            good.clone(),
        ),
    ];
    let count = cases.len();
    for (what, head, body) in cases {
        let put = connect(&lab, "evil").await.put().await.unwrap();
        assert!(!accepted(&put, &head, body).await, "{what}");
        assert_eq!(lab.count("evil").await, 10, "{what}");
    }
    println!("{count} cases refused");
    let put = connection.put().await.unwrap();
    assert!(accepted(&put, &head(11, 10), good).await, "the stream goes on");
}

fn packets_at(ts: i64) -> Vec<u8> {
    let row = Packet { ts: Nanos(ts), has: Has::TIME, ..Packet::BLANK };
    let batch = PacketBatch { sensor: "evil".into(), rows: vec![row; 10], ..PacketBatch::default() };
    batch::encode(&packets_record_batch(&batch)).unwrap()
}

/// Every bit of some bytes flipped: either the batch is refused, or it decodes to rows of the schema. The hub goes on.
#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_never_stop_the_hub() {
    let lab = Lab::start().await;
    lab.enrol("evil").await.unwrap();
    let good = packets("evil", 3);
    let mut next = 1;
    let mut refused = 0;
    // A stride that visits heads, bodies and lengths alike.
    for at in (0..good.len()).step_by(37) {
        let bad = flip(&good, at, (at / 37) as u8);
        let put = connect(&lab, "evil").await.put().await.unwrap();
        match accepted(&put, &head(next, 3), bad).await {
            true => next += 3,
            false => refused += 1,
        }
    }
    let put = connect(&lab, "evil").await.put().await.unwrap();
    assert!(accepted(&put, &head(next, 3), good).await);
    assert_eq!(lab.count("evil").await as u64, next + 2);
    println!("{refused} refused, {} stored", (next - 1) / 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_nothing_but_enrolment_is_answered() {
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let identity = StateDir::open(&lab.state("kyoto")).unwrap().identity().unwrap().unwrap();
    let connection = Connection::open(&identity.hub, identity.pin, None).await.unwrap();
    assert!(matches!(connection.report(&Default::default()).await, Err(ConnectError::Refused(_))));
    let put = connection.put().await;
    assert!(put.is_err() || !accepted(&put.unwrap(), &head(1, 3), packets("kyoto", 3)).await);
    assert_eq!(lab.count("kyoto").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evil_sensor_does_not_disturb_an_honest_one() {
    let Some(path) = capture("amplification_ddos/stopddos__pkt.TCP.synflood.spoofed.pcap") else { return };
    let lab = Lab::start().await;
    lab.enrol("evil").await.unwrap();
    lab.enrol("kyoto").await.unwrap();
    let connection = connect(&lab, "evil").await;
    let noise = tokio::spawn(async move {
        loop {
            let Ok(put) = connection.put().await else { return };
            accepted(&put, &head(1, 10), packets("kyoto", 10)).await;
        }
    });
    let done = lab.replay("kyoto", &path).await.unwrap();
    noise.abort();
    assert_eq!(done.acknowledged, super::support::expected_packets(&path));
    assert_eq!(lab.count("kyoto").await as u64, done.acknowledged);
    assert_eq!(lab.count("evil").await, 0);
}
