//! NTP (RFC 5905): time (mode 3), control (mode 6, RFC 9327) and the private mode 7 whose `monlist` made history.

mod parser;
mod reply;
#[cfg(test)]
mod tests;

use super::{Answer, Heard, Question, hash_without};
use noroshi_model::finding::Vector;
use parser::Request;

/// Reads a datagram; says what a real service would answer.
pub fn hear(question: &Question) -> Heard {
    let Some(request) = parser::parse(question.payload) else { return Heard::malformed(Vector::Ntp, question.payload) };
    // Timestamps of mode 3 and the sequence number of mode 6 differ from request to request.
    let (method, masked) = match &request {
        Request::Time { .. } => ("time".to_owned(), 12..question.payload.len()),
        Request::Control { opcode, .. } => (parser::control_name(*opcode), 2..4),
        Request::Private { code, .. } => (parser::private_name(*code), 0..0),
    };
    Heard {
        vector: Vector::Ntp,
        method,
        name: String::new(),
        hash: hash_without(question.payload, masked),
        answer: reply::reply(&request, question).map_or(Answer::Nothing, Answer::Reply),
    }
}
