//! Taking known fields out of a JSON object or a row of named cells, the rest staying behind.

use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use serde_json::{Map, Value};

/// A JSON object from which a reader takes what it knows.
pub type Object = Map<String, Value>;

/// Why a line was refused, for its author to read.
pub type Refusal = String;

/// One JSON object per line. Depth is bounded at 128 by the parser.
pub fn object(line: &str) -> Result<Object, Refusal> {
    match serde_json::from_str(line) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("not a JSON object".into()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

/// Text under `key`; numbers and booleans as written; an empty text counts as absent.
pub fn text(object: &mut Object, key: &str) -> Option<String> {
    match object.remove(key)? {
        Value::String(text) => (!text.is_empty()).then_some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        other => {
            object.insert(key.to_owned(), other);
            None
        }
    }
}

/// Text under `key` where an empty text is a value (a password).
pub fn secret(object: &mut Object, key: &str) -> Option<String> {
    if let Some(Value::String(text)) = object.get(key)
        && text.is_empty()
    {
        object.remove(key);
        return Some(String::new());
    }
    text(object, key)
}

/// Address under `key`. Empty, `-` and null count as absent; anything else that is no address is refused.
pub fn address(object: &mut Object, key: &str) -> Result<Option<Addr>, Refusal> {
    match object.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() || text == "-" => Ok(None),
        Some(Value::String(text)) => parse_address(&text).map(Some).map_err(|error| format!("{key}: {error}")),
        Some(other) => Err(format!("{key}: {} is not an address", shorten(&other.to_string()))),
    }
}

/// An address as logs write it: a zone (`%eth0`) after a link-local address is dropped.
pub fn parse_address(text: &str) -> Result<Addr, Refusal> {
    let bare = text.split_once('%').map_or(text, |(addr, _zone)| addr);
    bare.parse().map_err(|_| format!("\"{}\" is not an IP address", shorten(text)))
}

/// Port under `key`, as number or text; -1, empty and null count as absent.
pub fn port(object: &mut Object, key: &str) -> Result<Option<u16>, Refusal> {
    let Some(value) = object.remove(key) else { return Ok(None) };
    let number = match &value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() || text == "-" || text == "-1" => return Ok(None),
        Value::Number(number) if number.as_i64() == Some(-1) => return Ok(None),
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64(),
        _ => None,
    };
    match number.and_then(|number| u16::try_from(number).ok()) {
        Some(port) => Ok(Some(port)),
        None => Err(format!("{key}: {} is not a port (0 to 65535)", shorten(&value.to_string()))),
    }
}

/// Whole number under `key`, as number or text.
pub fn count(object: &mut Object, key: &str) -> Option<u64> {
    let value = object.get(key)?;
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    if number.is_some() {
        object.remove(key);
    }
    number
}

/// Finite real number under `key`, as number or text.
pub fn real(object: &mut Object, key: &str) -> Option<f64> {
    let number = match object.get(key)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite());
    if number.is_some() {
        object.remove(key);
    }
    number
}

/// Instant under `key`: RFC 3339, seconds since 1970 as text or number. Absent or unreadable is refused.
pub fn time(object: &mut Object, key: &str) -> Result<Nanos, Refusal> {
    let value = object.remove(key).ok_or_else(|| format!("{key} is missing"))?;
    let text = match &value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(format!("{key}: {} is not a time", shorten(&value.to_string()))),
    };
    parse_time(&text).ok_or_else(|| format!("{key}: \"{}\" is not a time", shorten(&text)))
}

/// A time as logs write it. Seconds with more than nine decimals or an exponent go through a real number.
pub fn parse_time(text: &str) -> Option<Nanos> {
    if let Ok(ts) = text.parse() {
        return Some(ts);
    }
    let seconds: f64 = text.parse().ok()?;
    let nanos = seconds * SECOND as f64;
    (nanos.is_finite() && nanos.abs() < i64::MAX as f64).then_some(Nanos(nanos.round() as i64))
}

/// IP protocol number of a name, in any case.
pub fn proto_number(name: &str) -> Option<u8> {
    use noroshi_model::packet::proto;
    Some(match &*name.to_ascii_lowercase() {
        "tcp" => proto::TCP,
        "udp" => proto::UDP,
        "icmp" => proto::ICMP,
        "icmp6" | "icmpv6" | "ipv6-icmp" => proto::ICMPV6,
        "sctp" => proto::SCTP,
        "gre" => proto::GRE,
        "igmp" => 2,
        "ipv6" => proto::IPV6,
        "esp" => 50,
        "ah" => 51,
        other => return other.parse().ok(),
    })
}

/// The strongest hash among SHA-256, SHA-1 and MD5 under their usual keys; the weaker ones stay behind.
pub fn hash(object: &mut Object) -> Option<String> {
    ["sha256", "shasum", "sha1", "md5"]
        .into_iter()
        .find(|key| object.get(*key).and_then(Value::as_str).is_some_and(is_hash))
        .and_then(|key| text(object, key))
        .map(|hash| hash.to_ascii_lowercase())
}

/// Whether the text has the length and digits of MD5, SHA-1 or SHA-256.
pub fn is_hash(text: &str) -> bool {
    matches!(text.len(), 32 | 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// At most 60 characters, control characters escaped: foreign text inside a message for people.
pub fn shorten(text: &str) -> String {
    let mut out: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_every_log() {
        let expect = Nanos(1_767_323_045_678_901_000);
        for text in [
            "2026-01-02T03:04:05.678901Z",
            "2026-01-02T03:04:05.678901+0000",
            "2026-01-02T12:04:05.678901+09:00",
            "2026-01-02 03:04:05.678901",
            "1767323045.678901",
        ] {
            assert_eq!(parse_time(text), Some(expect), "{text}");
        }
        assert_eq!(parse_time("1e1"), Some(Nanos::from_seconds(10)));
        for bad in ["", "NaN", "inf", "1e400", "yesterday"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_not_taken_stays() {
        let mut object = object(r#"{"a":"x","b":{"c":1},"p":"70000","q":-1,"pw":""}"#).unwrap();
        assert_eq!(text(&mut object, "a").as_deref(), Some("x"));
        assert_eq!(text(&mut object, "b"), None);
        assert!(port(&mut object, "p").is_err());
        assert_eq!(port(&mut object, "q"), Ok(None));
        assert_eq!(secret(&mut object, "pw").as_deref(), Some(""));
        assert_eq!(object.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn deep_json_is_refused_not_followed() {
        assert!(object(&format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))).is_err());
    }
}
