//! The system group (RFC 1213, section 6.4): description, identity, uptime, contact, name, location.

use super::super::{Question, ber, reply_cap};
use super::parser::Request;

/// 1.3.6.1.2.1.1 (system), encoded.
const SYSTEM: [u8; 6] = [0x2b, 6, 1, 2, 1, 1];
const NO_SUCH_OBJECT: u8 = 0x80;
const END_OF_VIEW: u8 = 0x82;

/// The reply; none to a wrong community or to a set, as a device that is read-only.
pub fn reply(request: &Request, question: &Question) -> Option<Vec<u8>> {
    // Everyone knows `public`; some devices also have the other default.
    let writable = question.persona.number("snmp.private").is_multiple_of(2);
    let known = request.community == b"public" || writable && request.community == b"private";
    if !known || request.operation == 0xa3 || request.names.is_empty() {
        return None;
    }
    let objects = objects(question);
    let room =
        reply_cap(super::super::Protocol::Snmp, question.payload.len()).saturating_sub(40 + request.community.len());
    let (mut pairs, mut size) = (Vec::new(), 0);
    let mut error = 0;
    let repeat = if request.operation == 0xa5 { 4 } else { 1 };
    for name in &request.names {
        let mut at = name.to_vec();
        for _ in 0..repeat {
            let found = match request.operation {
                0xa0 => objects.iter().find(|(oid, _)| *oid == at),
                _ => objects.iter().find(|(oid, _)| *oid > at),
            };
            let (oid, value) = match found {
                Some((oid, value)) => (oid.clone(), value.clone()),
                None if request.version == 0 => {
                    error = 2;
                    (at.clone(), vec![0x05, 0])
                }
                None if request.operation == 0xa0 => (at.clone(), vec![NO_SUCH_OBJECT, 0]),
                None => (at.clone(), vec![END_OF_VIEW, 0]),
            };
            let pair = ber::nest(0x30, &[ber::put(0x06, &oid), value]);
            // As much as fits, at least one: a bulk answer may stop anywhere.
            if size + pair.len() > room && !pairs.is_empty() {
                break;
            }
            size += pair.len();
            pairs.push(pair);
            at = oid;
        }
    }
    let pdu = ber::nest(
        0xa2,
        &[
            ber::put_integer(2, request.id),
            ber::put_integer(2, error),
            ber::put_integer(2, i64::from(error != 0)),
            ber::nest(0x30, &pairs),
        ],
    );
    Some(ber::nest(0x30, &[ber::put_integer(2, request.version), ber::put(4, request.community), pdu]))
}

/// What the device says about itself, in the order of its tree.
fn objects(question: &Question) -> Vec<(Vec<u8>, Vec<u8>)> {
    let persona = question.persona;
    let text = |text: &str| ber::put(0x04, text.as_bytes());
    let describe: &str = persona.pick(
        "snmp.description",
        &[
            "Linux DSL-2640B 2.6.22.19 #1 mips",
            "HP ETHERNET MULTI-ENVIRONMENT",
            "Linux router 3.10.49 armv7l",
            "RouterOS RB750GL",
            "Hikvision Network Camera",
            "ZXHN H108N V2.5",
        ],
    );
    let maker = persona.pick("snmp.maker", &[&[0x81, 0x5bu8][..], &[11], &[0xb0, 0x4b], &[0x81, 0xff, 0x3a]]);
    let identity = [&[0x2b, 6, 1, 4, 1][..], maker, &[1, 1]].concat();
    let hundredths = (persona.uptime("snmp", question.now) * 100) as i64 & i64::from(u32::MAX);
    [
        (1, text(describe)),
        (2, ber::put(0x06, &identity)),
        (3, ber::put_integer(0x43, hundredths)),
        (4, text(persona.pick("snmp.contact", &["", "admin", "root@localhost", "support"]))),
        (5, text(&persona.host())),
        (6, text(persona.pick("snmp.location", &["", "office", "unknown", "server room", "rack 2"]))),
    ]
    .into_iter()
    .map(|(leaf, value)| ([&SYSTEM[..], &[leaf, 0]].concat(), value))
    .collect()
}
