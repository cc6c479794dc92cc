//! The oracle of the kill tests: what was generated, what sensors forgot, what the hub holds.
//!
//! The generator writes captures in which packet `n` of sensor `s` carries a keyed digest of (s, n) as its payload, so
//! a stored record proves by itself which one it is. Sensors tell the oracle over a datagram socket, which outlives
//! them, up to which number they are about to forget; that is always after the hub acknowledged. The reader looks into
//! the journal's file with SQLite and the Arrow reader, and with nothing of ours.

use super::lab::Lab;
use arrow_array::cast::AsArray;
use arrow_ipc::reader::StreamReader;
use noroshi_testkit::{LINKTYPE_RAW, PacketBuilder, pcap_of};
use sha2::{Digest, Sha256};
use sqlx::Row;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Bytes of a record's digest.
const DIGEST: usize = 16;

/// What record `seq` (from 1) of a sensor carries.
fn digest(key: u64, sensor: &str, seq: u64) -> [u8; DIGEST] {
    let mut hash = Sha256::new();
    hash.update(key.to_le_bytes());
    hash.update(sensor.as_bytes());
    hash.update(seq.to_le_bytes());
    hash.finalize()[..DIGEST].try_into().unwrap()
}

/// A capture of `packets` packets, `per_second` of them.
pub fn generate(path: &Path, key: u64, sensor: &str, packets: u64, per_second: u64) {
    let packet = |seq: u64| {
        let source = Ipv4Addr::from(0x0a00_0000 | seq as u32 & 0xff_ffff);
        let packet = PacketBuilder::ipv4(source, [192, 0, 2, 1]).udp(4000, 53);
        packet.payload(digest(key, sensor, seq)).raw_ip().build()
    };
    let packets: Vec<_> = (1..=packets)
        .map(|seq| (1_700_000_000_000_000_000 + ((seq - 1) * 1_000_000_000 / per_second) as i64, packet(seq)))
        .collect();
    let records: Vec<_> = packets.iter().map(|(ts, bytes)| (*ts, &bytes[..])).collect();
    std::fs::write(path, pcap_of(LINKTYPE_RAW, &records)).unwrap();
}

/// Something that must never be.
#[derive(Debug)]
pub struct Fault(pub String);

/// Keeps what sensors forgot, by epoch.
pub struct Oracle {
    forgotten: Arc<Mutex<HashMap<String, i64>>>,
    pub socket: PathBuf,
}

/// One stream as the reader finds it.
struct Stream {
    sensor: String,
    epoch: String,
    first: i64,
    last: i64,
    width: i64,
}

impl Oracle {
    pub fn listen(lab: &Lab) -> Oracle {
        let socket = lab.path("oracle.sock");
        let listener = UnixDatagram::bind(&socket).unwrap();
        let forgotten: Arc<Mutex<HashMap<String, i64>>> = Arc::default();
        let map = forgotten.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 64];
            while let Ok(length) = listener.recv(&mut bytes) {
                let text = std::str::from_utf8(&bytes[..length]).unwrap();
                let (epoch, seq) = text.split_once(' ').unwrap();
                let mut map = map.lock().unwrap();
                let known = map.entry(epoch.to_owned()).or_default();
                *known = seq.parse::<i64>().unwrap().max(*known);
            }
        });
        Oracle { forgotten, socket }
    }

    fn streams(lab: &Lab, at_rest: bool) -> Vec<Stream> {
        let read = async |connection: &mut sqlx::SqliteConnection| {
            let query = "select sensor, lower(hex(epoch)), min(first_seq), max(last_seq), \
                         sum(last_seq - first_seq + 1) from batches where sensor not like 'hub:%' group by sensor, epoch";
            let rows = sqlx::query(query).fetch_all(connection).await.unwrap();
            let stream = |row: &sqlx::sqlite::SqliteRow| Stream {
                sensor: row.get(0),
                epoch: row.get(1),
                first: row.get(2),
                last: row.get(3),
                width: row.get(4),
            };
            rows.iter().map(stream).collect()
        };
        if at_rest { lab.journal_at_rest(read) } else { lab.journal(read) }
    }

    /// At any moment, also right after a kill: what was forgotten is stored, without hole or repetition.
    pub fn check_now(&self, lab: &Lab, at_rest: bool) -> Result<(), Fault> {
        // Copied first: what is forgotten while the journal is read may be younger than what was read.
        let forgotten = self.forgotten.lock().unwrap().clone();
        let streams = Self::streams(lab, at_rest);
        for Stream { sensor, epoch, first, last, width } in &streams {
            if *first != 1 || *width != *last {
                return Err(Fault(format!("{sensor}: {width} numbers are stored of {first}..={last}")));
            }
            if let Some(forgot) = forgotten.get(epoch).filter(|forgot| *forgot > last) {
                return Err(Fault(format!("{sensor} forgot up to {forgot}, stored are {last}")));
            }
        }
        match forgotten.iter().find(|(epoch, seq)| **seq > 0 && !streams.iter().any(|s| s.epoch == **epoch)) {
            Some((epoch, seq)) => Err(Fault(format!("epoch {epoch} forgot up to {seq}, nothing of it is stored"))),
            None => Ok(()),
        }
    }

    /// At the end: every generated record is stored once, as it was generated, or declared lost.
    pub fn check_end(&self, lab: &Lab, key: u64, packets: u64, sensors: &[String]) -> Result<(), Fault> {
        self.check_now(lab, true)?;
        let streams = Self::streams(lab, true);
        for sensor in sensors {
            let found = streams.iter().filter(|stream| stream.sensor == *sensor).count();
            let stream = streams.iter().find(|stream| stream.sensor == *sensor && stream.last == packets as i64);
            if found != 1 || stream.is_none() {
                return Err(Fault(format!("{sensor}: {found} streams, none or some of which end at {packets}")));
            }
        }
        let damaged = lab.journal_at_rest(async |connection| {
            let query = "select sensor, first_seq, last_seq, records, bytes, \
                         (select coalesce(sum(count), 0) from gaps where gaps.row = batches.row) from batches \
                         where sensor not like 'hub:%'";
            let mut damaged = None;
            for row in sqlx::query(query).fetch_all(connection).await.unwrap() {
                let (sensor, first, last): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
                let (records, lost): (i64, i64) = (row.get(3), row.get(5));
                let fits = records + lost == last + 1 - first && records_fit(key, &sensor, first, lost, row.get(4));
                if !fits {
                    damaged = Some(Fault(format!("{sensor}: {first}..={last} is not what was generated")));
                }
            }
            damaged
        });
        damaged.map_or(Ok(()), Err)
    }
}

/// Whether a stored batch carries the generated records, in order; where some are lost, the others in order.
fn records_fit(key: u64, sensor: &str, first: i64, lost: i64, bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return lost > 0;
    }
    let (mut seq, mut skipped) = (first as u64, 0);
    for batch in StreamReader::try_new(bytes, None).unwrap() {
        let batch = batch.unwrap();
        let payloads = batch["payload"].as_binary::<i32>();
        for at in 0..batch.num_rows() {
            while payloads.value(at) != digest(key, sensor, seq) {
                seq += 1;
                skipped += 1;
                if skipped > lost {
                    return false;
                }
            }
            seq += 1;
        }
    }
    true
}
