//! Messages: a head of six little-endian words, then bytes (adb's protocol.txt).

/// Bytes of a head.
const HEAD: usize = 24;
/// Bytes that one message may carry: what devices of the first version take.
pub const PAYLOAD_MAX: usize = 4_096;
/// Largest message that is waited for; newer programs send their banner in less, too.
const TAKEN_MAX: usize = 256 << 10;

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// `CNXN`: version and largest message.
    Connect,
    /// `AUTH`.
    Authenticate,
    /// `OPEN`: the opener's name of the service.
    Open,
    /// `OKAY`: ready for more.
    Okay,
    /// `WRTE`.
    Write,
    /// `CLSE`.
    Close,
    /// Any other.
    Other,
}

const WORDS: [(Command, [u8; 4]); 6] = [
    (Command::Connect, *b"CNXN"),
    (Command::Authenticate, *b"AUTH"),
    (Command::Open, *b"OPEN"),
    (Command::Okay, *b"OKAY"),
    (Command::Write, *b"WRTE"),
    (Command::Close, *b"CLSE"),
];

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// What it is.
    pub command: Command,
    /// First argument: the sender's name of the service.
    pub first: u32,
    /// Second argument: the receiver's name of it.
    pub second: u32,
    /// Bytes.
    pub payload: Vec<u8>,
}

/// Not a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a message of the Android debug bridge")]
pub struct NotAdb;

/// The first message of a stream and the bytes it takes; none when more bytes are needed. Checksums are not looked at,
/// as newer programs write none.
pub fn read(bytes: &[u8]) -> Result<Option<(Message, usize)>, NotAdb> {
    let Some(head) = bytes.get(..HEAD) else {
        // The first word already tells.
        let known = |word: &[u8; 4]| word.iter().zip(bytes).all(|(a, b)| a == b);
        let fits = WORDS.iter().map(|(_, word)| word).chain([b"SYNC", b"STLS"]).any(known);
        return if fits { Ok(None) } else { Err(NotAdb) };
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = word(12) as usize;
    if word(20) != !word(0) || length > TAKEN_MAX {
        return Err(NotAdb);
    }
    let Some(payload) = bytes.get(HEAD..HEAD + length) else { return Ok(None) };
    let command = WORDS.iter().find(|(_, known)| *known == head[..4]).map_or(Command::Other, |(command, _)| *command);
    let message = Message { command, first: word(4), second: word(8), payload: payload.to_vec() };
    Ok(Some((message, HEAD + length)))
}

/// Writes a message.
pub fn write(out: &mut Vec<u8>, command: Command, first: u32, second: u32, payload: &[u8]) {
    let Some((_, word)) = WORDS.iter().find(|(known, _)| *known == command) else { return };
    let number = u32::from_le_bytes(*word);
    let sum = payload.iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
    for word in [number, first, second, payload.len() as u32, sum, !number] {
        out.extend(word.to_le_bytes());
    }
    out.extend_from_slice(payload);
}
