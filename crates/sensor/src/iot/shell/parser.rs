//! Tokens to commands: lists, pipelines, groups, `if`, `for`, `while`.

use super::lexer::{Part, Token, tokens};

/// Depth of groups; more is an error. Bots use two.
const DEPTH: usize = 32;

/// A redirection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// File descriptor.
    pub from: u8,
    /// `>`, `>>`, `<`, `<<`, `>&`.
    pub operator: &'static str,
    /// Where.
    pub to: Vec<Part>,
}

/// One command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Words.
    Simple {
        /// Words, assignments included.
        words: Vec<Vec<Part>>,
        /// Redirections.
        redirects: Vec<Redirect>,
    },
    /// `( … )` or `{ … }`.
    Group {
        /// What runs inside.
        list: List,
        /// Redirections of all of it.
        redirects: Vec<Redirect>,
    },
    /// `if … then … elif … else … fi`.
    If {
        /// Conditions and what follows from each.
        branches: Vec<(List, List)>,
        /// Otherwise.
        otherwise: List,
    },
    /// `for name in words; do … done`.
    For {
        /// The variable.
        name: String,
        /// What it runs over.
        words: Vec<Vec<Part>>,
        /// What runs.
        body: List,
    },
    /// `while … do … done`, `until … do … done`.
    While {
        /// The condition.
        condition: List,
        /// What runs.
        body: List,
        /// `until`.
        until: bool,
    },
}

/// How a pipeline follows the one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    /// Always.
    Then,
    /// If that one succeeded.
    And,
    /// If that one failed.
    Or,
}

/// Pipelines in order.
pub type List = Vec<(Join, Vec<Command>)>;

const RESERVED: [&str; 10] = ["then", "elif", "else", "fi", "do", "done", "}", "esac", "in", ")"];

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// Reads a script.
pub fn parse(text: &str) -> Result<List, String> {
    let mut parser = Parser { tokens: tokens(text), at: 0, depth: 0 };
    let list = parser.list()?;
    match parser.peek() {
        None => Ok(list),
        Some(token) => Err(unexpected(token)),
    }
}

fn unexpected(token: &Token) -> String {
    let text = match token {
        Token::Operator(operator) => (*operator).to_owned(),
        Token::Redirect { .. } => "redirection".to_owned(),
        Token::Word(parts) => plain(parts).unwrap_or_default(),
    };
    format!("syntax error: unexpected \"{}\"", text.chars().take(64).collect::<String>())
}

