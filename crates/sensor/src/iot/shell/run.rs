//! Runs what was parsed: words expanded, pipes filled, redirections written, budgets kept.

use super::lexer::Part;
use super::parser::{Command, Join, List, Redirect};
use super::{DEPTH, OUTPUT, Shell, from_bytes, to_bytes};
use crate::iot::files::absolute;

/// Bytes that a variable may hold: `A=$A$A` doubles with each turn.
const VARIABLE: usize = 64 << 10;

/// What a command printed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Output {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Output {
    pub(super) fn out(text: impl Into<String>) -> Self {
        Output { out: text.into(), err: String::new() }
    }

    pub(super) fn err(text: impl Into<String>) -> Self {
        Output { out: String::new(), err: text.into() }
    }
}

impl Shell {
    /// Runs a list; everything it prints. `input` is its standard input.
    pub(super) fn list(&mut self, list: &List, input: &str) -> String {
        if self.depth >= DEPTH {
            return String::new();
        }
        self.depth += 1;
        let mut printed = String::new();
        for (join, pipeline) in list {
            let wanted = match join {
                Join::Then => true,
                Join::And => self.status == 0,
                Join::Or => self.status != 0,
            };
            if self.exit || printed.len() > OUTPUT {
                break;
            }
            if wanted {
                printed.push_str(&self.pipeline(pipeline, input));
            }
        }
        self.depth -= 1;
        printed
    }

    fn pipeline(&mut self, pipeline: &[Command], input: &str) -> String {
        let (mut piped, mut printed) = (input.to_owned(), String::new());
        for command in pipeline {
            let output = self.command(command, &piped);
            printed.push_str(&output.err);
            piped = output.out;
            piped.truncate(floor(&piped, OUTPUT));
        }
        printed.push_str(&piped);
        printed
    }

    fn command(&mut self, command: &Command, input: &str) -> Output {
        if self.budget == 0 {
            return Output::default();
        }
        self.budget -= 1;
        match command {
            Command::Simple { words, redirects } => self.simple(words, redirects, input),
            Command::Group { list, redirects } => {
                let printed = Output::out(self.list(list, input));
                self.redirect(printed, redirects)
            }
            Command::If { branches, otherwise } => {
                let mut printed = String::new();
                for (condition, then) in branches {
                    printed.push_str(&self.list(condition, input));
                    if self.status == 0 {
                        printed.push_str(&self.list(then, input));
                        return Output::out(printed);
                    }
                }
                self.status = 0;
                printed.push_str(&self.list(otherwise, input));
                Output::out(printed)
            }
            Command::For { name, words, body } => {
                let mut printed = String::new();
                for value in self.expand(words) {
                    if self.budget == 0 || self.exit || printed.len() > OUTPUT {
                        break;
                    }
                    self.variables.insert(name.clone(), value);
                    printed.push_str(&self.list(body, input));
                }
                Output::out(printed)
            }
            Command::While { condition, body, until } => self.repeat(condition, body, *until, input),
        }
    }

    fn repeat(&mut self, condition: &List, body: &List, until: bool, input: &str) -> Output {
        let mut printed = String::new();
        // `while read x; do …` takes one line of the input each time.
        let mut lines = input.lines();
        while self.budget > 0 && !self.exit && printed.len() <= OUTPUT {
            let line = lines.next().unwrap_or_default();
            self.budget -= 1;
            printed.push_str(&self.list(condition, line));
            if (self.status == 0) == until {
                break;
            }
            printed.push_str(&self.list(body, ""));
        }
        Output::out(printed)
    }

    fn simple(&mut self, words: &[Vec<Part>], redirects: &[Redirect], input: &str) -> Output {
        let mut words = self.expand(words);
        // Assignments before the command; they last, also where a real shell would end them with it.
        while let Some((name, value)) = words.first().and_then(|word| assignment(word)) {
            if self.variables.len() < 256 {
                let cut = floor(&value, VARIABLE);
                self.variables.insert(name, value[..cut].to_owned());
            }
            words.remove(0);
        }
        let mut fed = String::new();
        for redirect in redirects.iter().filter(|redirect| redirect.operator == "<") {
            let named = self.word(&redirect.to);
            let path = absolute(&self.cwd, &named);
            match self.files.read(&path) {
                Some(content) => fed = from_bytes(&content),
                None => {
                    self.status = 1;
                    let shell = &self.device.device.shell;
                    return Output::err(format!("{shell}: can't open {path}: no such file\n"));
                }
            }
        }
        let input = if fed.is_empty() { input } else { &fed };
        self.status = 0;
        let output = if words.is_empty() { Output::default() } else { self.applet(&words, input) };
        self.redirect(output, redirects)
    }

