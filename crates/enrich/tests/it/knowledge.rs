//! What was known when, from import to look-up.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use noroshi_enrich::{
    Country, EnrichError, ImportOptions, Kinds, Knowledge, LoadError, OpenOptions, Outcome, import, remove,
};
use noroshi_model::{Addr, Nanos};

use crate::{files, name, shared};

fn day(text: &str) -> Nanos {
    text.parse().unwrap()
}

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn put(home: &Path, file: &str, text: &str, as_of: &str) -> noroshi_enrich::ImportSummary {
    let path = home.join(file);
    fs::write(&path, text).unwrap();
    let options = ImportOptions { as_of: Some(day(as_of)), ..ImportOptions::default() };
    import(&home.join("knowledge"), &path, &options, day("2026-06-01")).unwrap()
}

#[test]
fn each_time_has_its_own_answer() {
    let home = tempfile::tempdir().unwrap();
    put(home.path(), "land.csv", "192.0.2.0/24,JP\n", "2026-01-01");
    put(home.path(), "land.csv", "192.0.2.0/24,KR\n", "2026-03-01");
    put(home.path(), "net.csv", "192.0.2.0/24,64500,Old\n", "2026-01-01");
    put(home.path(), "net.csv", "192.0.2.0/25,64501,New\n192.0.2.0/24,64500\n", "2026-02-01");
    let knowledge = Arc::new(Knowledge::open(&home.path().join("knowledge")).unwrap());
    for (at, country, asn, later) in [
        ("2025-06-01", "JP", 64500, true),
        ("2026-01-01", "JP", 64500, false),
        ("2026-02-10", "JP", 64501, false),
        ("2026-03-01", "KR", 64501, false),
        ("2030-01-01", "KR", 64501, false),
    ] {
        let known = knowledge.lookup(addr("192.0.2.9"), day(at));
        assert_eq!((known.country, known.asn, known.later), (Country::new(country), Some(asn), later), "{at}");
        assert_eq!(knowledge.country_and_asn(addr("192.0.2.9"), day(at)), (known.country, known.asn));
    }
    let known = knowledge.lookup(addr("192.0.2.9"), day("2026-03-01"));
    assert_eq!(known.prefix.unwrap().to_string(), "192.0.2.0/25");
    assert_eq!(known.as_name, Some("New"));
    let names: Vec<_> = known.sources().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["land", "net", "special-use"]);
    assert_eq!(knowledge.lookup(addr("198.51.100.1"), Nanos(0)).country, None);
}

