//! The watch over the fleet: silence, automatic reverts, groups and staged roll-outs.

use super::support::{Lab, capture};
use futures::StreamExt;
use noroshi_hub::watch::{PROBATION, SILENCE_AFTER};
use noroshi_sensor::run::{Retime, RunOptions, SourceOptions};
use noroshi_sensor::state::StateDir;
use noroshi_wire::message::{Epoch, Hello, StreamState};
use noroshi_wire::{Connection, Control, PROTOCOL, Report};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// A sensor that attaches and says nothing by itself.
async fn mute(lab: &Lab, name: &str) -> (Connection, futures::stream::BoxStream<'static, Control>) {
    let identity = StateDir::open(&lab.state(name)).unwrap().identity().unwrap().unwrap();
    let pair = Some((&identity.certificate[..], &identity.key));
    let connection = Connection::open(&identity.hub, identity.pin, pair).await.unwrap();
    let stream = StreamState { epoch: Epoch([1; 16]), last_seq: 0 };
    let hello = Hello { protocol: PROTOCOL, version: "1".into(), stream, sensor_time: 0 };
    let control = connection.attach(&hello).await.unwrap().map(|message| message.unwrap()).boxed();
    (connection, control)
}

/// The next policy a sensor is told.
async fn told(control: &mut futures::stream::BoxStream<'static, Control>) -> (u64, u16) {
    loop {
        if let Control::Policy { revision, request } = control.next().await.unwrap() {
            return (revision, request.payload_bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_falls_silent_after_a_change_gets_the_policy_from_before() {
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let (_connection, mut control) = mute(&lab, "kyoto").await;
    assert_eq!(told(&mut control).await, (1, 256));
    let fleet = &lab.hub().context().fleet;
    let changed = fleet.set("kyoto", &["payload_bytes=7".into()]).await.unwrap();
    assert_eq!(changed.acknowledged_ms, None);
    assert_eq!(told(&mut control).await, (2, 7));
    let now = SystemTime::now();
    assert_eq!(fleet.look(now).await.unwrap().reverted, [""; 0], "it has its time");
    assert_eq!(fleet.look(now + PROBATION).await.unwrap().reverted, ["kyoto"]);
    assert_eq!(told(&mut control).await, (3, 256), "it is told at once, should it listen again");
    let reason = fleet.show("kyoto").await.unwrap().policies.pop().unwrap().reason;
    assert_eq!(reason, "automatic: silent after revision 2");
    assert_eq!(fleet.look(now + PROBATION * 3).await.unwrap().reverted, [""; 0], "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_goes_on_reporting_keeps_the_change() {
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let (connection, mut control) = mute(&lab, "kyoto").await;
    told(&mut control).await;
    let fleet = lab.hub().context().fleet.clone();
    let answered = async {
        let (policy_revision, _) = told(&mut control).await;
        connection.report(&Report { policy_revision, ..Report::default() }).await.unwrap();
    };
    let assignment = ["payload_bytes=7".to_owned()];
    let (changed, ()) = futures::join!(fleet.set("kyoto", &assignment), answered);
    assert!(changed.unwrap().acknowledged_ms.is_some());
    let later = SystemTime::now() + PROBATION;
    let report = Report { policy_revision: 2, ..Report::default() };
    fleet.report_at(&"kyoto".parse().unwrap(), report, later - Duration::from_secs(1)).await.unwrap();
    assert_eq!(fleet.look(later).await.unwrap().reverted, [""; 0]);
    assert_eq!(fleet.show("kyoto").await.unwrap().policies.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_a_finding_that_opens_and_closes() {
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    lab.enrol("osaka").await.unwrap();
    let fleet = &lab.hub().context().fleet;
    let (name, now) = ("kyoto".parse().unwrap(), SystemTime::now());
    fleet.report_at(&name, Report::default(), now).await.unwrap();
    assert!(fleet.look(now).await.unwrap().silent.is_empty());
    let later = now + SILENCE_AFTER + Duration::from_secs(2);
    fleet.report_at(&"osaka".parse().unwrap(), Report::default(), later).await.unwrap();
    assert_eq!(fleet.look(later).await.unwrap().silent, ["kyoto"]);
    assert!(fleet.look(later).await.unwrap().silent.is_empty(), "told once");
    let view = fleet.list().await.unwrap().remove(0);
    let since = noroshi_hub::fleet::seconds(now);
    assert_eq!((view.name.as_str(), view.silent_since), ("kyoto", Some(since)));
    fleet.report_at(&name, Report::default(), later).await.unwrap();
    assert_eq!(fleet.look(later).await.unwrap().back, ["kyoto"]);
    let silence = fleet.silences(10).await.unwrap().remove(0);
    assert_eq!((silence.since, silence.until), (since, Some(noroshi_hub::fleet::seconds(later))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_changed_canary_first_and_left_alone_when_that_is_ill() {
    let Some(path) = capture("scan/ndpi__synscan.pcap") else { return };
    let lab = Lab::start().await;
    let stop = CancellationToken::new();
    let mut running = Vec::new();
    for name in ["kyoto", "osaka", "sendai"] {
        lab.enrol(name).await.unwrap();
        lab.hub().context().fleet.tag(name, "universities", true).await.unwrap();
    }
    lab.enrol("tokyo").await.unwrap();
    // Sendai is away.
    for name in ["kyoto", "osaka"] {
        let source = SourceOptions::Replay {
            paths: vec![path.clone()],
            speed: None,
            retime: Retime::Keep,
            again: false,
            then: Vec::new(),
        };
        let options =
            RunOptions { state: lab.state(name), source, ceiling: None, stay: true, lures: Default::default() };
        running.push(tokio::spawn(noroshi_sensor::run::run(options, stop.clone())));
    }
    let context = lab.hub().context();
    let mut durable = context.journal.subscribe();
    durable.wait_for(|row| *row >= 2).await.unwrap();
    let fleet = &context.fleet;
    let done = fleet.roll_out("@universities", &["payload_bytes=64".into()], 1).await.unwrap();
    assert_eq!((done.canaries.len(), done.stopped), (1, None));
    let in_force = done.changed.iter().filter(|changed| changed.acknowledged_ms.is_some()).count();
    assert_eq!((done.changed.len(), in_force), (3, 2));

    // The hub does not compile filters; the first sensor that must says no.
    let done = fleet.roll_out("@universities", &["filter=tcp and and".into()], 1).await.unwrap();
    assert!(done.stopped.is_some_and(|why| why.contains("request refused")));
    assert_eq!(done.untouched.len(), 2);
    for (name, revisions) in [("sendai", 2), ("tokyo", 1)] {
        assert_eq!(fleet.show(name).await.unwrap().policies.len(), revisions, "{name}");
    }
    let canary = fleet.show(&done.canaries[0]).await.unwrap();
    assert!(canary.policies.last().unwrap().request.filter.is_empty(), "it has its policy back");
    let nobody = fleet.roll_out("@nobody", &["payload_bytes=1".into()], 1).await.unwrap_err();
    assert!(nobody.to_string().contains("@universities"), "{nobody}");
    stop.cancel();
    for sensor in running {
        sensor.await.unwrap().unwrap();
    }
}
