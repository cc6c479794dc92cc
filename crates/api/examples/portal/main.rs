//! The portal over captures and a report, on this machine: for development and for tests in a browser.
//!
//! ```text
//! cargo run -p noroshi-api --example portal -- --countries country.mmdb --report report.json --rate 200 day.pcap
//! ```
//!
//! Packets are moved in time so that the newest is of now; `--rate` replays them through the live feed. Everything shown
//! is therefore marked as a sample.

mod extras;

use anyhow::{Context, bail};
use noroshi_api::assets::Asset;
use noroshi_api::memory::{Countries, Memory, SensorRecord, Setup, default_policy, own_marking};
use noroshi_api::people::{MemoryRecords, People};
use noroshi_api::scope::Tlp;
use noroshi_api::views::{Anonymise, Gap, Policy};
use noroshi_api::{Door, Settings, router};
use noroshi_model::packet::{Has, PacketBatch};
use noroshi_model::report::Report;
use noroshi_model::time::{Clock, SECOND};
use noroshi_model::{Addr, Nanos};
use noroshi_packet::{capture, decode};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const USAGE: &str = "portal [--listen ADDR:PORT] [--countries MMDB] [--report JSON] [--rate PACKETS_PER_SECOND] \
    [--link-file FILE] [CAPTURE…]";

struct System;

impl Clock for System {
    fn now(&self) -> Nanos {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Nanos(since.as_nanos() as i64)
    }
}

struct Args {
    listen: SocketAddr,
    countries: Option<PathBuf>,
    report: Option<PathBuf>,
    rate: u64,
    link_file: Option<PathBuf>,
    captures: Vec<PathBuf>,
}

