//! Cowrie's text log: `TIME [SYSTEM,number,address] message`. Its JSON says more; this is for those who kept only text.

use crate::fields::{self, Refusal};
use crate::record::Record;
use serde_json::Value;

/// Whether a line looks like Cowrie's text log.
pub fn recognises(line: &str) -> bool {
    split(line).is_some_and(|(_, system, _)| {
        ["cowrie.", "Cowrie", "HoneyPot", "SSHService", "SSHChannel"].iter().any(|start| system.starts_with(start))
    })
}

/// Time, system and message.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let (time, rest) = line.split_once(" [")?;
    let (system, message) = rest.split_once("] ").or_else(|| Some((rest.strip_suffix(']')?, "")))?;
    (time.len() >= 20 && time.as_bytes()[4] == b'-').then_some((time, system, message))
}

/// One line of the text log.
pub fn record(line: &str) -> Result<Record, Refusal> {
    let (time, system, message) = split(line).ok_or("no \"TIME [SYSTEM] message\"")?;
    let ts = fields::parse_time(time).ok_or_else(|| format!("\"{}\" is not a time", fields::shorten(time)))?;
    let mut row = Record { ts: Some(ts), ..Record::default() };
    row.src = system.rsplit(',').next().and_then(|last| fields::parse_address(last).ok());
    let lower = system.to_ascii_lowercase();
    row.service = ["telnet", "ssh"].into_iter().find(|name| lower.contains(name)).map(str::to_owned);
    row.kind = fill(&mut row, message).to_owned();
    row.extra.insert("system".into(), Value::from(system));
    row.extra.insert("message".into(), Value::from(message));
    Ok(row)
}

/// Fills what the message says; returns the name that Cowrie's JSON gives it, or `log` where it gives none.
fn fill(row: &mut Record, message: &str) -> &'static str {
    if let Some(rest) = message.strip_prefix("New connection: ") {
        let mut ends = rest.split([' ', '(', ')']).filter(|part| !part.is_empty());
        (row.src, row.sport) = ends.next().map_or((None, None), end);
        (row.dst, row.dport) = ends.next().map_or((None, None), end);
        row.session = rest.split_once("[session: ").and_then(|(_, id)| id.strip_suffix(']')).map(str::to_owned);
        return "cowrie.session.connect";
    }
    if let Some((pair, accepted)) = login(message) {
        (row.username, row.password) = (Some(pair.0), Some(pair.1));
        row.accepted = Some(accepted);
        return if accepted { "cowrie.login.success" } else { "cowrie.login.failed" };
    }
    if let Some(version) = message.strip_prefix("Remote SSH version: ") {
        row.client = Some(version.to_owned());
        return "cowrie.client.version";
    }
    if let Some(hassh) = message.strip_prefix("SSH client hassh fingerprint: ") {
        row.fingerprint = Some(hassh.to_owned());
        return "cowrie.client.kex";
    }
    if let Some(command) = message.strip_prefix("CMD: ") {
        row.command = Some(command.to_owned());
        return "cowrie.command.input";
    }
    if message.starts_with("Connection lost after ") {
        return "cowrie.session.closed";
    }
    "log"
}

/// `192.0.2.1:22` or `2001:db8::1:22`.
fn end(text: &str) -> (Option<noroshi_model::Addr>, Option<u16>) {
    match text.rsplit_once(':') {
        Some((addr, port)) => (fields::parse_address(addr).ok(), port.parse().ok()),
        None => (None, None),
    }
}

/// `login attempt [b'root'/b'xc3511'] failed`; older releases write no `b'…'`.
fn login(message: &str) -> Option<((String, String), bool)> {
    let rest = message.strip_prefix("login attempt [")?;
    let (inside, outcome) = rest.rsplit_once("] ")?;
    let accepted = match outcome {
        "succeeded" => true,
        "failed" => false,
        _ => return None,
    };
    let pair = match inside.strip_prefix("b'").and_then(|rest| rest.split_once("'/b'")) {
        Some((user, password)) => (user, password.strip_suffix('\'').unwrap_or(password)),
        None => inside.split_once('/')?,
    };
    Some(((pair.0.to_owned(), pair.1.to_owned()), accepted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_fields() {
        let row = record(
            "2024-01-10T02:01:37.777153Z [cowrie.ssh.factory.CowrieSSHFactory] New connection: 192.0.2.9:45526 (198.51.100.8:2222) [session: 0a50]",
        )
        .unwrap();
        assert_eq!((row.sport, row.dport, row.session.as_deref()), (Some(45526), Some(2222), Some("0a50")));
        let row =
            record("2024-01-10T02:01:37Z [CowrieTelnetTransport,24,192.0.2.9] login attempt [b'root'/b'a/b'] failed")
                .unwrap();
        assert_eq!(row.password.as_deref(), Some("a/b"));
        assert_eq!((row.accepted, row.service.as_deref()), (Some(false), Some("telnet")));
        assert!(record("Traceback (most recent call last):").is_err());
    }
}