#[test]
fn a_list_entry_lives_as_long_as_its_versions_hold_it() {
    let home = tempfile::tempdir().unwrap();
    put(home.path(), "x-scanner.txt", "198.18.0.1\n8.8.8.0/24\n", "2026-01-01");
    put(home.path(), "x-scanner.txt", "8.8.8.0/24\n9.9.9.9\n", "2026-02-01");
    put(home.path(), "x-scanner.txt", "8.8.8.8\n9.9.9.9\n", "2026-03-01");
    put(home.path(), "y-scanner.txt", "8.8.0.0/16\n", "2026-02-15");
    let knowledge = Knowledge::open(&home.path().join("knowledge")).unwrap();
    let lists = |a: &str, at: &str| {
        let known = knowledge.lookup(addr(a), day(at));
        let entries = known
            .lists
            .iter()
            .map(|e| format!("{}:{}{}", e.list.name, e.prefix.unwrap(), if e.later { "?" } else { "" }));
        entries.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(lists("8.8.8.8", "2026-01-10"), "x-scanner:8.8.8.0/24 y-scanner:8.8.0.0/16?");
    assert_eq!(lists("8.8.8.8", "2026-02-20"), "x-scanner:8.8.8.0/24 y-scanner:8.8.0.0/16");
    assert_eq!(lists("8.8.8.8", "2026-03-20"), "x-scanner:8.8.8.8/32 y-scanner:8.8.0.0/16");
    assert_eq!(lists("8.8.8.9", "2026-03-20"), "y-scanner:8.8.0.0/16");
    assert_eq!(lists("9.9.9.9", "2026-01-10"), "");
    assert_eq!(lists("9.9.9.9", "2026-02-10"), "x-scanner:9.9.9.9/32");
    assert!(knowledge.lookup(addr("9.9.9.9"), day("2026-03-20")).is_research_scanner());
}

#[test]
fn empty_knows_what_the_protocol_says() {
    let knowledge = Knowledge::empty();
    assert!(!knowledge.has_country() && !knowledge.has_network() && !knowledge.has_lists());
    let private = knowledge.lookup(addr("192.168.1.1"), Nanos(0));
    assert_eq!((private.kinds, private.country, private.asn), (Kinds::BOGON, None, None));
    assert!(knowledge.lookup(addr("1.1.1.1"), Nanos(0)).kinds.is_none());
    assert!(knowledge.lookup(addr("ff02::1"), Nanos(0)).kinds.has(Kinds::BOGON));
    let absent = Knowledge::open(Path::new("/nonexistent/knowledge")).unwrap();
    assert_eq!(absent.tables().count(), 1);
}

#[test]
fn importing_twice_changes_nothing_and_removing_removes() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("knowledge");
    assert_eq!(put(home.path(), "land.csv", "192.0.2.0/24,JP\n", "2026-01-01").outcome, Outcome::Added);
    assert_eq!(put(home.path(), "land.csv", "192.0.2.0/24,JP\n", "2026-01-01").outcome, Outcome::Unchanged);
    assert_eq!(put(home.path(), "land.csv", "192.0.2.0/24,KR\n", "2026-01-01").outcome, Outcome::Replaced);
    assert_eq!(remove(&dir, "land").unwrap(), 1);
    assert_eq!(remove(&dir, "land").unwrap(), 0);
    assert!(!Knowledge::open(&dir).unwrap().has_country());
}

/// A file without a date of its own, copied again: nothing new was learnt. With other content something was.
#[test]
fn a_younger_copy_of_the_same_content_is_no_version() {
    let home = tempfile::tempdir().unwrap();
    let (dir, path) = (home.path().join("knowledge"), home.path().join("land.csv"));
    let put = |text: &str, changed: u64| {
        fs::write(&path, text).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(changed);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        import(&dir, &path, &ImportOptions::default(), day("2026-06-01")).unwrap().outcome
    };
    assert_eq!(put("192.0.2.0/24,JP\n", 1_000), Outcome::Added);
    assert_eq!(put("192.0.2.0/24,JP\n", 2_000), Outcome::Unchanged);
    assert_eq!(put("192.0.2.0/24,KR\n", 3_000), Outcome::Added);
    assert_eq!(put("192.0.2.0/24,JP\n", 4_000), Outcome::Added);
    assert_eq!(Knowledge::open(&dir).unwrap().tables().filter(|table| table.country).count(), 3);
}

#[test]
fn old_versions_are_left_out_when_memory_is_short() {
    let home = tempfile::tempdir().unwrap();
    let text: String = (0..200).map(|i| format!("11.{i}.0.0/16,JP\n")).collect();
    put(home.path(), "land.csv", &text, "2026-01-01");
    put(home.path(), "land.csv", &text.replace("JP", "KR"), "2026-03-01");
    let dir = home.path().join("knowledge");
    let size = fs::metadata(dir.join(&Knowledge::open(&dir).unwrap().tables().next().unwrap().file)).unwrap().len();
    let knowledge = Knowledge::open_with(&dir, &OpenOptions { bytes_max: size, between: None }).unwrap();
    assert_eq!(knowledge.left_out().len(), 1);
    let known = knowledge.lookup(addr("11.0.0.1"), day("2026-02-01"));
    assert_eq!((known.country, known.later), (Country::new("KR"), true));
    let between = Some((day("2026-01-05"), day("2026-02-05")));
    let knowledge = Knowledge::open_with(&dir, &OpenOptions { between, ..OpenOptions::default() }).unwrap();
    assert_eq!(knowledge.lookup(addr("11.0.0.1"), day("2026-02-01")).country, Country::new("JP"));
    assert_eq!(knowledge.tables().filter(|table| table.country).count(), 1);
}

