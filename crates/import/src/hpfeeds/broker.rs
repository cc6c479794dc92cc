//! The broker's end of one connection: who may publish and subscribe what.

use super::frame::{Decoder, Frame, FrameError, secret_hash};

/// Someone who may connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Identity.
    pub ident: Vec<u8>,
    /// Shared secret.
    pub secret: Vec<u8>,
    /// Channels it may publish on.
    pub publishes: Vec<Vec<u8>>,
    /// Channels it may subscribe to.
    pub subscribes: Vec<Vec<u8>>,
}

/// What a broker does with a connection next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BrokerStep {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Hand this to whoever listens on the channel.
    Published {
        /// Who published.
        ident: Vec<u8>,
        /// Where.
        channel: Vec<u8>,
        /// What.
        payload: Vec<u8>,
    },
    /// Send these bytes, then close.
    Close(Vec<u8>),
}

/// One connection to the broker. The nonce must be fresh and unpredictable.
pub struct Broker {
    decoder: Decoder,
    nonce: Vec<u8>,
    account: Option<Account>,
    channels: Vec<Vec<u8>>,
    closed: bool,
}

impl Broker {
    /// A new connection, and the greeting to send.
    pub fn greet(name: &str, nonce: [u8; 4]) -> (Self, Vec<u8>) {
        let info = Frame::Info { name: name.as_bytes().to_vec(), nonce: nonce.to_vec() };
        let broker = Broker {
            decoder: Decoder::default(),
            nonce: nonce.to_vec(),
            account: None,
            channels: Vec::new(),
            closed: false,
        };
        (broker, info.encode())
    }

    /// Whether the other side has said, and proved, who it is.
    pub fn is_known(&self) -> bool {
        self.account.is_some()
    }

    /// Channels that this connection subscribed to.
    pub fn channels(&self) -> &[Vec<u8>] {
        &self.channels
    }

    /// Takes bytes of the client; `account` looks an identity up.
    pub fn feed(&mut self, bytes: &[u8], account: impl Fn(&[u8]) -> Option<Account>) -> Vec<BrokerStep> {
        let mut steps = Vec::new();
        if self.closed {
            return steps;
        }
        self.decoder.feed(bytes);
        loop {
            let step = match self.decoder.next_frame() {
                Ok(None) => return steps,
                Ok(Some(frame)) => self.answer(frame, &account),
                Err(error) => Err(Self::words(&error)),
            };
            match step {
                Ok(step) => steps.extend(step),
                Err(words) => {
                    self.closed = true;
                    steps.push(BrokerStep::Close(Frame::Error(words.into_bytes()).encode()));
                    return steps;
                }
            }
        }
    }

    fn words(error: &FrameError) -> String {
        error.to_string()
    }

    fn answer(
        &mut self,
        frame: Frame,
        lookup: &impl Fn(&[u8]) -> Option<Account>,
    ) -> Result<Option<BrokerStep>, String> {
        let refused = || "authentication failed".to_owned();
        let Some(account) = &self.account else {
            let Frame::Auth { ident, hash } = frame else { return Err("authenticate first".into()) };
            let account = lookup(&ident).ok_or_else(refused)?;
            if !equal(&secret_hash(&self.nonce, &account.secret), &hash) {
                return Err(refused());
            }
            self.account = Some(account);
            return Ok(None);
        };
        match frame {
            Frame::Publish { ident, channel, payload } => {
                if ident != account.ident || !account.publishes.contains(&channel) {
                    return Err("no right to publish there".into());
                }
                Ok(Some(BrokerStep::Published { ident, channel, payload }))
            }
            Frame::Subscribe { ident, channel } => {
                if ident != account.ident || !account.subscribes.contains(&channel) {
                    return Err("no right to subscribe there".into());
                }
                if !self.channels.contains(&channel) {
                    self.channels.push(channel);
                }
                Ok(None)
            }
            Frame::Unsubscribe { channel, .. } => {
                self.channels.retain(|kept| *kept != channel);
                Ok(None)
            }
            Frame::Error(_) | Frame::Info { .. } | Frame::Auth { .. } => Err("not for a client to say".into()),
        }
    }
}

/// Equality whose time does not depend on where the bytes differ.
fn equal(a: &[u8; 20], b: &[u8; 20]) -> bool {
    a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}
