//! Questions whose plans are rewritten, against counts made from the same packets with plain sets.

use crate::lake::{ask, lines, move_all};
use crate::sample::{journal_batch, lake_at, packet};
use noroshi_model::Addr;
use noroshi_model::packet::Packet;
use noroshi_store::lake::Compaction;
use noroshi_store::{Enrich, Journal, Lake, Limits, Mover, Origin, QueryError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const TOTAL: u64 = 42_000;

/// Five countries and seven networks of the IPv4 hosts; of IPv6 only the network is known.
fn origin(addr: Addr) -> Origin {
    let host = addr.bytes()[15];
    Origin { country: addr.is_v4().then_some([b'A' + host % 5, b'Z']), asn: Some(u32::from(host % 7)) }
}

async fn filled(folder: &Path) -> Lake {
    let journal = Journal::open(folder.join("journal.sqlite")).await.unwrap();
    let lake = Lake::open_with(lake_at(folder), Enrich::new(origin)).await.unwrap();
    let mover = Mover::new(lake.clone(), journal.clone()).await.unwrap();
    let mut store = crate::lake::Store { journal, lake, mover };
    for first in (0..TOTAL).step_by(6_000) {
        store.journal.append(journal_batch("tokyo", first, first + 5_999)).await.unwrap();
        if first == 30_000 {
            move_all(&mut store).await;
        }
    }
    move_all(&mut store).await;
    store.lake
}

/// `KEY packets sources` in the order of keys, from plain sets.
fn counted(key: impl Fn(&Packet) -> Option<String>) -> Vec<String> {
    let mut groups = BTreeMap::<String, (u64, BTreeSet<Addr>)>::new();
    for packet in (0..TOTAL).map(packet) {
        let Some(key) = key(&packet) else { continue };
        let group = groups.entry(key).or_default();
        group.0 += 1;
        group.1.insert(packet.src);
    }
    groups.into_iter().map(|(key, (packets, sources))| format!("{key} {packets} {}", sources.len())).collect()
}

fn hour(packet: &Packet) -> String {
    format!("{}:00:00Z", &packet.ts.rfc3339()[..13])
}

fn country(packet: &Packet) -> String {
    origin(packet.src).country.map(|code| String::from_utf8(code.to_vec()).unwrap()).unwrap_or_default()
}

/// The question, its answer in the order of its text, and the same from plain sets.
async fn same(lake: &Lake, keys: &str, key: impl Fn(&Packet) -> Option<String>) {
    let sql = format!("select {keys}, count(*), count(distinct src) from packets group by {keys}");
    let mut found = ask(lake, &sql).await;
    found.sort();
    let mut expected = counted(&key);
    expected.sort();
    assert_eq!(found, expected, "{sql}");
}

async fn all_the_same(lake: &Lake) {
    same(lake, "date_trunc('hour', ts), proto, dport", |p| Some(format!("{} {} {}", hour(p), p.proto, p.dport))).await;
    same(lake, "date_trunc('day', ts)", |p| Some(format!("{}T00:00:00Z", &p.ts.rfc3339()[..10]))).await;
    same(lake, "date_trunc('minute', ts)", |p| Some(format!("{}:00Z", &p.ts.rfc3339()[..16]))).await;
    same(lake, "country(src), asn(src)", |p| Some(format!("{} {}", country(p), origin(p.src).asn.unwrap()))).await;
    same(lake, "country(src)", |p| Some(country(p))).await;
    same(lake, "country(src), dport", |p| Some(format!("{} {}", country(p), p.dport))).await;
    same(lake, "ip(src)", |p| Some(p.src.to_string())).await;
    same(lake, "ip(src), network(src)", |p| Some(format!("{} {}", p.src, p.src.network()))).await;
    same(lake, "network(src)", |p| Some(p.src.network().to_string())).await;
    same(lake, "network(dst)", |p| Some(p.dst.network().to_string())).await;
    same(lake, "network(dst), date_trunc('hour', ts)", |p| Some(format!("{} {}", p.dst.network(), hour(p)))).await;
    same(lake, "ttl % 2", |p| Some((p.ttl % 2).to_string())).await;
}

#[tokio::test]
async fn rewritten_plans_count_what_plain_sets_count() {
    let folder = tempfile::tempdir().unwrap();
    let lake = filled(folder.path()).await;
    all_the_same(&lake).await;
    lake.compact(Compaction { fresh_files: 1, ..Compaction::default() }).await.unwrap();
    all_the_same(&lake).await;

    let packets: Vec<Packet> = (0..TOTAL).map(packet).collect();
    let different = |keep: &dyn Fn(&Packet) -> bool, of: &dyn Fn(&Packet) -> Addr| {
        packets.iter().filter(|packet| keep(packet)).map(of).collect::<BTreeSet<_>>().len()
    };
    let (sources, targets) = (different(&|_| true, &|p| p.src), different(&|_| true, &|p| p.dst));
    let ports: BTreeSet<u16> = packets.iter().map(|packet| packet.sport).collect();
    let some = different(&|packet| packet.dport == 20, &|p| p.src);
    for (sql, expected) in [
        ("select count(distinct src) from packets", format!("{sources}")),
        ("select count(distinct src), count(*), max(dport) from packets", format!("{sources} {TOTAL} 80")),
        ("select count(distinct src), count(distinct dst) from packets", format!("{sources} {targets}")),
        ("select count(distinct sport), count(distinct src) from packets", format!("{} {sources}", ports.len())),
        ("select count(distinct src) filter (where dport = 20) from packets", format!("{some}")),
        ("select count(distinct case when dport = 20 then src end) from packets", format!("{some}")),
        ("select count(distinct src) from packets where dport = 1", "0".to_owned()),
        ("select sum(s) from (select dport, count(distinct src) s from packets where false group by 1)", String::new()),
        ("select count(distinct seq) from packets", format!("{TOTAL}")),
        ("select count(distinct -cast(seq as bigint)) from packets", format!("{TOTAL}")),
    ] {
        assert_eq!(ask(&lake, sql).await, [expected], "{sql}");
    }
    // The first of an order, with texts that are made last.
    let mut first = counted(|packet| Some(packet.src.to_string()));
    first.sort_by_key(|line| {
        let (addr, rest) = line.split_once(' ').unwrap();
        let addr: Addr = addr.parse().unwrap();
        let bytes = addr.as_v4().map_or(addr.bytes().to_vec(), |bits| bits.to_be_bytes().to_vec());
        (std::cmp::Reverse(rest.split_once(' ').unwrap().0.parse::<u64>().unwrap()), bytes)
    });
    let first: Vec<&str> = first.iter().take(9).map(|line| line.rsplit_once(' ').unwrap().0).collect();
    let top = "select ip(src), count(*) n from packets group by src order by n desc, src limit 9";
    assert_eq!(ask(&lake, top).await, first);
    let top = "select country(src) c, count(*) n from packets where in_prefix(src, '0.0.0.0/0') group by 1 \
               order by n desc, c limit 2";
    let mut countries = counted(|packet| packet.src.is_v4().then(|| country(packet)));
    countries.sort_by_key(|line| {
        let cells: Vec<&str> = line.split(' ').collect();
        (std::cmp::Reverse(cells[1].parse::<u64>().unwrap()), cells[0].to_owned())
    });
    let countries: Vec<&str> = countries.iter().take(2).map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(ask(&lake, top).await, countries);
}

/// With less and less memory the same answer, or the error that says so.
#[tokio::test]
async fn counting_different_ones_keeps_to_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let lake = filled(folder.path()).await;
    let (mut answered, mut refused) = (0, 0);
    for sql in [
        "select dport, sport, count(distinct seq) from packets group by 1, 2",
        "select dport, count(distinct seq) from packets group by 1",
        "select count(distinct seq) from packets",
    ] {
        let mut whole = ask(&lake, sql).await;
        whole.sort();
        for memory in [64 << 20, 16 << 20, 4 << 20, 1 << 20, 64 << 10] {
            match lake.answer(sql, Limits { memory, ..Limits::default() }).await {
                Ok(answer) => {
                    let mut found = lines(&answer);
                    found.sort();
                    assert_eq!(found, whole, "{sql} in {memory}");
                    answered += 1;
                }
                Err(QueryError::Memory { limit }) => {
                    assert_eq!(limit, memory);
                    refused += 1;
                }
                Err(error) => panic!("{sql} in {memory}: {error}"),
            }
        }
    }
    assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
}
