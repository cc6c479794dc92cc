//! One datagram in, one row out, and perhaps a small reply: the pure heart of the reflector honeypot.

use super::budget::{Bounds, Budget};
use super::persona::Persona;
use super::selective::Selection;
use super::{Answer, Protocol, Question, reply_cap};
use noroshi_model::request::{Request, Withheld};
use noroshi_model::{Addr, Nanos};

/// A datagram as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Monotonic time, for budgets.
    pub clock: Nanos,
    /// Wall-clock time, for the row and for replies that tell the time.
    pub now: Nanos,
    /// Claimed source.
    pub src: Addr,
    /// Its port.
    pub sport: u16,
    /// Our address that was asked.
    pub dst: Addr,
    /// Our port that was asked.
    pub dport: u16,
    /// Time to live, where the system tells.
    pub ttl: Option<u8>,
    /// What came.
    pub payload: &'a [u8],
}

/// The honeypot of one sensor: all services share its budget.
pub struct Honeypot {
    sensor: String,
    persona: Persona,
    budget: Budget,
    selection: Option<Selection>,
    payload_bytes: usize,
}

/// Seconds of an epoch of selective response: one week, so that a scanner's subset stays long enough to be used.
const EPOCH: i64 = 7 * 86_400;

impl Honeypot {
    /// A honeypot whose budget is empty now. `payload_bytes` of each request are kept, as policy allows.
    pub fn new(sensor: &str, persona: Persona, bounds: Bounds, start: Nanos, payload_bytes: usize) -> Self {
        let budget = Budget::new(bounds, start);
        Honeypot { sensor: sensor.to_owned(), persona, budget, selection: None, payload_bytes }
    }

    /// Answers each scanner on its own half of the fleet only.
    pub fn with_selection(mut self, selection: Selection) -> Self {
        self.selection = Some(selection);
        self
    }

    /// The budget, to be muted by the hub.
    pub fn budget(&mut self) -> &mut Budget {
        &mut self.budget
    }

    /// Takes a datagram; returns its row, and the reply that must be sent if there is one.
    pub fn receive(&mut self, protocol: Protocol, arrival: &Arrival) -> (Request, Option<Vec<u8>>) {
        let heard = protocol.hear(&Question {
            payload: arrival.payload,
            src: arrival.src,
            sport: arrival.sport,
            dst: arrival.dst,
            dport: arrival.dport,
            now: arrival.now,
            persona: &self.persona,
        });
        self.budget.asked(arrival.clock, arrival.src);
        let (reply, withheld) = match heard.answer {
            Answer::Nothing => (None, Withheld::Nothing),
            Answer::Malformed => (None, Withheld::Malformed),
            Answer::Reply(reply) => self.decide(protocol, arrival, reply),
        };
        let request = Request {
            ts: arrival.now,
            sensor: self.sensor.clone(),
            src: arrival.src,
            dst: arrival.dst,
            sport: arrival.sport,
            dport: arrival.dport,
            vector: heard.vector,
            method: heard.method,
            name: heard.name,
            request_bytes: arrival.payload.len() as u32,
            reply_bytes: reply.as_ref().map_or(0, |reply| reply.len() as u32),
            withheld,
            request_hash: heard.hash,
            ttl: arrival.ttl,
            payload: arrival.payload[..arrival.payload.len().min(self.payload_bytes)].to_vec(),
        };
        (request, reply)
    }

    fn decide(&mut self, protocol: Protocol, arrival: &Arrival, reply: Vec<u8>) -> (Option<Vec<u8>>, Withheld) {
        if reply.is_empty() || reply.len() > reply_cap(protocol, arrival.payload.len()) {
            return (None, Withheld::TooLarge);
        }
        if !may_be_answered(protocol, arrival) {
            return (None, Withheld::Forbidden);
        }
        let epoch = (arrival.now.seconds() / EPOCH) as u32;
        if self.selection.as_ref().is_some_and(|chosen| !chosen.answers(arrival.src, protocol.name(), epoch)) {
            return (None, Withheld::Nothing);
        }
        match self.budget.allow(arrival.clock, arrival.src, reply.len()) {
            Withheld::No => (Some(reply), Withheld::No),
            why => (None, why),
        }
    }
}

/// Addresses that are no host, and ports whose services would answer our answer.
fn may_be_answered(protocol: Protocol, arrival: &Arrival) -> bool {
    let own = protocol.port() == Some(arrival.sport);
    let service = arrival.sport < 1024 && !own;
    let unicast = match arrival.src.as_v4() {
        Some(bits) => {
            let first = bits >> 24;
            first != 0 && first < 224 && bits & 0xff != 0xff
        }
        None => arrival.src.0 != 0 && arrival.src.0 >> 120 != 0xff,
    };
    arrival.sport != 0 && !service && unicast && (arrival.src != arrival.dst || arrival.sport != arrival.dport)
}