fn args() -> anyhow::Result<Args> {
    let mut args = Args {
        listen: SocketAddr::from(([127, 0, 0, 1], 8790)),
        countries: None,
        report: None,
        rate: 0,
        link_file: None,
        captures: Vec::new(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(arg) = given.next() {
        let mut value = || given.next().with_context(|| format!("{arg} needs a value\n{USAGE}"));
        match arg.as_str() {
            "--listen" => args.listen = value()?.parse()?,
            "--countries" => args.countries = Some(value()?.into()),
            "--report" => args.report = Some(value()?.into()),
            "--rate" => args.rate = value()?.parse()?,
            "--link-file" => args.link_file = Some(value()?.into()),
            flag if flag.starts_with('-') => bail!("unknown option {flag}\n{USAGE}"),
            path => args.captures.push(path.into()),
        }
    }
    Ok(args)
}

#[derive(serde::Deserialize)]
struct CountryRow {
    country_code: Option<String>,
}

fn countries(path: Option<&Path>) -> anyhow::Result<Countries> {
    let Some(path) = path else { return Ok(Arc::new(|_| None)) };
    let reader = maxminddb::Reader::open_readfile(path).with_context(|| path.display().to_string())?;
    Ok(Arc::new(move |addr: Addr| {
        let row: CountryRow = reader.lookup(addr.ip()).ok()?.decode().ok()??;
        row.country_code?.as_bytes().try_into().ok()
    }))
}

fn read_captures(paths: &[PathBuf]) -> anyhow::Result<Vec<PacketBatch>> {
    let mut batches = Vec::new();
    for (file, path) in paths.iter().enumerate() {
        let mut reader = capture::Reader::open(path).with_context(|| path.display().to_string())?;
        while let Some(raw) = reader.next_batch() {
            batches.push(decode::decode(raw, file as u32));
        }
    }
    Ok(batches)
}

/// The sensors that the packets are spread over, so that every state of a sensor can be seen.
const SENSORS: [(&str, &str, [f64; 2]); 4] = [
    ("tokyo-1", "hub", [139.7, 35.7]),
    ("singapore-1", "Example University", [103.8, 1.35]),
    ("frankfurt-1", "Example Internet", [8.7, 50.1]),
    ("sao-paulo-1", "Example Net", [-46.6, -23.5]),
];

fn add_sensors(memory: &Memory, now: Nanos) {
    for (name, organisation, place) in SENSORS {
        memory.add_sensor_record(SensorRecord::new(name, organisation, Some(place)));
    }
    let strict = Policy { payload_bytes: 0, source_addresses: Anonymise::Truncated, ..default_policy() };
    let gap = Gap {
        from: Nanos(now.0 - 7200 * SECOND),
        to: Nanos(now.0 - 7140 * SECOND),
        packets: 812,
        reason: "the capture ring was full".into(),
    };
    let mut strict_host = SensorRecord::new("frankfurt-1", "Example Internet", Some(SENSORS[2].2));
    (strict_host.ceiling, strict_host.gaps, strict_host.produced) = (Some(strict), vec![gap], 812);
    memory.add_sensor_record(strict_host);
}

/// One batch per sensor: packets go by their destination, as they would.
fn by_sensor(batch: &PacketBatch, shift: i64) -> Vec<PacketBatch> {
    (0..SENSORS.len() - 1)
        .map(|index| {
            let mine = |packet: &&noroshi_model::packet::Packet| {
                packet.dst.bytes()[15] as usize % (SENSORS.len() - 1) == index
            };
            let mut part = PacketBatch { sensor: SENSORS[index].0.into(), ..batch.clone() };
            part.rows = batch.rows.iter().filter(mine).copied().collect();
            part.rows.iter_mut().for_each(|packet| packet.ts = Nanos(packet.ts.0 + shift));
            part
        })
        .collect()
}

/// The findings of a report, as `noroshi analyze --format json` writes it.
fn load_findings(memory: &Memory, args: &Args, shift: i64) -> anyhow::Result<()> {
    let marking = own_marking(Tlp::Amber);
    if let Some(path) = &args.report {
        let text = std::fs::read(path).with_context(|| path.display().to_string())?;
        let report: Report = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        memory.load_report(&report, &marking, shift);
    }
    Ok(())
}

fn newest(batches: &[PacketBatch]) -> Option<Nanos> {
    batches
        .iter()
        .flat_map(|batch| &batch.rows)
        .filter(|packet| packet.has.has(Has::TIME))
        .map(|packet| packet.ts)
        .max()
}

/// Sends the packets around for ever, `rate` a second.
async fn replay(memory: Arc<Memory>, batches: Vec<PacketBatch>, rate: u64) {
    const TICKS_PER_SECOND: u64 = 2;
    let all: Vec<(usize, usize)> =
        batches.iter().enumerate().flat_map(|(b, batch)| (0..batch.rows.len()).map(move |r| (b, r))).collect();
    let mut timer = tokio::time::interval(Duration::from_millis(1000 / TICKS_PER_SECOND));
    let mut at = 0;
    loop {
        timer.tick().await;
        if !all.is_empty() {
            let now = System.now();
            let count = (rate / TICKS_PER_SECOND) as usize;
            for n in 0..count {
                let (b, r) = all[at % all.len()];
                at += 1;
                let mut packet = batches[b].rows[r];
                packet.ts = Nanos(now.0 + (n as i64 * SECOND / TICKS_PER_SECOND as i64) / count as i64);
                let sensor = SENSORS[packet.dst.bytes()[15] as usize % (SENSORS.len() - 1)].0;
                memory
                    .append(&PacketBatch { sensor: sensor.into(), rows: vec![packet], ..PacketBatch::default() }, true);
            }
        }
        memory.tick();
    }
}

/// The embedded portal; or, with `NOROSHI_UI_LIVE`, files of that folder as they are at the moment.
fn asset(path: &str) -> Option<Asset> {
    if let Some(folder) = std::env::var_os("NOROSHI_UI_LIVE") {
        return asset_on_disk(Path::new(&folder), path);
    }
    let file = noroshi_portal_assets::get(path)?;
    Some(Asset { bytes: file.bytes.into(), media_type: file.media_type.into(), tag: file.tag.into() })
}

fn asset_on_disk(folder: &Path, path: &str) -> Option<Asset> {
    let inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let bytes = std::fs::read(folder.join(path)).ok().filter(|_| inside)?;
    let media_type = match path.rsplit('.').next()? {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        _ => "application/octet-stream",
    };
    Some(Asset { tag: format!("{:x}", bytes.len()), bytes: bytes.into(), media_type: media_type.into() })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).init();
    let args = args()?;
    let now = System.now();
    let setup = Setup {
        packets: 2_000_000,
        countries: countries(args.countries.as_deref())?,
        sample: true,
        run: format!("{:x}", now.0),
    };
    let memory = Arc::new(Memory::new(Arc::new(System), setup));
    let batches = read_captures(&args.captures)?;
    let shift = newest(&batches).map_or(0, |newest| now.0 - newest.0);
    if !batches.is_empty() {
        memory.add_extras(extras::extras(now));
        add_sensors(&memory, now);
        batches.iter().flat_map(|batch| by_sensor(batch, shift)).for_each(|part| memory.append(&part, false));
    }
    load_findings(&memory, &args, shift)?;
    let people = Arc::new(People::new(Arc::new(MemoryRecords::default())));
    let link = people.make_link(now, None).await?;
    let listener = tokio::net::TcpListener::bind(args.listen).await?;
    let url = format!("http://{}{}", listener.local_addr()?, noroshi_api::handlers::people::link_path(&link));
    println!("Open this link once, within an hour:\n\n    {url}\n");
    if let Some(path) = &args.link_file {
        std::fs::write(path, &url)?;
    }
    tokio::spawn(replay(memory.clone(), batches, args.rate));
    let app = router(Door::new(memory, people, Settings::default(), asset));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