    /// Sends output where it is told to go.
    fn redirect(&mut self, mut output: Output, redirects: &[Redirect]) -> Output {
        for redirect in redirects {
            let target = self.word(&redirect.to);
            match (redirect.operator, redirect.from) {
                (">&", 2) => {
                    let err = std::mem::take(&mut output.err);
                    output.out.push_str(&err);
                }
                (">&", _) => {
                    let out = std::mem::take(&mut output.out);
                    output.err.push_str(&out);
                }
                (operator @ (">" | ">>"), from) => {
                    let text = std::mem::take(if from == 2 { &mut output.err } else { &mut output.out });
                    if let Some(place) = target.strip_prefix("/dev/tcp/").or_else(|| target.strip_prefix("/dev/udp/")) {
                        self.note_url(format!("tcp://{}", place.replacen('/', ":", 1)));
                        self.status = 1;
                        continue;
                    }
                    let path = absolute(&self.cwd, &target);
                    if !self.files.write(&path, &to_bytes(&text), operator == ">>") {
                        self.status = 1;
                        let shell = &self.device.device.shell;
                        let why = if self.files.full { "No space left on device" } else { "nonexistent directory" };
                        output.err.push_str(&format!("{shell}: can't create {target}: {why}\n"));
                    }
                }
                _ => {}
            }
        }
        output
    }

    /// One word as one text.
    fn word(&mut self, parts: &[Part]) -> String {
        parts.iter().map(|part| self.part(part)).collect()
    }

    fn part(&mut self, part: &Part) -> String {
        match part {
            Part::Text { text, .. } => text.clone(),
            Part::Variable { name, .. } => self.variable(name),
            Part::Command { script, .. } => {
                if self.budget == 0 || self.depth >= DEPTH {
                    return String::new();
                }
                self.budget -= 1;
                self.script(script).trim_end_matches('\n').to_owned()
            }
        }
    }

    fn variable(&self, name: &str) -> String {
        match name {
            "?" => self.status.to_string(),
            "$" => (1_000 + self.device.persona.number("shell.pid") % 20_000).to_string(),
            "#" => "0".into(),
            "0" => self.device.device.shell.clone(),
            "PWD" => self.cwd.clone(),
            "RANDOM" => (self.now.0 / 1_000 % 32_768).to_string(),
            _ => {
                let (name, default) = name.split_once(":-").unwrap_or((name, ""));
                self.variables.get(name).cloned().unwrap_or_else(|| default.to_owned())
            }
        }
    }

    /// Words after expansion: unquoted variables and substitutions are split, unquoted stars match files.
    pub(super) fn expand(&mut self, words: &[Vec<Part>]) -> Vec<String> {
        let mut out = Vec::new();
        for parts in words {
            let splits = parts
                .iter()
                .any(|part| matches!(part, Part::Variable { quoted: false, .. } | Part::Command { quoted: false, .. }));
            let pattern = parts
                .iter()
                .any(|part| matches!(part, Part::Text { text, quoted: false } if text.contains(['*', '?'])));
            let text = self.word(parts);
            if pattern {
                out.extend(self.matches(&text));
            } else if splits {
                out.extend(text.split_ascii_whitespace().map(str::to_owned));
            } else {
                out.push(text);
            }
            // A bomb of expansions ends here.
            out.truncate(4_096);
            if out.iter().map(String::len).sum::<usize>() > OUTPUT {
                out.pop();
                break;
            }
        }
        out
    }

    /// Files that a pattern names; the pattern itself when there are none.
    fn matches(&self, pattern: &str) -> Vec<String> {
        let (folder, leaf) = pattern.rsplit_once('/').map_or(("", pattern), |(folder, leaf)| (folder, leaf));
        if folder.contains(['*', '?']) {
            return vec![pattern.to_owned()];
        }
        let place =
            if pattern.starts_with('/') && folder.is_empty() { "/".to_owned() } else { absolute(&self.cwd, folder) };
        let prefix = &pattern[..pattern.len() - leaf.len()];
        let names = self.files.list(&place);
        let found: Vec<String> = names
            .iter()
            .filter(|name| !name.starts_with('.') && glob(leaf, name))
            .map(|name| format!("{prefix}{name}"))
            .collect();
        if found.is_empty() { vec![pattern.to_owned()] } else { found }
    }
}

/// The largest place not after `at` where a text can be cut.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let valid = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    valid.then(|| (name.to_owned(), value.to_owned()))
}

/// Stars and question marks, without backtracking further than the last star.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    n = from + 1;
                    star = Some((at, n));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
