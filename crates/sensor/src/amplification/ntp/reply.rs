//! Small replies. The monitor list names the asker alone, as the list of a quiet server does: no third party.

use super::super::{Persona, Question, reply_cap};
use super::parser::Request;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};

/// Seconds from 1900 to 1970.
const ERA: i64 = 2_208_988_800;

/// The reply, where a real server sends one.
pub fn reply(request: &Request, question: &Question) -> Option<Vec<u8>> {
    match request {
        Request::Time { version, poll, transmit } => Some(time(*version, *poll, transmit, question)),
        Request::Control { version, opcode, sequence, association } => {
            control(*version, *opcode, *sequence, *association, question)
        }
        Request::Private { version, sequence, implementation, code } => {
            Some(private(*version, *sequence, *implementation, *code, question))
        }
    }
}

/// A 64-bit NTP timestamp.
fn timestamp(now: Nanos) -> [u8; 8] {
    let seconds = (now.seconds() + ERA) as u32;
    let fraction = ((now.0.rem_euclid(SECOND) as u128) << 32) / SECOND as u128;
    (u64::from(seconds) << 32 | fraction as u64).to_be_bytes()
}

/// Two: what ours follows has a clock of its own, which fits in a small answer where another address would not.
const STRATUM: u8 = 2;

/// The server that ours claims to follow: an address in the local network, as behind a gateway.
fn upstream(persona: &Persona) -> [u8; 4] {
    let number = persona.number("ntp.upstream");
    [10, number as u8, (number >> 8) as u8, 1 + (number >> 16) as u8 % 250]
}

fn time(version: u8, poll: u8, transmit: &[u8; 8], question: &Question) -> Vec<u8> {
    let persona = question.persona;
    let received = Nanos(question.now.0 - persona.between("ntp.processing", 20_000, 90_000) as i64);
    let set = Nanos(question.now.0 - (persona.number("ntp.set") as i64 & 0x3f_ffff_ffff));
    let mut out = vec![
        version << 3 | 4,
        STRATUM,
        poll,
        persona.pick("ntp.precision", &[&0xe8u8, &0xe9, &0xec, &0xed]).to_owned(),
    ];
    out.extend((persona.between("ntp.delay", 0x200, 0x2000) as u32).to_be_bytes());
    out.extend((persona.between("ntp.dispersion", 0x400, 0x3000) as u32).to_be_bytes());
    out.extend(upstream(persona));
    out.extend(timestamp(set));
    out.extend(transmit);
    out.extend(timestamp(received));
    out.extend(timestamp(question.now));
    out
}

fn version_text(persona: &Persona) -> &str {
    persona.pick(
        "ntp.version",
        &[
            "ntpd 4.2.4p8@1.1612-o",
            "ntpd 4.2.6p5@1.2349-o",
            "ntpd 4.2.6p2@1.2194-o",
            "ntpd 4.1.1@1.786",
            "ntpd 4.2.8p9@1.3265",
        ],
    )
}

fn system_text(persona: &Persona) -> &str {
    persona.pick("ntp.system", &["Linux/2.6.32", "Linux/3.10.17", "Linux/2.6.18", "UNIX", "Linux/3.4.11-rt19"])
}

