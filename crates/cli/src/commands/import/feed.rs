//! Live feeds as inputs of `noroshi import --follow`: `hpfeeds://…` subscribes to somebody's broker, `hpfeeds-broker://…`
//! is a broker on which honeypots publish. Both are read like a saved stream of frames.

use crate::failure::Failure;
use noroshi_import::hpfeeds::{Feed, Server, Subscription, accounts};
use noroshi_import::{Budget, Format, ImportError, Reader};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Environment: the secret of a subscription. On the command line everybody on the machine could read it.
const SECRET: &str = "NOROSHI_HPFEEDS_SECRET";
/// Environment: the file of accounts of a broker.
const ACCOUNTS: &str = "NOROSHI_HPFEEDS_ACCOUNTS";
const SUBSCRIBES: &str = "hpfeeds://";
const SERVES: &str = "hpfeeds-broker://";
/// What a broker calls itself.
const NAME: &str = "noroshi";

/// Whether an input is a feed rather than a file.
pub fn is_one(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.starts_with(SUBSCRIBES) || text.starts_with(SERVES))
}

/// Says what is wrong with how a feed was asked for, before anything is opened.
pub fn check(path: &Path, followed: bool) -> Result<(), Failure> {
    let text = path.to_string_lossy();
    let wrong = |what: &str| Failure::usage(what).at(&text);
    if !followed {
        return Err(wrong("a feed has no end").hint("add --follow, and --output or --into for its rows"));
    }
    if let Some(address) = text.strip_prefix(SERVES) {
        let known = std::env::var_os(ACCOUNTS).is_some();
        return match address.parse::<std::net::SocketAddr>() {
            Err(_) => Err(wrong("this is no address to listen on").hint("write hpfeeds-broker://ADDR:PORT")),
            Ok(_) if !known => Err(wrong("nobody has an account").hint(format!(
                "name a file in {ACCOUNTS}: {{\"IDENT\": {{\"secret\": \"…\", \"pubchans\": [\"…\"], \"subchans\": []}}}}"
            ))),
            Ok(_) => Ok(()),
        };
    }
    text.parse::<Feed>().map_err(Failure::usage)?;
    match std::env::var_os(SECRET) {
        Some(_) => Ok(()),
        None => Err(wrong("the feed's secret is missing").hint(format!("set {SECRET} in the environment"))),
    }
}

/// Connects, or listens. What is read goes on until the program ends.
pub fn open(path: &Path) -> Result<Reader, ImportError> {
    let text = path.to_string_lossy().into_owned();
    let wrong = |source| ImportError::Io { what: text.clone(), source };
    let budget = Budget { file_bytes: u64::MAX, ..Budget::default() };
    let invalid = |words: String| io::Error::new(io::ErrorKind::InvalidInput, words);
    if let Some(address) = text.strip_prefix(SERVES) {
        let file = std::env::var_os(ACCOUNTS).unwrap_or_default();
        let named =
            |source| ImportError::Io { what: format!("{}, which {ACCOUNTS} names", file.to_string_lossy()), source };
        let known = std::fs::read_to_string(&file).map_err(named)?;
        let known = accounts(&known).map_err(|error| named(invalid(error)))?;
        let server = Server::start(address, NAME, known, Arc::default()).map_err(wrong)?;
        eprintln!("hpfeeds on {}", server.address());
        return noroshi_import::open_bytes(server, &text, Some(Format::Hpfeeds), budget);
    }
    let feed: Feed = text.parse().map_err(|words| wrong(invalid(words)))?;
    let secret = std::env::var(SECRET).map_err(|error| wrong(invalid(format!("{SECRET}: {error}"))))?;
    let subscription = Subscription::open(feed, &secret, Arc::default()).map_err(wrong)?;
    noroshi_import::open_bytes(subscription, &text, Some(Format::Hpfeeds), budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_are_told_from_files_and_wrong_ones_are_refused_in_words() {
        for (input, feed) in [("hpfeeds://a@h:1/c", true), ("hpfeeds-broker://[::1]:1", true), ("hpfeeds.bin", false)] {
            assert_eq!(is_one(Path::new(input)), feed, "{input}");
        }
        let usage = |input: &str, followed| check(Path::new(input), followed).unwrap_err().kind();
        for (input, followed) in [("hpfeeds://a@h:1/c", false), ("hpfeeds://h/c", true), ("hpfeeds-broker://x", true)] {
            assert_eq!(usage(input, followed), crate::failure::Kind::Usage, "{input}");
        }
    }
}
