//! What could come next in a half-typed filter.

use super::parse::{Token, tokens};
use super::{Field, Shape};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One proposal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Completion {
    /// Text that would stand there.
    pub text: String,
    /// Character from which it replaces what was typed.
    pub from: usize,
    /// What it means.
    pub meaning: String,
}

enum Expected {
    Field,
    Operator(Field),
    Value(Field),
    Joint,
}

/// Proposals for the end of `text`, best first, at most twenty.
pub fn complete(text: &str) -> Vec<Completion> {
    let Ok(tokens) = tokens(text) else { return Vec::new() };
    let open = !text.ends_with(char::is_whitespace) && tokens.last().is_some_and(is_word);
    let (typed, before) = match tokens.split_last() {
        Some((last, before)) if open => (last.text.to_ascii_lowercase(), before),
        _ => (String::new(), &tokens[..]),
    };
    let from = text.chars().count() - typed.chars().count();
    let mut found = proposals(&expected(before));
    found.retain(|(name, _)| name.to_ascii_lowercase().starts_with(&typed) && name.to_ascii_lowercase() != typed);
    found.into_iter().take(20).map(|(text, meaning)| Completion { text, from, meaning }).collect()
}

fn is_word(token: &Token) -> bool {
    !token.quoted && token.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn expected(before: &[Token]) -> Expected {
    let mut state = Expected::Field;
    let mut in_list = None;
    for token in before {
        let text = token.text.to_ascii_lowercase();
        state = match state {
            Expected::Field => match Field::find(&text) {
                Some(field) if !token.quoted => Expected::Operator(field),
                _ => Expected::Field,
            },
            Expected::Operator(field) => Expected::Value(field),
            Expected::Value(field) if text == "(" => {
                in_list = Some(field);
                Expected::Value(field)
            }
            Expected::Value(_) => Expected::Joint,
            Expected::Joint => match (text.as_str(), in_list) {
                (",", Some(field)) => Expected::Value(field),
                (")", _) => {
                    in_list = None;
                    Expected::Joint
                }
                _ => Expected::Field,
            },
        };
    }
    state
}

fn proposals(expected: &Expected) -> Vec<(String, String)> {
    let plain = |words: &[&str]| words.iter().map(|word| ((*word).to_owned(), String::new())).collect();
    match expected {
        Expected::Field => Field::ALL.iter().map(|f| (f.name().to_owned(), f.meaning().to_owned())).collect(),
        Expected::Operator(field) => match field.shape() {
            Shape::Number { .. } => plain(&["=", "!=", "in", "<", "<=", ">", ">=", "&"]),
            _ => plain(&["=", "!=", "in"]),
        },
        Expected::Value(field) => match field.shape() {
            Shape::Word(words) => plain(words),
            _ => field.aliases().iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect(),
        },
        Expected::Joint => plain(&["and", "or"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        complete(text).into_iter().map(|c| c.text).collect()
    }

    #[test]
    fn follows_the_grammar() {
        assert!(texts("").contains(&"dport".to_owned()));
        assert_eq!(texts("dpo"), ["dport"]);
        assert_eq!(complete("src = 1.2.3.4 and dpo")[0].from, 18);
        assert_eq!(texts("src "), ["=", "!=", "in"]);
        assert_eq!(texts("kind = b"), ["backscatter"]);
        assert_eq!(texts("proto in (t"), ["tcp"]);
        assert_eq!(texts("proto in (tcp, u"), ["udp"]);
        assert_eq!(texts("dport = 23 "), ["and", "or"]);
    }
}
