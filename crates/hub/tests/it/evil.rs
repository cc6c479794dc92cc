//! A sensor with a good certificate and bad intentions.

use super::support::{Lab, capture};
use arrow_flight::FlightData;
use noroshi_model::packet::{Has, Packet, PacketBatch};
use noroshi_model::rows::packets_record_batch;
use noroshi_model::stream::{Gap, GapReason, SchemaId};
use noroshi_model::{Addr, Nanos};
use noroshi_sensor::state::StateDir;
use noroshi_wire::client::PutStream;
use noroshi_wire::message::{Epoch, Outcome};
use noroshi_wire::{Authority, BatchHead, ConnectError, Connection, SensorKey, SensorName, batch};
use std::time::{Duration, SystemTime};

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

/// The messages of a good batch with their metadata, as the wire carries them; `change` makes them bad.
fn raw(
    head: &BatchHead,
    body: Vec<u8>,
    change: impl FnOnce(&mut Vec<FlightData>, &mut serde_json::Value),
) -> Vec<FlightData> {
    let mut messages = batch::to_flight(body.into()).unwrap();
    let mut metadata = serde_json::to_value(head).unwrap();
    metadata["messages"] = messages.len().into();
    change(&mut messages, &mut metadata);
    if messages[0].app_metadata.is_empty() {
        messages[0].app_metadata = serde_json::to_vec(&metadata).unwrap().into();
    }
    messages
}

/// Replaces each place where `old` stands.
fn patch(bytes: &mut bytes::Bytes, old: &[u8], new: &[u8]) {
    let mut changed = bytes.to_vec();
    let at: Vec<usize> =
        (0..changed.len().saturating_sub(old.len() - 1)).filter(|at| changed[*at..].starts_with(old)).collect();
    assert!(!at.is_empty(), "there is something to patch");
    at.iter().for_each(|at| changed[*at..at + new.len()].copy_from_slice(new));
    *bytes = changed.into();
}

type Change = Box<dyn FnOnce(&mut Vec<FlightData>, &mut serde_json::Value)>;

