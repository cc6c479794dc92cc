//! What a request asks of a protocol that is only recorded: enough to tell a scanner's question from an attacker's, and one
//! version of an attack tool from another.

use super::super::{hash, hash_without, printable};
use noroshi_model::finding::Vector;

/// Method, name, and a hash that is equal for requests that differ only in transaction numbers.
pub fn describe(vector: Vector, payload: &[u8]) -> (&'static str, String, u64) {
    let at = |index: usize| payload.get(index).copied();
    let none = String::new;
    match vector {
        _ if payload.is_empty() => ("empty", none(), hash(payload)),
        Vector::Mdns => ("query", dns_name(payload), hash_without(payload, 0..2)),
        // NetBIOS name service (RFC 1002, section 4.2.12): type 0x21 is a node status, the amplifying one.
        Vector::Netbios => {
            let method = if payload.ends_with(&[0, 0x21, 0, 1]) { "node-status" } else { "name-query" };
            (method, none(), hash_without(payload, 0..2))
        }
        // ONC RPC (RFC 5531): a call to program 100000; procedure 3 is GETPORT, 4 is DUMP.
        Vector::Portmap => {
            let method = match payload.get(20..24) {
                Some([0, 0, 0, 4]) => "dump",
                Some([0, 0, 0, 3]) => "getport",
                Some([0, 0, 0, 0]) => "null",
                _ => "call",
            };
            (method, none(), hash_without(payload, 0..4))
        }
        // SQL Server Resolution Protocol ([MC-SQLR] 2.2): one byte chooses.
        Vector::Mssql => {
            let method = match at(0) {
                Some(2) => "broadcast",
                Some(3) => "unicast",
                Some(4) => "instance",
                _ => "request",
            };
            (method, printable(payload.get(1..).unwrap_or_default()), hash(payload))
        }
        // TFTP (RFC 1350): opcode, file name, mode.
        Vector::Tftp => {
            let method = match payload.get(..2) {
                Some([0, 1]) => "read",
                Some([0, 2]) => "write",
                _ => "request",
            };
            let name = payload.get(2..).and_then(|rest| rest.split(|byte| *byte == 0).next());
            (method, printable(name.unwrap_or_default()), hash(payload))
        }
        // SIP (RFC 3261): the request line; branch and tag differ each time.
        Vector::Sip => {
            let line = payload.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
            let method = match line.split(|byte| *byte == b' ').next().unwrap_or_default() {
                b"OPTIONS" => "options",
                b"REGISTER" => "register",
                b"INVITE" => "invite",
                _ => "request",
            };
            (method, printable(line), hash(line))
        }
        Vector::Steam => {
            let method = match at(4) {
                Some(b'T') => "info",
                Some(b'U') => "player",
                Some(b'V') => "rules",
                Some(b'g') => "getstatus",
                _ => "request",
            };
            (method, none(), hash(payload))
        }
        // OpenVPN: opcode in the upper five bits; 7 is a client's hard reset, which servers answer several times.
        Vector::Openvpn => {
            let method = if at(0).is_some_and(|byte| byte >> 3 == 7) { "hard-reset" } else { "request" };
            (method, none(), hash_without(payload, 1..9))
        }
        Vector::Ubiquiti => (if at(0) == Some(2) { "discovery-2" } else { "discovery" }, none(), hash(payload)),
        Vector::Dvr37810 => ("discovery", none(), hash(payload)),
        Vector::Arms => ("service-information", none(), hash(payload)),
        Vector::Chargen | Vector::Qotd => ("any", printable(&payload[..payload.len().min(32)]), hash(payload)),
        Vector::Stun => ("binding", none(), hash_without(payload, 8..20)),
        Vector::Ike => ("initiate", none(), hash_without(payload, 0..8)),
        _ => ("request", printable(&payload[..payload.len().min(32)]), hash(payload)),
    }
}

/// The name of the first question (RFC 1035, section 4.1.2), without compression: a query has none to point to.
fn dns_name(payload: &[u8]) -> String {
    let mut rest = payload.get(12..).unwrap_or_default();
    let mut labels = Vec::new();
    while let Some((&length, after)) = rest.split_first() {
        let Some(label) = after.get(..usize::from(length)).filter(|_| length > 0 && length < 64) else { break };
        labels.push(printable(label));
        rest = &after[usize::from(length)..];
        if labels.len() == 32 {
            break;
        }
    }
    labels.join(".").chars().take(255).collect()
}
