//! Every other UDP port: named by port and payload, recorded, never answered.

mod describe;
mod parser;
#[cfg(test)]
mod tests;

use super::{Answer, Heard, Question};

/// Reads a datagram.
pub fn hear(question: &Question) -> Heard {
    let vector = parser::name(question.dport, question.payload);
    let (method, name, hash) = describe::describe(vector, question.payload);
    Heard { vector, method: method.into(), name, hash, answer: Answer::Nothing }
}
