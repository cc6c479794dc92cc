//! From journal to answers: every count is compared with one made from the same rule without the store.

use crate::sample::{journal_batch, lake_at, packet};
use bytes::Bytes;
use noroshi_model::stream::{Gap, GapReason};
use noroshi_store::statistics::{Parameters, STATISTICS};
use noroshi_store::{Answer, Journal, JournalBatch, Lake, Limits, Mover, QueryError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

pub struct Store {
    pub journal: Journal,
    pub lake: Lake,
    pub mover: Mover,
}

pub async fn open(folder: &Path) -> Store {
    let journal = Journal::open(folder.join("journal.sqlite")).await.unwrap();
    let lake = Lake::open(lake_at(folder)).await.unwrap();
    let mover = Mover::new(lake.clone(), journal.clone()).await.unwrap();
    Store { journal, lake, mover }
}

pub async fn move_all(store: &mut Store) {
    while store.mover.step().await.unwrap().through != 0 {}
}

/// Rows as text, cells joined by a space.
pub fn lines(answer: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in &answer.batches {
        for row in 0..batch.num_rows() {
            let cell =
                |column: &arrow::array::ArrayRef| arrow::util::display::array_value_to_string(column, row).unwrap();
            lines.push(batch.columns().iter().map(cell).collect::<Vec<_>>().join(" "));
        }
    }
    lines
}

pub async fn ask(lake: &Lake, sql: &str) -> Vec<String> {
    lines(&lake.answer(sql, Limits::default()).await.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

#[tokio::test]
async fn what_was_sent_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    let total = 45_000;
    for first in (0..total).step_by(5_000) {
        store.journal.append(journal_batch("tokyo", first, first + 4_999)).await.unwrap();
        if first % 10_000 == 0 {
            move_all(&mut store).await;
        }
    }
    move_all(&mut store).await;
    assert_eq!(store.journal.backlog().await.unwrap(), (0, 0));
    let packets: Vec<_> = (0..total).map(packet).collect();

    assert_eq!(ask(&store.lake, "select count(*), sum(wire_len) from packets").await, ["45000 2700000"]);
    let mut ports = BTreeMap::<u16, (u64, BTreeSet<_>)>::new();
    for packet in &packets {
        let entry = ports.entry(packet.dport).or_default();
        entry.0 += 1;
        entry.1.insert(packet.src);
    }
    let expected: Vec<String> =
        ports.iter().map(|(port, (count, sources))| format!("{port} {count} {}", sources.len())).collect();
    let base = "select dport, count(*), count(distinct src) from packets group by 1 order by 1";
    assert_eq!(ask(&store.lake, base).await, expected);
    let rollup = "select port, sum(packets), distinct_of(sources) from minutes_ports group by 1 order by 1";
    for (found, (port, (count, sources))) in ask(&store.lake, rollup).await.iter().zip(&ports) {
        let found: Vec<f64> = found.split(' ').map(|cell| cell.parse().unwrap()).collect();
        assert_eq!((found[0], found[1]), (f64::from(*port), *count as f64));
        assert!((found[2] / sources.len() as f64 - 1.0).abs() < 0.05, "{found:?} against {}", sources.len());
    }

    let mirai = packets.iter().filter(|packet| packet.tool_bits.0 != 0).count();
    assert_eq!(
        ask(&store.lake, "select tool, sum(packets) from minutes_tools group by 1 order by 2").await,
        [format!("mirai {mirai}"), format!("unknown {}", packets.len() - mirai)]
    );
    let v6 = packets.iter().filter(|packet| packet.family() == 6).count();
    let prefix = "select count(*) from packets where in_prefix(src, '2001:db8::/32')";
    assert_eq!(ask(&store.lake, prefix).await, [v6.to_string()]);
    let first = packets.iter().filter(|packet| packet.src == packets[1].src).count();
    let one = format!("select ip(src), count(*) from packets where src = addr('{}') group by 1", packets[1].src);
    assert_eq!(ask(&store.lake, &one).await, [format!("{} {first}", packets[1].src)]);
    for condition in ["src = '{}'", "'{}' = src", "src in ('{}', '203.0.113.9')", "src between '{}' and '{}'"] {
        let condition = condition.replace("{}", &packets[1].src.to_string());
        let written = format!("select count(*) from packets where {condition}");
        assert_eq!(ask(&store.lake, &written).await, [first.to_string()], "{condition}");
    }
    // Equal prefixes stay equal, other addresses stay other, and the secret decides.
    let hidden = "select count(distinct anonymize(src, 'a')), count(distinct network(anonymize(src, 'a'))), \
                  bool_or(anonymize(src, 'a') = anonymize(src, 'b')), bool_or(anonymize(src, 'a') = src) \
                  from (select distinct src from packets where not in_prefix(src, '2001:db8::/32'))";
    let v4: BTreeSet<_> = packets.iter().filter(|packet| packet.family() == 4).map(|packet| packet.src).collect();
    assert_eq!(ask(&store.lake, hidden).await, [format!("{} 1 false false", v4.len())]);
    let hour = "select count(*) from packets where ts >= '2026-01-01T01:00:00Z' and ts < '2026-01-01T01:00:10Z'";
    assert_eq!(ask(&store.lake, hour).await, ["100"]);
}

#[tokio::test]
async fn an_interrupted_move_is_taken_up_and_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    store.journal.append(journal_batch("a", 0, 999)).await.unwrap();
    let rows = store.journal.read_after(0, usize::MAX).await.unwrap();
    move_all(&mut store).await;
    // The journal's deletion is undone, as if the process had died before it; new rows have come since.
    let path = folder.path().join("journal.sqlite");
    let pool = sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path)).await.unwrap();
    sqlx::query("insert into batches values (1, 'a', ?, 0, 999, 1000, 1, ?, ?)")
        .bind(&rows[0].epoch[..])
        .bind(i64::from(crc32c::crc32c(&rows[0].bytes)))
        .bind(&rows[0].bytes[..])
        .execute(&pool)
        .await
        .unwrap();
    store.journal.append(journal_batch("a", 1000, 1499)).await.unwrap();
    let mut store = open(folder.path()).await;
    move_all(&mut store).await;
    assert_eq!(ask(&store.lake, "select count(*) from packets").await, ["1500"]);
    assert_eq!(ask(&store.lake, "select sum(packets) from minutes_ports").await, ["1500"]);
    assert_eq!(store.journal.backlog().await.unwrap().0, 0);
}

