//! The portal: the API and its pages over what arrives, on loopback.
//!
//! Packets go from the journal into a bounded house in memory as they become durable; detectors look again at what is
//! kept there whenever it has changed; sensors and their policies are asked of the fleet. Accounts are in `people.db`.
//! Countries are known when the data folder has tables in `knowledge`.

mod house;

pub use house::House;

use crate::services::{Context, ServiceResult};
use crate::{HubError, config, fleet};
use arrow_ipc::reader::StreamReader;
use noroshi_api::assets::Asset;
use noroshi_api::memory::{Countries, Memory, Setup, own_marking};
use noroshi_api::people::{People, SqliteRecords};
use noroshi_api::scope::Tlp;
use noroshi_api::{Door, Settings, router};
use noroshi_detect::Engine;
use noroshi_enrich::Knowledge;
use noroshi_model::Nanos;
use noroshi_model::packet::PacketBatch;
use noroshi_model::rows::packet_batch;
use noroshi_model::stream::SchemaId;
use noroshi_model::time::Clock;
use noroshi_store::journal::JournalRow;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Packets kept for the portal, about 200 bytes each; detectors look at as many.
const PACKETS: usize = 500_000;
/// Bytes of the journal that are read at once.
const READ_BYTES: usize = 4 << 20;
/// Pause before a journal that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The live feed shows two slots a second.
const TICK: Duration = Duration::from_millis(500);
/// Health of sensors is asked for so often.
const REFRESH: Duration = Duration::from_secs(2);
/// Shortest pause between two looks of the detectors.
const DETECT_EVERY: Duration = Duration::from_secs(5);
/// Detectors rest so many times longer than they worked, so that they never take more than a fifth of the time.
const DETECT_REST: u32 = 4;
/// Scans and sources that findings list at most.
const LISTED: usize = 2_000;
/// Requests under way get this long after a stop; the live feed would go on for ever.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// The hub's clock, as the API reads it.
struct System;

impl Clock for System {
    fn now(&self) -> Nanos {
        Nanos(fleet::nanos(fleet::now()))
    }
}

/// The newest packets, for the detectors.
#[derive(Default)]
struct Window {
    batches: VecDeque<Arc<PacketBatch>>,
    packets: usize,
    /// Packets that ever came; changes when there is something new to look at.
    came: u64,
}

impl Window {
    fn push(&mut self, batch: Arc<PacketBatch>) {
        self.packets += batch.rows.len();
        self.came += batch.rows.len() as u64;
        self.batches.push_back(batch);
        while self.packets > PACKETS && self.batches.len() > 1 {
            self.packets -= self.batches.pop_front().map_or(0, |old| old.rows.len());
        }
    }
}

/// Runs the portal until the hub stops.
pub async fn run(context: Context) -> ServiceResult {
    let listener = listen(context.config.portal).await?;
    let address = listener.local_addr()?;
    let countries = countries(&context.config.data.join("knowledge"))?;
    let setup = Setup { packets: PACKETS, countries, sample: false, run: format!("{:x}", System.now().0) };
    let memory = Arc::new(Memory::new(Arc::new(System), setup.clone()));
    let house = Arc::new(House::new(memory.clone(), context.clone()));
    let records = SqliteRecords::open(&context.config.data.join("people.db")).await?;
    let people = Arc::new(People::new(Arc::new(records)));
    drop(context.notices.send(greeting(&people, address).await?));
    let exchange = Arc::new(crate::live::Exchange::open(context.clone()).await?);
    let door = Door::new(house.clone(), people, Settings::default(), asset).with_exchange(exchange);
    let window = Arc::new(Mutex::new(Window::default()));
    tokio::try_join!(
        serve(listener, door, context.clone()),
        follow(house.clone(), window.clone(), context.clone()),
        detect(memory, setup, window, context.clone()),
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
async fn follow(house: Arc<House>, window: Arc<Mutex<Window>>, context: Context) -> ServiceResult {
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
        let (memory, window) = (house.memory().clone(), window.clone());
        tokio::task::spawn_blocking(move || rows.iter().for_each(|row| take(row, &memory, &window))).await?;
    }
    Ok(())
}

fn take(row: &JournalRow, memory: &Memory, window: &Mutex<Window>) {
    match packets(row) {
        Ok(batches) => {
            for batch in batches {
                memory.append(&batch, true);
                window.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(batch));
            }
        }
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

/// Lets the detectors look at the window whenever it has changed.
///
/// Each look starts anew: an engine that has given its findings has closed what was open, and would cut one attack into
/// as many as there were looks.
async fn detect(memory: Arc<Memory>, setup: Setup, window: Arc<Mutex<Window>>, context: Context) -> ServiceResult {
    let (mut looked_at, mut pause) = (0, DETECT_EVERY);
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
        let (came, batches) = {
            let window = window.lock().unwrap_or_else(PoisonError::into_inner);
            (window.came, window.batches.iter().cloned().collect::<Vec<_>>())
        };
        if came == looked_at {
            continue;
        }
        looked_at = came;
        let (setup, began) = (setup.clone(), Instant::now());
        let found = tokio::task::spawn_blocking(move || findings(&batches, setup)).await?;
        memory.take_findings(found);
        pause = DETECT_EVERY.max(began.elapsed() * DETECT_REST);
    }
}

fn findings(batches: &[Arc<PacketBatch>], setup: Setup) -> Memory {
    let mut engine = Engine::new(noroshi_detect::Config::default());
    batches.iter().for_each(|batch| engine.observe(PacketBatch::clone(batch)));
    let found = engine.finish(LISTED);
    let memory = Memory::new(Arc::new(System), setup);
    let labels = found.sources.iter().map(|source| (source.address, source.labels.as_slice()));
    let marking = own_marking(Tlp::Amber);
    memory.load_findings(&found.attacks, &found.campaigns, &found.scans, labels, &marking, 0);
    memory
}
