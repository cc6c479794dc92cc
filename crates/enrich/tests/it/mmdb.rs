//! MMDB files compared with records and look-ups that others computed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use noroshi_enrich::load::{Limits, Parsed, read};
use noroshi_enrich::{Country, LoadError};
use noroshi_model::Prefix;
use serde_json::Value;

use crate::{files, name, shared};

fn load(path: &Path) -> Result<Parsed, LoadError> {
    read(&std::fs::read(path).unwrap(), &name(path), &Limits::default())
}

#[test]
fn every_look_up_of_another_reader_is_equal() {
    let Some(dir) = shared("geo") else { return };
    let parsed = load(&dir.join("iptoasn-country.mmdb")).unwrap();
    let text = std::fs::read(dir.join("iptoasn-country.expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&text).unwrap();
    let lookups = expected["lookups"].as_object().unwrap();
    assert_eq!(lookups.len(), 2010);
    for (addr, record) in lookups {
        let addr: IpAddr = addr.parse().unwrap();
        let found = parsed.table.find_as_written(addr).and_then(|hit| hit.country);
        let expect = record.get("country_code").and_then(Value::as_str);
        assert_eq!(found.as_ref().map(Country::as_str), expect, "{addr}");
    }
}

/// The published sources of the test databases: prefix to record.
fn source(dir: &Path, name: &str) -> BTreeMap<String, Value> {
    let text = std::fs::read(dir.join(format!("source-data/{name}.json"))).unwrap();
    let list: Vec<BTreeMap<String, Value>> = serde_json::from_slice(&text).unwrap();
    list.into_iter().flatten().collect()
}

#[test]
fn networks_equal_their_source() {
    let Some(dir) = shared("geo/maxmind-tests") else { return };
    let parsed = load(&dir.join("test-data/GeoLite2-ASN-Test.mmdb")).unwrap();
    let mut compared = 0;
    for (prefix, record) in source(&dir, "GeoLite2-ASN-Test") {
        let prefix: Prefix = prefix.parse().unwrap();
        for addr in [prefix.first(), prefix.last()] {
            let hit = parsed.table.find(addr).unwrap_or_else(|| panic!("{addr} of {prefix} is missing"));
            assert_eq!(hit.asn.map(u64::from), record["autonomous_system_number"].as_u64(), "{addr}");
            assert_eq!(hit.name, record.get("autonomous_system_organization").and_then(Value::as_str), "{addr}");
            assert!(hit.prefix.unwrap().contains(addr));
            compared += 1;
        }
    }
    assert_eq!(compared, 1440);
}

#[test]
fn countries_equal_their_source() {
    let Some(dir) = shared("geo/maxmind-tests") else { return };
    for (database, least) in [("GeoLite2-Country-Test", 400), ("GeoLite2-City-Test", 400)] {
        let parsed = load(&dir.join(format!("test-data/{database}.mmdb"))).unwrap();
        let mut compared = 0;
        for (prefix, record) in source(&dir, database) {
            let prefix: Prefix = prefix.parse().unwrap();
            let code = |field: &str| record.get(field).and_then(|c| c.get("iso_code")).and_then(Value::as_str);
            let expect = code("country").or(code("registered_country"));
            for addr in [prefix.first(), prefix.last()] {
                let found = parsed.table.find(addr).and_then(|hit| hit.country);
                assert_eq!(found.as_ref().map(Country::as_str), expect, "{addr} in {database}");
                compared += 1;
            }
        }
        assert!(compared >= least, "{compared} compared in {database}");
    }
}

#[test]
fn six_to_four_and_teredo_follow_the_alias() {
    let Some(dir) = shared("geo/maxmind-tests") else { return };
    let parsed = load(&dir.join("test-data/GeoLite2-ASN-Test.mmdb")).unwrap();
    let find = |addr: &str| parsed.table.find(addr.parse().unwrap()).and_then(|hit| hit.asn);
    assert_eq!(find("1.128.0.1"), Some(1221));
    let bytes = std::fs::read(dir.join("test-data/GeoLite2-ASN-Test.mmdb")).unwrap();
    let reader = maxminddb::Reader::from_source(bytes).unwrap();
    #[derive(serde::Deserialize)]
    struct Asn {
        autonomous_system_number: u32,
    }
    for addr in ["2002:180:1::1", "2001:0:180:1::1", "2001:0:180:1:8000::1"] {
        let theirs: Option<Asn> = reader.lookup(addr.parse().unwrap()).unwrap().decode().unwrap();
        assert_eq!(find(addr), theirs.map(|asn| asn.autonomous_system_number), "{addr}");
    }
}

/// Databases that are broken where a reader must notice: the structure of the file or the records that are read.
const BROKEN: [&str; 13] = [
    "GeoIP2-City-Test-Invalid-Node-Count.mmdb",
    "MaxMind-DB-test-broken-pointers-24.mmdb",
    "MaxMind-DB-test-broken-search-tree-24.mmdb",
    "cyclic-data-structure.mmdb",
    "invalid-bytes-length.mmdb",
    "invalid-data-record-offset.mmdb",
    "invalid-map-key-length.mmdb",
    "invalid-string-length.mmdb",
    "libmaxminddb-corrupt-search-tree.mmdb",
    "libmaxminddb-deep-nesting.mmdb",
    "metadata-is-an-uint128.mmdb",
    "unexpected-bytes.mmdb",
    "bad-unicode-in-map-key.mmdb",
];

#[test]
fn test_databases_are_read_or_refused_with_a_reason() {
    let Some(dir) = shared("geo/maxmind-tests") else { return };
    let mut seen = Vec::new();
    for path in files(&dir).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "mmdb")) {
        let result = load(&path);
        if let Err(error) = &result {
            println!("{}: {error}", name(&path));
        }
        if path.starts_with(dir.join("bad-data")) || BROKEN.contains(&name(&path).as_str()) {
            assert!(result.is_err(), "{} was taken for sound", path.display());
            seen.push(name(&path));
        }
    }
    assert!(BROKEN.iter().all(|broken| seen.iter().any(|seen| seen == broken)), "{seen:?}");
}

#[test]
fn other_publishers_fields() {
    let Some(dir) = shared("geo/maxmind-tests") else { return };
    for (file, country, asn) in [
        ("GeoIP2-Enterprise-Test.mmdb", true, false),
        ("GeoIP2-ISP-Test.mmdb", false, true),
        ("GeoIP2-Country-Test.mmdb", true, false),
    ] {
        let parsed = load(&dir.join("test-data").join(file)).unwrap();
        assert_eq!((parsed.has_country(), parsed.has_network()), (country, asn), "{file}");
        assert!(parsed.as_of.is_some(), "{file}");
    }
    let error = load(&dir.join("test-data/GeoIP2-Domain-Test.mmdb")).unwrap_err();
    assert!(matches!(error, LoadError::Empty { .. }), "{error}");
}