/// What only a program written for it can send.
fn forged_messages() -> Vec<(&'static str, Change)> {
    fn case(
        what: &'static str,
        change: impl FnOnce(&mut Vec<FlightData>, &mut serde_json::Value) + 'static,
    ) -> (&'static str, Change) {
        (what, Box::new(change))
    }
    vec![
        case("metadata that is no JSON", |m, _| m[0].app_metadata = b"\xff\x00{"[..].into()),
        case("metadata of a megabyte", |m, _| m[0].app_metadata = vec![b' '; 1 << 20].into()),
        case("metadata nested without end", |m, _| m[0].app_metadata = vec![b'['; 100_000].into()),
        case("more messages than a batch may have", |_, head| head["messages"] = 17.into()),
        case("a count of messages without end", |_, head| head["messages"] = u64::MAX.into()),
        case("fewer messages than sent", |_, head| head["messages"] = 1.into()),
        case("more messages than sent", |_, head| head["messages"] = 16.into()),
        case("no messages", |_, head| head["messages"] = 0.into()),
        case("numbers as text", |_, head| head["first_seq"] = "11".into()),
        case("a negative number", |_, head| head["first_seq"] = (-1).into()),
        case("rows without end", |_, head| head["rows"] = u64::MAX.into()),
        case("a short epoch", |_, head| head["epoch"] = "09".into()),
        case("an epoch with a sign", |_, head| head["epoch"] = "+9090909090909090909090909090909".into()),
        case("a reason nobody knows", |_, head| {
            head["gaps"] = serde_json::json!([{ "first_seq": 11, "last_seq": 11, "count": 1, "reason": "mice" }]);
        }),
        case("gaps that overflow", |_, head| {
            let gap = serde_json::json!({ "first_seq": 11, "last_seq": 20, "count": u64::MAX, "reason": "kernel" });
            head["gaps"] = serde_json::json!([gap, gap]);
        }),
        case("a head cut short", |m, _| m.last_mut().unwrap().data_header.truncate(20)),
        case("a head of noise", |m, _| m.last_mut().unwrap().data_header = vec![0x5a; 400].into()),
        case("no head", |m, _| m.last_mut().unwrap().data_header = bytes::Bytes::new()),
        case("a body cut in half", |m, _| {
            let body = &mut m.last_mut().unwrap().data_body;
            body.truncate(body.len() / 2);
        }),
        case("no body", |m, _| m.last_mut().unwrap().data_body = bytes::Bytes::new()),
        case("a body of four gigabytes, by its length", |m, _| {
            let message = m.last_mut().unwrap();
            let length = (message.data_body.len() as i64).to_le_bytes();
            patch(&mut message.data_header, &length, &(1i64 << 32).to_le_bytes());
        }),
        case("a body of negative length", |m, _| {
            let message = m.last_mut().unwrap();
            let length = (message.data_body.len() as i64).to_le_bytes();
            patch(&mut message.data_header, &length, &(-8i64).to_le_bytes());
        }),
        case("columns longer than their buffers", |m, _| {
            patch(&mut m.last_mut().unwrap().data_header, &10i64.to_le_bytes(), &(1i64 << 40).to_le_bytes());
        }),
        case("a name that is no text", |m, _| patch(&mut m[0].data_body, b"evil", b"\xff\xfe\xfd\xfc")),
        case("rows before their dictionary", |m, _| m.reverse()),
        case("rows without their dictionary", |m, head| {
            m.drain(..m.len() - 1);
            head["messages"] = 1.into();
        }),
        case("the same rows twice", |m, head| {
            let again = m.last().unwrap().clone();
            m.push(again);
            head["messages"] = m.len().into();
        }),
        case("more than a batch may weigh", |m, head| {
            m.last_mut().unwrap().data_body = vec![0; 3 << 20].into();
            let again = m.last().unwrap().clone();
            m.push(again);
            head["messages"] = m.len().into();
        }),
        case("something that is no message", |m, head| {
            m.truncate(1);
            m[0] = FlightData { data_header: vec![1; 8].into(), data_body: vec![2; 8].into(), ..FlightData::default() };
            head["messages"] = 1.into();
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_messages_are_refused_while_honest_sensors_go_on() {
    let Some(path) = capture("amplification_ddos/stopddos__pkt.TCP.synflood.spoofed.pcap") else { return };
    let lab = Lab::start().await;
    lab.enrol("evil").await.unwrap();
    lab.enrol("kyoto").await.unwrap();
    let good = packets("evil", 10);
    assert!(accepted(&connect(&lab, "evil").await.put().await.unwrap(), &head(1, 10), good.clone()).await);
    let attack = async {
        let cases = forged_messages();
        let count = cases.len();
        for (what, change) in cases {
            let put = connect(&lab, "evil").await.put().await.unwrap();
            // Not being able to send all of it is an answer, too.
            drop(put.send_messages(raw(&head(11, 10), good.clone(), change)).await);
            let answer = put.last_ack().await;
            let stored = matches!(&answer, Ok(Some(ack)) if ack.outcome == Outcome::Stored);
            assert!(!stored, "{what}: {answer:?}");
            assert_eq!(lab.count("evil").await, 10, "{what}");
        }
        count
    };
    let (count, done) = futures::join!(attack, lab.replay("kyoto", &path));
    println!("{count} forged messages refused");
    let expected = super::support::expected_packets(&path);
    assert_eq!(done.unwrap().acknowledged, expected);
    assert_eq!(lab.count("kyoto").await as u64, expected);
    let put = connect(&lab, "evil").await.put().await.unwrap();
    assert!(accepted(&put, &head(11, 10), good).await, "the stream goes on");
}

/// A certificate made with `authority`, and whether the hub lets it send.
async fn lets_in(lab: &Lab, authority: &Authority, name: &str, at: SystemTime) -> bool {
    let key = SensorKey::generate().unwrap();
    let name: SensorName = name.parse().unwrap();
    let lifetime = Duration::from_secs(3600);
    let issued = authority.sign(&name, &key.request().unwrap(), at, lifetime).unwrap();
    let context = lab.hub().context();
    let (hub, pin) = (context.sensor_address.to_string(), context.fleet.authority().pin());
    let Ok(connection) = Connection::open(&hub, pin, Some((&issued.certificate, &key))).await else { return false };
    let Ok(put) = connection.put().await else { return false };
    accepted(&put, &head(1, 3), packets(name.as_str(), 3)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_that_this_hub_issued_and_still_accepts_get_in() {
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let now = SystemTime::now();
    let stranger = Authority::create(now).unwrap();
    assert!(!lets_in(&lab, &stranger, "kyoto", now).await, "another hub's certificate");
    let hub = lab.hub().context().fleet.authority();
    let hours = |n: u64| Duration::from_secs(n * 3600);
    assert!(!lets_in(&lab, hub, "kyoto", now - hours(48)).await, "a certificate that has ended");
    assert!(!lets_in(&lab, hub, "kyoto", now + hours(48)).await, "a certificate of the future");
    assert!(!lets_in(&lab, hub, "kyoto", now).await, "a certificate that enrolment did not issue");
    assert!(!lets_in(&lab, hub, "osaka", now).await, "a name that never enrolled");
    let before = connect(&lab, "kyoto").await;
    lab.hub().context().fleet.revoke("kyoto").await.unwrap();
    let put = before.put().await;
    assert!(put.is_err() || !accepted(&put.unwrap(), &head(1, 3), packets("kyoto", 3)).await, "a revoked sensor");
    assert_eq!(lab.count("kyoto").await + lab.count("osaka").await, 0);
}

/// Connections that begin something and never end it, and some that speak another language.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_keep_nobody_out() {
    use tokio::io::AsyncWriteExt;
    let Some(path) = capture("scan/ndpi__synscan.pcap") else { return };
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let address = lab.hub().context().sensor_address;
    let mut open = Vec::new();
    for (at, begin) in [&b"\x16"[..], b"\x16\x03\x01\x40\x00\x01", b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n", b""]
        .iter()
        .cycle()
        .take(40)
        .enumerate()
    {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        // Some stay open, some break off.
        if at % 3 > 0 {
            open.push(stream);
        }
    }
    let done = lab.replay("kyoto", &path).await.unwrap();
    assert_eq!(done.acknowledged, super::support::expected_packets(&path));
    drop(open);
}
