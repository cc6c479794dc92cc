//! A Redis server without a password (redis.io, "Redis serialization protocol specification"): what bots write into crontabs
//! and keys through it is kept, whom they name as master is written down and never contacted.

mod commands;
mod resp;
#[cfg(test)]
mod tests;

pub use resp::parse;

use super::device::Dressed;
use super::dialogue::{Dialogue, Ends, Finished};
use super::house::{Reply, Talking};
use super::limits::Limits;
use commands::Store;
use noroshi_model::Nanos;
use serde_json::json;
use std::sync::Arc;

/// One visitor, with a database of its own.
pub struct Talk {
    dialogue: Dialogue,
    pending: Vec<u8>,
    store: Store,
}

impl Talk {
    /// A visitor came; nothing is sent first.
    pub fn new(device: Arc<Dressed>, limits: Limits, ends: &Ends, id: String, now: Nanos) -> Self {
        let store = Store::new(&device.persona);
        Talk { dialogue: Dialogue::new(device, limits, ends, id, now), pending: Vec::new(), store }
    }
}

impl Talking for Talk {
    fn feed(&mut self, bytes: &[u8], now: Nanos) -> Reply {
        let mut reply = Reply { close: !self.dialogue.received(bytes, now), ..Reply::default() };
        self.pending.extend_from_slice(bytes);
        let mut used = 0;
        while !reply.close {
            match parse(&self.pending[used..]) {
                Ok(Some((words, length))) => {
                    used += length;
                    if words.is_empty() {
                        continue;
                    }
                    let text: Vec<String> =
                        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
                    let line = text.join(" ");
                    if !self.dialogue.request(&line, json!({"words": text}), &line, now) {
                        reply.close = true;
                        break;
                    }
                    let answer = self.store.answer(&words, &mut self.dialogue, now);
                    reply.bytes.extend(answer.bytes);
                    reply.close = answer.close || reply.bytes.len() > self.dialogue.room();
                }
                Ok(None) => break,
                Err(error) => {
                    self.dialogue.malformed(&self.pending[used..], now);
                    reply.bytes.extend(format!("-ERR Protocol error: {error}\r\n").into_bytes());
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
