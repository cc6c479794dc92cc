//! A crowd of simulated sensors in this process against a hub in its own: everybody comes back after a restart, and a
//! change of policy reaches everybody in time.

use super::lab::{Lab, PATIENCE, tick};
use super::trial::wanted;
use futures::StreamExt;
use noroshi_hub::admin::Client;
use noroshi_model::stream::{Gap, GapReason, SchemaId};
use noroshi_wire::message::{EnrolRequest, Epoch, Hello, StreamState};
use noroshi_wire::{BatchHead, CaPin, Connection, Control, Invitation, PROTOCOL, Report, SensorKey};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Sensors of the short form; `NOROSHI_CROWD` asks for more.
const CROWD: u32 = 300;
/// Everybody is back and has been answered within this time after a restart of the hub.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// The hub stays below this.
const HUB_KIBIBYTES_MAX: u64 = 1 << 20;
/// First and last bound of the random wait, as in a real sensor.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

struct Identity {
    hub: String,
    pin: CaPin,
    key: SensorKey,
    certificate: Vec<u8>,
}

/// What the crowd has done so far.
#[derive(Default)]
struct Crowd {
    /// Life of the hub.
    life: AtomicU64,
    /// Sensors that this life of the hub has acknowledged something of.
    back: AtomicUsize,
}

async fn enrol(line: &str) -> Identity {
    let (place, secret) = line.split_once(' ').unwrap();
    let Invitation { name, hub, token, pin } = Invitation::parse(place, secret).unwrap();
    let key = SensorKey::generate().unwrap();
    let request = EnrolRequest {
        protocol: PROTOCOL,
        token: token.text(),
        name: name.to_string(),
        request: key.request().unwrap(),
    };
    let reply = Connection::open(&hub, pin, None).await.unwrap().enrol(&request).await.unwrap();
    Identity { hub, pin, key, certificate: reply.certificate }
}

/// Attaches, has one more record declared and acknowledged, then obeys until the connection ends.
async fn live(who: &Identity, epoch: Epoch, crowd: &Crowd) -> Option<()> {
    let connection = Connection::open(&who.hub, who.pin, Some((&who.certificate, &who.key))).await.ok()?;
    let life = crowd.life.load(Ordering::SeqCst);
    let stream = StreamState { epoch, last_seq: u64::MAX };
    let hello = Hello { protocol: PROTOCOL, version: "1".into(), stream, sensor_time: 0 };
    let mut control = connection.attach(&hello).await.ok()?;
    let Some(Ok(Control::Welcome(welcome))) = control.next().await else { return None };
    let seq = welcome.watermark + 1;
    let gaps = vec![Gap::whole(seq, seq, GapReason::Filter)];
    let head = BatchHead { epoch, first_seq: seq, last_seq: seq, schema: SchemaId::NONE, rows: 0, gaps };
    let put = connection.put().await.ok()?;
    put.send(&head, Default::default()).await.ok()?;
    put.ack().await.ok()??;
    if crowd.life.load(Ordering::SeqCst) == life {
        crowd.back.fetch_add(1, Ordering::SeqCst);
    }
    while let Some(Ok(message)) = control.next().await {
        if let Control::Policy { revision, request } = message {
            let policy_hash = noroshi_wire::message::policy_hash(&request);
            let report = Report { policy_revision: revision, policy_hash, effective: request, ..Report::default() };
            connection.report(&report).await.ok()?;
        }
    }
    None
}

async fn for_ever(who: Identity, crowd: Arc<Crowd>) {
    let (epoch, mut bound) = (Epoch::generate(), BACKOFF.0);
    loop {
        let began = Instant::now();
        live(&who, epoch, &crowd).await;
        bound = if began.elapsed() > BACKOFF.1 { BACKOFF.0 } else { (bound * 2).min(BACKOFF.1) };
        tokio::time::sleep(bound.mul_f64(rand::random())).await;
    }
}

fn wait_for(crowd: &Crowd, count: usize, patience: Duration) -> Duration {
    let began = Instant::now();
    while crowd.back.load(Ordering::SeqCst) < count {
        let back = crowd.back.load(Ordering::SeqCst);
        assert!(began.elapsed() < patience, "{back} of {count} are back after {:?}", began.elapsed());
        tick(10);
    }
    began.elapsed()
}

#[test]
fn a_crowd_comes_back_and_obeys() {
    let count = wanted("NOROSHI_CROWD", CROWD) as usize;
    noroshi_wire::raise_descriptors();
    let lab = Lab::new();
    let mut hub = lab.hub();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let crowd = Arc::new(Crowd::default());
    let data = lab.data();
    let identities: Vec<Identity> = runtime.block_on(async {
        let permits = Arc::new(Semaphore::new(32));
        let tasks: Vec<_> = (0..count)
            .map(|n| {
                let (permits, data) = (permits.clone(), data.clone());
                tokio::spawn(async move {
                    let _permit = permits.acquire().await.unwrap();
                    let name = format!("sensor-{n}").parse().unwrap();
                    enrol(&Client(&data).token(name, None).await.unwrap().line).await
                })
            })
            .collect();
        futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect()
    });
    for who in identities {
        runtime.spawn(for_ever(who, crowd.clone()));
    }
    // The first time there is no storm to survive, only many to serve.
    println!("{count} sensors connected in {:?}", wait_for(&crowd, count, BACK_WITHIN * 2));

    let asked = Instant::now();
    let assignment = vec!["payload_bytes=64".to_owned()];
    let outcome = runtime.block_on(Client(&data).roll_out("@all".into(), assignment, 0)).unwrap();
    assert_eq!(outcome.changed.len(), count);
    // Who has not answered in time counts as late for ever; in the end all must have.
    let mut after: Vec<u64> = outcome.changed.iter().map(|one| one.acknowledged_ms.unwrap_or(u64::MAX)).collect();
    after.sort_unstable();
    let p99 = after[(after.len() * 99).div_ceil(100) - 1];
    let p99 = if p99 == u64::MAX { "later than it was waited for".into() } else { format!("{p99} ms") };
    println!("a change in force on {count} sensors: p99 {p99}, asked and answered in {:?}", asked.elapsed());
    let in_force = || runtime.block_on(Client(&data).list()).unwrap().iter().all(|sensor| sensor.policy_in_force);
    while !in_force() {
        assert!(asked.elapsed() < PATIENCE, "the change does not reach everybody");
        tick(50);
    }

    hub.kill();
    crowd.life.fetch_add(1, Ordering::SeqCst);
    crowd.back.store(0, Ordering::SeqCst);
    hub = lab.hub();
    let back = wait_for(&crowd, count, BACK_WITHIN);
    let (most, now) = (hub.kibibytes("VmHWM"), hub.kibibytes("VmRSS"));
    println!("{count} sensors back in {back:?}; hub at most {} MiB, now {} MiB", most >> 10, now >> 10);
    assert!(most < HUB_KIBIBYTES_MAX, "the hub took {most} KiB");
    runtime.shutdown_background();
}
