//! HASSH: the MD5 of the client's key exchange, cipher, MAC and compression lists, joined by semicolons (Reardon and others,
//! 2018). The lists stand in the first packet after the identification, in the clear (RFC 4253, section 7.1).

use md5::{Digest, Md5};

/// SSH_MSG_KEXINIT.
const KEXINIT: u8 = 20;

/// The identification line, and what follows it.
pub fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

/// HASSH of a client's first bytes: identification line, then the packet with its lists.
pub fn hassh(bytes: &[u8]) -> Option<String> {
    let (_, packet) = split(bytes)?;
    let length = u32::from_be_bytes(packet.get(..4)?.try_into().ok()?) as usize;
    let payload = packet.get(5..4usize.checked_add(length)?)?;
    if *payload.first()? != KEXINIT {
        return None;
    }
    // Message number and cookie stand before the lists.
    let mut rest = payload.get(17..)?;
    let mut lists = Vec::new();
    for _ in 0..8 {
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let list = rest.get(4..4usize.checked_add(length)?)?;
        lists.push(String::from_utf8_lossy(list).into_owned());
        rest = &rest[4 + length..];
    }
    // Key exchange, cipher, MAC and compression from client to server.
    let text = [0, 2, 4, 6].map(|at| lists[at].as_str()).join(";");
    Some(Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
}
