//! The device's web pages (HTTP/1.x, RFC 9112): requests are recorded with what they name, answers come from the
//! persona. No request leads to another: places named in it are written down.

mod pages;
mod parser;
#[cfg(test)]
mod tests;

pub use pages::{exploit, http_date};
pub use parser::{Request, decoded, parse};

use super::device::Dressed;
use super::dialogue::{Dialogue, Ends, Finished};
use super::house::{Reply, Talking};
use super::limits::Limits;
use noroshi_model::Nanos;
use serde_json::json;
use std::sync::Arc;

/// Largest request, head and body: uploads of firmware pages are cut here.
const REQUEST: usize = 256 << 10;
/// Bytes of a body that are kept as text.
const BODY: usize = 8 << 10;

/// The next whole request of what came. What is too long or no request ends the dialogue, the latter with the refusal
/// of the device's server.
pub(super) fn next_request(
    pending: &mut Vec<u8>,
    dialogue: &mut Dialogue,
    now: Nanos,
    reply: &mut Reply,
    refusal: fn(&Dressed, Nanos) -> Vec<u8>,
) -> Option<Request> {
    match parse(pending) {
        Ok(Some((request, used))) => {
            pending.drain(..used);
            return Some(request);
        }
        Ok(None) if pending.len() > REQUEST => {
            dialogue.truncate();
            reply.close = true;
        }
        Ok(None) => {}
        Err(_) => {
            dialogue.malformed(pending, now);
            reply.bytes.extend(refusal(&dialogue.device, now));
            reply.close = true;
        }
    }
    None
}

/// One visitor.
pub struct Talk {
    dialogue: Dialogue,
    pending: Vec<u8>,
}

impl Talk {
    /// A visitor came; nothing is sent first.
    pub fn new(device: Arc<Dressed>, limits: Limits, ends: &Ends, id: String, now: Nanos) -> Self {
        Talk { dialogue: Dialogue::new(device, limits, ends, id, now), pending: Vec::new() }
    }

    fn answer(&mut self, request: &Request, now: Nanos, reply: &mut Reply) {
        let body: String = String::from_utf8_lossy(&request.body).chars().take(BODY).collect();
        let target = parser::decoded(&request.target);
        let names = |name: &str| request.header(name).map(str::to_owned);
        if let Some(agent) = names("user-agent") {
            self.dialogue.client(&agent, None);
        }
        let exploit = pages::exploit(&request.target, &body);
        let fields = json!({
            "method": request.method, "target": request.target, "host": names("host"), "agent": names("user-agent"),
            "referer": names("referer"), "body": body, "bytes": request.body.len(), "exploit": exploit,
        });
        let everything = format!(
            "{target}\n{}\n{}",
            request.headers.iter().map(|(_, value)| parser::decoded(value)).collect::<Vec<_>>().join("\n"),
            parser::decoded(&body)
        );
        let summary = format!("{} {}", request.method, request.target);
        if !self.dialogue.request(&summary, fields, &everything, now) {
            reply.close = true;
            return;
        }
        let login = pages::credentials(request);
        let accepted = login.map(|(user, password)| self.dialogue.login(&user, &password, now));
        let device = self.dialogue.device.clone();
        let page = pages::answer(&device, request, accepted, exploit.is_some());
        let close = request.closes() || !self.dialogue.may_login();
        reply.bytes.extend(pages::encode(&device, &request.method, &page, close, now));
        reply.close |= close;
    }
}

impl Talking for Talk {
    fn feed(&mut self, bytes: &[u8], now: Nanos) -> Reply {
        let mut reply = Reply { close: !self.dialogue.received(bytes, now), ..Reply::default() };
        self.pending.extend_from_slice(bytes);
        while !reply.close
            && let Some(request) =
                next_request(&mut self.pending, &mut self.dialogue, now, &mut reply, pages::malformed)
        {
            self.answer(&request, now, &mut reply);
        }
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
