//! The Android debug bridge (adb's protocol.txt and SYNC.TXT): shells without a login, and files pushed.
//!
//! The device is an old one: no keys are asked for, one old shell service, messages of 4 KiB. Whoever opens a service gets
//! the emulated shell of the other lures; nothing is run.

mod packet;
mod sync;
#[cfg(test)]
mod tests;

use super::device::Dressed;
use super::dialogue::{Dialogue, Ends, Finished};
use super::house::{Reply, Talking};
use super::limits::Limits;
use noroshi_model::Nanos;
use packet::{Command, Message, PAYLOAD_MAX};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use sync::Sync;

/// Services that one visitor has open at once.
const STREAMS_MAX: usize = 16;
/// Version of the protocol in which checksums are still written.
const VERSION: u32 = 0x0100_0000;

/// Boxes of this kind: product, model, device, as the connection's banner names them.
const BOXES: [(&str, &str, &str); 6] = [
    ("p281", "MXQ", "p281"),
    ("rk322x_box", "rk322x-box", "rk322x_box"),
    ("p212", "TX3 Mini", "p212"),
    ("hi3798mv100", "Hi3798MV100", "Hi3798MV100"),
    ("astarnano", "X96 mini", "astarnano"),
    ("m201", "MXQ-4K", "m201"),
];

enum Service {
    /// A terminal: what was typed of the present line.
    Terminal(Vec<u8>),
    /// File transfer.
    Sync(Sync),
    /// A command that was run at once.
    Over,
}

struct Stream {
    /// The visitor's name of it.
    theirs: u32,
    service: Service,
    /// Bytes that wait for the visitor to take those before.
    waiting: VecDeque<Vec<u8>>,
    /// A message is under way and not yet acknowledged.
    unacknowledged: bool,
    closing: bool,
}

/// One visitor.
pub struct Talk {
    dialogue: Dialogue,
    pending: Vec<u8>,
    streams: BTreeMap<u32, Stream>,
    next: u32,
    greeted: bool,
    /// Bytes that services may still say. What they said waits for the visitor, so it is counted when it is said.
    room: usize,
}

impl Talk {
    /// A visitor came; nothing is sent first.
    pub fn new(device: Arc<Dressed>, limits: Limits, ends: &Ends, id: String, now: Nanos) -> Self {
        let first = device.persona.between("adb.stream", 1, 90) as u32;
        let dialogue = Dialogue::new(device, limits, ends, id, now);
        let room = dialogue.room();
        Talk { dialogue, pending: Vec::new(), streams: BTreeMap::new(), next: first, greeted: false, room }
    }

    fn banner(&self) -> String {
        let number = self.dialogue.device.persona.number("adb.box");
        let (product, model, device) = BOXES[number as usize % BOXES.len()];
        format!("device::ro.product.name={product};ro.product.model={model};ro.product.device={device};\0")
    }

    fn prompt(&self) -> String {
        let number = self.dialogue.device.persona.number("adb.box");
        format!("root@{}:/ # ", BOXES[number as usize % BOXES.len()].0)
    }

    fn take(&mut self, message: Message, now: Nanos, reply: &mut Reply) {
        match message.command {
            Command::Connect => {
                let name: String =
                    String::from_utf8_lossy(&message.payload).trim_end_matches('\0').chars().take(255).collect();
                self.dialogue.client(&name, None);
                self.greeted = true;
                let banner = self.banner().into_bytes();
                packet::write(&mut reply.bytes, Command::Connect, VERSION, PAYLOAD_MAX as u32, &banner);
            }
            // Keys are neither asked for nor looked at.
            Command::Authenticate | Command::Other => {}
            Command::Open => self.open(&message, now, reply),
            Command::Okay => {
                if let Some(stream) = self.streams.get_mut(&message.second) {
                    stream.unacknowledged = false;
                }
                self.flush(message.second, reply);
            }
            Command::Write => {
                packet::write(&mut reply.bytes, Command::Okay, message.second, message.first, &[]);
                self.written(message.second, &message.payload, now, reply);
                self.flush(message.second, reply);
            }
            Command::Close => {
                if self.streams.remove(&message.second).is_some() {
                    packet::write(&mut reply.bytes, Command::Close, message.second, message.first, &[]);
                }
            }
        }
    }

