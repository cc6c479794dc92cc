//! The device's UPnP control endpoint (UPnP Device Architecture 1.0, sections 2 and 3): its description, and SOAP calls,
//! through which bots have commands run on routers. Calls are recorded with what they name, and answered as done.

mod pages;
#[cfg(test)]
mod tests;

use super::device::Dressed;
use super::dialogue::{Dialogue, Ends, Finished};
use super::house::{Reply, Talking};
use super::http::{self, Request};
use super::limits::Limits;
use noroshi_model::{Addr, Nanos};
use serde_json::json;
use std::sync::Arc;

/// Bytes of a body that are kept as text.
const BODY: usize = 8 << 10;

/// One visitor.
pub struct Talk {
    dialogue: Dialogue,
    pending: Vec<u8>,
    /// Our address, which the device also calls its outer one.
    own: Addr,
}

impl Talk {
    /// A visitor came; nothing is sent first.
    pub fn new(device: Arc<Dressed>, limits: Limits, ends: &Ends, id: String, now: Nanos) -> Self {
        Talk { dialogue: Dialogue::new(device, limits, ends, id, now), pending: Vec::new(), own: ends.dst }
    }

    fn answer(&mut self, request: &Request, now: Nanos, reply: &mut Reply) {
        let body: String = String::from_utf8_lossy(&request.body).chars().take(BODY).collect();
        let header = |name: &str| request.header(name).map(str::to_owned);
        if let Some(agent) = header("user-agent") {
            self.dialogue.client(&agent, None);
        }
        let action = pages::action(request, &body);
        let exploit = http::exploit(&request.target, &body);
        let fields = json!({
            "method": request.method, "target": request.target, "host": header("host"), "agent": header("user-agent"),
            "soap_action": header("soapaction"), "action": action, "body": body, "bytes": request.body.len(),
            "exploit": exploit,
        });
        // The name space of HNAP is no place to fetch from.
        let plain = |value: &str| value.replace("http://purenetworks.com/HNAP1/", " ");
        let headers: Vec<String> = request.headers.iter().map(|(_, value)| plain(value)).collect();
        let everything =
            format!("{}\n{}\n{}", http::decoded(&request.target), headers.join("\n"), pages::unescaped(&body));
        let summary = match &action {
            Some(action) => format!("{} {} {action}", request.method, request.target),
            None => format!("{} {}", request.method, request.target),
        };
        if !self.dialogue.request(&summary, fields, &everything, now) {
            reply.close = true;
            return;
        }
        let device = self.dialogue.device.clone();
        reply.bytes.extend(pages::answer(&device, request, action.as_deref(), self.own, now));
        // Devices of this kind serve one call and hang up.
        reply.close = true;
    }
}

impl Talking for Talk {
    fn feed(&mut self, bytes: &[u8], now: Nanos) -> Reply {
        let mut reply = Reply { close: !self.dialogue.received(bytes, now), ..Reply::default() };
        self.pending.extend_from_slice(bytes);
        if !reply.close
            && let Some(request) =
                http::next_request(&mut self.pending, &mut self.dialogue, now, &mut reply, pages::malformed)
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
