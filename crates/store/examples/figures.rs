//! The figures of the lake for BENCHMARKS.md: `cargo xtask bench lake` makes the day, runs this and the peers, compares.
//!
//! `figures load ROWS FOLDER [SENSORS]`: the day's packets through journal, roll-ups and lake, then compaction.
//! `figures ask FOLDER LOOKUP RUNS`: the five questions and those that roll-ups answer.
//! `figures sql FOLDER LOOKUP RUNS SQL`: any other question, such as `explain analyze …`, with its answer.
//! `figures statistics FOLDER RUNS`: every ready-made statistic, warm and with handles just opened.
//! `figures answers FOLDER`: their answers over all, over days, and over windows that begin and end within a minute.
//! `figures days ROWS FOLDER DAYS RUNS`: the same day again and again, and the statistics after 1, 2, 4, … of them.
//!
//! ROWS is a file of 32-byte records of the workload generator; LOOKUP is Parquet with a country and network for each
//! /16. One line of JSON per figure. CPU seconds are user and system of this process.

use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use noroshi_model::packet::{Has, OptionKinds, Packet, PacketBatch, ToolBits, Transport, proto};
use noroshi_model::rows::packets_record_batch;
use noroshi_model::stream::SchemaId;
use noroshi_model::{Addr, Nanos};
use noroshi_store::lake::Compaction;
use noroshi_store::statistics::{Parameters, STATISTICS};
use noroshi_store::{Answer, Enrich, Journal, JournalBatch, Lake, Limits, Mover, Origin};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of a record.
const RECORD: usize = 32;
/// Packets of a batch, as a busy sensor sends them.
const BATCH: usize = 16_384;
/// Statistics are asked on a day; the window is named so that every day of a longer lake is asked the same.
const DAY: i64 = 86_400 * 1_000_000_000;

/// Between looks at a journal that is empty or full.
const PAUSE: Duration = Duration::from_millis(5);

/// Of the questions: the peers need seconds.
const LIMITS: Limits = Limits { time: Duration::from_secs(120), memory: 4 << 30, rows: 10_000_000 };

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["load", rows, folder] => load(Path::new(rows), Path::new(folder), 1).await,
        ["load", rows, folder, sensors] => load(Path::new(rows), Path::new(folder), sensors.parse()?).await,
        ["ask", folder, lookup, runs] => ask(Path::new(folder), Path::new(lookup), runs.parse()?).await,
        ["sql", folder, lookup, runs, sql] => {
            let lake = Lake::open_to_read(Path::new(folder).join("lake"), knowledge(Path::new(lookup))?)?;
            let (answer, line) = asked(&lake, sql, sql, runs.parse()?).await?;
            writeln!(std::io::stdout(), "{}", arrow::util::pretty::pretty_format_batches(&answer.batches)?)?;
            tell(&line)
        }
        ["statistics", folder, runs] => statistics(Path::new(folder), 1, runs.parse()?).await,
        ["answers", folder] => answers(Path::new(folder)).await,
        ["days", rows, folder, days, runs] => {
            grow(Path::new(rows), Path::new(folder), days.parse()?, runs.parse()?).await
        }
        _ => Err("usage: figures (load ROWS FOLDER [SENSORS] | ask FOLDER LOOKUP RUNS | sql FOLDER LOOKUP RUNS SQL | \
                  statistics FOLDER RUNS | answers FOLDER | days ROWS FOLDER DAYS RUNS)"
            .into()),
    }
}

fn tell(value: &serde_json::Value) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{value}")?)
}

/// User and system seconds of this process so far (fields 14 and 15 of proc_pid_stat(5), in hundredths).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Largest resident memory so far, MiB (VmHWM of proc_pid_status(5)).
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

