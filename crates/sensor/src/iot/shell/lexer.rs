//! Words and operators of a line.

/// Parts of a word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Text as it stands; quoted text keeps its stars and spaces.
    Text {
        /// The text.
        text: String,
        /// Whether quotes protect it from being taken for a pattern.
        quoted: bool,
    },
    /// `$name`, `${name}`, `$?`, …
    Variable {
        /// Its name.
        name: String,
        /// Whether it stands in double quotes and is not split.
        quoted: bool,
    },
    /// `$(…)` or backticks.
    Command {
        /// The text inside.
        script: String,
        /// Whether it stands in double quotes and is not split.
        quoted: bool,
    },
}

/// One token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// A word.
    Word(Vec<Part>),
    /// `;`, `&`, `&&`, `||`, `|`, `(`, `)`, a line feed (as `;`).
    Operator(&'static str),
    /// `>`, `>>`, `<`, `<<` with the number before it.
    Redirect {
        /// File descriptor.
        from: u8,
        /// The operator.
        operator: &'static str,
    },
}

const OPERATORS: [&str; 8] = ["&&", "||", ";;", ";", "&", "|", "(", ")"];
const REDIRECTS: [&str; 5] = [">>", ">&", "<<", ">", "<"];

struct Lexer<'a> {
    rest: &'a str,
    word: Vec<Part>,
    begun: bool,
    tokens: Vec<Token>,
}

/// Splits a line. Unclosed quotes end with the line, as a terminal that never gets its second line.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { rest: text, word: Vec::new(), begun: false, tokens: Vec::new() };
    while let Some(c) = lexer.rest.chars().next() {
        lexer.step(c);
    }
    lexer.end_word();
    lexer.tokens
}

impl<'a> Lexer<'a> {
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn end_word(&mut self) {
        if self.begun {
            self.tokens.push(Token::Word(std::mem::take(&mut self.word)));
            self.begun = false;
        }
    }

    fn push(&mut self, text: &str, quoted: bool) {
        self.begun = true;
        match self.word.last_mut() {
            Some(Part::Text { text: last, quoted: same }) if *same == quoted => last.push_str(text),
            _ => self.word.push(Part::Text { text: text.to_owned(), quoted }),
        }
    }

    fn step(&mut self, c: char) {
        match c {
            ' ' | '\t' | '\r' | '\0' => {
                self.end_word();
                self.take(1);
            }
            '\n' => {
                self.end_word();
                self.take(1);
                self.tokens.push(Token::Operator(";"));
            }
            '#' if !self.begun => {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(end);
            }
            '\\' => {
                self.take(1);
                if let Some(next) = self.rest.chars().next() {
                    let text = self.take(next.len_utf8());
                    if next != '\n' {
                        self.push(text, true);
                    }
                }
            }
            '\'' => {
                self.take(1);
                let end = self.rest.find('\'').unwrap_or(self.rest.len());
                let text = self.take(end);
                self.push(text, true);
                self.take(1.min(self.rest.len()));
            }
            '"' => {
                self.take(1);
                self.double_quoted();
            }
            '$' => self.dollar(false),
            '`' => {
                self.take(1);
                self.backticks(false);
            }
            _ => self.operator_or_text(c),
        }
    }

    fn operator_or_text(&mut self, c: char) {
        let number = self.rest.chars().next().filter(char::is_ascii_digit).filter(|_| !self.begun);
        let after = if number.is_some() { &self.rest[1..] } else { self.rest };
        if let Some(operator) = REDIRECTS.into_iter().find(|operator| after.starts_with(operator)) {
            self.end_word();
            let default = if operator.starts_with('<') { 0 } else { 1 };
            let from = number.and_then(|digit| digit.to_digit(10)).map_or(default, |digit| digit as u8);
            self.take(operator.len() + usize::from(number.is_some()));
            self.tokens.push(Token::Redirect { from, operator });
            return;
        }
        if let Some(operator) = OPERATORS.into_iter().find(|operator| self.rest.starts_with(operator)) {
            // `2>&1` is handled above; an ampersand before `>` redirects both.
            self.end_word();
            self.take(operator.len());
            self.tokens.push(Token::Operator(operator));
            return;
        }
        let text = self.take(c.len_utf8());
        self.push(text, false);
    }

    fn double_quoted(&mut self) {
        self.begun = true;
        self.push("", true);
        while let Some(c) = self.rest.chars().next() {
            match c {
                '"' => {
                    self.take(1);
                    return;
                }
                '\\' => {
                    self.take(1);
                    let Some(next) = self.rest.chars().next() else { return };
                    let text = self.take(next.len_utf8());
                    if !matches!(next, '$' | '`' | '"' | '\\') {
                        self.push("\\", true);
                    }
                    self.push(text, true);
                }
                '$' => self.dollar(true),
                '`' => {
                    self.take(1);
                    self.backticks(true);
                }
                _ => {
                    let text = self.take(c.len_utf8());
                    self.push(text, true);
                }
            }
        }
    }

    fn backticks(&mut self, quoted: bool) {
        let end = self.rest.find('`').unwrap_or(self.rest.len());
        let script = self.take(end).to_owned();
        self.take(1.min(self.rest.len()));
        self.begun = true;
        self.word.push(Part::Command { script, quoted });
    }

    fn dollar(&mut self, quoted: bool) {
        self.take(1);
        self.begun = true;
        if self.rest.starts_with('(') {
            let end = closing(self.rest);
            let script = self.take(end).trim_start_matches('(').to_owned();
            self.take(1.min(self.rest.len()));
            self.word.push(Part::Command { script, quoted });
            return;
        }
        if self.rest.starts_with('{') {
            self.take(1);
            let end = self.rest.find('}').unwrap_or(self.rest.len());
            let name = self.take(end).to_owned();
            self.take(1.min(self.rest.len()));
            self.word.push(Part::Variable { name, quoted });
            return;
        }
        let special = self.rest.chars().next().filter(|c| "?$#@*!0123456789-".contains(*c));
        let length = match special {
            Some(_) => 1,
            None => self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len()),
        };
        if length == 0 {
            self.push("$", quoted);
            return;
        }
        let name = self.take(length).to_owned();
        self.word.push(Part::Variable { name, quoted });
    }
}

/// Where the parenthesis that opens a text closes; its end if it does not.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    text.len()
}
