//! The service that moves files (adb's SYNC.TXT): a word, a length, then as many bytes.

use crate::iot::files::{Files, absolute};

/// Longest piece of a file (SYNC.TXT).
const PIECE_MAX: usize = 64 << 10;
/// Longest path, with the mode behind it (SYNC.TXT).
const PATH_MAX: usize = 1_024;

/// A transfer under way.
#[derive(Default)]
pub struct Sync {
    pending: Vec<u8>,
    /// Path of the file that comes, and whether it has begun.
    file: Option<(String, bool)>,
    over: bool,
}

impl Sync {
    /// The visitor ended it, or wrote what cannot be read.
    pub fn over(&self) -> bool {
        self.over
    }

    /// Bytes came; what to answer. Ends with the first answer that brings it past `room` bytes.
    pub fn take(&mut self, bytes: &[u8], files: &mut Files, room: usize) -> Vec<u8> {
        let mut out = Vec::new();
        self.pending.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(head) = self.pending.get(used..used + 8).filter(|_| !self.over) {
            let mut word = [0; 4];
            word.copy_from_slice(&head[..4]);
            let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            // In DONE the second word is a time.
            let carried = if &word == b"DONE" || &word == b"QUIT" { 0 } else { length as usize };
            let most = if &word == b"DATA" { PIECE_MAX } else { PATH_MAX };
            if carried > most || out.len() > room {
                self.over = true;
                break;
            }
            let Some(body) = self.pending.get(used + 8..used + 8 + carried).map(<[u8]>::to_vec) else { break };
            used += 8 + carried;
            self.request(&word, &body, files, &mut out);
        }
        self.pending.drain(..used);
        out
    }

    fn request(&mut self, word: &[u8; 4], body: &[u8], files: &mut Files, out: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(body).into_owned();
        let answer = |out: &mut Vec<u8>, word: &[u8; 4], numbers: &[u32]| {
            out.extend(word);
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        };
        match word {
            b"SEND" => {
                let path = text.rsplit_once(',').map_or(&*text, |(path, _)| path);
                self.file = Some((absolute("/", path), false));
            }
            b"DATA" => {
                if let Some((path, begun)) = &mut self.file {
                    // Folders are made with the first piece alone: a file may come in half a million.
                    let kept = if *begun { files.write(path, body, true) } else { files.put(path, body, false) };
                    *begun |= kept;
                }
            }
            b"DONE" => {
                if let Some((path, false)) = self.file.take() {
                    files.put(&path, &[], false);
                }
                answer(out, b"OKAY", &[0]);
            }
            b"STAT" => {
                let path = absolute("/", &text);
                let numbers = match files.read(&path) {
                    Some(content) => [0o100_644, content.len() as u32, 0],
                    None if files.is_directory(&path) => [0o040_755, 4_096, 0],
                    None => [0, 0, 0],
                };
                answer(out, b"STAT", &numbers);
            }
            b"LIST" => answer(out, b"DONE", &[0, 0, 0, 0]),
            b"RECV" => match files.read(&absolute("/", &text)) {
                Some(content) => {
                    for piece in content.chunks(PIECE_MAX) {
                        answer(out, b"DATA", &[piece.len() as u32]);
                        out.extend_from_slice(piece);
                    }
                    answer(out, b"DONE", &[0]);
                }
                None => {
                    let why = b"No such file or directory";
                    answer(out, b"FAIL", &[why.len() as u32]);
                    out.extend_from_slice(why);
                }
            },
            _ => self.over = true,
        }
    }
}
