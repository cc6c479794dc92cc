//! Logins tried over and over.
//!
//! One source that opens many connections to the same login service of the same host, and speaks on them. Packets alone
//! do not show whether a login failed; many short connections do.

use crate::scan::Closed;
use crate::scan::probe::ProbeType;
use noroshi_model::report::BruteForce;
use noroshi_model::{Addr, Nanos};
use std::collections::BTreeMap;

/// Connections that make an attempt to guess; a person who mistypes needs fewer.
pub const ATTEMPTS_MIN: u64 = 10;

/// The login service behind a TCP port.
pub fn service(port: u16) -> Option<&'static str> {
    Some(match port {
        21 => "ftp",
        22 | 2222 => "ssh",
        23 | 2323 => "telnet",
        25 | 465 | 587 => "smtp",
        110 | 995 => "pop3",
        143 | 993 => "imap",
        445 => "smb",
        512..=514 => "rsh",
        1433 => "mssql",
        3306 => "mysql",
        3389 => "rdp",
        5432 => "postgresql",
        5900..=5903 => "vnc",
        6379 => "redis",
        _ => return None,
    })
}

/// Pairs runs of SYNs with the data that followed on the same port.
pub(crate) fn find<'a>(closed: impl Iterator<Item = &'a Closed> + Clone) -> Vec<BruteForce> {
    let mut data: BTreeMap<(Addr, u16), (u64, Addr)> = BTreeMap::new();
    for run in closed.clone().filter(|run| run.kind == ProbeType::Data) {
        let entry = data.entry((run.source, run.port)).or_insert((0, run.samples.iter().next().unwrap_or_default()));
        entry.0 += run.packets;
    }
    let mut attempts: BTreeMap<(Addr, u16), (u64, Nanos, Nanos)> = BTreeMap::new();
    for run in closed.filter(|run| run.kind == ProbeType::Syn && run.packets >= run.destinations * 3) {
        let entry = attempts.entry((run.source, run.port)).or_insert((0, run.first, run.last));
        *entry = (entry.0 + run.packets, entry.1.min(run.first), entry.2.max(run.last));
    }
    let mut out = Vec::new();
    for ((source, port), (attempts, first, last)) in attempts {
        let (Some(service), Some((packets, victim))) = (service(port), data.get(&(source, port))) else { continue };
        if attempts < ATTEMPTS_MIN || *packets < attempts {
            continue;
        }
        out.push(BruteForce {
            source,
            victim: *victim,
            port,
            service: service.to_owned(),
            attempts,
            first,
            last,
            reason: format!(
                "{source} opened {attempts} {service} connections to {victim} and spoke on them, as who guesses logins does."
            ),
        });
    }
    out.sort_by(|a, b| b.attempts.cmp(&a.attempts).then_with(|| (a.source, a.port).cmp(&(b.source, b.port))));
    out
}