/// Mode 6: status word, association, then text or pairs; padded to four bytes (RFC 9327, section 2).
fn control(version: u8, opcode: u8, sequence: u16, association: u16, question: &Question) -> Option<Vec<u8>> {
    let persona = question.persona;
    let data: Vec<u8> = match (opcode, association) {
        (1, 0) => {
            let peer = persona.between("ntp.association", 0x1000, 0xf000) as u16;
            [peer.to_be_bytes(), [0x96, 0x14]].concat()
        }
        (2, 0) => {
            let room = reply_cap(super::super::Protocol::Ntp, question.payload.len()).saturating_sub(12);
            let all = [
                format!("version=\"{}\"", version_text(persona)),
                format!("system=\"{}\"", system_text(persona)),
                "leap=0".to_owned(),
                format!("stratum={STRATUM}"),
                format!("precision=-{}", persona.between("ntp.precision-text", 18, 24)),
                format!("peer={}", persona.between("ntp.association", 0x1000, 0xf000)),
            ];
            pairs(&all, room)
        }
        (2, peer) if u64::from(peer) == persona.between("ntp.association", 0x1000, 0xf000) => {
            let [a, b, c, d] = upstream(persona);
            let room = reply_cap(super::super::Protocol::Ntp, question.payload.len()).saturating_sub(12);
            // What `ntpq -p` prints, the most telling first; ntpd says `reach` in hexadecimal.
            let all = [
                format!("srcadr={a}.{b}.{c}.{d}"),
                format!("refid={}", persona.pick("ntp.refid", &["GPS", "PPS", "DCF", "MSF", "NIST", "GNSS"])),
                "stratum=1".to_owned(),
                format!("reach=0x{:x}", persona.pick("ntp.reach", &[&0xffu8, &0xff, &0xef, &0xfe, &0x7f])),
                "ppoll=6, hpoll=6".to_owned(),
                format!(
                    "delay={}.{:03}",
                    persona.between("ntp.peer-ms", 0, 4),
                    persona.between("ntp.peer-delay", 180, 990)
                ),
                format!("offset=-0.{:03}", persona.between("ntp.peer-offset", 10, 900)),
                format!("jitter=0.{:03}", persona.between("ntp.peer-jitter", 10, 400)),
                "hmode=3".to_owned(),
            ];
            pairs(&all, room)
        }
        // Others need a key or a nonce; a server answers with an error that is no larger than the request.
        _ => return Some(control_header(version, 0x80 | 0x40 | opcode, sequence, 0x0500, association, 0)),
    };
    let status = 0x0615;
    let mut out = control_header(version, 0x80 | opcode, sequence, status, association, data.len() as u16);
    out.extend(&data);
    out.resize(out.len().next_multiple_of(4), 0);
    Some(out)
}

/// As many variables as there is room for, in their order.
fn pairs(all: &[String], room: usize) -> Vec<u8> {
    let mut text = String::new();
    for part in all.iter().filter(|part| part.len() + 2 < room) {
        if text.len() + part.len() + 2 > room {
            break;
        }
        text.push_str(if text.is_empty() { "" } else { ", " });
        text.push_str(part);
    }
    text.into_bytes()
}

fn control_header(version: u8, operation: u8, sequence: u16, status: u16, association: u16, count: u16) -> Vec<u8> {
    let mut out = vec![version << 3 | 6, operation];
    for word in [sequence, status, association, 0, count] {
        out.extend(word.to_be_bytes());
    }
    out
}

/// Mode 7: header of eight bytes, then items. Errors: 4 no data, 3 wrong implementation, 7 format.
fn private(version: u8, sequence: u8, implementation: u8, code: u8, question: &Question) -> Vec<u8> {
    let (error, size, item) = match (implementation, code) {
        (2 | 3, 42) => (0, 72, monitor(question, true)),
        (2 | 3, 20) => (0, 32, monitor(question, false)),
        (2 | 3, 0) => (0, 32, peer(question.persona)),
        (2 | 3, _) => (4, 0, Vec::new()),
        _ => (3, 0, Vec::new()),
    };
    let count = u16::from(!item.is_empty());
    let mut out = vec![0x80 | version << 3 | 7, sequence, implementation, code];
    out.extend(((error as u16) << 12 | count).to_be_bytes());
    out.extend((size as u16).to_be_bytes());
    out.extend(item);
    out
}

/// `info_monitor_1` (72 bytes) or its older form (32 bytes): when last seen, first seen, restrictions, how often, who.
fn monitor(question: &Question, long: bool) -> Vec<u8> {
    let first_seen = question.persona.between("ntp.first-seen", 1, 30) as u32;
    let (v4_src, v4_dst) = (question.src.as_v4().unwrap_or(0), question.dst.as_v4().unwrap_or(0));
    let mut out = Vec::with_capacity(72);
    for word in [0, first_seen, 0, 2, v4_src] {
        out.extend(word.to_be_bytes());
    }
    if long {
        out.extend(v4_dst.to_be_bytes());
    }
    out.extend(1u32.to_be_bytes());
    out.extend(question.sport.to_be_bytes());
    out.extend([7, 2]);
    if !long {
        out.resize(32, 0);
        return out;
    }
    let v6 = !question.src.is_v4();
    out.extend(u32::from(v6).to_be_bytes());
    out.extend([0; 4]);
    let wide = |addr: Addr| if v6 { addr.bytes() } else { [0; 16] };
    out.extend(wide(question.src));
    out.extend(wide(question.dst));
    out
}

/// `info_peer_list`: address, port, mode, flags, then the IPv6 form.
fn peer(persona: &Persona) -> Vec<u8> {
    let mut out = upstream(persona).to_vec();
    out.extend(123u16.to_be_bytes());
    out.extend([3, 0x0c]);
    out.resize(32, 0);
    out
}
