//! The broker's end over TCP: honeypots publish here, others subscribe, and what is published is read as a stream of
//! frames, as a saved one is.
//!
//! Two threads for each connection, bounded in number. A subscriber that does not keep up is closed, so that it knows that
//! something is missing; a publisher waits while the reader of the frames is busy.

use super::broker::{Account, Broker, BrokerStep};
use super::frame::Frame;
use super::live::{Pour, nothing_yet};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Connections at once; more are closed when they come.
const CONNECTIONS: usize = 256;
/// Seconds in which a connection must have said who it is.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// Longest wait for a client to take bytes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often those who wait look whether they were told to end.
const LOOK: Duration = Duration::from_millis(200);
/// Messages that may wait for a subscriber, and for the reader.
const WAITING: usize = 256;
/// Bytes read at once.
const PIECE: usize = 16 << 10;

/// Who may connect, by identity.
pub type Accounts = BTreeMap<Vec<u8>, Account>;

/// Reads accounts as the common brokers keep them: `{"IDENT": {"secret": …, "pubchans": […], "subchans": […]}}`.
pub fn accounts(json: &str) -> Result<Accounts, String> {
    #[derive(serde::Deserialize)]
    struct Entry {
        secret: String,
        #[serde(default)]
        pubchans: Vec<String>,
        #[serde(default)]
        subchans: Vec<String>,
    }
    let entries: BTreeMap<String, Entry> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let bytes = |names: Vec<String>| names.into_iter().map(String::into_bytes).collect();
    let account = |(ident, entry): (String, Entry)| {
        let ident = ident.into_bytes();
        let (publishes, subscribes) = (bytes(entry.pubchans), bytes(entry.subchans));
        (ident.clone(), Account { ident, secret: entry.secret.into_bytes(), publishes, subscribes })
    };
    Ok(entries.into_iter().map(account).collect())
}

/// A subscriber: what it wants, its queue, and its connection.
struct Listener {
    channels: Vec<Vec<u8>>,
    queue: SyncSender<Arc<Vec<u8>>>,
    stream: TcpStream,
}

struct House {
    name: String,
    accounts: Accounts,
    listeners: Mutex<BTreeMap<u64, Listener>>,
    frames: SyncSender<Frame>,
    stop: Arc<AtomicBool>,
    open: Arc<()>,
    serial: AtomicU64,
}

/// A broker that serves until its stop is set.
pub struct Server {
    address: SocketAddr,
    frames: Receiver<Frame>,
    pour: Pour,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Listens and serves.
    pub fn start(
        listen: impl ToSocketAddrs,
        name: &str,
        accounts: Accounts,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (sender, frames) = sync_channel(WAITING);
        let mut pour = Pour::default();
        pour.add(&Frame::Info { name: name.as_bytes().to_vec(), nonce: Vec::new() });
        let house = Arc::new(House {
            name: name.to_owned(),
            accounts,
            listeners: Mutex::default(),
            frames: sender,
            stop: stop.clone(),
            open: Arc::new(()),
            serial: AtomicU64::new(0),
        });
        std::thread::spawn(move || house.accept(&listener));
        Ok(Server { address, frames, pour, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Read for Server {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(length) = self.pour.give(buffer) {
                return Ok(length);
            }
            match self.frames.recv_timeout(LOOK) {
                Ok(frame) => self.pour.add(&frame),
                Err(RecvTimeoutError::Timeout) if !self.stop.load(Ordering::Relaxed) => {}
                Err(_) => return Ok(0),
            }
        }
    }
}

impl House {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        while !self.stop.load(Ordering::Relaxed) {
            match listener.accept() {
                // The house itself holds one.
                Ok((stream, _)) if Arc::strong_count(&self.open) <= CONNECTIONS => {
                    let (house, open) = (self.clone(), self.open.clone());
                    std::thread::spawn(move || {
                        // How it ended concerns the client alone.
                        drop(house.serve(stream));
                        drop(open);
                    });
                }
                Ok(_) => {}
                // Nobody came, or the system is out of something: either way a pause.
                Err(_) => std::thread::sleep(LOOK / 4),
            }
        }
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let number = self.serial.fetch_add(1, Ordering::Relaxed);
        let (mut broker, greeting) = Broker::greet(&self.name, rand::random());
        stream.write_all(&greeting)?;
        let (queue, waiting) = sync_channel::<Arc<Vec<u8>>>(WAITING);
        let mut out = stream.try_clone()?;
        let writer = std::thread::spawn(move || {
            while let Ok(bytes) = waiting.recv() {
                if out.write_all(&bytes).is_err() {
                    break;
                }
            }
            // The other thread reads its end.
            drop(out.shutdown(Shutdown::Both));
        });
        let ended = self.converse(number, &mut stream, &mut broker, &queue);
        self.listeners.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&number);
        drop(queue);
        drop(writer.join());
        ended
    }

    fn converse(
        &self,
        number: u64,
        stream: &mut TcpStream,
        broker: &mut Broker,
        queue: &SyncSender<Arc<Vec<u8>>>,
    ) -> io::Result<()> {
        let (mut buffer, begun) = (vec![0; PIECE], Instant::now());
        while !self.stop.load(Ordering::Relaxed) && (broker.is_known() || begun.elapsed() < INTRODUCTION) {
            let length = match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if nothing_yet(&error) => continue,
                Err(error) => return Err(error),
            };
            for step in broker.feed(&buffer[..length], |ident| self.accounts.get(ident).cloned()) {
                match step {
                    BrokerStep::Send(bytes) => drop(queue.try_send(Arc::new(bytes))),
                    BrokerStep::Published { ident, channel, payload } => {
                        self.published(Frame::Publish { ident, channel, payload })
                    }
                    // Last words go around the queue: whoever is refused has nothing in it that matters.
                    BrokerStep::Close(bytes) => return stream.write_all(&bytes),
                }
            }
            self.listen(number, broker.channels(), queue, stream)?;
        }
        Ok(())
    }

    fn listen(
        &self,
        number: u64,
        channels: &[Vec<u8>],
        queue: &SyncSender<Arc<Vec<u8>>>,
        stream: &TcpStream,
    ) -> io::Result<()> {
        let mut listeners = self.listeners.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match listeners.get_mut(&number) {
            Some(listener) if listener.channels == channels => {}
            Some(listener) => listener.channels = channels.to_vec(),
            None if channels.is_empty() => {}
            None => {
                let (channels, queue, stream) = (channels.to_vec(), queue.clone(), stream.try_clone()?);
                listeners.insert(number, Listener { channels, queue, stream });
            }
        }
        Ok(())
    }

    fn published(&self, frame: Frame) {
        let Frame::Publish { channel, .. } = &frame else { return };
        let bytes = Arc::new(frame.encode());
        {
            let mut listeners = self.listeners.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            listeners.retain(|_, listener| {
                if !listener.channels.contains(channel) {
                    return true;
                }
                let full = matches!(listener.queue.try_send(bytes.clone()), Err(TrySendError::Full(_)));
                if full {
                    drop(listener.stream.shutdown(Shutdown::Both));
                }
                !full
            });
        }
        // A reader that is gone ends the broker's use, not the talk between others.
        drop(self.frames.send(frame));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_as_others_keep_them() {
        let text = r#"{"pot": {"owner": "o", "secret": "s", "pubchans": ["a"], "subchans": []}}"#;
        let read = accounts(text).unwrap();
        assert_eq!(read[&b"pot".to_vec()].publishes, [b"a".to_vec()]);
        assert!(accounts("[]").is_err());
        assert!(accounts(r#"{"pot": {}}"#).unwrap_err().contains("secret"));
    }
}
