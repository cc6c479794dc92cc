//! What every part of the HTML page uses: escaping, tags, tables, evidence.

use super::words::{self, short};
use crate::terminal;
use noroshi_model::finding::{Position, Thresholds};
use noroshi_model::report::FileSummary;
use std::fmt::{self, Write as _};

/// Packets of evidence that are named for one finding.
const EVIDENCE_SHOWN: usize = 12;

/// Foreign text inside an element or a quoted attribute: first harmless as text, then as HTML.
pub fn esc(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// Displays its text escaped.
pub struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in terminal::escape(self.0).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '`' => f.write_str("&#96;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A section with its heading, an anchor and how much of the list is shown.
pub fn section(id: &str, title: &str, shown: usize, total: u64, note: &str, body: &str) -> String {
    let extent = match total > shown as u64 {
        true => format!("<small>{} of {}</small>", words::count(shown as u64), words::count(total)),
        false if total > 0 => format!("<small>{}</small>", words::count(total)),
        false => String::new(),
    };
    let note = if note.is_empty() { String::new() } else { format!("<p class=\"note\">{note}</p>") };
    format!("<section id=\"{id}\"><h2>{title}{extent}</h2>{note}{body}</section>\n")
}

/// A table with its head; `rows` are whole `tr` or `tbody` elements. A heading that starts with `>` leans right.
pub fn table(heads: &[&str], rows: &str) -> String {
    let mut html = String::from("<div class=\"scroll\"><table><thead><tr>");
    for head in heads {
        let _ = match head.strip_prefix('>') {
            Some(head) => write!(html, "<th class=\"n\">{head}</th>"),
            None => write!(html, "<th>{head}</th>"),
        };
    }
    format!("{html}</tr></thead>{rows}</table></div>")
}

/// A small label.
pub fn tag(class: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<span class=\"tag {class}\">{}</span>", esc(text)) }
}

/// What lies behind a finding, folded away until it is asked for (always open in print).
pub fn behind(
    summary: &str,
    detector: &str,
    confidence: f64,
    thresholds: &Thresholds,
    evidence: &[Position],
    files: &[FileSummary],
) -> String {
    let mut list = String::new();
    for (name, value) in thresholds {
        let _ = write!(list, "{}<code>{} = {}</code>", if list.is_empty() { "" } else { ", " }, esc(name), value);
    }
    let thresholds = if list.is_empty() { "none" } else { &list };
    format!(
        "<details><summary>{}</summary><dl><dt>how sure</dt><dd>{:.0} %</dd><dt>thresholds used</dt><dd>{thresholds}</dd>\
         <dt>packets to look at</dt><dd>{}</dd><dt>detector</dt><dd>{}</dd></dl></details>",
        esc(summary),
        confidence * 100.0,
        positions(evidence, files),
        esc(detector),
    )
}

/// Packets by file and number, counted from 1 as packet viewers do.
fn positions(evidence: &[Position], files: &[FileSummary]) -> String {
    let mut html = String::new();
    let mut file_before = None;
    for position in evidence.iter().take(EVIDENCE_SHOWN) {
        if file_before != Some(position.file) {
            let path = files.get(position.file as usize).map_or("?", |file| file.path.as_str());
            let _ = write!(html, "{}<code>{}</code> numbers ", if html.is_empty() { "" } else { "; " }, esc(path));
            file_before = Some(position.file);
        } else {
            html.push_str(", ");
        }
        let _ = write!(html, "{}", position.packet + 1);
    }
    if evidence.len() > EVIDENCE_SHOWN {
        let _ = write!(html, " and {} more", short((evidence.len() - EVIDENCE_SHOWN) as f64));
    }
    if html.is_empty() { "not kept".to_owned() } else { html }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(esc("<b>&\"'`\u{202e}\n").to_string(), "&lt;b&gt;&amp;&quot;&#39;&#96;\\u{202e}\\u{a}");
    }
}
