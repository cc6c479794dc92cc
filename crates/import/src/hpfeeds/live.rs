//! The client's end over TCP: a subscription that is read like a file, and a publisher.
//!
//! [`Subscription`] gives out whole frames as the broker sent them, so that [`crate::open_bytes`] makes rows of them while
//! they come. A connection that breaks is made anew after a pause; a broker that refuses ends it, with the broker's words.

use super::frame::{Decoder, Frame};
use super::{Client, ClientStep};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for a connection, for the broker's greeting, and for it to take bytes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a silent connection looks whether it was told to end.
const LOOK: Duration = Duration::from_millis(200);
/// First and longest pause before a broken connection is made anew.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// Where a feed is, and as whom: `hpfeeds://IDENT@HOST:PORT/CHANNEL,CHANNEL`. The secret is given apart, because addresses
/// end in lists of processes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feed {
    /// Identity.
    pub ident: String,
    /// `HOST:PORT`.
    pub place: String,
    /// Channels.
    pub channels: Vec<String>,
}

impl FromStr for Feed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("\"{text}\" is not hpfeeds://IDENT@HOST:PORT/CHANNEL,CHANNEL");
        let rest = text.strip_prefix("hpfeeds://").ok_or_else(wanted)?;
        let (who, channels) = rest.split_once('/').ok_or_else(wanted)?;
        let (ident, place) = who.rsplit_once('@').ok_or_else(wanted)?;
        let channels: Vec<String> = channels.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let port = place.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        let named = |name: &str| (1..=255).contains(&name.len());
        if !port || channels.is_empty() || !named(ident) || !channels.iter().all(|name| named(name)) {
            return Err(wanted());
        }
        Ok(Feed { ident: ident.into(), place: place.into(), channels })
    }
}

fn connect(place: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{place} has no address"));
    for address in place.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LOOK))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether a read only found nothing yet.
pub(super) fn nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn broken(words: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words.to_string())
}

/// What a broker says when it refuses is foreign: only characters that cannot harm a terminal, and not too many.
fn refused(words: &[u8]) -> io::Error {
    let said: String = String::from_utf8_lossy(words).chars().filter(|c| !c.is_control()).take(200).collect();
    io::Error::new(io::ErrorKind::PermissionDenied, format!("the broker refuses: \"{said}\""))
}

/// Connects and answers the greeting. Also gives out what the broker sent so far.
fn enter(feed: &Feed, secret: &str, channels: &[&str]) -> io::Result<(TcpStream, Client, Vec<Frame>)> {
    let mut stream = connect(&feed.place)?;
    let mut client = Client::new(&feed.ident, secret, channels);
    let (mut decoder, mut frames, mut buffer) = (Decoder::default(), Vec::new(), [0; 4_096]);
    let begun = Instant::now();
    while !client.ready {
        // Whether it is silent or comes byte by byte.
        if begun.elapsed() >= PATIENCE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the broker does not greet"));
        }
        let length = match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) if nothing_yet(&error) => continue,
            Err(error) => return Err(error),
        };
        decoder.feed(&buffer[..length]);
        while let Some(frame) = decoder.next_frame().map_err(broken)? {
            if !matches!(frame, Frame::Info { .. } | Frame::Error(_)) {
                return Err(broken("the broker speaks before it knows who listens"));
            }
            for step in client.feed(&frame.encode()).map_err(broken)? {
                match step {
                    ClientStep::Send(bytes) => stream.write_all(&bytes)?,
                    ClientStep::Refused(words) => return Err(refused(&words)),
                    ClientStep::Received { .. } => {}
                }
            }
            frames.push(frame);
        }
    }
    // A broker says nothing between its greeting and the answer to it, so no frame is cut here.
    if decoder.is_mid_frame() {
        Err(broken("the broker speaks before it knows who listens"))
    } else {
        Ok((stream, client, frames))
    }
}

/// Frames that wait to be read as bytes. The end is told once after the first, so that a reader that looks at the head of
/// a file does not wait for more of it.
#[derive(Default)]
pub(super) struct Pour {
    waiting: Vec<u8>,
    given: usize,
    told: bool,
}

impl Pour {
    /// More to give.
    pub(super) fn add(&mut self, frame: &Frame) {
        self.waiting.extend(frame.encode());
    }

    /// Bytes for a reader; none when more must be waited for.
    pub(super) fn give(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if self.given < self.waiting.len() {
            let length = buffer.len().min(self.waiting.len() - self.given);
            buffer[..length].copy_from_slice(&self.waiting[self.given..self.given + length]);
            self.given += length;
            return Some(length);
        }
        self.waiting.clear();
        self.given = 0;
        (!std::mem::replace(&mut self.told, true)).then_some(0)
    }
}

/// A feed, read as a saved stream of frames that goes on until it is told to stop.
pub struct Subscription {
    feed: Feed,
    secret: String,
    stop: Arc<AtomicBool>,
    stream: Option<TcpStream>,
    decoder: Decoder,
    pour: Pour,
    pause: Duration,
}

impl Subscription {
    /// Connects, so that a wrong name or secret shows at once where the broker says so.
    pub fn open(feed: Feed, secret: &str, stop: Arc<AtomicBool>) -> io::Result<Self> {
        let mut subscription = Subscription {
            feed,
            secret: secret.to_owned(),
            stop,
            stream: None,
            decoder: Decoder::default(),
            pour: Pour::default(),
            pause: PAUSES.0,
        };
        subscription.connect()?;
        Ok(subscription)
    }

