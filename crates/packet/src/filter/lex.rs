//! Words of an expression.

use super::FilterError;
use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A sign, at most two characters.
    Sign(&'static str),
    /// A word that is no number and no address.
    Word(String),
    /// A word behind a backslash: never one of the language.
    Escaped(String),
    Number(u32),
    /// One to four bytes of an IPv4 address; a single number is [`Token::Number`].
    Dotted(Vec<u8>),
    V6(u128),
    Mac([u8; 6]),
}

/// Longer signs first.
const SIGNS: [&str; 24] = [
    "&&", "||", "<<", ">>", "<=", ">=", "==", "!=", "(", ")", "[", "]", ":", "+", "-", "*", "/", "%", "&", "|", "^",
    "<", ">", "=",
];

/// Words with the byte at which each begins.
pub(super) fn words(text: &str) -> Result<Vec<(usize, Token)>, FilterError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, length) = word(&text[at..]).ok_or(FilterError::Word(at))?;
        out.push((at, token));
        at += length;
    }
    Ok(out)
}

fn run(text: &str, of: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !of(c)).unwrap_or(text.len())]
}

fn word(text: &str) -> Option<(Token, usize)> {
    if let Some(found) = address(text) {
        return Some(found);
    }
    if let Some(rest) = text.strip_prefix('\\') {
        let name = run(rest, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        return (!name.is_empty()).then(|| (Token::Escaped(name.to_owned()), 1 + name.len()));
    }
    if let Some(sign) = SIGNS.iter().find(|sign| text.starts_with(**sign)) {
        return Some((Token::Sign(sign), sign.len()));
    }
    if text.starts_with('!') {
        return Some((Token::Sign("!"), 1));
    }
    let found = run(text, |c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    // A word does not end in a dash or a bar below.
    let found = found.trim_end_matches(['-', '_']);
    let token = match found {
        "" => return None,
        _ if found.bytes().all(|b| b.is_ascii_digit() || b == b'.') => dotted(found)?,
        _ if found.starts_with("0x") || found.starts_with("0X") => {
            Token::Number(u32::from_str_radix(&found[2..], 16).ok()?)
        }
        _ => Token::Word(found.to_owned()),
    };
    Some((token, found.len()))
}

/// IPv6 and Ethernet addresses, which hold colons.
fn address(text: &str) -> Option<(Token, usize)> {
    let found = run(text, |c| c.is_ascii_hexdigit() || c == ':' || c == '.');
    if found.matches(':').count() < 2 {
        return None;
    }
    if let Ok(address) = found.parse::<Ipv6Addr>() {
        return Some((Token::V6(address.into()), found.len()));
    }
    let mut mac = [0; 6];
    let mut parts = found.split(':');
    for byte in &mut mac {
        *byte = parts.next().filter(|part| part.len() <= 2).and_then(|part| u8::from_str_radix(part, 16).ok())?;
    }
    parts.next().is_none().then_some((Token::Mac(mac), found.len()))
}

fn dotted(found: &str) -> Option<Token> {
    if !found.contains('.') {
        // As in C, a leading zero makes it octal.
        let octal = found.len() > 1 && found.starts_with('0');
        return u32::from_str_radix(found, if octal { 8 } else { 10 }).ok().map(Token::Number);
    }
    let bytes: Option<Vec<u8>> = found.split('.').map(|part| part.parse().ok()).collect();
    bytes.filter(|bytes| bytes.len() <= 4).map(Token::Dotted)
}

/// The bytes of a dotted address, the missing ones zero.
pub(super) fn v4(bytes: &[u8]) -> u32 {
    let mut whole = [0; 4];
    whole[..bytes.len()].copy_from_slice(bytes);
    Ipv4Addr::from(whole).into()
}