/// The text of a word that is one piece of unquoted text.
fn plain(parts: &[Part]) -> Option<String> {
    match parts {
        [Part::Text { text, quoted: false }] => Some(text.clone()),
        _ => None,
    }
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn operator(&self) -> Option<&'static str> {
        match self.peek() {
            Some(Token::Operator(operator)) => Some(operator),
            _ => None,
        }
    }

    fn word(&self) -> Option<String> {
        match self.peek() {
            Some(Token::Word(parts)) => plain(parts),
            _ => None,
        }
    }

    fn at_end(&self) -> bool {
        match self.peek() {
            None => true,
            Some(Token::Operator(operator)) => *operator == ")",
            Some(_) => self.word().is_some_and(|word| RESERVED.contains(&&*word)),
        }
    }

    fn skip_separators(&mut self) {
        while matches!(self.operator(), Some(";" | "&" | ";;")) {
            self.at += 1;
        }
    }

    fn list(&mut self) -> Result<List, String> {
        let mut list = List::new();
        self.skip_separators();
        let mut join = Join::Then;
        while !self.at_end() {
            list.push((join, self.pipeline()?));
            join = match self.operator() {
                Some("&&") => Join::And,
                Some("||") => Join::Or,
                Some(";" | "&" | ";;") => Join::Then,
                _ => break,
            };
            self.at += 1;
            self.skip_separators();
        }
        Ok(list)
    }

    fn pipeline(&mut self) -> Result<Vec<Command>, String> {
        // A leading `!` only turns the status around; nothing here depends on it.
        if self.word().as_deref() == Some("!") {
            self.at += 1;
        }
        let mut commands = vec![self.command()?];
        while self.operator() == Some("|") {
            self.at += 1;
            commands.push(self.command()?);
        }
        Ok(commands)
    }

    fn command(&mut self) -> Result<Command, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("too deeply nested".into());
        }
        let command = self.compound();
        self.depth -= 1;
        command
    }

    fn compound(&mut self) -> Result<Command, String> {
        if self.operator() == Some("(") {
            self.at += 1;
            let list = self.list()?;
            self.expect_operator(")")?;
            return Ok(Command::Group { list, redirects: self.redirects()? });
        }
        match self.word().as_deref() {
            Some("{") => {
                self.at += 1;
                let list = self.list()?;
                self.expect("}")?;
                Ok(Command::Group { list, redirects: self.redirects()? })
            }
            Some("if") => self.condition(),
            Some("for") => self.repeat(),
            Some(word @ ("while" | "until")) => {
                let until = word == "until";
                self.at += 1;
                let condition = self.list()?;
                let body = self.body()?;
                Ok(Command::While { condition, body, until })
            }
            _ => self.simple(),
        }
    }

    fn condition(&mut self) -> Result<Command, String> {
        let (mut branches, mut otherwise) = (Vec::new(), List::new());
        self.at += 1;
        loop {
            let condition = self.list()?;
            self.expect("then")?;
            branches.push((condition, self.list()?));
            match self.word().as_deref() {
                Some("elif") => self.at += 1,
                Some("else") => {
                    self.at += 1;
                    otherwise = self.list()?;
                    break;
                }
                _ => break,
            }
        }
        self.expect("fi")?;
        Ok(Command::If { branches, otherwise })
    }

    fn repeat(&mut self) -> Result<Command, String> {
        self.at += 1;
        let name = self.word().ok_or("syntax error: bad for loop variable")?;
        self.at += 1;
        let mut words = Vec::new();
        if self.word().as_deref() == Some("in") {
            self.at += 1;
            while let Some(Token::Word(parts)) = self.peek() {
                words.push(parts.clone());
                self.at += 1;
            }
        }
        self.skip_separators();
        Ok(Command::For { name, words, body: self.body()? })
    }

    fn body(&mut self) -> Result<List, String> {
        self.expect("do")?;
        let body = self.list()?;
        self.expect("done")?;
        Ok(body)
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.word().as_deref() == Some(word) {
            self.at += 1;
            return Ok(());
        }
        Err(self
            .peek()
            .map_or_else(|| format!("syntax error: unexpected end of file (expecting \"{word}\")"), unexpected))
    }

    fn expect_operator(&mut self, operator: &str) -> Result<(), String> {
        if self.operator() == Some(operator) {
            self.at += 1;
            return Ok(());
        }
        Err(self.peek().map_or_else(|| "syntax error: unterminated (".to_owned(), unexpected))
    }

    fn redirects(&mut self) -> Result<Vec<Redirect>, String> {
        let mut redirects = Vec::new();
        while let Some(Token::Redirect { from, operator }) = self.peek().cloned() {
            self.at += 1;
            let Some(Token::Word(to)) = self.peek().cloned() else {
                return Err("syntax error: unexpected redirection".into());
            };
            self.at += 1;
            redirects.push(Redirect { from, operator, to });
        }
        Ok(redirects)
    }

    fn simple(&mut self) -> Result<Command, String> {
        let (mut words, mut redirects) = (Vec::new(), Vec::new());
        loop {
            match self.peek() {
                Some(Token::Word(parts)) => {
                    words.push(parts.clone());
                    self.at += 1;
                }
                Some(Token::Redirect { .. }) => redirects.extend(self.redirects()?),
                _ => break,
            }
        }
        if words.is_empty() && redirects.is_empty() {
            return Err(self.peek().map_or_else(|| "syntax error: unexpected end of file".to_owned(), unexpected));
        }
        Ok(Command::Simple { words, redirects })
    }
}
