//! The portal: the API and its pages over what arrives, on loopback.
//!
//! What was is asked of the lake ([`past`]). What arrives goes from the journal into the live feed. What the detectors
//! find ([`crate::live`]) is taken over at each of their looks, and kept ([`kept`]), so that it is there again after a
//! start. Sensors and their policies are asked of the fleet. Accounts are in `people.db`. Countries are known when the
//! data folder has tables in `knowledge`.

mod answers;
mod causes;
mod explore;
mod house;
mod kept;
mod outlook;
mod past;
mod sessions;
mod warnings;

pub use house::House;
pub use kept::Kept;

use crate::services::{Context, ServiceResult};
use crate::{HubError, config, fleet};
use arrow_ipc::reader::StreamReader;
use noroshi_api::assets::Asset;
use noroshi_api::memory::{Countries, Memory, Setup, own_marking};
use noroshi_api::people::{People, SqliteRecords};
use noroshi_api::scope::{Marking, Tlp};
use noroshi_api::{Door, router};
use noroshi_detect::engine::Findings;
use noroshi_enrich::Knowledge;
use noroshi_model::Nanos;
use noroshi_model::packet::PacketBatch;
use noroshi_model::rows::packet_batch;
use noroshi_model::stream::SchemaId;
use noroshi_model::time::Clock;
use noroshi_store::journal::JournalRow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// The sensor that replays the sample day of `noroshi up --demo`. What it saw is kept apart, and can be removed.
pub const SAMPLE_SENSOR: &str = "sample";
/// File of the sample's profiles, in the folder of all profiles.
pub const SAMPLE_PROFILES: &str = "sample-made-up.ndjson";
/// Owner of findings in what it saw.
const SAMPLE_OWNER: &str = "sample data";
/// Packets that the portal shows without a lake, about 200 bytes each.
const PACKETS: usize = 500_000;
/// Packets kept in memory beside a lake: the newest of each sensor stands ready.
const PACKETS_BESIDE_LAKE: usize = 20_000;
/// Bytes of the journal that are read at once.
const READ_BYTES: usize = 4 << 20;
/// Pause before a journal that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The live feed shows two slots a second.
const TICK: Duration = Duration::from_millis(500);
/// Health of sensors is asked for so often.
const REFRESH: Duration = Duration::from_secs(2);
/// After findings were taken over, the next wait so many times longer than it took: never more than a fifth of the time.
const SHOW_REST: u32 = 4;
/// Scans and sources that are taken over of each look, the largest first.
const LISTED: usize = 2_000;
/// What is in the journal gets this long to reach the lake before a sensor is forgotten.
const DRAIN: Duration = Duration::from_secs(15);
/// Requests under way get this long after a stop; the live feed would go on for ever.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// The hub's clock, as the API reads it.
struct System;

impl Clock for System {
    fn now(&self) -> Nanos {
        Nanos(fleet::nanos(fleet::now()))
    }
}

/// Runs the portal until the hub stops.
pub async fn run(context: Context) -> ServiceResult {
    let listener = listen(context.config.portal).await?;
    let address = listener.local_addr()?;
    let countries = countries(&context.config.data.join("knowledge"))?;
    let packets = if context.lake.is_some() { PACKETS_BESIDE_LAKE } else { PACKETS };
    let setup = Setup { packets, countries, sample: false, run: format!("{:x}", System.now().0) };
    let memory = Arc::new(Memory::new(Arc::new(System), setup.clone()));
    let kept = Kept::open(&context.config.data.join("portal.db")).await?;
    memory.restore_findings(kept.load().await?);
    let house = Arc::new(House::new(memory, kept, context.clone()));
    let records = SqliteRecords::open(&context.config.data.join("people.db")).await?;
    let people = Arc::new(People::new(Arc::new(records)));
    drop(context.notices.send(greeting(&people, address).await?));
    let exchange = Arc::new(crate::live::Exchange::open(context.clone()).await?);
    let door = Door::new(house.clone(), people, context.config.warning.door()?, asset).with_exchange(exchange);
    tokio::try_join!(
        serve(listener, door, context.clone()),
        follow(house.clone(), context.clone()),
        show(house.clone(), setup, context.clone()),
        beat(house, context),
    )?;
    Ok(())
}

/// What the person who started the hub should open.
async fn greeting(people: &People, address: SocketAddr) -> Result<String, noroshi_api::people::PeopleError> {
    if !people.setup_needed().await? {
        return Ok(format!("portal: http://{address}/"));
    }
    let link = people.make_link(System.now(), None).await?;
    let path = noroshi_api::handlers::people::link_path(&link);
    Ok(format!("portal: open this link once, within an hour, to make the first account:\n  http://{address}{path}"))
}

async fn listen(wanted: SocketAddr) -> Result<TcpListener, HubError> {
    let refused = |source| HubError::Listen { address: wanted.to_string(), source };
    if !wanted.ip().is_loopback() {
        let text = "the portal speaks HTTP and so listens on loopback only; reach it from elsewhere with ssh -L";
        return Err(refused(std::io::Error::new(std::io::ErrorKind::InvalidInput, text)));
    }
    match TcpListener::bind(wanted).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && wanted.to_string() == config::PORTAL_LISTEN => {
            TcpListener::bind(SocketAddr::new(wanted.ip(), 0)).await.map_err(refused)
        }
        bound => bound.map_err(refused),
    }
}

fn countries(folder: &Path) -> Result<Countries, noroshi_enrich::EnrichError> {
    if !folder.is_dir() {
        return Ok(Arc::new(|_| None));
    }
    let knowledge = Knowledge::open(folder)?;
    Ok(Arc::new(move |addr| knowledge.country(addr, System.now()).map(noroshi_enrich::Country::bytes)))
}

