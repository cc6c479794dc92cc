//! The one place where foreign text becomes text that may be shown.
//!
//! Attackers choose payloads, host names and whatever partners pass on. Before such text reaches a mail, a page, a cell
//! or a log it goes through [`line`]: no control characters, no characters that reorder or hide text, no line breaks,
//! bounded length. Links in it are [`defang`]ed, so that nobody follows them by accident.

/// Longest foreign text that is shown, in characters.
pub const LINE_MAX: usize = 400;

/// One line of foreign text, harmless to show: control and format characters become U+FFFD, white space one blank.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LINE_MAX));
    let (mut count, mut blank) = (0, false);
    for c in text.chars() {
        if count >= LINE_MAX {
            out.push('…');
            break;
        }
        if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
            blank = !out.is_empty();
            continue;
        }
        if blank {
            out.push(' ');
            count += 1;
            blank = false;
        }
        out.push(if is_hidden(c) { '\u{fffd}' } else { c });
        count += 1;
    }
    out
}

/// Characters that steer terminals or pages instead of being seen: controls, bidirectional overrides, zero-width and
/// other format characters, line separators, private use, tags (Unicode 16, general categories Cc, Cf, Zl, Zp, Co).
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{10ffff}')
}

/// Foreign text whose links cannot be followed: `http` becomes `hxxp`, other schemes lose their colon, dots inside
/// words that look like hosts get brackets, and `@` becomes `[@]`.
pub fn defang(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 {
            out.push(' ');
        }
        defang_word(word, &mut out);
    }
    out
}

fn defang_word(word: &str, out: &mut String) {
    let lower = word.to_ascii_lowercase();
    let has_scheme = word.contains("://") || ["javascript:", "data:", "mailto:"].iter().any(|s| lower.contains(s));
    let word = if has_scheme { word.replace(':', "[:]") } else { word.to_owned() };
    let word = replace_ignoring_case(&word, "http", "hxxp", has_scheme);
    let hostlike = looks_like_host(&word) || has_scheme;
    let mut chars = word.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(c) = chars.next() {
        let inside = before.is_some_and(char::is_alphanumeric) && chars.peek().is_some_and(|n| n.is_alphanumeric());
        match c {
            '.' if hostlike && inside => out.push_str("[.]"),
            '@' if inside => out.push_str("[@]"),
            other => out.push(other),
        }
        before = Some(c);
    }
}

fn replace_ignoring_case(word: &str, from: &str, to: &str, wanted: bool) -> String {
    if !wanted {
        return word.to_owned();
    }
    let lower = word.to_ascii_lowercase();
    let mut out = String::with_capacity(word.len());
    let mut rest = 0;
    while let Some(at) = lower[rest..].find(from) {
        out.push_str(&word[rest..rest + at]);
        out.push_str(to);
        rest += at + from.len();
    }
    out.push_str(&word[rest..]);
    out
}

/// A dotted word whose last label is letters, as mail programs turn into links.
fn looks_like_host(word: &str) -> bool {
    let host = word.split(['/', ':', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default().trim_matches(|c: char| !c.is_alphanumeric());
    host.rsplit_once('.').is_some_and(|(name, top)| {
        !name.is_empty() && top.chars().count() >= 2 && top.chars().all(|c| c.is_alphabetic() || c == '-')
    })
}

/// Foreign text for people: one harmless line, links defanged.
pub fn shown(text: &str) -> String {
    defang(&line(text))
}

/// A CSV cell that no spreadsheet takes for a formula (OWASP, "CSV Injection"): a leading `= + - @` or tab gets an
/// apostrophe.
pub fn cell(text: &str) -> String {
    let text = line(text);
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '|' | '%') => format!("'{text}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_lose_their_teeth() {
        for (text, expect) in [
            ("get http://evil.example/a.sh now", "get hxxp[:]//evil[.]example/a[.]sh now"),
            ("HTTPS://Evil.Example", "hxxpS[:]//Evil[.]Example"),
            ("javascript:alert(1)", "javascript[:]alert(1)"),
            ("see evil.example.", "see evil[.]example."),
            ("mail root@evil.example", "mail root[@]evil[.]example"),
            ("198.51.100.7 sent 3.5 packets", "198.51.100.7 sent 3.5 packets"),
        ] {
            assert_eq!(defang(text), expect);
        }
    }

    #[test]
    fn nothing_hidden_remains() {
        assert_eq!(line("a\r\nBcc: x\u{202e}y\u{1b}[31m\u{0}"), "a Bcc: x\u{fffd}y\u{fffd}[31m\u{fffd}");
        assert_eq!(line(&"x".repeat(1000)).chars().count(), LINE_MAX + 1);
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("\t@SUM(A1)"), "'@SUM(A1)");
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_harmless_line(text in any::<String>()) {
            let shown = shown(&text);
            prop_assert!(!shown.chars().any(|c| c == '\n' || c == '\r' || is_hidden(c)));
            prop_assert!(!shown.contains("://"));
        }
    }
}
