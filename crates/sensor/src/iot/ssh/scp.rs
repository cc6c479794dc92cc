//! The receiving end of `scp -t`: a line for each file, then its bytes, then a zero byte; each answered by one.

use crate::iot::files::{Files, absolute};

/// Longest line.
const LINE: usize = 4_096;

enum State {
    Line(Vec<u8>),
    Content { path: String, left: u64, content: Vec<u8> },
}

/// An upload under way.
pub struct Sink {
    folder: String,
    state: State,
}

impl Sink {
    /// Into a folder, or to a file of that name.
    pub fn new(target: &str) -> Self {
        Sink { folder: absolute("/root", target), state: State::Line(Vec::new()) }
    }

    /// Bytes came; what to answer.
    pub fn take(&mut self, mut data: &[u8], files: &mut Files) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some((&first, rest)) = data.split_first() {
            match &mut self.state {
                State::Line(line) => {
                    data = rest;
                    if first == b'\n' {
                        let line = std::mem::take(line);
                        out.push(self.line(&line, files));
                    } else if line.len() < LINE && !(line.is_empty() && first == 0) {
                        line.push(first);
                    }
                }
                State::Content { path, left, content } => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                    content.extend_from_slice(&data[..take]);
                    *left -= take as u64;
                    data = &data[take..];
                    if *left == 0 {
                        files.write(path, content, false);
                        self.state = State::Line(Vec::new());
                        out.push(0);
                    }
                }
            }
        }
        out
    }

    fn line(&mut self, line: &[u8], files: &mut Files) -> u8 {
        let text = String::from_utf8_lossy(line).into_owned();
        let mut words = text.splitn(3, ' ');
        let (mode, size, name) = (words.next().unwrap_or_default(), words.next(), words.next().unwrap_or_default());
        let leaf = name.rsplit('/').next().unwrap_or_default();
        match mode.chars().next() {
            Some('C') => {
                let Some(size) = size.and_then(|text| text.parse::<u64>().ok()) else { return 1 };
                let path =
                    if files.is_directory(&self.folder) { absolute(&self.folder, leaf) } else { self.folder.clone() };
                self.state = State::Content { path, left: size, content: Vec::new() };
                if size == 0 {
                    self.state = State::Line(Vec::new());
                }
                0
            }
            Some('D') => {
                self.folder = absolute(&self.folder, leaf);
                files.make_directory(&self.folder);
                0
            }
            Some('E') => {
                self.folder = absolute(&self.folder, "..");
                0
            }
            Some('T') => 0,
            _ => 1,
        }
    }
}
