//! Rankings of many keys, of which few are heavy, against counts made from the same packets with plain maps: over several
//! days, sensors and files, before and after compaction, and while packets come.

use crate::lake::{Store, lines, move_all, open};
use crate::sample::{START, ipc, journal_batch};
use noroshi_model::packet::{Packet, PacketBatch};
use noroshi_model::rows::packets_record_batch;
use noroshi_model::{Addr, Nanos};
use noroshi_store::lake::Compaction;
use noroshi_store::statistics::Parameters;
use noroshi_store::{JournalBatch, Limits};
use std::collections::{BTreeMap, BTreeSet};

const DAY: i64 = 86_400;
const SENSORS: [&str; 2] = ["tokyo", "osaka"];

/// Packets of one move: 3,000 networks with one packet, and thirty that send more on some days, to some sensors.
fn packets(day: i64, sensor: usize, part: u64) -> Vec<Packet> {
    let mut rows = Vec::new();
    let mut push = |src: Addr, port: u16| {
        let n = rows.len() as u64;
        let mut row = crate::sample::packet(n);
        row.ts = Nanos((START + day * DAY) * 1_000_000_000 + n as i64 * 5_000_000_000 + part as i64);
        (row.src, row.dport) = (src, port);
        rows.push(row);
    };
    for n in 0..3_000u32 {
        push(
            Addr::v4(0x0a00_0000 | (n * 7 + day as u32 * 11 + part as u32) << 8 | (n % 256)),
            1_000 + (n % 900) as u16,
        );
    }
    for heavy in 0..30u32 {
        let times = (heavy * heavy + heavy * (day as u32 + 3 * sensor as u32)) % 97 * (1 + heavy / 7);
        // Every fourth sends to one sensor alone, every fifth from the second day on, and some over IPv6.
        let silent = heavy % 4 == 1 && sensor == 1 || heavy % 5 == 2 && day == 0;
        for n in 0..if silent { 0 } else { times } {
            let src = match heavy % 6 {
                3 => Addr(0x2001_0db8 << 96 | u128::from(heavy) << 80 | u128::from(n % 5)),
                _ => Addr::v4(0xc633_0000 | heavy << 8 | (n % 3)),
            };
            push(src, 20 + (heavy % 9) as u16);
        }
    }
    rows
}

fn batch(day: i64, sensor: usize, part: u64) -> JournalBatch {
    let rows = packets(day, sensor, part);
    let last_seq = rows.len() as u64 - 1;
    let batch = packets_record_batch(&PacketBatch { rows, sensor: SENSORS[sensor].into(), ..PacketBatch::default() });
    let epoch = [1 + day as u8 * 16 + part as u8; 16];
    JournalBatch { epoch, first_seq: 0, last_seq, bytes: ipc(&batch), ..journal_batch(SENSORS[sensor], 0, 0) }
}

/// `KEY packets` of the first, most packets first, then by the text or bytes of the key.
fn first<K: Ord + Clone>(
    packets: &[(usize, Packet)],
    limit: usize,
    counts: impl Fn(usize, &Packet) -> bool,
    key: impl Fn(&Packet) -> K,
) -> Vec<(K, u64)> {
    let mut totals = BTreeMap::<K, u64>::new();
    for (_, packet) in packets.iter().filter(|(sensor, packet)| counts(*sensor, packet)) {
        *totals.entry(key(packet)).or_default() += 1;
    }
    let mut totals: Vec<(K, u64)> = totals.into_iter().collect();
    totals.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then(a.cmp(b)));
    totals.truncate(limit);
    totals
}

async fn found(store: &Store, name: &str, asked: &Parameters, columns: [usize; 2]) -> Vec<String> {
    let answer = store.lake.statistic(name, asked, Limits::default()).await.unwrap();
    let cells = |line: &String| {
        let cells: Vec<&str> = line.split(' ').collect();
        format!("{} {}", cells[columns[0]], cells[columns[1]])
    };
    lines(&answer).iter().map(cells).collect()
}

