//! How a command says what went wrong: what was attempted, on what, and what can be done.

use crate::terminal::{Paint, escape};
use parquet::errors::ParquetError;
use std::fmt::{self, Write as _};
use std::io;
use std::process::ExitCode;

/// Exit code of an input that was refused, also used when a report was printed nevertheless.
pub const REFUSED: u8 = 3;

/// Why a command ended; decides the exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Something went wrong on the way: exit code 1.
    Failed,
    /// The command line asks for something impossible: exit code 2.
    Usage,
    /// An input cannot be read: exit code 3.
    Refused,
    /// The reader of standard output went away (`noroshi … | head`): not an error, nothing is said, exit code 0.
    Unread,
}

/// A command that did not do what was asked.
///
/// Any error becomes a failure through `?`; better is to say where and what to do:
///
/// ```
/// use noroshi_cli::failure::Failure;
/// let failure = Failure::refused("no such file").at("day.pcap").hint("check the spelling of the path");
/// assert_eq!(failure.to_string(), "no such file\n  where: day.pcap\n  what to do: check the spelling of the path");
/// ```
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    what: String,
    place: Option<String>,
    hint: Option<String>,
}

impl Failure {
    fn new(kind: Kind, what: impl fmt::Display) -> Self {
        Failure { kind, what: what.to_string(), place: None, hint: None }
    }

    /// Something went wrong on the way; exit code 1.
    pub fn failed(what: impl fmt::Display) -> Self {
        Self::new(Kind::Failed, what)
    }

    /// The command line asks for something impossible; exit code 2.
    pub fn usage(what: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, what)
    }

    /// An input cannot be read; exit code 3.
    pub fn refused(what: impl fmt::Display) -> Self {
        Self::new(Kind::Refused, what)
    }

    /// Where: the path, the address, the option.
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// What the person can do.
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Why the command ended.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Prints the failure on standard error and gives the exit code of its kind.
    pub fn report(&self) -> ExitCode {
        if self.kind != Kind::Unread {
            eprintln!("{} {self}", Paint::stderr().error("noroshi:"));
        }
        ExitCode::from(match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Refused => REFUSED,
            Kind::Unread => 0,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.what))?;
        for (word, text) in [("where", &self.place), ("what to do", &self.hint)] {
            if let Some(text) = text {
                write!(f, "\n  {word}: {}", escape(text))?;
            }
        }
        Ok(())
    }
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        if is_unread(&error) {
            return Self::new(Kind::Unread, "the reader went away");
        }
        let mut what = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many libraries repeat the cause in their own text; once is enough.
            if !what.contains(&text) {
                let _ = write!(what, ": {text}");
            }
            cause = error.source();
        }
        Self::failed(what)
    }
}

/// Whether whoever read the output stopped reading, as `head` does. Only errors of writing files and standard output: a
/// connection that broke is a failure.
fn is_unread(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_parquet = || error.downcast_ref::<ParquetError>().and_then(std::error::Error::source);
    let io = error.downcast_ref::<io::Error>().or_else(|| of_parquet()?.downcast_ref());
    io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::from(closed()).kind(), Kind::Unread);
        assert_eq!(Failure::from(ParquetError::from(closed())).kind(), Kind::Unread);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Failure::from(ParquetError::from(full)).kind(), Kind::Failed);
    }

    #[test]
    fn foreign_text_is_escaped() {
        let text = Failure::refused("no such file").at("a\u{1b}[2Jb").to_string();
        assert_eq!(text, "no such file\n  where: a\\u{1b}[2Jb");
    }
}
