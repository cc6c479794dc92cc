//! WS-Discovery (OASIS 1.1): a network camera that answers a probe.

mod parser;
mod reply;
#[cfg(test)]
mod tests;

use super::{Answer, Heard, Question, hash, printable};
use noroshi_model::finding::Vector;

/// Reads a datagram; says what a real service would answer.
pub fn hear(question: &Question) -> Heard {
    let Some(probe) = parser::parse(question.payload) else {
        return Heard::malformed(Vector::WsDiscovery, question.payload);
    };
    let text = String::from_utf8_lossy(question.payload);
    Heard {
        vector: Vector::WsDiscovery,
        method: if probe.complete { "Probe" } else { "fragment" }.into(),
        name: printable(probe.types.as_bytes()),
        hash: hash(text.replace(&probe.message, "").as_bytes()),
        answer: if probe.complete { Answer::Reply(reply::reply(&probe, question)) } else { Answer::Nothing },
    }
}
