//! Cowrie's JSON log (its `docs/OUTPUT.rst`): `duration` in seconds until 2025, `duration_ms` since.

use crate::fields::{self, Object, Refusal};
use crate::record::Record;

/// One record of Cowrie.
pub fn record(mut object: Object) -> Result<Record, Refusal> {
    let kind = fields::text(&mut object, "eventid").ok_or("eventid is missing")?;
    let accepted = match &*kind {
        "cowrie.login.success" => Some(true),
        "cowrie.login.failed" => Some(false),
        _ => None,
    };
    let duration = match fields::real(&mut object, "duration_ms") {
        Some(milliseconds) => Some(milliseconds / 1000.0),
        None => fields::real(&mut object, "duration"),
    };
    // In records of forwarded connections src and dst name what was asked for, so they are taken all the same.
    Ok(Record {
        ts: Some(fields::time(&mut object, "timestamp")?),
        src: fields::address(&mut object, "src_ip")?,
        // A forwarding request may name a host here; such text stays in `extra`.
        dst: fields::address(&mut object.clone(), "dst_ip").unwrap_or(None).inspect(|_| {
            object.remove("dst_ip");
        }),
        sport: fields::port(&mut object, "src_port")?,
        dport: fields::port(&mut object, "dst_port")?,
        proto: Some(noroshi_model::packet::proto::TCP),
        service: fields::text(&mut object, "protocol"),
        sensor: fields::text(&mut object, "sensor").unwrap_or_default(),
        session: fields::text(&mut object, "session"),
        username: accepted.and_then(|_| fields::secret(&mut object, "username")),
        password: accepted.and_then(|_| fields::secret(&mut object, "password")),
        accepted,
        command: command(&kind, &mut object),
        url: fields::text(&mut object, "url"),
        hash: fields::hash(&mut object),
        fingerprint: ["hassh", "ja4", "ja4h"].into_iter().find_map(|key| fields::text(&mut object, key)),
        client: fields::text(&mut object, "version"),
        duration,
        kind,
        extra: object,
        ..Record::default()
    })
}

/// Typed lines: `input` is one record per line; `success` and `failed` repeat it and stay in `extra`.
fn command(kind: &str, object: &mut Object) -> Option<String> {
    (kind == "cowrie.command.input").then(|| fields::secret(object, "input")).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Record, Refusal> {
        record(fields::object(text).unwrap())
    }

    #[test]
    fn old_and_new_duration() {
        let base = r#""eventid":"cowrie.session.closed","timestamp":"2026-01-01T00:00:00.5Z","session":"a""#;
        assert_eq!(read(&format!("{{{base},\"duration\":1.5}}")).unwrap().duration, Some(1.5));
        assert_eq!(read(&format!("{{{base},\"duration_ms\":1500}}")).unwrap().duration, Some(1.5));
    }

    #[test]
    fn what_is_not_known_is_kept() {
        let row = read(
            r#"{"eventid":"cowrie.direct-tcpip.request","timestamp":"2026-01-01T00:00:00Z","src_ip":"192.0.2.1",
                "dst_ip":"mail.example.com","dst_port":25,"late":true,"new_field":{"a":[1]}}"#,
        )
        .unwrap();
        assert_eq!(row.dport, Some(25));
        assert_eq!(row.dst, None);
        assert_eq!(row.extra["dst_ip"], "mail.example.com");
        assert_eq!(row.extra["new_field"]["a"][0], 1);
        assert_eq!(row.extra["late"], true);
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let refused = |text: &str| read(text).unwrap_err();
        assert!(refused(r#"{"timestamp":"2026-01-01"}"#).contains("eventid"));
        assert!(refused(r#"{"eventid":"cowrie.log.open"}"#).contains("timestamp is missing"));
        let bad_source = r#"{"eventid":"cowrie.log.open","timestamp":"2026-01-01","src_ip":"a\u001b[31m"}"#;
        assert!(refused(bad_source).contains(r"\u{1b}"), "escape characters do not reach a terminal");
    }
}