#[test]
fn damage_is_named_with_the_file() {
    let home = tempfile::tempdir().unwrap();
    put(home.path(), "land.csv", "192.0.2.0/24,JP\n", "2026-01-01");
    let dir = home.path().join("knowledge");
    let file = dir.join(&Knowledge::open(&dir).unwrap().tables().next().unwrap().file);
    let mut bytes = fs::read(&file).unwrap();
    bytes[70] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = Knowledge::open(&dir).unwrap_err();
    assert!(matches!(&error, EnrichError::Damaged { path, .. } if *path == file), "{error}");
    for manifest in ["", "{", "{}", "{\"schema\":\"noroshi.knowledge/1\",\"tables\":[{}]}"] {
        fs::write(dir.join("manifest.json"), manifest).unwrap();
        assert!(matches!(Knowledge::open(&dir), Err(EnrichError::Damaged { .. })), "{manifest}");
    }
    fs::write(dir.join("manifest.json"), "{\"schema\":\"noroshi.knowledge/9\"}").unwrap();
    assert!(matches!(Knowledge::open(&dir), Err(EnrichError::TooNew { .. })));
}

#[test]
fn refusals_say_what_and_where() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("knowledge");
    let refuse = |file: &str, content: &[u8]| {
        let path = home.path().join(file);
        fs::write(&path, content).unwrap();
        let error = import(&dir, &path, &ImportOptions::default(), Nanos(0)).unwrap_err();
        assert!(error.to_string().contains(file), "{error}");
        error
    };
    for (file, content) in
        [("empty", &b""[..]), ("page", b"<html>"), ("prose", b"hello there"), ("bits", b"\0\x01\x02")]
    {
        let error = refuse(file, content);
        assert!(matches!(error, EnrichError::Load { cause: LoadError::Unrecognised { .. }, .. }), "{error}");
    }
    let absent = import(&dir, &home.path().join("absent"), &ImportOptions::default(), Nanos(0)).unwrap_err();
    assert!(matches!(absent, EnrichError::Io { .. }), "{absent}");
    assert!(!dir.exists(), "a refused file leaves no trace");
}

#[test]
fn the_published_lists_together() {
    let Some(source) = shared("scanner-lists") else { return };
    let home = tempfile::tempdir().unwrap();
    let mut kept = 0;
    for path in files(&source).into_iter().filter(|path| !["README.md", "SHA256SUMS"].contains(&name(path).as_str())) {
        let summary = import(home.path(), &path, &ImportOptions::default(), day("2026-06-01")).unwrap();
        kept += usize::from(summary.outcome != Outcome::NothingToKeep);
    }
    let knowledge = Knowledge::open(home.path()).unwrap();
    assert_eq!(knowledge.tables().count(), kept + 1, "two files share a name");
    let at = day("2026-11-01");
    let censys = knowledge.lookup(addr("162.142.125.7"), at);
    assert!(censys.is_research_scanner(), "{:?}", censys.kinds);
    assert!(censys.organisation.unwrap().to_lowercase().contains("censys"), "{:?}", censys.organisation);
    assert!(censys.lists.iter().count() >= 6, "both families of a collection count at once");
    assert!(knowledge.lookup(addr("2602:80d:1000:b0cc:e::7"), at).is_research_scanner());
    let shadow = knowledge.lookup(addr("216.218.206.67"), at);
    assert!(shadow.organisation.unwrap().to_lowercase().contains("shadowserver"), "{:?}", shadow.organisation);
    assert!(knowledge.lookup(addr("1.0.0.1"), at).kinds.has(Kinds::PUBLIC_RESOLVER));
    assert!(knowledge.lookup(addr("fe80::1"), at).kinds.has(Kinds::BOGON));
    assert!(knowledge.lookup(addr("133.1.1.1"), at).kinds.is_none());
}
