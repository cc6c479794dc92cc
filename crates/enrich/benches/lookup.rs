//! Cost of a look-up: `cargo bench -p noroshi-enrich`. The country table of the shared data, a network table of the size
//! of the global routing table, all published lists; addresses drawn evenly, which is worse for caches than real
//! sources are. The least of five runs counts: what disturbs a run only ever adds.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use noroshi_enrich::load::{Limits, read};
use noroshi_enrich::{Knowledge, load};
use noroshi_model::{Addr, Nanos};

/// Prefixes of the global IPv4 table, roughly.
const PREFIXES: u32 = 1_000_000;
const ADDRESSES: usize = 2_000_000;
const RUNS: usize = 5;

/// SplitMix64: the same addresses in each run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn networks() -> load::Parsed {
    let mut state = 1;
    let row = |_| {
        let bits = random(&mut state);
        let length = 12 + (bits >> 32) % 13;
        format!("{}\t{length}\t{}\n", std::net::Ipv4Addr::from(bits as u32), 1 + bits % 70_000)
    };
    let text: String = (0..PREFIXES).map(row).collect();
    read(text.as_bytes(), "networks.pfx2as", &Limits::default()).expect("generated rows are sound")
}

fn published(folder: &Path, tables: &mut Vec<(String, load::Parsed)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            published(&path, tables);
        } else if let Ok(bytes) = std::fs::read(&path) {
            let parsed = read(&bytes, &entry.file_name().to_string_lossy(), &Limits::default());
            tables.extend(parsed.ok().map(|parsed| (path.to_string_lossy().into_owned(), parsed)));
        }
    }
}

fn measure(what: &str, addrs: &[Addr], mut one: impl FnMut(Addr) -> bool) {
    let run = || {
        let start = Instant::now();
        let hits = addrs.iter().filter(|addr| one(black_box(**addr))).count();
        (start.elapsed().as_nanos() as f64 / addrs.len() as f64, hits)
    };
    let (cost, hits) = std::iter::repeat_with(run).take(RUNS).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
    println!("{what:32} {cost:7.1} ns each, {hits} of {} known", addrs.len());
}

fn main() {
    let shared = std::env::var_os("NOROSHI_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let mut tables = vec![("networks".to_owned(), networks())];
    published(&shared.join("data/scanner-lists"), &mut tables);
    let start = Instant::now();
    if let Ok(bytes) = std::fs::read(shared.join("data/geo/iptoasn-country.mmdb")) {
        let parsed = read(&bytes, "country.mmdb", &Limits::default()).expect("the country table is sound");
        tables.push(("country".to_owned(), parsed));
        println!("country table compiled in {} ms", start.elapsed().as_millis());
    }
    let knowledge = Knowledge::from_parsed(tables, Nanos(0));
    println!("{} tables, {:.1} MiB", knowledge.tables().count(), knowledge.bytes() as f64 / (1 << 20) as f64);
    let mut state = 7;
    let v4: Vec<Addr> = (0..ADDRESSES).map(|_| Addr::v4(random(&mut state) as u32)).collect();
    let global = 0x2000_u128 << 112;
    let v6: Vec<Addr> =
        (0..ADDRESSES).map(|_| Addr(global | u128::from(random(&mut state) & 0x1fff_ffff_ffff_ffff) << 64)).collect();
    let at = Nanos::from_seconds(1_800_000_000);
    measure("country and AS, IPv4", &v4, |addr| knowledge.country_and_asn(addr, at) != (None, None));
    measure("country and AS, IPv6", &v6, |addr| knowledge.country_and_asn(addr, at) != (None, None));
    measure("lists, IPv4", &v4, |addr| !knowledge.kinds(addr, at).0.is_none());
    measure("everything, IPv4", &v4, |addr| knowledge.lookup(addr, at).country.is_some());
}
