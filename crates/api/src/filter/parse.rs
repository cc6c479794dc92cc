//! Text to expression: recursive descent with budgets. Errors name the place and what would fit.

use super::{Expr, Field, MAX_DEPTH, MAX_TESTS, MAX_TEXT, Op, Shape, Value};
use noroshi_model::Prefix;

/// The text is not a filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message} (at character {offset})")]
pub struct FilterError {
    /// Character where reading stopped, counted from 0.
    pub offset: usize,
    /// What was found, and what would fit.
    pub message: String,
}

/// Parses a filter; an empty text has none.
pub fn parse(text: &str) -> Result<Option<Expr>, FilterError> {
    if text.len() > MAX_TEXT {
        return Err(FilterError { offset: 0, message: format!("a filter has at most {MAX_TEXT} bytes") });
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, tests: 0, end: text.chars().count() };
    if parser.tokens.is_empty() {
        return Ok(None);
    }
    let expr = parser.any_of(0)?;
    match parser.peek() {
        None => Ok(Some(expr)),
        Some(token) => Err(parser.error(format!("\"{}\" does not fit here; expected and, or, or the end", token.text))),
    }
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub offset: usize,
    pub text: String,
    pub quoted: bool,
}

const SIGNS: [&str; 10] = ["!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "&"];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut out) = (0, Vec::new());
    while at < chars.len() {
        if chars[at].is_whitespace() {
            at += 1;
            continue;
        }
        let offset = at;
        if chars[at] == '"' {
            let end = chars[at + 1..].iter().position(|c| *c == '"').map(|n| at + 1 + n);
            let end = end.ok_or_else(|| FilterError { offset, message: "the quote is not closed".into() })?;
            out.push(Token { offset, text: chars[at + 1..end].iter().collect(), quoted: true });
            at = end + 1;
            continue;
        }
        let rest: String = chars[at..chars.len().min(at + 2)].iter().collect();
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            out.push(Token { offset, text: (*sign).to_owned(), quoted: false });
            at += sign.len();
            continue;
        }
        while at < chars.len() && !chars[at].is_whitespace() && !"!=<>(),&\"".contains(chars[at]) {
            at += 1;
        }
        if at == offset {
            return Err(FilterError { offset, message: format!("\"{}\" has no meaning here", chars[at]) });
        }
        out.push(Token { offset, text: chars[offset..at].iter().collect(), quoted: false });
    }
    Ok(out)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    tests: usize,
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn error(&self, message: String) -> FilterError {
        FilterError { offset: self.peek().map_or(self.end, |token| token.offset), message }
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| !token.quoted && token.text.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn any_of(&mut self, depth: usize) -> Result<Expr, FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("more than {MAX_DEPTH} levels of parentheses")));
        }
        let mut parts = vec![self.all_of(depth)?];
        while self.accept("or") {
            parts.push(self.all_of(depth)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Expr::Or(parts) })
    }

    fn all_of(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let mut parts = vec![self.one(depth)?];
        while self.accept("and") {
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Expr::And(parts) })
    }

    fn one(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let mut negated = false;
        while self.accept("not") {
            negated = !negated;
        }
        let inner = if self.accept("(") {
            let inner = self.any_of(depth + 1)?;
            if !self.accept(")") {
                return Err(self.error("a parenthesis is not closed".into()));
            }
            inner
        } else {
            self.test()?
        };
        Ok(if negated { Expr::Not(Box::new(inner)) } else { inner })
    }

    fn test(&mut self) -> Result<Expr, FilterError> {
        self.tests += 1;
        if self.tests > MAX_TESTS {
            return Err(self.error(format!("a filter has at most {MAX_TESTS} tests")));
        }
        let Some(token) = self.peek() else { return Err(self.error("a field is missing".into())) };
        let Some(field) = Field::find(&token.text.to_ascii_lowercase()).filter(|_| !token.quoted) else {
            let names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
            return Err(self.error(format!("\"{}\" is no field; there are {}", token.text, names.join(", "))));
        };
        self.at += 1;
        let (op, negated) = self.operator(field)?;
        let values = if op == Op::In && self.accept("(") { self.list(field)? } else { vec![self.value(field)?] };
        let test = Expr::Test { field, op, values };
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    fn operator(&mut self, field: Field) -> Result<(Op, bool), FilterError> {
        let numeric = matches!(field.shape(), Shape::Number { .. });
        let found = match self.peek().map(|token| token.text.to_ascii_lowercase()).as_deref() {
            Some("=" | "in") => Some((Op::In, false)),
            Some("!=") => Some((Op::In, true)),
            Some("<") if numeric => Some((Op::Less, false)),
            Some("<=") if numeric => Some((Op::AtMost, false)),
            Some(">") if numeric => Some((Op::More, false)),
            Some(">=") if numeric => Some((Op::AtLeast, false)),
            Some("&") if numeric => Some((Op::Bits, false)),
            _ => None,
        };
        let fitting = if numeric { "=, !=, <, <=, >, >=, & or in" } else { "=, != or in" };
        let found = found.ok_or_else(|| self.error(format!("after {} comes {fitting}", field.name())))?;
        self.at += 1;
        Ok(found)
    }

    fn list(&mut self, field: Field) -> Result<Vec<Value>, FilterError> {
        let mut values = Vec::new();
        loop {
            values.push(self.value(field)?);
            if self.accept(")") {
                return Ok(values);
            }
            if !self.accept(",") {
                return Err(self.error("the list is not closed; expected , or )".into()));
            }
        }
    }

    fn value(&mut self, field: Field) -> Result<Value, FilterError> {
        let Some(token) = self.peek().cloned() else {
            return Err(self.error(format!("a value for {} is missing", field.name())));
        };
        let value = match field.shape() {
            Shape::Number { max } => number(field, &token.text, max),
            Shape::Address => token.text.parse::<Prefix>().map(Value::Prefix).map_err(|error| error.to_string()),
            Shape::Word(words) => word(field, &token, words),
        };
        let value = value.map_err(|message| self.error(message))?;
        self.at += 1;
        Ok(value)
    }
}

