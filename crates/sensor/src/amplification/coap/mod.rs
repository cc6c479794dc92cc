//! CoAP (RFC 7252, RFC 6690): a constrained device that lists its resources.

mod parser;
mod reply;
#[cfg(test)]
mod tests;

use super::{Answer, Heard, Question, hash_without, printable};
use noroshi_model::finding::Vector;

/// Reads a datagram; says what a real service would answer.
pub fn hear(question: &Question) -> Heard {
    let Some(request) = parser::parse(question.payload) else {
        return Heard::malformed(Vector::Coap, question.payload);
    };
    Heard {
        vector: Vector::Coap,
        method: request.method_name().into(),
        name: printable(&request.path),
        // Without message number and token.
        hash: hash_without(question.payload, 2..4 + request.token.len()),
        answer: reply::reply(&request, question).map_or(Answer::Nothing, Answer::Reply),
    }
}
