//! Lines of a stream within a budget: a line that is too long is skipped without being held.

use std::io::{BufRead, Result};

/// What an import may cost. Past a bound the line is rejected, or the rest of the file refused, never the memory grown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Longest line, in bytes. Larger: more memory per file (two lines are held). Default 1 MiB.
    pub line_bytes: usize,
    /// Most bytes of one file after decompression; the guard against compression bombs. Default 1 TiB.
    pub file_bytes: u64,
    /// Most lines that one quoted CSV record may span. Default 64.
    pub record_lines: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { line_bytes: 1 << 20, file_bytes: 1 << 40, record_lines: 64 }
    }
}

/// One line without its line feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// Complete.
    Whole(Vec<u8>),
    /// Longer than the budget; its length in bytes.
    TooLong(u64),
}

/// Lines of a stream.
pub struct Lines<R> {
    source: R,
    budget: Budget,
    /// Bytes read so far.
    pub bytes: u64,
    /// Whether the last line read lacked a line feed.
    pub unterminated: bool,
    /// Whether reading stopped at the budget.
    pub exhausted: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `source` within `budget`.
    pub fn new(source: R, budget: Budget) -> Self {
        Lines { source, budget, bytes: 0, unterminated: false, exhausted: false }
    }

    /// The next line; none at the end or when the file's budget is used up.
    pub fn next_line(&mut self) -> Result<Option<Line>> {
        if self.bytes >= self.budget.file_bytes {
            self.exhausted = !self.source.fill_buf()?.is_empty();
            return Ok(None);
        }
        let (mut kept, mut length) = (Vec::new(), 0u64);
        self.unterminated = false;
        loop {
            let chunk = self.source.fill_buf()?;
            if chunk.is_empty() {
                if length == 0 {
                    return Ok(None);
                }
                self.unterminated = true;
                break;
            }
            let (taken, ended) = match chunk.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at, true),
                None => (chunk.len(), false),
            };
            length += taken as u64;
            if length <= self.budget.line_bytes as u64 {
                kept.extend_from_slice(&chunk[..taken]);
            } else {
                kept = Vec::new();
            }
            let used = taken + usize::from(ended);
            self.source.consume(used);
            self.bytes += used as u64;
            if ended {
                break;
            }
            // An endless line must not outlive the file's budget either.
            if self.bytes >= self.budget.file_bytes {
                self.unterminated = true;
                break;
            }
        }
        if length > self.budget.line_bytes as u64 {
            return Ok(Some(Line::TooLong(length)));
        }
        if kept.last() == Some(&b'\r') {
            kept.pop();
        }
        Ok(Some(Line::Whole(kept)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], budget: Budget) -> (Vec<Line>, bool) {
        let mut lines = Lines::new(std::io::BufReader::with_capacity(3, text), budget);
        let mut out = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            out.push(line);
        }
        (out, lines.exhausted)
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn ends_of_lines_and_of_files() {
        let budget = Budget::default();
        assert_eq!(all(b"", budget).0, []);
        assert_eq!(all(b"a\r\n\nb", budget).0, [whole("a"), whole(""), whole("b")]);
    }

    #[test]
    fn a_long_line_is_skipped_and_the_next_kept() {
        let budget = Budget { line_bytes: 4, ..Budget::default() };
        assert_eq!(all(b"1234\n12345\nab\n", budget).0, [whole("1234"), Line::TooLong(5), whole("ab")]);
    }

    #[test]
    fn a_file_past_its_budget_stops() {
        let budget = Budget { file_bytes: 6, ..Budget::default() };
        let (lines, exhausted) = all(b"abc\ndef\nghi\n", budget);
        assert!(exhausted && lines.len() == 2);
    }
}