fn number(field: Field, text: &str, max: u64) -> Result<Value, String> {
    if let Some((_, value)) = field.aliases().iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Ok(Value::Number(*value));
    }
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => None,
    };
    match parsed {
        Some(value) if value <= max => Ok(Value::Number(value)),
        _ => Err(format!("\"{text}\" does not fit {}; expected a number up to {max}", field.name())),
    }
}

fn word(field: Field, token: &Token, words: &[&str]) -> Result<Value, String> {
    let sign = !token.quoted && SIGNS.contains(&token.text.as_str());
    if sign || (!words.is_empty() && !words.contains(&token.text.as_str())) {
        let fitting = if words.is_empty() { "a word".to_owned() } else { words.join(", ") };
        return Err(format!("\"{}\" does not fit {}; expected {fitting}", token.text, field.name()));
    }
    let text = if field == Field::Country { token.text.to_ascii_uppercase() } else { token.text.clone() };
    Ok(Value::Word(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_and_lists() {
        let expr = parse("dport in (23, 2323) and not country = jp or proto = udp").unwrap().unwrap();
        let Expr::Or(parts) = expr else { panic!("or binds last") };
        assert!(matches!(&parts[0], Expr::And(both) if both.len() == 2));
        assert!(matches!(&parts[1], Expr::Test { field: Field::Proto, values, .. } if values == &[Value::Number(17)]));
    }

    #[test]
    fn refusals_name_place_and_what_fits() {
        for (text, offset, fragment) in [
            ("dport = 70000", 8, "up to 65535"),
            ("port = 1", 0, "no field"),
            ("src < 1.2.3.4", 4, "=, != or in"),
            ("(dport = 1", 10, "not closed"),
            ("kind = flood", 7, "backscatter"),
            ("dport = 1 dport = 2", 10, "does not fit"),
            ("dport =", 7, "missing"),
            ("sensor = \"x", 9, "quote"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.offset, offset, "{text}: {error}");
            assert!(error.message.contains(fragment), "{text}: {error}");
        }
        assert_eq!(parse("  ").unwrap(), None);
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = format!("{}dport = 1{}", "(".repeat(60), ")".repeat(60));
        assert!(parse(&deep).unwrap_err().message.contains("levels"));
        assert!(parse(&"x".repeat(MAX_TEXT + 1)).is_err());
        let many = vec!["dport = 1"; MAX_TESTS + 1].join(" or ");
        assert!(parse(&many).unwrap_err().message.contains("tests"));
    }
}
