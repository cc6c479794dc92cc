//! SSDP (UPnP Device Architecture 1.1, section 1.3): a device that answers a search.

mod parser;
mod reply;
#[cfg(test)]
mod tests;

pub use reply::server;

use super::{Answer, Heard, Question, hash, printable};
use noroshi_model::finding::Vector;

/// Reads a datagram; says what a real service would answer.
pub fn hear(question: &Question) -> Heard {
    let Some(search) = parser::parse(question.payload) else { return Heard::malformed(Vector::Ssdp, question.payload) };
    Heard {
        vector: Vector::Ssdp,
        method: search.method.clone(),
        name: printable(search.target.as_bytes()),
        hash: hash(question.payload),
        answer: reply::reply(&search, question).map_or(Answer::Nothing, Answer::Reply),
    }
}