#[tokio::test]
async fn one_bad_batch_costs_one_batch_and_is_declared() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    let gap = Gap::whole(1000, 1004, GapReason::Kernel);
    let bad = JournalBatch { bytes: Bytes::from_static(b"not arrow"), ..journal_batch("a", 0, 9) };
    store.journal.append(bad).await.unwrap();
    store.journal.append(journal_batch("a", 10, 999)).await.unwrap();
    // Fewer records than numbered, and a batch after a declared gap.
    let short = JournalBatch { last_seq: 1104, gaps: vec![gap], ..journal_batch("a", 1005, 1100) };
    store.journal.append(short).await.unwrap();
    store.journal.append(journal_batch("a", 1105, 1204)).await.unwrap();
    move_all(&mut store).await;
    assert_eq!(ask(&store.lake, "select count(*) from packets").await, ["1090"]);
    let gaps = "select first_seq, last_seq, count, reason from gaps order by 1";
    assert_eq!(ask(&store.lake, gaps).await, ["0 9 10 refused", "1000 1004 5 kernel", "1005 1104 100 refused"]);
    assert_eq!(
        ask(&store.lake, "select (select count(*) from packets) + (select sum(count) from gaps)").await,
        ["1205"]
    );
}

#[tokio::test]
async fn a_torn_commit_is_set_aside_and_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    store.journal.append(journal_batch("a", 0, 99)).await.unwrap();
    move_all(&mut store).await;
    drop(store);
    let log = folder.path().join("lake/packets/_delta_log");
    for torn in [&b""[..], b"{\"add\":{\"path\":\"ho"] {
        std::fs::write(log.join(format!("{:020}.json", 2)), torn).unwrap();
        let mut store = open(folder.path()).await;
        move_all(&mut store).await;
        assert_eq!(ask(&store.lake, "select count(*) from packets").await, ["100"]);
    }
}

