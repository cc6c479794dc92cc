//! The frame of eight bytes and the first line of a command.

/// A command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command<'a> {
    /// Request number, to be returned.
    pub id: u16,
    /// `stats`, `get`, …
    pub verb: &'a str,
    /// The rest of the line.
    pub rest: &'a str,
}

/// Reads a command in one datagram; none for anything else.
pub fn parse(payload: &[u8]) -> Option<Command<'_>> {
    let (frame, text) = payload.split_first_chunk::<8>()?;
    // Sequence 0 of 1, reserved 0: commands in several datagrams are not taken by real servers either.
    if frame[2..] != [0, 0, 0, 1, 0, 0] {
        return None;
    }
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&text[..end]).ok()?.trim_end_matches('\r');
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    (!verb.is_empty()).then_some(Command { id: u16::from_be_bytes([frame[0], frame[1]]), verb, rest })
}
