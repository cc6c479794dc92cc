//! Every other UDP port: named by port and payload, recorded, never answered.

mod parser;
#[cfg(test)]
mod tests;

use super::{Answer, Heard, Question, hash, printable};

/// Reads a datagram.
pub fn hear(question: &Question) -> Heard {
    let vector = parser::name(question.dport, question.payload);
    Heard {
        vector,
        method: if question.payload.is_empty() { "empty" } else { "request" }.into(),
        name: printable(&question.payload[..question.payload.len().min(32)]),
        hash: hash(question.payload),
        answer: Answer::Nothing,
    }
}