    fn connect(&mut self) -> io::Result<()> {
        let channels: Vec<&str> = self.feed.channels.iter().map(String::as_str).collect();
        let (stream, _, frames) = enter(&self.feed, &self.secret, &channels)?;
        frames.iter().for_each(|frame| self.pour.add(frame));
        self.decoder = Decoder::default();
        self.stream = Some(stream);
        Ok(())
    }

    /// Waits, then tries to connect again; a broker that refuses is not asked again.
    fn again(&mut self) -> io::Result<()> {
        let until = Instant::now() + self.pause;
        while !self.stop.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(LOOK));
        }
        self.pause = (self.pause * 2).min(PAUSES.1);
        match self.connect() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
            _ => Ok(()),
        }
    }

    /// One read of the connection.
    fn take(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        let mut buffer = vec![0; PIECE];
        let length = match stream.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if nothing_yet(&error) => return Ok(true),
            Err(_) => 0,
        };
        self.decoder.feed(&buffer[..length]);
        while let Some(frame) = self.decoder.next_frame().map_err(broken)? {
            if let Frame::Error(words) = &frame {
                return Err(refused(words));
            }
            self.pause = PAUSES.0;
            self.pour.add(&frame);
        }
        Ok(length > 0)
    }
}

impl Read for Subscription {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(length) = self.pour.give(buffer) {
                return Ok(length);
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(0);
            }
            match self.stream.take() {
                None => self.again()?,
                Some(mut stream) => {
                    // Half a frame of a connection that broke is lost with it: brokers repeat nothing.
                    if self.take(&mut stream)? {
                        self.stream = Some(stream);
                    }
                }
            }
        }
    }
}

/// Publishes on a broker. Brokers acknowledge nothing: what they refuse is seen at the next message, or at the end.
pub struct Publisher {
    stream: TcpStream,
    client: Client,
    channels: Vec<String>,
}

impl Publisher {
    /// Connects and authenticates.
    pub fn open(feed: &Feed, secret: &str) -> io::Result<Self> {
        let (stream, client, _) = enter(feed, secret, &[])?;
        Ok(Publisher { stream, client, channels: feed.channels.clone() })
    }

    /// Publishes on all channels of the feed.
    pub fn publish(&mut self, payload: &[u8]) -> io::Result<()> {
        if payload.len() > super::MAX_PAYLOAD {
            return Err(broken(format!(
                "{} bytes are more than the {} of one message",
                payload.len(),
                super::MAX_PAYLOAD
            )));
        }
        for channel in &self.channels {
            self.stream.write_all(&self.client.publish(channel, payload))?;
        }
        Ok(())
    }

    /// Says that nothing more comes, and waits until the broker has taken all and closes, or objects.
    pub fn finish(mut self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)?;
        let (mut buffer, begun) = ([0; 4_096], Instant::now());
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    for step in self.client.feed(&buffer[..length]).map_err(broken)? {
                        if let ClientStep::Refused(words) = step {
                            return Err(refused(&words));
                        }
                    }
                }
                Err(error) if nothing_yet(&error) && begun.elapsed() < PATIENCE => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_typed() {
        let feed: Feed = "hpfeeds://cert@feeds.example.net:10000/cowrie.sessions,dionaea.capture".parse().unwrap();
        assert_eq!((feed.ident.as_str(), feed.place.as_str()), ("cert", "feeds.example.net:10000"));
        assert_eq!(feed.channels, ["cowrie.sessions", "dionaea.capture"]);
        for wrong in [
            "hpfeeds://h:1/c",
            "hpfeeds://a@h/c",
            "hpfeeds://a@h:1/",
            "hpfeeds://a@h:x/c",
            "a@h:1/c",
            "hpfeeds://@h:1/c",
        ] {
            assert!(wrong.parse::<Feed>().is_err(), "{wrong}");
        }
    }

    /// What a client says of a broker that sends these bytes and then is silent.
    fn entered(says: Vec<u8>) -> io::Error {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let broker = std::thread::spawn(move || listener.accept().unwrap().0.write_all(&says));
        let feed: Feed = format!("hpfeeds://a@{place}/c").parse().unwrap();
        let error = enter(&feed, "s", &["c"]).err().expect("no broker does that");
        broker.join().unwrap().unwrap();
        error
    }

    #[test]
    fn a_broker_that_talks_before_it_greets_is_left() {
        let (ident, channel, payload) = (b"x".to_vec(), b"c".to_vec(), vec![0; 1_000]);
        let flood = Frame::Publish { ident, channel, payload }.encode();
        assert!(entered(flood).to_string().contains("before it knows"));
        assert_eq!(entered(Frame::Error(b"no".to_vec()).encode()).kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn what_waits_is_given_and_the_end_is_told_once() {
        let mut pour = Pour::default();
        pour.add(&Frame::Error(b"x".to_vec()));
        let mut buffer = [0; 4];
        assert_eq!(pour.give(&mut buffer), Some(4));
        assert_eq!(pour.give(&mut buffer), Some(2));
        assert_eq!(pour.give(&mut buffer), Some(0));
        assert_eq!(pour.give(&mut buffer), None);
        pour.add(&Frame::Error(b"y".to_vec()));
        assert_eq!(pour.give(&mut buffer), Some(4));
        assert_eq!(pour.give(&mut buffer), Some(2));
        assert_eq!(pour.give(&mut buffer), None);
    }
}
