//! Clocks that are wrong: said in words, flagged, and never the order of anything.

use super::support::Lab;
use noroshi_sensor::SensorError;
use noroshi_sensor::enrol::enrol;
use noroshi_sensor::state::StateDir;
use noroshi_wire::message::{Report, StreamState};
use noroshi_wire::{Authority, ConnectError, Invitation, Token};
use std::time::{Duration, SystemTime};

/// A hub whose clock is hours ahead: its certificate begins in the sensor's future.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_hours_off_is_called_by_its_name() {
    let later = SystemTime::now() + Duration::from_secs(48 * 3600);
    let authority = Authority::create(later).unwrap();
    let tls = noroshi_wire::tls::server(&authority, later).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(tls));
        while let Ok((stream, _)) = listener.accept().await {
            drop(acceptor.accept(stream).await);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    let invitation = Invitation {
        name: "kyoto".parse().unwrap(),
        hub: address.to_string(),
        token: Token::generate(),
        pin: authority.pin(),
    };
    let error = enrol(&state, &invitation, false).await.unwrap_err();
    assert!(matches!(error, SensorError::Connect(ConnectError::Clock)), "{error}");
    assert!(error.to_string().contains("set the clock"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_whose_clock_is_off_is_marked() {
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let fleet = &lab.hub().context().fleet;
    let (name, now) = ("kyoto".parse().unwrap(), SystemTime::now());
    for (seconds, suspect) in [(0i64, false), (3600, true), (-3600, true), (2, false)] {
        let sensor_time = noroshi_hub::fleet::nanos(now) + seconds * 1_000_000_000;
        let stream = StreamState { epoch: noroshi_wire::message::Epoch([1; 16]), last_seq: 0 };
        let report = Report { sensor_time, epoch: Some(stream.epoch), ..Report::default() };
        fleet.report_at(&name, report, now).await.unwrap();
        let view = fleet.list().await.unwrap().remove(0);
        assert_eq!((view.clock_offset_ms, view.clock_suspect), (Some(seconds * 1000), suspect));
    }
}

/// What a sensor with a suspect clock captures is marked, packet by packet, and keeps its order.
#[test]
fn packets_of_a_suspect_clock_are_flagged_and_stay_in_order() {
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt32Type;
    use noroshi_model::packet::Oddities;
    use noroshi_sensor::spool::Spool;

    let Some(path) = super::support::capture("scan/ndpi__synscan.pcap") else { return };
    for suspect in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), u64::MAX).unwrap();
        super::support::record(&path, &spool, suspect);
        let (mut at, mut rows) = (0, 0);
        while let Some((head, body)) = spool.next_after(at).unwrap() {
            assert_eq!(head.first_seq, at + 1);
            at = head.last_seq;
            for batch in arrow_ipc::reader::StreamReader::try_new(&body[..], None).unwrap() {
                let batch = batch.unwrap();
                let oddities = batch["oddities"].as_primitive::<UInt32Type>().values().clone();
                assert!(oddities.iter().all(|bits| (bits & Oddities::CLOCK_SUSPECT.0 != 0) == suspect));
                rows += batch.num_rows() as u64;
            }
        }
        assert_eq!(rows, super::support::expected_packets(&path));
    }
}
