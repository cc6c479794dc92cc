//! Shadowserver's report columns (interfaces 4.10), so that existing readers (IntelMQ and others) take our findings.

use crate::gate::Cleared;
use crate::safe;
use noroshi_model::finding::{Attack, Victim};
use noroshi_model::report::BruteForce;
use noroshi_model::{Addr, Nanos};
use std::collections::BTreeMap;

/// Columns that all honeypot reports start with, in this order.
const HEAD: [&str; 31] = [
    "timestamp",
    "protocol",
    "src_ip",
    "src_port",
    "src_asn",
    "src_geo",
    "src_region",
    "src_city",
    "src_hostname",
    "src_naics",
    "src_sector",
    "device_vendor",
    "device_type",
    "device_model",
    "severity",
    "dst_ip",
    "dst_port",
    "dst_asn",
    "dst_geo",
    "dst_region",
    "dst_city",
    "dst_hostname",
    "dst_naics",
    "dst_sector",
    "public_source",
    "infection",
    "family",
    "tag",
    "application",
    "version",
    "event_id",
];

const BRUTE_FORCE: [&str; 17] = [
    "service",
    "start_time",
    "end_time",
    "client_version",
    "username",
    "password",
    "payload_url",
    "payload_md5",
    "vulnerability_enum",
    "vulnerability_id",
    "vulnerability_class",
    "vulnerability_score",
    "vulnerability_severity",
    "vulnerability_version",
    "target_vendor",
    "target_product",
    "target_class",
];

/// Columns of attacks on a target: the destination block stands before the source block.
const TARGET: [&str; 58] = [
    "timestamp",
    "protocol",
    "dst_ip",
    "dst_port",
    "dst_asn",
    "dst_geo",
    "dst_region",
    "dst_city",
    "dst_hostname",
    "dst_naics",
    "dst_sector",
    "device_vendor",
    "device_type",
    "device_model",
    "severity",
    "src_ip",
    "src_port",
    "src_asn",
    "src_geo",
    "src_region",
    "src_city",
    "src_hostname",
    "src_naics",
    "src_sector",
    "domain_source",
    "public_source",
    "infection",
    "family",
    "tag",
    "application",
    "version",
    "event_id",
    "dst_network",
    "dst_netmask",
    "attack",
    "duration",
    "attack_src_ip",
    "attack_src_port",
    "domain",
    "domain_transaction_id",
    "gcip",
    "http_method",
    "http_path",
    "http_postdata",
    "http_usessl",
    "ip_header_ack",
    "ip_header_acknum",
    "ip_header_dont_fragment",
    "ip_header_fin",
    "ip_header_identity",
    "ip_header_psh",
    "ip_header_rst",
    "ip_header_seqnum",
    "ip_header_syn",
    "ip_header_tos",
    "ip_header_ttl",
    "ip_header_urg",
    "number_of_connections",
];
const TARGET_TAIL: [&str; 2] = ["packet_length", "packet_randomized"];

/// A report file: its name and its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// As readers expect it: `YYYY-MM-DD-<type>-<source>.csv`.
    pub name: String,
    /// CSV.
    pub text: String,
}

fn time(at: Nanos) -> String {
    Nanos::from_seconds(at.seconds()).rfc3339().replace('T', " ").trim_end_matches('Z').to_owned()
}

fn file(kind: &str, now: Nanos, columns: &[&str], rows: Vec<BTreeMap<&str, String>>) -> Result<File, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns)?;
    for row in rows {
        writer.write_record(columns.iter().map(|c| row.get(c).map(String::as_str).unwrap_or_default()))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    let name = format!("{}-{kind}-noroshi.csv", &now.rfc3339()[..10]);
    Ok(File { name, text: String::from_utf8_lossy(&bytes).into_owned() })
}

fn family(v4: bool) -> &'static str {
    if v4 { "event4" } else { "event6" }
}

fn is_v4(victim: Victim) -> bool {
    match victim {
        Victim::Address(addr) => addr.is_v4(),
        Victim::Network(prefix) => prefix.first().is_v4(),
    }
}

/// `event4_honeypot_ddos_target` and its IPv6 sibling; families without rows give no file.
pub fn targets(attacks: &[(&Attack, Cleared<Victim>)], now: Nanos) -> Result<Vec<File>, csv::Error> {
    let columns: Vec<&str> = TARGET.iter().chain(&TARGET_TAIL).copied().collect();
    let mut files = Vec::new();
    for v4 in [true, false] {
        let rows: Vec<_> =
            attacks.iter().filter(|(_, victim)| is_v4(**victim) == v4).map(|(a, victim)| target(a, **victim)).collect();
        if !rows.is_empty() {
            files.push(file(&format!("{}_honeypot_ddos_target", family(v4)), now, &columns, rows)?);
        }
    }
    Ok(files)
}

fn target(attack: &Attack, victim: Victim) -> BTreeMap<&'static str, String> {
    let mut row = BTreeMap::from([
        ("timestamp", time(attack.first)),
        ("protocol", protocol(attack).to_owned()),
        ("severity", "info".to_owned()),
        ("public_source", "noroshi".to_owned()),
        ("tag", safe::cell(&format!("{};{}", attack.kind, attack.vector))),
        ("attack", attack.vector.to_string()),
        ("duration", format!("{:.0}", attack.last.seconds_since(attack.first))),
        ("number_of_connections", attack.packets.to_string()),
    ]);
    match victim {
        Victim::Address(addr) => {
            row.insert("dst_ip", addr.to_string());
        }
        Victim::Network(prefix) => {
            row.insert("dst_ip", prefix.first().to_string());
            row.insert("dst_network", prefix.to_string());
            row.insert("dst_netmask", prefix.length().to_string());
        }
    }
    if let Some(port) = attack.victim_port {
        row.insert("dst_port", port.to_string());
    }
    row
}

fn protocol(attack: &Attack) -> &'static str {
    match attack.vector.name() {
        name if name.starts_with("tcp") => "tcp",
        name if name.starts_with("icmp") => "icmp",
        "fragments" | "other" => "",
        _ => "udp",
    }
}

/// `event4_honeypot_brute_force` and its IPv6 sibling, without the honeypot's address.
pub fn brute_force(seen: &[(&BruteForce, Cleared<Addr>)], now: Nanos) -> Result<Vec<File>, csv::Error> {
    let columns: Vec<&str> = HEAD.iter().chain(&BRUTE_FORCE).copied().collect();
    let mut files = Vec::new();
    for v4 in [true, false] {
        let rows: Vec<_> = seen
            .iter()
            .filter(|(_, source)| source.is_v4() == v4)
            .map(|(seen, source)| {
                BTreeMap::from([
                    ("timestamp", time(seen.first)),
                    ("protocol", "tcp".to_owned()),
                    ("src_ip", source.to_string()),
                    ("severity", "critical".to_owned()),
                    ("dst_port", seen.port.to_string()),
                    ("public_source", "noroshi".to_owned()),
                    ("application", safe::cell(&seen.service)),
                    ("service", safe::cell(&seen.service)),
                    ("start_time", time(seen.first)),
                    ("end_time", time(seen.last)),
                ])
            })
            .collect();
        if !rows.is_empty() {
            files.push(file(&format!("{}_honeypot_brute_force", family(v4)), now, &columns, rows)?);
        }
    }
    Ok(files)
}
