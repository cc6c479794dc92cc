//! Replies of an empty cache. What is set is acknowledged and forgotten: nothing can be planted and fetched back.

use super::super::{Persona, Question};
use super::parser::Command;

fn version(persona: &Persona) -> &str {
    persona.pick("memcached.version", &["1.4.13", "1.4.15", "1.4.24", "1.4.25", "1.4.33", "1.5.3"])
}

/// The reply.
pub fn reply(command: &Command, question: &Question) -> Vec<u8> {
    let persona = question.persona;
    let text = match command.verb {
        "stats" if command.rest.is_empty() => format!(
            "STAT pid {}\r\nSTAT uptime {}\r\nSTAT version {}\r\nSTAT curr_items 0\r\nEND\r\n",
            persona.between("memcached.pid", 600, 30_000),
            persona.uptime("memcached", question.now),
            version(persona)
        ),
        "version" => format!("VERSION {}\r\n", version(persona)),
        "stats" | "get" | "gets" => "END\r\n".to_owned(),
        "set" | "add" | "replace" => "STORED\r\n".to_owned(),
        "delete" => "NOT_FOUND\r\n".to_owned(),
        "flush_all" => "OK\r\n".to_owned(),
        _ => "ERROR\r\n".to_owned(),
    };
    let mut out = command.id.to_be_bytes().to_vec();
    out.extend([0, 0, 0, 1, 0, 0]);
    out.extend(text.as_bytes());
    out
}
