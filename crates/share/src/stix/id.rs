//! Deterministic identifiers (STIX 2.1, section 2.9).
//!
//! A cyber-observable's id is the version 5 UUID of its contributing properties in canonical JSON (RFC 8785), so that
//! everybody who sees the same address writes the same id. Ids of our other objects come from a namespace of our own:
//! exporting the same thing twice gives the same object.

use serde_json::Value;
use uuid::Uuid;

/// Namespace of cyber-observables, from the standard.
const SCO: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);
/// Namespace of our own objects: drawn once at random.
const OWN: Uuid = Uuid::from_u128(0x7f0a_3c5e_52d9_4b1e_8c64_9d2f_1a60_be37);

/// The id of a cyber-observable with these contributing properties.
pub fn observable(kind: &str, properties: &Value) -> String {
    format!("{kind}--{}", Uuid::new_v5(&SCO, canonical(properties).as_bytes()))
}

/// The id of an object of ours that is about `what`.
pub fn own(kind: &str, what: &str) -> String {
    format!("{kind}--{}", Uuid::new_v5(&OWN, format!("{kind}|{what}").as_bytes()))
}

/// Canonical JSON (RFC 8785): no white space, members sorted by UTF-16 code units, shortest escapes. Numbers are
/// integers in everything that is identified here; others are written as serde_json does, which agrees with
/// ECMAScript for all values between 1e-6 and 1e21.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (at, key) in keys.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                text(key, out);
                out.push(':');
                write(&members[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::String(string) => text(string, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

fn text(string: &str, out: &mut String) {
    out.push('"');
    for c in string.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn canonical_form_is_that_of_rfc_8785() {
        // The sorting example of RFC 8785, section 3.2.3.
        let value: Value = serde_json::from_str(
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
        )
        .unwrap();
        let order = ["Carriage Return", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        let text = canonical(&value);
        let places: Vec<usize> = order.iter().map(|word| text.find(word).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
        assert_eq!(
            canonical(&json!({"b": [1, true, null], "a": "\u{1f}\"\\/"})),
            r#"{"a":"\u001f\"\\/","b":[1,true,null]}"#
        );
    }

    #[test]
    fn ids_agree_with_the_reference_library() {
        // python-stix2 3.0: IPv4Address(value="198.51.100.3").id, IPv6Address(value="2001:db8::1").id
        let id = |kind, value| observable(kind, &json!({ "value": value }));
        assert_eq!(id("ipv4-addr", "198.51.100.3"), "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4");
        assert_eq!(id("ipv6-addr", "2001:db8::1"), "ipv6-addr--6469e3a9-b053-5e34-a025-9396ae051d26");
        assert_eq!(
            observable("autonomous-system", &json!({ "number": 64500 })),
            "autonomous-system--0a5f7072-df00-5729-9f0a-4eb18631a446"
        );
    }
}