fn asset(path: &str) -> Option<Asset> {
    let file = noroshi_portal_assets::get(path)?;
    Some(Asset { bytes: file.bytes.into(), media_type: file.media_type.into(), tag: file.tag.into() })
}

async fn serve(listener: TcpListener, door: Door, context: Context) -> ServiceResult {
    let app = router(door).into_make_service_with_connect_info::<SocketAddr>();
    let stop = context.stop.clone();
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        ended = async { serving.await } => ended?,
        () = async { stop.cancelled().await; tokio::time::sleep(LEAVE_WITHIN).await } => {}
    }
    Ok(())
}

/// Closes slots of the live feed and keeps the health of sensors fresh.
async fn beat(house: Arc<House>, context: Context) -> ServiceResult {
    let (mut tick, mut refresh) = (tokio::time::interval(TICK), tokio::time::interval(REFRESH));
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            _ = tick.tick() => house.memory().tick(),
            _ = refresh.tick() => {
                if let Err(error) = house.refresh().await {
                    tracing::warn!(%error, "the portal shows sensors as they were");
                }
            }
        }
    }
}

/// Brings what becomes durable into memory.
async fn follow(house: Arc<House>, context: Context) -> ServiceResult {
    let mut durable = context.journal.subscribe();
    let mut last = 0;
    let mut streams: HashMap<(String, [u8; 16]), u64> = HashMap::new();
    while !context.stop.is_cancelled() {
        let rows = match context.journal.read_after(last, READ_BYTES).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "the portal cannot read the journal");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => continue,
                    () = context.stop.cancelled() => return Ok(()),
                }
            }
        };
        let Some(newest) = rows.last() else {
            tokio::select! {
                changed = durable.changed() => if changed.is_err() { return Ok(()) },
                () = context.stop.cancelled() => return Ok(()),
            }
            continue;
        };
        last = newest.row;
        for row in &rows {
            // The mover may have taken rows away before they were read here; their numbers tell how many packets.
            let before = streams.insert((row.sensor.clone(), row.epoch), row.last_seq);
            house.missed(before.map_or(0, |before| row.first_seq.saturating_sub(before + 1)));
        }
        let memory = house.memory().clone();
        tokio::task::spawn_blocking(move || rows.iter().for_each(|row| take(row, &memory))).await?;
    }
    Ok(())
}

fn take(row: &JournalRow, memory: &Memory) {
    match packets(row) {
        Ok(batches) => batches.iter().for_each(|batch| memory.append(batch, true)),
        Err(error) => tracing::warn!(row = row.row, sensor = row.sensor, %error, "a batch is not shown"),
    }
}

fn packets(row: &JournalRow) -> Result<Vec<PacketBatch>, Box<dyn std::error::Error + Send + Sync>> {
    if row.damaged {
        return Err("the disk damaged it".into());
    }
    if row.schema != SchemaId::PACKETS || row.bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for batch in StreamReader::try_new(&row.bytes[..], None)? {
        let mut batch = packet_batch(&batch?)?;
        batch.sensor = row.sensor.as_str().into();
        found.push(batch);
    }
    Ok(found)
}

/// Takes over what the detectors found, at each of their looks.
async fn show(house: Arc<House>, setup: Setup, context: Context) -> ServiceResult {
    let mut looks = context.found.subscribe();
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            changed = looks.changed() => changed?,
        }
        let Some(found) = looks.borrow_and_update().clone() else { continue };
        let began = Instant::now();
        for (index, owner) in [own_marking(Tlp::Amber).organisation, SAMPLE_OWNER.to_owned()].into_iter().enumerate() {
            if index == 1 && house.is_sample_gone() {
                continue;
            }
            let (found, setup) = (found.clone(), setup.clone());
            let marking = Marking { tlp: Tlp::Amber, organisation: owner };
            let taken = tokio::task::spawn_blocking(move || findings(&found[index], setup, &marking)).await?;
            let changed = house.memory().merge_findings(taken);
            if let Err(error) = house.kept().save(&changed, System.now()).await {
                tracing::warn!(%error, "findings are shown but not kept");
            }
        }
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(began.elapsed() * SHOW_REST) => {}
        }
    }
}

fn findings(found: &Findings, setup: Setup, marking: &Marking) -> Memory {
    let memory = Memory::new(Arc::new(System), setup);
    let labels = found.sources.iter().take(LISTED).map(|source| (source.address, source.labels.as_slice()));
    let scans = &found.scans[..found.scans.len().min(LISTED)];
    memory.load_findings(&found.attacks, &found.campaigns, scans, labels, marking, 0);
    memory
}

/// Cuts a sensor off and removes everything that came from it: the sensor first, so that nothing more comes; then what
/// is still in the journal gets its time to reach the lake, where it is removed. Findings in the sample go when the
/// portal next looks at the fleet.
pub(crate) async fn forget(context: &Context, name: &str) -> Result<(), HubError> {
    context.fleet.revoke(name).await?;
    let Some(lake) = &context.lake else { return Ok(()) };
    let began = Instant::now();
    while context.journal.backlog().await?.0 > 0 && began.elapsed() < DRAIN {
        tokio::time::sleep(TICK).await;
    }
    lake.forget_sensor(name).await?;
    if name == SAMPLE_SENSOR {
        let data = &context.config.data;
        let file = crate::cause::profiles_folder(data).join(SAMPLE_PROFILES);
        match tokio::fs::remove_file(&file).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(HubError::io(file, "remove")(error));
            }
            // What is known cannot be unlearned one by one; the rest is read again within seconds.
            _ => *context.known.lock().await = crate::cause::Known::new(data),
        }
    }
    Ok(())
}
