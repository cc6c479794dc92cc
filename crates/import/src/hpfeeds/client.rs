//! The client's end: authenticate, subscribe, receive; or publish.

use super::frame::{Decoder, Frame, FrameError, secret_hash};

/// What a client does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientStep {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Data came.
    Received {
        /// Who published.
        ident: Vec<u8>,
        /// Where.
        channel: Vec<u8>,
        /// What.
        payload: Vec<u8>,
    },
    /// The broker refused, in its own words; close.
    Refused(Vec<u8>),
}

/// One connection of a client.
pub struct Client {
    decoder: Decoder,
    ident: Vec<u8>,
    secret: Vec<u8>,
    channels: Vec<Vec<u8>>,
    /// Whether the broker's greeting was answered; publishing earlier is refused by brokers.
    pub ready: bool,
}

impl Client {
    /// A client that will subscribe to these channels.
    pub fn new(ident: &str, secret: &str, channels: &[&str]) -> Self {
        Client {
            decoder: Decoder::default(),
            ident: ident.into(),
            secret: secret.into(),
            channels: channels.iter().map(|channel| channel.as_bytes().to_vec()).collect(),
            ready: false,
        }
    }

    /// Takes bytes of the broker.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<ClientStep>, FrameError> {
        self.decoder.feed(bytes);
        let mut steps = Vec::new();
        while let Some(frame) = self.decoder.next_frame()? {
            match frame {
                Frame::Info { nonce, .. } => {
                    let hash = secret_hash(&nonce, &self.secret);
                    let mut wire = Frame::Auth { ident: self.ident.clone(), hash }.encode();
                    for channel in &self.channels {
                        let (ident, channel) = (self.ident.clone(), channel.clone());
                        wire.extend(Frame::Subscribe { ident, channel }.encode());
                    }
                    self.ready = true;
                    steps.push(ClientStep::Send(wire));
                }
                Frame::Publish { ident, channel, payload } => {
                    steps.push(ClientStep::Received { ident, channel, payload });
                }
                Frame::Error(words) => steps.push(ClientStep::Refused(words)),
                // Not for a broker to say; nothing depends on it.
                Frame::Auth { .. } | Frame::Subscribe { .. } | Frame::Unsubscribe { .. } => {}
            }
        }
        Ok(steps)
    }

    /// Bytes that publish on a channel.
    pub fn publish(&self, channel: &str, payload: &[u8]) -> Vec<u8> {
        Frame::Publish { ident: self.ident.clone(), channel: channel.into(), payload: payload.to_vec() }.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpfeeds::{Account, Broker, BrokerStep};

    fn account(ident: &[u8]) -> Option<Account> {
        (ident == b"pot").then(|| Account {
            ident: b"pot".to_vec(),
            secret: b"s3cret".to_vec(),
            publishes: vec![b"cowrie.sessions".to_vec()],
            subscribes: vec![b"cowrie.sessions".to_vec()],
        })
    }

    fn talk(secret: &str, channel: &str) -> Vec<BrokerStep> {
        let (mut broker, greeting) = Broker::greet("test", [1, 2, 3, 4]);
        let mut client = Client::new("pot", secret, &["cowrie.sessions"]);
        let [ClientStep::Send(wire)] = &client.feed(&greeting).unwrap()[..] else {
            panic!("no answer to the greeting")
        };
        let mut steps = broker.feed(wire, account);
        steps.extend(broker.feed(&client.publish(channel, b"{}"), account));
        steps
    }

    #[test]
    fn both_ends_understand_each_other() {
        let [BrokerStep::Published { payload, .. }] = &talk("s3cret", "cowrie.sessions")[..] else {
            panic!("not published")
        };
        assert_eq!(payload, b"{}");
    }

    #[test]
    fn no_secret_no_channel() {
        assert!(matches!(&talk("wrong", "cowrie.sessions")[..], [BrokerStep::Close(_)]));
        assert!(matches!(&talk("s3cret", "dionaea.capture")[..], [BrokerStep::Close(_)]));
    }

    #[test]
    fn publishing_needs_authentication() {
        let (mut broker, _) = Broker::greet("test", [0; 4]);
        let wire = Client::new("pot", "s3cret", &[]).publish("cowrie.sessions", b"x");
        assert!(matches!(&broker.feed(&wire, account)[..], [BrokerStep::Close(_)]));
    }
}
