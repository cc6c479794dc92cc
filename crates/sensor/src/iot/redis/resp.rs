//! One command out of a stream: an array of bulk strings, or a line of words.

/// Words of one command.
const WORDS_MAX: usize = 1_024;
/// Bytes of one word.
const WORD_MAX: usize = 512 << 10;
/// Bytes of a command typed as a line; the real limit.
const LINE_MAX: usize = 64 << 10;

/// Why a stream is not this protocol; the words that the server says then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRedis {
    /// Too many words, or not a number.
    #[error("invalid multibulk length")]
    Words,
    /// A word that is too long, or not a number.
    #[error("invalid bulk length")]
    Word,
    /// Something else than a word.
    #[error("expected '$'")]
    Kind,
    /// A line without an end.
    #[error("too big inline request")]
    Line,
}

/// A command's words and the bytes it took; none when more bytes are needed.
pub type Parsed = Result<Option<(Vec<Vec<u8>>, usize)>, NotRedis>;

/// A line without its end, and the bytes it takes.
fn line(bytes: &[u8], most: usize) -> Result<Option<(&[u8], usize)>, NotRedis> {
    match bytes.iter().take(most).position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some((bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]), end + 1))),
        None if bytes.len() >= most => Err(NotRedis::Line),
        None => Ok(None),
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The first command of a stream.
pub fn parse(bytes: &[u8]) -> Parsed {
    let Some((head, mut at)) = line(bytes, LINE_MAX)? else { return Ok(None) };
    let Some(count) = head.strip_prefix(b"*") else {
        let words = head.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        return Ok(Some((words.take(WORDS_MAX).map(<[u8]>::to_vec).collect(), at)));
    };
    let count = number(count).filter(|count| *count <= WORDS_MAX as i64).ok_or(NotRedis::Words)?;
    // Copied only when the whole command is there: it may come byte by byte.
    let mut places = Vec::new();
    for _ in 0..count.max(0) {
        let Some((head, used)) = line(&bytes[at..], 64)? else { return Ok(None) };
        let length = number(head.strip_prefix(b"$").ok_or(NotRedis::Kind)?);
        let length = length.and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= WORD_MAX).ok_or(NotRedis::Word)?;
        let word = at + used..at + used + length;
        at = word.end + 2;
        if bytes.len() < at {
            return Ok(None);
        }
        places.push(word);
    }
    Ok(Some((places.into_iter().map(|word| bytes[word].to_vec()).collect(), at)))
}