    fn open(&mut self, message: &Message, now: Nanos, reply: &mut Reply) {
        let text = String::from_utf8_lossy(&message.payload).trim_end_matches('\0').to_owned();
        let refuse = |reply: &mut Reply| packet::write(&mut reply.bytes, Command::Close, 0, message.first, &[]);
        if !self.greeted || message.first == 0 || self.streams.len() >= STREAMS_MAX {
            return refuse(reply);
        }
        let (name, argument) = text.split_once(':').unwrap_or((&text, ""));
        let mut said = Vec::new();
        let service = match name {
            "shell" | "exec" if argument.trim().is_empty() => {
                said.extend(self.prompt().into_bytes());
                Service::Terminal(Vec::new())
            }
            "shell" | "exec" => {
                for line in argument.split('\n').filter(|line| !line.trim().is_empty()) {
                    let heard = self.dialogue.line(line.as_bytes(), now);
                    reply.seconds = reply.seconds.saturating_add(heard.seconds);
                    said.extend(heard.output);
                    if heard.exit {
                        break;
                    }
                }
                Service::Over
            }
            "sync" => Service::Sync(Sync::default()),
            "root" => {
                said.extend(b"adbd is already running as root\n");
                Service::Over
            }
            "remount" => {
                said.extend(b"remount succeeded\n");
                Service::Over
            }
            _ => {
                self.dialogue.note(now, "service", json!({"service": text}));
                return refuse(reply);
            }
        };
        self.dialogue.note(now, "service", json!({"service": name}));
        let ours = self.next;
        self.next = self.next.wrapping_add(1).max(1);
        let over = matches!(service, Service::Over);
        let theirs = message.first;
        let stream = Stream { theirs, service, waiting: VecDeque::new(), unacknowledged: false, closing: over };
        self.streams.insert(ours, stream);
        packet::write(&mut reply.bytes, Command::Okay, ours, theirs, &[]);
        self.say(ours, &said);
        self.flush(ours, reply);
    }

    /// What the visitor writes into a service.
    fn written(&mut self, ours: u32, bytes: &[u8], now: Nanos, reply: &mut Reply) {
        let Some(stream) = self.streams.get_mut(&ours) else { return };
        match std::mem::replace(&mut stream.service, Service::Over) {
            Service::Over => {}
            Service::Sync(mut sync) => {
                let answer = sync.take(bytes, self.dialogue.files(), self.room);
                stream.closing |= sync.over();
                stream.service = Service::Sync(sync);
                self.say(ours, &answer);
            }
            Service::Terminal(mut line) => {
                let mut said = Vec::new();
                let prompt = self.prompt();
                for byte in bytes {
                    match byte {
                        b'\r' | b'\n' => {
                            said.extend(b"\n");
                            let heard = self.dialogue.line(&std::mem::take(&mut line), now);
                            reply.seconds = reply.seconds.saturating_add(heard.seconds);
                            said.extend(heard.output);
                            if heard.exit {
                                if let Some(stream) = self.streams.get_mut(&ours) {
                                    stream.closing = true;
                                }
                                self.say(ours, &said);
                                return;
                            }
                            said.extend(prompt.bytes());
                        }
                        4 if line.is_empty() => {
                            if let Some(stream) = self.streams.get_mut(&ours) {
                                stream.closing = true;
                            }
                        }
                        _ if line.len() < PAYLOAD_MAX => {
                            line.push(*byte);
                            said.push(*byte);
                        }
                        _ => self.dialogue.truncate(),
                    }
                }
                if let Some(stream) = self.streams.get_mut(&ours) {
                    stream.service = Service::Terminal(line);
                }
                self.say(ours, &said);
            }
        }
    }

    /// Puts bytes into a service's queue; its shells end lines as terminals do.
    fn say(&mut self, ours: u32, bytes: &[u8]) {
        self.room = self.room.saturating_sub(bytes.len());
        if self.room == 0 {
            return self.dialogue.truncate();
        }
        let Some(stream) = self.streams.get_mut(&ours) else { return };
        let bytes: Vec<u8> = match stream.service {
            Service::Sync(_) => bytes.to_vec(),
            _ => bytes
                .iter()
                .flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(byte) })
                .copied()
                .collect(),
        };
        stream.waiting.extend(bytes.chunks(PAYLOAD_MAX).map(<[u8]>::to_vec));
    }

    /// Sends the next message of a service, when the one before was taken; closes it behind the last.
    fn flush(&mut self, ours: u32, reply: &mut Reply) {
        let Some(stream) = self.streams.get_mut(&ours).filter(|stream| !stream.unacknowledged) else { return };
        match stream.waiting.pop_front() {
            Some(bytes) => {
                stream.unacknowledged = true;
                packet::write(&mut reply.bytes, Command::Write, ours, stream.theirs, &bytes);
            }
            None if stream.closing => {
                packet::write(&mut reply.bytes, Command::Close, ours, stream.theirs, &[]);
                self.streams.remove(&ours);
            }
            None => {}
        }
    }
}

impl Talking for Talk {
    fn feed(&mut self, bytes: &[u8], now: Nanos) -> Reply {
        let mut reply = Reply { close: !self.dialogue.received(bytes, now), ..Reply::default() };
        self.pending.extend_from_slice(bytes);
        let mut used = 0;
        while !reply.close {
            match packet::read(&self.pending[used..]) {
                Ok(Some((message, length))) => {
                    used += length;
                    self.take(message, now, &mut reply);
                    reply.close |= self.room == 0 || reply.bytes.len() > self.dialogue.room();
                }
                Ok(None) => break,
                Err(_) => {
                    self.dialogue.malformed(&self.pending[used..], now);
                    reply.close = true;
                }
            }
        }
        self.pending.drain(..used);
        reply.close |= !self.dialogue.sent(&reply.bytes, now);
        reply
    }

    fn truncate(&mut self) {
        self.dialogue.truncate();
    }

    fn finish(self: Box<Self>, now: Nanos) -> Finished {
        self.dialogue.finish(now)
    }
}
