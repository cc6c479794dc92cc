//! Whether a person is watching, colours for them, and foreign text made harmless.
//!
//! A path, a payload or a label comes from strangers. Before any of it is printed it passes through [`escape`], so that
//! it can neither move the cursor, nor change colours, nor turn the direction of the text around.

use std::borrow::Cow;
use std::fmt;
use std::io::IsTerminal;

/// Foreign text with every control, format and line-breaking character written as `\u{…}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the invisible or direction-changing format
/// characters of Unicode (UAX 9, UTS 39): they make text look like what it is not.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Colours, when a person can see them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// No colours.
    pub const PLAIN: Paint = Paint { on: false };
    /// Colours, whoever reads.
    pub const COLOURED: Paint = Paint { on: true };

    /// For standard output: colours on a terminal, unless `NO_COLOR` is set (no-color.org) or `TERM` is `dumb`.
    pub fn stdout() -> Paint {
        Paint { on: std::io::stdout().is_terminal() && wanted() }
    }

    /// The same for standard error.
    pub fn stderr() -> Paint {
        Paint { on: std::io::stderr().is_terminal() && wanted() }
    }

    /// Whether colours are on.
    pub fn is_on(self) -> bool {
        self.on
    }

    fn sgr(self, code: &'static str, text: impl fmt::Display) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// A heading.
    pub fn heading(self, text: impl fmt::Display) -> String {
        self.sgr("1", text)
    }

    /// Of lesser weight.
    pub fn faint(self, text: impl fmt::Display) -> String {
        self.sgr("2", text)
    }

    /// Something that went wrong, or an attack.
    pub fn error(self, text: impl fmt::Display) -> String {
        self.sgr("1;31", text)
    }

    /// Something to look at.
    pub fn warn(self, text: impl fmt::Display) -> String {
        self.sgr("33", text)
    }

    /// Something that is well.
    pub fn good(self, text: impl fmt::Display) -> String {
        self.sgr("32", text)
    }

    /// Bars and lines of a chart.
    pub fn chart(self, text: impl fmt::Display) -> String {
        self.sgr("36", text)
    }
}

fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_is_untouched() {
        for text in ["", "capture.pcap", "狼煙", "Ōsaka – café", "👩"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn escapes_what_can_deceive() {
        assert_eq!(escape("a\x1b]0;x\x07b"), "a\\u{1b}]0;x\\u{7}b");
        assert_eq!(escape("a\u{9b}2Jb\r\nc"), "a\\u{9b}2Jb\\u{d}\\u{a}c");
        assert_eq!(escape("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
    }

    #[test]
    fn colours_only_when_on() {
        assert_eq!(Paint::PLAIN.error("x"), "x");
        assert_eq!(Paint::COLOURED.error("x"), "\x1b[1;31mx\x1b[0m");
    }
}
