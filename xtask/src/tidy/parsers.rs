//! Every function that reads foreign bytes has a fuzz target, with seeds.

use super::Complaints;
use crate::run::root;

/// Target, file, and the function that the target enters. A new reader is added here first, and then `tidy` says what
/// is missing.
const PARSERS: &[(&str, &str, &str)] = &[
    ("capture", "crates/packet/src/capture/reader.rs", "next_batch"),
    ("frame", "crates/packet/src/decode.rs", "decode_frame"),
    ("list-any", "crates/enrich/src/load/mod.rs", "read"),
    ("mmdb", "crates/enrich/src/load/mmdb.rs", "mmdb"),
    ("mrt", "crates/enrich/src/load/mrt.rs", "mrt"),
    ("prefix-csv", "crates/enrich/src/load/columns.rs", "csv"),
    ("delegated", "crates/enrich/src/load/delegated.rs", "delegated"),
    ("warninglist", "crates/enrich/src/load/warninglist.rs", "warninglist"),
    ("address-list", "crates/enrich/src/load/list.rs", "address_list"),
    ("ipset", "crates/enrich/src/load/list.rs", "ipset"),
    ("list-any", "crates/enrich/src/load/list.rs", "ipset_index"),
    ("maltrail", "crates/enrich/src/load/list.rs", "maltrail"),
    ("logs", "crates/import/src/reader.rs", "open_bytes"),
    ("elf", "crates/malware/src/program/elf.rs", "elf"),
    ("pe", "crates/malware/src/program/pe.rs", "pe"),
    ("archive", "crates/malware/src/archive.rs", "walk"),
    ("label-list", "crates/malware/src/labels.rs", "read"),
    ("profile", "crates/correlate/src/profile.rs", "from_json"),
    ("correlate-model", "crates/correlate/src/model.rs", "read"),
    ("sandbox-trace", "crates/sandbox/src/trace.rs", "read"),
    ("sandbox-packets", "crates/sandbox/src/internet/mod.rs", "receive"),
    ("hpfeeds-client", "crates/import/src/hpfeeds/client.rs", "feed"),
    ("hpfeeds-broker", "crates/import/src/hpfeeds/broker.rs", "feed"),
    ("lure-telnet", "crates/sensor/src/iot/telnet/talk.rs", "feed"),
    ("lure-http", "crates/sensor/src/iot/http/parser.rs", "parse"),
    ("lure-adb", "crates/sensor/src/iot/adb/packet.rs", "read"),
    ("lure-adb", "crates/sensor/src/iot/adb/sync.rs", "take"),
    ("lure-redis", "crates/sensor/src/iot/redis/resp.rs", "parse"),
    ("lure-upnp", "crates/sensor/src/iot/upnp/pages.rs", "action"),
    ("lure-ssh", "crates/sensor/src/iot/ssh/tap.rs", "hassh"),
    ("lure-ssh", "crates/sensor/src/iot/ssh/sftp.rs", "take"),
    ("lure-ssh", "crates/sensor/src/iot/ssh/scp.rs", "take"),
    ("lure-datagram", "crates/sensor/src/amplification/mod.rs", "hear"),
    ("lure-segment", "crates/sensor/src/first/segment.rs", "read"),
    ("lure-segment", "crates/sensor/src/first/guess.rs", "guess"),
    ("intake", "crates/share/src/intake/mod.rs", "read"),
    ("intake", "crates/share/src/intake/stix.rs", "stix_objects"),
    ("intake", "crates/share/src/intake/misp.rs", "misp_event"),
    ("partner-finding", "crates/share/src/intake/partner.rs", "partner_findings"),
];

/// Folders in which every public function over bytes must be listed above.
const COVERED: &[&str] = &["crates/enrich/src/load"];

/// The list against the code, the targets, and the seeds.
pub(crate) fn check() -> Complaints {
    let mut complaints = Complaints::new();
    for (target, file, function) in PARSERS {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        if !text.contains(&format!("fn {function}(")) && !text.contains(&format!("fn {function}<")) {
            complaints.push(format!("{file} has no function {function}: mend the list in xtask/src/tidy/parsers.rs"));
        }
        if !root().join(format!("fuzz/fuzz_targets/{target}.rs")).is_file() {
            complaints.push(format!("{function} in {file} has no fuzz/fuzz_targets/{target}.rs (CONTRIBUTING.md)"));
        }
        let seeds = std::fs::read_dir(root().join("fuzz/seeds").join(target)).map_or(0, Iterator::count);
        if seeds == 0 {
            complaints.push(format!("fuzz/seeds/{target} is empty: give the target one small well-formed input"));
        }
    }
    for folder in COVERED {
        complaints.extend(unlisted(folder));
    }
    complaints
}

/// Public functions over bytes that no line of the list names.
fn unlisted(folder: &str) -> Complaints {
    let mut complaints = Complaints::new();
    for entry in std::fs::read_dir(root().join(folder)).into_iter().flatten().flatten() {
        let file = format!("{folder}/{}", entry.file_name().to_string_lossy());
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        for line in
            text.lines().filter(|line| line.starts_with("pub fn ") && line.contains("(bytes: &[u8], name: &str"))
        {
            let function = line.trim_start_matches("pub fn ").split('(').next().unwrap_or_default();
            if !PARSERS.iter().any(|(_, f, name)| *f == file && *name == function) {
                complaints.push(format!("{file}: {function} reads foreign bytes and is not in the list of parsers"));
            }
        }
    }
    complaints
}