async fn check(store: &Store, packets: &[(usize, Packet)]) {
    let at = |day: i64| Nanos::from_seconds(START + day * DAY);
    for (since, until) in [(None, None), (Some(0), Some(1)), (Some(1), None)] {
        for (limit, sensor) in [(10, None), (1, None), (7, Some(1)), (200, None)] {
            let (since, until) = (since.map(at), until.map(at));
            let name = sensor.map(|sensor: usize| SENSORS[sensor].to_owned());
            let asked = Parameters { since, until, sensor: name, limit, latest: None };
            let counts = |of: usize, packet: &Packet| {
                sensor.is_none_or(|sensor| sensor == of)
                    && since.is_none_or(|since| packet.ts >= since)
                    && until.is_none_or(|until| packet.ts < until)
            };
            let expected = first(packets, limit, counts, |packet| packet.src.network().to_string());
            let expected: Vec<String> = expected.iter().map(|(key, count)| format!("{key} {count}")).collect();
            assert_eq!(found(store, "top-networks", &asked, [0, 1]).await, expected, "{asked:?}");
            let bytes =
                |packet: &Packet| packet.src.as_v4().map_or(packet.src.bytes().to_vec(), |v4| v4.to_be_bytes().into());
            let expected = first(packets, limit, counts, |packet| (bytes(packet), packet.src));
            let expected: Vec<String> = expected.iter().map(|((_, key), count)| format!("{key} {count}")).collect();
            assert_eq!(found(store, "top-sources", &asked, [0, 1]).await, expected, "{asked:?}");
            let before: BTreeSet<String> = packets
                .iter()
                .filter(|(of, packet)| {
                    sensor.is_none_or(|sensor| sensor == *of) && since.is_some_and(|at| packet.ts < at)
                })
                .map(|(_, packet)| packet.src.network().to_string())
                .collect();
            if let Some(since) = since {
                let asked = Parameters { since: Some(since), ..asked.clone() };
                let is_new = |of: usize, packet: &Packet| {
                    counts(of, packet) && !before.contains(&packet.src.network().to_string())
                };
                let expected = first(packets, limit, is_new, |packet| packet.src.network().to_string());
                let expected: Vec<String> = expected.iter().map(|(key, count)| format!("{key} {count}")).collect();
                assert_eq!(found(store, "first-seen-networks", &asked, [0, 2]).await, expected, "{asked:?}");
            }
        }
    }
    let networks = |v4: bool| -> BTreeSet<String> {
        let of = packets.iter().filter(|(_, packet)| packet.src.is_v4() == v4);
        of.map(|(_, packet)| packet.src.network().to_string()).collect()
    };
    let count = |v4: bool| packets.iter().filter(|(_, packet)| packet.src.is_v4() == v4).count();
    let expected: Vec<String> =
        [(4, true), (6, false)].map(|(version, v4)| format!("{version} {} {}", count(v4), networks(v4).len())).into();
    let answer = store.lake.statistic("ip-versions", &Parameters::default(), Limits::default()).await.unwrap();
    let versions: Vec<String> = lines(&answer)
        .iter()
        .map(|line| {
            let cells: Vec<&str> = line.split(' ').collect();
            let sources: f64 = cells[4].parse().unwrap();
            let v4 = cells[0] == "4";
            let of = packets.iter().filter(|(_, packet)| packet.src.is_v4() == v4);
            let exact = of.map(|(_, packet)| packet.src).collect::<BTreeSet<_>>().len() as f64;
            // Four times the stated error.
            assert!((sources / exact - 1.0).abs() < 0.065, "{sources} for {exact}");
            format!("{} {} {}", cells[0], cells[1], cells[3])
        })
        .collect();
    assert_eq!(versions, expected);
}

#[tokio::test]
async fn the_first_are_those_of_plain_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    let mut all: Vec<(usize, Packet)> = Vec::new();
    for day in 0..3 {
        for (sensor, part) in [(0, 0), (1, 0), (0, 1)] {
            store.journal.append(batch(day, sensor, part)).await.unwrap();
            move_all(&mut store).await;
            all.extend(packets(day, sensor, part).into_iter().map(|packet| (sensor, packet)));
        }
        if day == 1 {
            store.lake.compact(Compaction { fresh_files: 1, ..Compaction::default() }).await.unwrap();
        }
    }
    check(&store, &all).await;
    store.lake.compact(Compaction { fresh_files: 1, ..Compaction::default() }).await.unwrap();
    check(&store, &all).await;
}

/// The table of totals by version that a lake of an earlier version does not have: sources are not known, all else is.
#[tokio::test]
async fn sources_by_version_are_not_made_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    store.journal.append(journal_batch("tokyo", 0, 999)).await.unwrap();
    move_all(&mut store).await;
    let whole = Parameters::default();
    let answer = store.lake.statistic("ip-versions", &whole, Limits::default()).await.unwrap();
    assert_eq!(lines(&answer), ["4 900 54000 1 225", "6 100 6000 1 25"]);
    // As if half of the packets had been counted by a version without it.
    let sql = store.lake.statistic_sql("ip-versions", &whole, Limits::default()).await.unwrap();
    let sql = sql.replace("kind = 'version'", "kind = 'version' and value = 6");
    let answer = store.lake.answer(&sql, Limits::default()).await.unwrap();
    assert_eq!(lines(&answer), ["4 900 54000 1 ", "6 100 6000 1 25"]);
}
