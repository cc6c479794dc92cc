//! SFTP version 3 (draft-ietf-secsh-filexfer-02) on the files of a dialogue: enough for a client to look around and to
//! leave files. Nothing reaches a real file system.

use crate::iot::files::{Entry, Files, absolute};
use std::collections::BTreeMap;

/// Longest packet; clients send at most 256 KiB of data in one.
const PACKET: usize = 272 << 10;
/// Handles open at once.
const HANDLES: usize = 64;
/// Bytes of all files that are being written.
const OPEN_BYTES: usize = 4 << 20;
/// Names in one answer.
const NAMES: usize = 256;

const OK: u32 = 0;
const EOF: u32 = 1;
const NO_SUCH_FILE: u32 = 2;
const FAILURE: u32 = 4;
const BAD_MESSAGE: u32 = 5;
const UNSUPPORTED: u32 = 8;

enum Handle {
    Write { path: String, content: Vec<u8> },
    Read { content: std::sync::Arc<Vec<u8>> },
    Folder { names: Vec<(String, Vec<u8>)>, told: bool },
}

impl Handle {
    fn held(&self) -> usize {
        if let Handle::Write { content, .. } = self { content.len() } else { 0 }
    }
}

/// The server of one channel.
#[derive(Default)]
pub struct Server {
    pending: Vec<u8>,
    handles: BTreeMap<u32, Handle>,
    next: u32,
    /// A packet was too long: nothing more is understood.
    lost: bool,
}

