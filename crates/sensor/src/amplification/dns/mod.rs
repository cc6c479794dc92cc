//! DNS (RFC 1035): an open resolver of the kind that home routers are.

mod parser;
mod reply;
#[cfg(test)]
mod tests;

use super::{Answer, Heard, Question, hash_without};
use noroshi_model::finding::Vector;

/// Reads a datagram; says what a real service would answer.
pub fn hear(question: &Question) -> Heard {
    let Some(query) = parser::parse(question.payload) else { return Heard::malformed(Vector::Dns, question.payload) };
    Heard {
        vector: Vector::Dns,
        method: parser::kind_name(query.kind),
        name: query.name.clone(),
        hash: hash_without(question.payload, 0..2),
        answer: Answer::Reply(reply::reply(&query, question)),
    }
}