/// The packet of a record. TCP options and acknowledgement numbers are not in it: they are drawn from the sequence
/// number, which is the worst that compression can meet.
fn packet(record: &[u8], later: i64) -> Packet {
    let u16_at = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
    let time = u64::from(u32_at(0)) | u64::from(u32_at(4)) << 32;
    let mut row = Packet { ts: Nanos((time & (u64::MAX >> 8)) as i64 * 1_000 + later), ..Packet::BLANK };
    row.has = Has(Has::IP.0 | Has::TIME.0 | Has::IP_ID.0);
    (row.src, row.dst) = (Addr::v4(u32_at(8)), Addr::v4(u32_at(12)));
    (row.seq, row.sport, row.dport, row.ip_id, row.window) =
        (u32_at(16), u16_at(20), u16_at(22), u16_at(24), u16_at(26));
    row.wire_len = u32::from(u16_at(28)) + 14;
    (row.proto, row.ttl, row.tcp_flags) = (record[30], record[31], (time >> 56) as u8);
    match row.proto {
        proto::TCP => {
            row.has.set(Has::PORTS | Has::TCP);
            row.transport = Transport::Tcp;
            let options = ["", "M", "MSTNW"][row.seq as usize % 3];
            row.options = OptionKinds::parse(options).unwrap_or_default();
            if !options.is_empty() {
                row.has.set(Has::MSS);
                row.mss = 1_460;
            }
            if row.tcp_flags & 16 != 0 {
                row.ack = row.seq.wrapping_mul(2_654_435_761);
            }
            if row.ip_id == 54_321 {
                row.tool_bits = ToolBits::ZMAP_OLD;
            } else if row.seq == u32_at(12) {
                row.tool_bits = ToolBits::MIRAI;
            }
        }
        proto::UDP => {
            row.has.set(Has::PORTS);
            row.transport = Transport::Udp;
            row.payload_len = row.wire_len.saturating_sub(42);
        }
        _ => {
            row.has.set(Has::ICMP);
            row.transport = Transport::Icmp;
            (row.icmp_type, row.icmp_code) = (row.sport as u8, row.dport as u8);
        }
    }
    row.cap_len = row.wire_len;
    row
}

/// Batches of the day as sensors send them.
struct Day {
    file: BufReader<File>,
    next: Vec<u64>,
    turn: usize,
    epoch: u8,
    later: i64,
}

impl Day {
    fn open(rows: &Path, sensors: usize, day: u8) -> Result<Day> {
        let file = BufReader::with_capacity(BATCH * RECORD, File::open(rows)?);
        Ok(Day { file, next: vec![0; sensors], turn: 0, epoch: day, later: i64::from(day) * DAY })
    }

    fn next(&mut self) -> Result<Option<JournalBatch>> {
        let mut bytes = Vec::with_capacity(BATCH * RECORD);
        self.file.by_ref().take((BATCH * RECORD) as u64).read_to_end(&mut bytes)?;
        let rows: Vec<Packet> = bytes.chunks_exact(RECORD).map(|record| packet(record, self.later)).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let turn = self.turn;
        self.turn = (turn + 1) % self.next.len();
        let sensor = format!("sensor-{turn}");
        let (first_seq, count) = (self.next[turn], rows.len() as u64);
        self.next[turn] += count;
        let batch =
            packets_record_batch(&PacketBatch { rows, sensor: sensor.as_str().into(), ..PacketBatch::default() });
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
        let mut encoded = Vec::new();
        let mut writer = StreamWriter::try_new_with_options(&mut encoded, &batch.schema(), options)?;
        writer.write(&batch)?;
        writer.finish()?;
        drop(writer);
        Ok(Some(JournalBatch {
            sensor,
            epoch: [self.epoch; 16],
            first_seq,
            last_seq: first_seq + count - 1,
            schema: SchemaId::PACKETS,
            bytes: encoded.into(),
            gaps: Vec::new(),
        }))
    }
}

