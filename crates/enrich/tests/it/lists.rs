//! Every list in the data, counted a second time by plain means.

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use noroshi_enrich::Kinds;
use noroshi_enrich::load::{Format, Limits, Parsed, read};

use noroshi_model::Addr;

use crate::{files, name, shared};

fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|ext| ext == "gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        return text;
    }
    String::from_utf8(bytes).unwrap()
}

fn load(path: &Path) -> Parsed {
    let parsed = read(&std::fs::read(path).unwrap(), &name(path), &Limits::default());
    parsed.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the text before a slash is an address; ports are cut off.
fn is_place(word: &str) -> bool {
    let word = word.trim_start_matches("http://");
    let host = word.split('/').next().unwrap();
    host.parse::<IpAddr>().is_ok() || word.parse::<std::net::SocketAddr>().is_ok()
}

fn count(path: &Path) -> u64 {
    let text = text(path);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let counted = match name(path).as_str() {
        name if name.ends_with(".json") => {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            value["list"].as_array().unwrap().len()
        }
        name if name.ends_with("set") => lines.filter(|line| line.starts_with("add ")).count(),
        "scanner_list.txt" => lines.count(),
        "mass_scanner.parsed.csv" => lines.filter(|line| is_place(line.split(',').next().unwrap())).count(),
        _ => lines.filter(|line| is_place(line.split_whitespace().next().unwrap())).count(),
    };
    counted as u64
}

#[test]
fn every_file_has_as_many_entries_as_counted() {
    let Some(dir) = shared("scanner-lists") else { return };
    let mut compared = 0;
    for path in files(&dir) {
        if ["README.md", "SHA256SUMS"].contains(&name(&path).as_str()) {
            continue;
        }
        let parsed = load(&path);
        assert_eq!(parsed.entries, count(&path), "{}", path.display());
        // Three rows of that file have a letter before the address.
        let typos = if parsed.format == Format::Csv { 3 } else { 0 };
        assert_eq!(parsed.problems.len(), typos, "{}: {:?}", path.display(), parsed.problems);
        compared += 1;
    }
    assert!(compared >= 90, "{compared} files compared");
}

#[test]
fn formats_and_kinds_are_told_from_the_files() {
    let Some(dir) = shared("scanner-lists") else { return };
    for (file, format, kinds) in [
        ("misp-warninglists/censys-scanning.json", Format::Warninglist, Kinds::RESEARCH_SCANNER),
        ("misp-warninglists/public-dns-v4.json", Format::Warninglist, Kinds::PUBLIC_RESOLVER),
        ("misp-warninglists/rfc1918.json", Format::Warninglist, Kinds::BOGON),
        ("misp-warninglists/multicast.json", Format::Warninglist, Kinds::BOGON),
        ("misp-warninglists/ipv6-linklocal.json", Format::Warninglist, Kinds::BOGON),
        ("misp-warninglists/sinkholes.json", Format::Warninglist, Kinds::SINKHOLE),
        ("acknowledged_scanners/acknowledged_scanners.ipset", Format::Ipset, Kinds::RESEARCH_SCANNER),
        ("acknowledged_scanners/ipset_IPv6/nethash.censys.io.ip6set", Format::Ipset, Kinds::RESEARCH_SCANNER),
        ("acknowledged_scanners/scanner_list.txt", Format::IpsetIndex, Kinds::NONE),
        ("maltrail/mass_scanner.txt", Format::Maltrail, Kinds::MASS_SCANNER),
        ("maltrail/mass_scanner_cidr.txt", Format::Maltrail, Kinds::MASS_SCANNER),
        ("maltrail/mass_scanner.parsed.csv", Format::Csv, Kinds::MASS_SCANNER),
        ("maltrail/elf_mirai.txt.gz", Format::Maltrail, Kinds::MALWARE_HOST),
    ] {
        let parsed = load(&dir.join(file));
        assert_eq!((parsed.format, parsed.kinds), (format, Some(kinds)), "{file}");
    }
}

/// The address of each row of the independently parsed list is found in the list itself, with the same organisation
/// wherever the reverse name is a name. (The other file cuts all names to two labels and keeps addresses as names.)
#[test]
fn organisations_agree_with_an_independent_extraction() {
    let Some(dir) = shared("scanner-lists/maltrail") else { return };
    let parsed = load(&dir.join("mass_scanner.txt"));
    let (mut rows, mut named, mut same) = (0, 0, 0);
    for line in text(&dir.join("mass_scanner.parsed.csv")).lines().skip(1) {
        let mut fields = line.splitn(3, ',');
        let (addr, reverse, domain) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
        rows += 1;
        let Ok(addr) = addr.parse::<Addr>() else { continue };
        let hit = parsed.table.find(addr).unwrap_or_else(|| panic!("{addr} is missing"));
        if !reverse.contains('.') || reverse.parse::<IpAddr>().is_ok() {
            continue;
        }
        named += 1;
        same += u32::from(hit.name == Some(domain));
    }
    assert_eq!(rows, 16_955);
    assert!(f64::from(same) >= 0.95 * f64::from(named), "{same} of {named} organisations agree");
    println!("{same} of {named} organisations agree");
}
