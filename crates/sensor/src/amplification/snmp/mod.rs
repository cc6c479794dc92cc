//! SNMP versions 1 and 2c (RFC 1157, RFC 3416): the system group of a device.

mod parser;
mod reply;
#[cfg(test)]
mod tests;

use super::{Answer, Heard, Question, hash, printable};
use noroshi_model::finding::Vector;

/// Reads a datagram; says what a real service would answer.
pub fn hear(question: &Question) -> Heard {
    let Some(request) = parser::parse(question.payload) else {
        return Heard::malformed(Vector::Snmp, question.payload);
    };
    Heard {
        vector: Vector::Snmp,
        method: request.operation_name().into(),
        name: printable(request.community),
        // Without the request number.
        hash: hash(&[request.community, &[request.operation], request.body].concat()),
        answer: reply::reply(&request, question).map_or(Answer::Nothing, Answer::Reply),
    }
}