/// Appends a day while a mover works, as in a hub; returns packets and seconds.
async fn ingest(journal: &Journal, lake: &Lake, mut day: Day) -> Result<u64> {
    let mut mover = Mover::new(lake.clone(), journal.clone()).await?;
    let (done, ended) = tokio::sync::watch::channel(false);
    let moving = tokio::spawn(async move {
        loop {
            let last = *ended.borrow();
            let moved = mover.step().await?;
            if moved.through == 0 {
                if last {
                    return Ok::<_, noroshi_store::LakeError>(());
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    });
    let mut packets = 0;
    while let Some(batch) = day.next()? {
        packets += batch.last_seq + 1 - batch.first_seq;
        // A hub that lags tells its sensors to wait; so does this loop, at a quarter of a gigabyte.
        while journal.backlog().await?.1 > 256 << 20 {
            tokio::time::sleep(PAUSE).await;
        }
        journal.append(batch).await?;
    }
    done.send_replace(true);
    moving.await??;
    Ok(packets)
}

async fn load(rows: &Path, folder: &Path, sensors: usize) -> Result<()> {
    let before = cpu();
    let mut day = Day::open(rows, sensors, 0)?;
    let mut sent = 0;
    while let Some(batch) = day.next()? {
        sent += batch.bytes.len();
    }
    let encoding = cpu() - before;
    let journal = Journal::open(folder.join("journal.db")).await?;
    let lake = Lake::open(folder.join("lake")).await?;
    let (before, began) = (cpu(), Instant::now());
    let packets = ingest(&journal, &lake, Day::open(rows, sensors, 0)?).await?;
    let (seconds, used, memory) = (began.elapsed().as_secs_f64(), cpu() - before - encoding, peak());
    let size = async || -> Result<u64> {
        Ok(lake.sizes().await?.into_iter().find(|size| size.table == "packets").map_or(0, |size| size.bytes))
    };
    let fresh = size().await?;
    tell(&json!({"figure": "ingest", "packets": packets, "cpu_seconds": used, "seconds_with_encoding": seconds,
        "encoding_cpu_seconds": encoding, "packets_per_cpu_second": packets as f64 / used, "peak_mebibytes": memory,
        "journal_bytes": sent, "bytes_per_packet_fresh": fresh as f64 / packets as f64}))?;
    let before = cpu();
    lake.compact(Compaction { fresh_files: 1, ..Compaction::default() }).await?;
    let compacted = size().await?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos() as i64;
    lake.vacuum(Duration::ZERO, Nanos(now)).await?;
    let others: u64 = lake.sizes().await?.iter().map(|size| size.bytes).sum::<u64>() - compacted;
    tell(&json!({"figure": "compaction", "cpu_seconds": cpu() - before, "peak_mebibytes": peak(),
        "bytes_per_packet": compacted as f64 / packets as f64, "roll_up_bytes": others}))
}

/// Country and network of each /16, as the peers join them.
fn knowledge(lookup: &Path) -> Result<Enrich> {
    let mut origins = vec![Origin::default(); 1 << 16];
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(lookup)?)?.build()? {
        let batch = batch?;
        let text = arrow::compute::cast(batch.column(1), &arrow::datatypes::DataType::Utf8)?;
        let (prefixes, asns) =
            (batch.column(0).as_primitive::<UInt32Type>(), batch.column(2).as_primitive::<UInt32Type>());
        for row in 0..batch.num_rows() {
            origins[prefixes.value(row) as usize] = Origin {
                country: text.as_string::<i32>().value(row).as_bytes().try_into().ok(),
                asn: Some(asns.value(row)),
            };
        }
    }
    Ok(Enrich::new(move |addr| addr.as_v4().map_or(Origin::default(), |bits| origins[(bits >> 16) as usize])))
}

/// The questions of the workload in the words of the lake, then those that roll-ups answer.
const QUESTIONS: [(&str, &str); 7] = [
    (
        "q1",
        "select * from (select h, proto, dport, n, s, row_number() over (partition by h order by n desc, dport) rn from \
         (select date_trunc('hour', ts) h, proto, dport, count(*) n, count(distinct src) s from packets group by 1, 2, 3)\
         ) where rn <= 10 order by h, rn",
    ),
    (
        "q2",
        "select country(src) cc, asn(src) asn, count(*) n, count(distinct src) s from packets group by 1, 2 \
         order by n desc, asn limit 50",
    ),
    (
        "q3",
        "select ip(src), count(*) n from packets where dport = 23 and proto = 6 group by src order by n desc, src \
         limit 20",
    ),
    (
        "q4",
        "select date_trunc('minute', ts) m, count(*) n, count(distinct src) s from packets \
         where dport = 2323 and proto = 6 group by 1 order by 1",
    ),
    ("q5", "select network(dst) d24, count(distinct src) s from packets group by 1 order by 1"),
    (
        "q1 from hours_ports",
        "select t.hour, t.proto, t.port, t.n, distinct_of(p.sources) s from hours_ports p join \
         (select * from (select hour, proto, port, n, row_number() over (partition by hour order by n desc, port) rn \
         from (select hour, proto, port, sum(packets) n from hours_ports group by 1, 2, 3)) where rn <= 10) t \
         on p.hour = t.hour and p.proto = t.proto and p.port = t.port group by 1, 2, 3, 4 order by 1, 4 desc",
    ),
    (
        "q4 from minutes_ports",
        "select minute, sum(packets) n, distinct_of(sources) s from minutes_ports where port = 2323 and proto = 6 \
         group by 1 order by 1",
    ),
];

/// Asks once, and then `runs` times: the mean of CPU seconds, which the system counts in hundredths, the median of wall
/// seconds.
async fn asked(lake: &Lake, name: &str, sql: &str, runs: u32) -> Result<(Answer, serde_json::Value)> {
    let answer = lake.answer(sql, LIMITS).await?;
    let (mut waited, before) = (Vec::new(), cpu());
    for _ in 0..runs {
        let began = Instant::now();
        lake.answer(sql, LIMITS).await?;
        waited.push(began.elapsed().as_secs_f64());
    }
    let line = json!({"engine": "noroshi", "query": name, "warm_cpu_s": (cpu() - before) / f64::from(runs),
        "warm_wall_s": percentile(&mut waited, 0.5), "out_rows": answer.rows(), "rss_mib": peak(),
        "first": first(&answer)});
    Ok((answer, line))
}

/// A question without an answer (it took too long, or too much memory) is told as such, and the next one asked.
async fn ask(folder: &Path, lookup: &Path, runs: u32) -> Result<()> {
    let lake = Lake::open_to_read(folder.join("lake"), knowledge(lookup)?)?;
    for (name, sql) in QUESTIONS {
        match asked(&lake, name, sql, runs).await {
            Ok((_, line)) => tell(&line)?,
            Err(error) => tell(&json!({"engine": "noroshi", "query": name, "error": error.to_string()}))?,
        }
    }
    Ok(())
}

/// The first row as text, to compare with the peers' answers.
fn first(answer: &Answer) -> String {
    let Some(batch) = answer.batches.iter().find(|batch| batch.num_rows() > 0) else { return String::new() };
    let cell =
        |column: &arrow::array::ArrayRef| arrow::util::display::array_value_to_string(column, 0).unwrap_or_default();
    batch.columns().iter().map(cell).collect::<Vec<_>>().join(" ")
}

fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Each statistic of the last day: warm, and over handles that were just opened.
async fn statistics(folder: &Path, days: u32, runs: u32) -> Result<()> {
    let path = folder.join("lake");
    let lake = Lake::open_to_read(&path, Enrich::none())?;
    let (mut warm, mut fresh) = (Vec::new(), Vec::new());
    for statistic in STATISTICS {
        let asked = Parameters::default();
        lake.statistic(statistic.name, &asked, LIMITS).await?;
        let (mut times, used) = (Vec::new(), cpu());
        for _ in 0..runs {
            let began = Instant::now();
            lake.statistic(statistic.name, &asked, LIMITS).await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let used = (cpu() - used) * 1e3 / f64::from(runs);
        let began = Instant::now();
        let opened = Lake::open_to_read(&path, Enrich::none())?;
        let answer = opened.statistic(statistic.name, &asked, LIMITS).await?;
        let cold = began.elapsed().as_secs_f64() * 1e3;
        let median = percentile(&mut times, 0.5);
        tell(
            &json!({"figure": "statistic", "name": statistic.name, "days": days, "cpu_ms": used, "median_ms": median,
            "p95_ms": percentile(&mut times, 0.95), "just_opened_ms": cold, "out_rows": answer.rows()}),
        )?;
        warm.append(&mut times);
        fresh.push(cold);
    }
    tell(&json!({"figure": "statistics", "days": days, "median_ms": percentile(&mut warm, 0.5),
        "p95_ms": percentile(&mut warm, 0.95), "just_opened_p95_ms": percentile(&mut fresh, 0.95),
        "peak_mebibytes": peak()}))
}

/// What a change must not change: compare the output before and after.
async fn answers(folder: &Path) -> Result<()> {
    let lake = Lake::open_to_read(folder.join("lake"), Enrich::none())?;
    let first = lake.answer("select min(\"day\") from days_tools", LIMITS).await?;
    let first: noroshi_model::Nanos = self::first(&first).parse()?;
    let at = |hours: f64| Some(noroshi_model::Nanos(first.0 + (hours * 3.6e12) as i64));
    let windows = [
        (None, None),
        (at(0.0), at(24.0)),
        (at(0.0), at(48.0)),
        (at(0.0), None),
        (None, at(24.0)),
        (at(1.0), at(3.0)),
        (at(5.513), at(5.977)),
        (at(22.01), at(23.99)),
        (at(3.3), None),
    ];
    for statistic in STATISTICS {
        for (since, until) in windows {
            for (limit, sensor) in [(10, None), (3, Some("sensor-0"))] {
                let asked = Parameters { since, until, limit, sensor: sensor.map(str::to_owned), latest: None };
                let answer = lake.statistic(statistic.name, &asked, LIMITS).await?;
                let rows = arrow::util::pretty::pretty_format_batches(&answer.batches)?;
                writeln!(std::io::stdout(), "{} {since:?} {until:?} {limit}\n{rows}", statistic.name)?;
            }
        }
    }
    Ok(())
}

async fn grow(rows: &Path, folder: &Path, days: u8, runs: u32) -> Result<()> {
    let journal = Journal::open(folder.join("journal.db")).await?;
    let lake = Lake::open(folder.join("lake")).await?;
    let told: Vec<u8> = [1, 2, 4, 8, 16].into_iter().filter(|at| *at < days).chain([days]).collect();
    for day in 0..days {
        ingest(&journal, &lake, Day::open(rows, 1, day)?).await?;
        if told.contains(&(day + 1)) {
            lake.compact(Compaction { fresh_files: 1, ..Compaction::default() }).await?;
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos() as i64;
            lake.vacuum(Duration::ZERO, Nanos(now)).await?;
            statistics(&PathBuf::from(folder), u32::from(day) + 1, runs).await?;
        }
    }
    Ok(())
}
