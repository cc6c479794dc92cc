//! What can be seen in the text of tracked files.

use super::Complaints;
use crate::run::root;
use std::path::{Path, PathBuf};

/// Crates in which time is a parameter: the same input gives the same output a year later.
const PURE: &[&str] = &["model", "stats", "packet", "detect", "correlate", "alert"];

/// Reading a clock.
const CLOCKS: &[&str] = &["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "Utc::now"];

/// Writing to the terminal.
const PRINTS: &[&str] = &["println!", "print!", "eprintln!", "eprint!", "dbg!"];

/// Places that speak to people and may print: programs, and the crate of commands.
const SPEAKING: &[&str] = &["/src/main.rs", "/src/bin/", "crates/cli/"];

/// Lines after which a file is listed as long.
const LINES_MAX: usize = 600;

/// Checks of Rust sources of libraries.
pub(crate) fn rust(files: &[PathBuf]) -> Complaints {
    let mut complaints = Complaints::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs")) {
        let shown = path.to_string_lossy();
        let Some((name, _)) = shown.strip_prefix("crates/").and_then(|rest| rest.split_once("/src/")) else { continue };
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        for (number, line) in code(&text) {
            let place = format!("{shown}:{number}");
            if PURE.contains(&name) && CLOCKS.iter().any(|clock| line.contains(clock)) {
                complaints.push(format!("{place}: {name} has no clock; take the time as a parameter"));
            }
            if !SPEAKING.iter().any(|part| shown.contains(part)) && PRINTS.iter().any(|word| calls(line, word)) {
                complaints.push(format!("{place}: a library does not print; return it, or use tracing"));
            }
        }
    }
    complaints
}

/// Lines of code with their numbers: without comments, and without the test module that ends a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| line.trim_end() != "#[cfg(test)]");
    lines.map(|(i, line)| (i + 1, line.split("//").next().unwrap_or(""))).filter(|(_, line)| !line.trim().is_empty())
}

/// Whether a macro of exactly this name is called; `eprintln!` is not `println!`.
fn calls(line: &str, word: &str) -> bool {
    let before = |at: usize| line[..at].chars().next_back();
    line.match_indices(word).any(|(at, _)| !before(at).is_some_and(|c| c.is_alphanumeric() || c == '_'))
}

/// Checks of every text file: nothing unfinished, nothing that holds on one machine only.
pub(crate) fn text(files: &[PathBuf]) -> Complaints {
    // Written in halves, so that this file does not complain about itself.
    let unfinished = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
    ];
    let machine = [concat!("/wo", "rk/")];
    let mut complaints = Complaints::new();
    for path in files.iter().filter(|path| is_ours(path)) {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        for (i, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), i + 1);
            if let Some(word) = unfinished.iter().find(|word| line.contains(**word)) {
                complaints.push(format!("{place}: `{word}`: finish it, or open an issue and take the note out"));
            }
            if let Some(word) = machine.iter().find(|word| line.contains(**word)) {
                complaints.push(format!("{place}: `{word}` holds on one machine only; use a relative path"));
            }
        }
    }
    complaints.extend(hosts());
    complaints
}

/// Written here rather than taken over or generated.
fn is_ours(path: &Path) -> bool {
    const TEXT: &[&str] = &["rs", "toml", "md", "sh", "ts", "svelte", "mjs", "js", "json", "css", "html", "py", "run"];
    let known = path.extension().and_then(|ext| ext.to_str()).is_some_and(|ext| TEXT.contains(&ext));
    let shown = path.to_string_lossy();
    (known || shown == ".ci/run") && !shown.ends_with("package-lock.json") && !shown.contains("fuzz/seeds/")
}

/// Crates come from the public index and npm's lock names no address at all, whatever mirror a machine uses.
fn hosts() -> Complaints {
    let public = [
        ("Cargo.lock", "source = ", "source = \"registry+https://github.com/rust-lang/crates.io-index\""),
        ("portal/package-lock.json", "\"resolved\": ", "no address"),
    ];
    let mut complaints = Complaints::new();
    for (file, key, public) in public {
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        let other = text.lines().map(str::trim).filter(|line| line.starts_with(key) && !line.starts_with(public));
        complaints.extend(other.take(3).map(|line| format!("{file}: `{line}` is not the public registry")));
    }
    complaints
}

/// Files that have grown long: a sign that one file holds two subjects.
pub(crate) fn long(files: &[PathBuf]) -> Vec<String> {
    let sources = files.iter().filter(|p| p.extension().is_some_and(|ext| ext == "rs" || ext == "svelte"));
    let counted = sources.filter_map(|path| {
        let lines = std::fs::read_to_string(root().join(path)).ok()?.lines().count();
        (lines > LINES_MAX).then(|| format!("{} has {lines} lines (more than {LINES_MAX})", path.display()))
    });
    counted.collect()
}

#[cfg(test)]
mod tests {
    use super::{calls, code};

    #[test]
    fn comments_and_tests_are_not_code() {
        let text = "fn a() {} // println!\n/// print!\n#[cfg(test)]\nmod tests { println!() }\n";
        assert_eq!(code(text).collect::<Vec<_>>(), [(1, "fn a() {} ")]);
    }

    #[test]
    fn a_longer_name_is_another_macro() {
        assert!(calls("println!(\"x\")", "println!"));
        assert!(!calls("eprintln!(\"x\")", "println!"));
        assert!(!calls("myprint!(\"x\")", "print!"));
    }
}