/// Reads the fields of a packet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_at_checked(4)?;
        self.0 = rest;
        Some(u32::from_be_bytes(head.try_into().ok()?))
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from(self.number()?) << 32 | u64::from(self.number()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()? as usize;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn path(&mut self) -> Option<String> {
        Some(absolute("/root", &String::from_utf8_lossy(self.bytes()?)))
    }

    fn handle(&mut self) -> Option<u32> {
        self.bytes()?.try_into().ok().map(u32::from_be_bytes)
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

fn status(id: u32, code: u32) -> Vec<u8> {
    let mut out = vec![101];
    out.extend(id.to_be_bytes());
    out.extend(code.to_be_bytes());
    let words: &[u8] = match code {
        OK => b"Success",
        EOF => b"End of file",
        NO_SUCH_FILE => b"No such file",
        UNSUPPORTED => b"Operation unsupported",
        _ => b"Failure",
    };
    text(&mut out, words);
    text(&mut out, b"");
    out
}

/// Size, owner, mode, times (flags 1, 2, 4, 8).
fn attributes(entry: &Entry) -> Vec<u8> {
    let (size, mode) = match entry {
        Entry::Directory => (0, 0o040_755u32),
        Entry::File { content, executable } => (content.len() as u64, if *executable { 0o100_755 } else { 0o100_644 }),
        Entry::Null => (0, 0o020_666),
    };
    let mut out = 15u32.to_be_bytes().to_vec();
    out.extend(size.to_be_bytes());
    out.extend([0; 8]);
    out.extend(mode.to_be_bytes());
    out.extend([0; 8]);
    out
}

fn names(id: u32, list: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![104];
    out.extend(id.to_be_bytes());
    out.extend((list.len() as u32).to_be_bytes());
    for (name, attributes) in list {
        text(&mut out, name.as_bytes());
        text(&mut out, format!("-rw-r--r--    1 root     root            0 Jan  1 00:00 {name}").as_bytes());
        out.extend(attributes);
    }
    out
}

impl Server {
    /// Bytes came; what to answer.
    pub fn take(&mut self, data: &[u8], files: &mut Files) -> Vec<u8> {
        if self.lost {
            return Vec::new();
        }
        self.pending.extend_from_slice(data);
        let (mut out, mut at) = (Vec::new(), 0);
        while let Some(head) = self.pending.get(at..at + 4) {
            let length = u32::from_be_bytes(head.try_into().expect("four bytes")) as usize;
            if length == 0 || length > PACKET {
                self.lost = true;
                self.pending.clear();
                return out;
            }
            let Some(packet) = self.pending.get(at + 4..at + 4 + length).map(<[u8]>::to_vec) else { break };
            at += 4 + length;
            text(&mut out, &self.packet(&packet, files));
        }
        self.pending.drain(..at);
        out
    }

    fn packet(&mut self, packet: &[u8], files: &mut Files) -> Vec<u8> {
        let (kind, mut fields) = (packet[0], Fields(&packet[1..]));
        let Some(id) = fields.number() else { return status(0, BAD_MESSAGE) };
        if kind == 1 {
            // SSH_FXP_INIT has its version where others have an id.
            return vec![2, 0, 0, 0, 3];
        }
        self.request(kind, id, &mut fields, files).unwrap_or_else(|| status(id, BAD_MESSAGE))
    }

    fn request(&mut self, kind: u8, id: u32, fields: &mut Fields<'_>, files: &mut Files) -> Option<Vec<u8>> {
        Some(match kind {
            3 => self.open(id, fields.path()?, fields.number()?, files),
            4 => self.close(id, fields.handle()?, files),
            5 => self.read(id, fields.handle()?, fields.long()?, fields.number()?),
            6 => self.write(id, fields.handle()?, fields.long()?, fields.bytes()?),
            7 | 17 => match files.get(&fields.path()?) {
                Some(entry) => stat(id, entry),
                None => status(id, NO_SUCH_FILE),
            },
            8 => match self.handles.get(&fields.handle()?) {
                Some(Handle::Write { content, .. }) => {
                    stat(id, &Entry::File { content: content.clone().into(), executable: false })
                }
                Some(Handle::Read { content }) => {
                    stat(id, &Entry::File { content: content.clone(), executable: false })
                }
                Some(Handle::Folder { .. }) => stat(id, &Entry::Directory),
                None => status(id, FAILURE),
            },
            9 => {
                let (path, flags) = (fields.path()?, fields.number()?);
                if flags & 4 != 0 {
                    files.set_executable(&path, flags & 4 != 0 && mode(flags, fields)? & 0o111 != 0);
                }
                status(id, OK)
            }
            10 => status(id, OK),
            11 => self.open_folder(id, &fields.path()?, files),
            12 => self.read_folder(id, fields.handle()?),
            13 | 15 => {
                let gone = files.remove(&fields.path()?);
                status(id, if gone { OK } else { NO_SUCH_FILE })
            }
            14 => {
                let made = files.make_directory(&fields.path()?);
                status(id, if made { OK } else { FAILURE })
            }
            16 => names(id, &[(fields.path()?, 0u32.to_be_bytes().to_vec())]),
            18 => {
                let (from, to) = (fields.path()?, fields.path()?);
                let moved = files.read(&from).is_some_and(|content| files.write(&to, &content, false));
                if moved {
                    files.remove(&from);
                }
                status(id, if moved { OK } else { FAILURE })
            }
            _ => status(id, UNSUPPORTED),
        })
    }

    fn open(&mut self, id: u32, path: String, flags: u32, files: &mut Files) -> Vec<u8> {
        if self.handles.len() >= HANDLES {
            return status(id, FAILURE);
        }
        // SSH_FXF_WRITE is 2, SSH_FXF_TRUNC 16.
        let handle = if flags & 2 != 0 {
            let before = if flags & 16 != 0 { None } else { files.read(&path) };
            if !files.write(&path, before.as_deref().map_or(&[], |content| content), false) {
                return status(id, FAILURE);
            }
            Handle::Write { content: before.map_or_else(Vec::new, |content| content.as_ref().clone()), path }
        } else {
            match files.read(&path) {
                Some(content) => Handle::Read { content },
                None => return status(id, NO_SUCH_FILE),
            }
        };
        self.keep(id, handle)
    }

    fn keep(&mut self, id: u32, handle: Handle) -> Vec<u8> {
        self.next = self.next.wrapping_add(1);
        self.handles.insert(self.next, handle);
        let mut out = vec![102];
        out.extend(id.to_be_bytes());
        text(&mut out, &self.next.to_be_bytes());
        out
    }

    fn close(&mut self, id: u32, handle: u32, files: &mut Files) -> Vec<u8> {
        match self.handles.remove(&handle) {
            Some(Handle::Write { path, content }) => {
                status(id, if files.write(&path, &content, false) { OK } else { FAILURE })
            }
            Some(_) => status(id, OK),
            None => status(id, FAILURE),
        }
    }

    fn read(&mut self, id: u32, handle: u32, offset: u64, length: u32) -> Vec<u8> {
        let Some(Handle::Read { content }) = self.handles.get(&handle) else { return status(id, FAILURE) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let piece = &content[start..content.len().min(start.saturating_add(length.min(32 << 10) as usize))];
        if piece.is_empty() {
            return status(id, EOF);
        }
        let mut out = vec![103];
        out.extend(id.to_be_bytes());
        text(&mut out, piece);
        out
    }

    fn write(&mut self, id: u32, handle: u32, offset: u64, data: &[u8]) -> Vec<u8> {
        let held: usize = self.handles.values().map(Handle::held).sum();
        let Some(Handle::Write { content, .. }) = self.handles.get_mut(&handle) else { return status(id, FAILURE) };
        let Some(end) = usize::try_from(offset).ok().and_then(|at| at.checked_add(data.len())) else {
            return status(id, FAILURE);
        };
        // Clients write pieces out of order; a hole that no piece would fill is a way to make memory out of nothing.
        if end > content.len() + PACKET + data.len() || held + end.saturating_sub(content.len()) > OPEN_BYTES {
            return status(id, FAILURE);
        }
        if content.len() < end {
            content.resize(end, 0);
        }
        content[end - data.len()..end].copy_from_slice(data);
        status(id, OK)
    }

    fn open_folder(&mut self, id: u32, path: &str, files: &Files) -> Vec<u8> {
        if !files.is_directory(path) || self.handles.len() >= HANDLES {
            return status(id, NO_SUCH_FILE);
        }
        let listed = files.list(path).into_iter().take(NAMES);
        let names = listed
            .filter_map(|name| files.get(&absolute(path, &name)).map(|entry| (name.clone(), attributes(entry))))
            .collect();
        self.keep(id, Handle::Folder { names, told: false })
    }

    fn read_folder(&mut self, id: u32, handle: u32) -> Vec<u8> {
        match self.handles.get_mut(&handle) {
            Some(Handle::Folder { names: list, told }) if !*told => {
                *told = true;
                names(id, list)
            }
            Some(Handle::Folder { .. }) => status(id, EOF),
            _ => status(id, FAILURE),
        }
    }
}

fn stat(id: u32, entry: &Entry) -> Vec<u8> {
    let mut out = vec![105];
    out.extend(id.to_be_bytes());
    out.extend(attributes(entry));
    out
}

/// The permissions of an attribute block whose flags were read.
fn mode(flags: u32, fields: &mut Fields<'_>) -> Option<u32> {
    if flags & 1 != 0 {
        fields.long()?;
    }
    if flags & 2 != 0 {
        fields.long()?;
    }
    fields.number()
}
