//! Connection-less LDAP (RFC 1798, [MS-ADTS] 6.3.3): a directory server that answers a search for its root entry.

mod parser;
mod reply;
#[cfg(test)]
mod tests;

use super::{Answer, Heard, Question, hash, printable};
use noroshi_model::finding::Vector;

/// Reads a datagram; says what a real service would answer.
pub fn hear(question: &Question) -> Heard {
    let Some(search) = parser::parse(question.payload) else {
        return Heard::malformed(Vector::Cldap, question.payload);
    };
    Heard {
        vector: Vector::Cldap,
        method: "search".into(),
        name: printable(search.base),
        hash: hash(search.body),
        answer: Answer::Reply(reply::reply(&search, question)),
    }
}