#[tokio::test]
async fn what_cannot_be_answered_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    store.journal.append(journal_batch("a", 0, 4_999)).await.unwrap();
    move_all(&mut store).await;
    let lake = &store.lake;
    let error = async |sql: &str, limits| lake.answer(sql, limits).await.unwrap_err();
    let any = Limits::default();
    let text = async |sql: &str| error(sql, any).await.to_string();

    assert!(text("select * from packts").await.starts_with("there is no table \"packts\"; did you mean \"packets\"?"));
    assert!(text("select dprt from packets").await.starts_with("there is no column \"dprt\"; did you mean \"dport\"?"));
    assert!(matches!(error("selec 1", any).await, QueryError::Syntax(_)));
    assert!(text("select in_prefix(src, '10.0.0.0/40') from packets").await.contains("prefix length 40"));
    assert!(text("select sketch(sensor) from packets").await.contains("sketch counts addresses and whole numbers"));
    for sql in ["create table x (a int)", "copy packets to 'x.csv'", "drop table packets", "set datafusion.x = 1"] {
        assert!(matches!(error(sql, any).await, QueryError::NotAQuestion), "{sql}");
    }
    assert!(matches!(
        error("select * from packets", Limits { rows: 4_999, ..any }).await,
        QueryError::Rows { limit: 4_999 }
    ));
    let pairs = "select count(*) from packets a, packets b, packets c where a.seq + b.seq + c.seq = 7";
    assert!(matches!(error(pairs, Limits { time: Duration::from_millis(50), ..any }).await, QueryError::Time { .. }));
    let sorted = "select array_agg(payload_len || ' ' || seq order by seq) from packets";
    assert!(matches!(error(sorted, Limits { memory: 4096, ..any }).await, QueryError::Memory { limit: 4096 }));
    assert_eq!(lake.answer("select * from packets", Limits { rows: 5_000, ..any }).await.unwrap().rows(), 5_000);
}

/// Every statistic answers, on a full lake and on an empty one, with every parameter.
#[tokio::test]
async fn every_statistic_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    let scoped = Parameters {
        since: Some("2026-01-01T00:01:00Z".parse().unwrap()),
        until: Some("2026-01-01T00:05:00Z".parse().unwrap()),
        sensor: Some("o'hare".into()),
        limit: 3,
        latest: None,
    };
    let limits = Limits::default();
    for statistic in STATISTICS {
        let empty = store.lake.statistic(statistic.name, &scoped, limits).await;
        assert!(empty.is_ok(), "{} on an empty lake: {}", statistic.name, empty.unwrap_err());
    }
    store.journal.append(journal_batch("o'hare", 0, 4_999)).await.unwrap();
    move_all(&mut store).await;
    for statistic in STATISTICS {
        for parameters in [&scoped, &Parameters::default()] {
            let answer = store.lake.statistic(statistic.name, parameters, limits).await;
            let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", statistic.name));
            // Nothing was lost, no payload was sent, and nothing lies a week back.
            let none = ["losses", "payloads", "returning-networks", "falling-ports"].contains(&statistic.name)
                || (["new-ports", "first-seen-networks"].contains(&statistic.name) && parameters == &scoped);
            assert_eq!(answer.rows() == 0, none, "{} {parameters:?}", statistic.name);
        }
    }
    // Minutes 1 to 4 hold 4 * 60 s * 10 packets, less what the 7 ns per packet shift.
    let timeline = store.lake.statistic("timeline", &scoped, limits).await.unwrap();
    assert!(lines(&timeline)[0].starts_with("2026-01-01T00:00:00Z 2400 "), "{:?}", lines(&timeline));
    let unknown = store.lake.statistic("top-port", &scoped, limits).await.unwrap_err();
    assert!(unknown.to_string().contains("did you mean \"top-ports\"?"));
}

/// Five equal networks and one that sends everything: the ends of the scale, by the textbook.
#[tokio::test]
async fn concentration_is_that_of_the_textbook() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    store.journal.append(journal_batch("a", 0, 999)).await.unwrap();
    move_all(&mut store).await;
    // 900 packets from 192.0.2.0/24, 100 from 2001:db8::/48.
    let answer = store.lake.statistic("concentration", &Parameters::default(), Limits::default()).await.unwrap();
    let cells: Vec<f64> = lines(&answer)[0].split(' ').map(|cell| cell.parse().unwrap()).collect();
    let entropy = -(0.9f64 * 0.9f64.log2() + 0.1 * 0.1f64.log2());
    for (found, expected) in cells.iter().zip([2.0, 1000.0, 0.4, entropy, 1.0]) {
        assert!((found - expected).abs() < 1e-9, "{cells:?}");
    }
}
