//! A shell that runs nothing: POSIX words, pipelines, redirections and the applets that bots use (POSIX.1-2017, XCU 2).
//!
//! Text is held as one character per byte (Latin-1), so that binary data passes through words, pipes and files
//! unchanged. Every command costs from a budget; loops and nesting end when it is used up.

mod applets;
mod fetch;
mod lexer;
mod parser;
mod run;
mod system;
#[cfg(test)]
mod tests;
mod text;

use super::device::Dressed;
use super::files::Files;
use super::limits::Limits;
use noroshi_model::Nanos;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Commands that one line may run, loops included.
const COMMANDS_PER_LINE: u32 = 2_000;
/// Nesting of subshells, substitutions and scripts.
const DEPTH: u32 = 8;
/// Bytes that one command may print.
const OUTPUT: usize = 256 << 10;

/// Bytes as text, one character each.
pub(crate) fn from_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| *byte as char).collect()
}

/// The bytes of such text.
pub(crate) fn to_bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u32 as u8).collect()
}

/// What a line led to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// What the visitor sees.
    pub output: Vec<u8>,
    /// The shell ended.
    pub exit: bool,
    /// Status of what ran last.
    pub status: u8,
    /// Seconds that a real device would have taken: sleeping, or waiting for a server that does not answer.
    pub seconds: u32,
}

/// The shell of one dialogue.
pub struct Shell {
    device: Arc<Dressed>,
    /// Files as the visitor sees them.
    pub files: Files,
    cwd: String,
    variables: BTreeMap<String, String>,
    status: u8,
    now: Nanos,
    budget: u32,
    depth: u32,
    seconds: u32,
    exit: bool,
    /// Places to fetch from that were named, in order.
    pub urls: Vec<String>,
    /// Shells started inside this one (`sh` typed): `exit` leaves one of them.
    nested: u32,
}

impl Shell {
    /// A shell on a fresh device.
    pub fn new(device: Arc<Dressed>, limits: Limits, user: &str) -> Self {
        let files = Files::new(device.base.clone(), limits);
        let variables =
            [("HOME", "/root"), ("PATH", "/bin:/sbin:/usr/bin:/usr/sbin"), ("SHELL", "/bin/sh"), ("USER", user)];
        Shell {
            device,
            files,
            cwd: "/root".into(),
            variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            status: 0,
            now: Nanos(0),
            budget: 0,
            depth: 0,
            seconds: 0,
            exit: false,
            urls: Vec::new(),
            nested: 0,
        }
    }

    /// The prompt.
    pub fn prompt(&self) -> &str {
        &self.device.device.prompt
    }

    /// Runs a line that was typed.
    pub fn line(&mut self, line: &[u8], now: Nanos) -> Said {
        self.now = now;
        self.budget = COMMANDS_PER_LINE;
        self.depth = 0;
        self.seconds = 0;
        self.note_urls(&String::from_utf8_lossy(line));
        let output = self.script(&from_bytes(line));
        Said { output: to_bytes(&output), exit: self.exit, status: self.status, seconds: self.seconds }
    }

    fn note_urls(&mut self, text: &str) {
        for url in super::urls::find(text) {
            self.note_url(url);
        }
    }

    pub(super) fn note_url(&mut self, url: String) {
        // Once each; a loop over addresses stays within the bound of a table cell.
        if self.urls.len() < 256 && !self.urls.contains(&url) {
            self.urls.push(url);
        }
    }

    /// Runs text as a script; what it prints.
    fn script(&mut self, text: &str) -> String {
        match parser::parse(text) {
            Ok(list) => self.list(&list, ""),
            Err(error) => {
                self.status = 2;
                format!("{}: {error}\n", self.device.device.shell)
            }
        }
    }
}
