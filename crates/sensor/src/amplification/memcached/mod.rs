//! memcached over UDP (`doc/protocol.txt`): a cache with nothing in it.

mod parser;
mod reply;
#[cfg(test)]
mod tests;

use super::{Answer, Heard, Question, hash, printable};
use noroshi_model::finding::Vector;

/// Reads a datagram; says what a real service would answer.
pub fn hear(question: &Question) -> Heard {
    let Some(command) = parser::parse(question.payload) else {
        return Heard::malformed(Vector::Memcached, question.payload);
    };
    Heard {
        vector: Vector::Memcached,
        method: printable(command.verb.as_bytes()),
        name: printable(command.rest.as_bytes()),
        // Without the frame: the request number differs.
        hash: hash(&question.payload[8..]),
        answer: Answer::Reply(reply::reply(&command, question)),
    }
}
