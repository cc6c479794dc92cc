//! One frame, and the decoder that finds frames in a stream.

use sha1::{Digest, Sha1};

/// Most payload bytes in a PUBLISH.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// Length and operation.
const HEADER: usize = 5;
/// Identity and channel of a PUBLISH come on top of its payload: 256 bytes each.
const MAX_FRAME: usize = HEADER + MAX_PAYLOAD + 512;
/// INFO and AUTH are short by design: 5 + 1 + 255 + 20.
const MAX_HANDSHAKE: usize = 281;

/// One frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// Broker to client: what went wrong.
    Error(Vec<u8>),
    /// Broker to client, first of all: its name and a nonce.
    Info {
        /// Broker's name.
        name: Vec<u8>,
        /// Bytes to hash with the secret.
        nonce: Vec<u8>,
    },
    /// Client to broker: who, and the proof.
    Auth {
        /// Identity.
        ident: Vec<u8>,
        /// SHA-1 of nonce and secret.
        hash: [u8; 20],
    },
    /// Data on a channel.
    Publish {
        /// Identity of the publisher.
        ident: Vec<u8>,
        /// Channel.
        channel: Vec<u8>,
        /// Anything; usually JSON.
        payload: Vec<u8>,
    },
    /// Client to broker: wants a channel.
    Subscribe {
        /// Identity.
        ident: Vec<u8>,
        /// Channel.
        channel: Vec<u8>,
    },
    /// Client to broker: no longer wants it.
    Unsubscribe {
        /// Identity.
        ident: Vec<u8>,
        /// Channel.
        channel: Vec<u8>,
    },
}

/// Bytes that are no frame. The stream cannot be resumed after any of these.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// Length below the header's own.
    #[error("frame length {0} is less than its own header of 5 bytes")]
    Short(u32),
    /// Length over the limit.
    #[error("frame length {0} is over the limit of {1} bytes")]
    Long(u32, usize),
    /// Operation that does not exist.
    #[error("operation {0} does not exist (0 to 5 do)")]
    Operation(u8),
    /// A body that does not hold what its operation needs.
    #[error("the body of operation {0} ends too early")]
    Body(u8),
}

/// The proof of an AUTH.
pub fn secret_hash(nonce: &[u8], secret: &[u8]) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    sha1.update(nonce);
    sha1.update(secret);
    sha1.finalize().into()
}

fn str8(body: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (length, rest) = body.split_first()?;
    let (text, rest) = rest.split_at_checked(*length as usize)?;
    Some((text.to_vec(), rest))
}

impl Frame {
    /// Reads the body of a frame.
    fn parse(operation: u8, body: &[u8]) -> Result<Frame, FrameError> {
        let named = || str8(body).ok_or(FrameError::Body(operation));
        Ok(match operation {
            0 => Frame::Error(body.to_vec()),
            1 => named().map(|(name, nonce)| Frame::Info { name, nonce: nonce.to_vec() })?,
            2 => {
                let (ident, hash) = named()?;
                Frame::Auth { ident, hash: hash.try_into().map_err(|_| FrameError::Body(2))? }
            }
            3 => {
                let (ident, rest) = named()?;
                let (channel, payload) = str8(rest).ok_or(FrameError::Body(3))?;
                Frame::Publish { ident, channel, payload: payload.to_vec() }
            }
            4 => named().map(|(ident, channel)| Frame::Subscribe { ident, channel: channel.to_vec() })?,
            5 => named().map(|(ident, channel)| Frame::Unsubscribe { ident, channel: channel.to_vec() })?,
            other => return Err(FrameError::Operation(other)),
        })
    }

    /// Bytes on the wire. Names longer than 255 bytes are cut: they cannot be said.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let str8 = |body: &mut Vec<u8>, text: &[u8]| {
            let text = &text[..text.len().min(255)];
            body.push(text.len() as u8);
            body.extend_from_slice(text);
        };
        let operation = match self {
            Frame::Error(text) => {
                body.extend_from_slice(text);
                0
            }
            Frame::Info { name, nonce } => {
                str8(&mut body, name);
                body.extend_from_slice(nonce);
                1
            }
            Frame::Auth { ident, hash } => {
                str8(&mut body, ident);
                body.extend_from_slice(hash);
                2
            }
            Frame::Publish { ident, channel, payload } => {
                str8(&mut body, ident);
                str8(&mut body, channel);
                body.extend_from_slice(&payload[..payload.len().min(MAX_PAYLOAD)]);
                3
            }
            Frame::Subscribe { ident, channel } | Frame::Unsubscribe { ident, channel } => {
                str8(&mut body, ident);
                body.extend_from_slice(&channel[..channel.len().min(255)]);
                if matches!(self, Frame::Subscribe { .. }) { 4 } else { 5 }
            }
        };
        let mut out = ((body.len() + HEADER) as u32).to_be_bytes().to_vec();
        out.push(operation);
        out.append(&mut body);
        out
    }
}

/// Finds frames in a stream. Holds at most one frame and one read.
#[derive(Default, Debug)]
pub struct Decoder {
    held: Vec<u8>,
}

impl Decoder {
    /// Adds bytes as they came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Whether bytes of an unfinished frame are held.
    pub fn is_mid_frame(&self) -> bool {
        !self.held.is_empty()
    }

    /// The next whole frame; none until more bytes come.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(header) = self.held.first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let operation = header[4];
        let limit = match operation {
            1 | 2 => MAX_HANDSHAKE,
            0 | 3..=5 => MAX_FRAME,
            other => return Err(FrameError::Operation(other)),
        };
        if (length as usize) < HEADER {
            return Err(FrameError::Short(length));
        }
        if length as usize > limit {
            return Err(FrameError::Long(length, limit));
        }
        let Some(body) = self.held.get(HEADER..length as usize) else { return Ok(None) };
        let frame = Frame::parse(operation, body)?;
        self.held.drain(..length as usize);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn short() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..256)
    }

    fn frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            short().prop_map(Frame::Error),
            (short(), proptest::collection::vec(any::<u8>(), 4))
                .prop_map(|(name, nonce)| Frame::Info { name: name[..name.len().min(100)].to_vec(), nonce }),
            (short(), any::<[u8; 20]>()).prop_map(|(ident, hash)| Frame::Auth { ident, hash }),
            (short(), short(), proptest::collection::vec(any::<u8>(), 0..4000))
                .prop_map(|(ident, channel, payload)| Frame::Publish { ident, channel, payload }),
            (short(), short()).prop_map(|(ident, channel)| Frame::Subscribe { ident, channel }),
            (short(), short()).prop_map(|(ident, channel)| Frame::Unsubscribe { ident, channel }),
        ]
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(frames in proptest::collection::vec(frame(), 0..6), cut in 1usize..50) {
            let wire: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
            let (mut decoder, mut got) = (Decoder::default(), Vec::new());
            for piece in wire.chunks(cut) {
                decoder.feed(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    got.push(frame);
                }
            }
            prop_assert_eq!(got, frames);
            prop_assert!(!decoder.is_mid_frame());
        }

        #[test]
        fn hostile_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }

    #[test]
    fn limits() {
        let mut decoder = Decoder::default();
        decoder.feed(&[0, 0, 1, 26, 1]);
        assert_eq!(decoder.next_frame(), Err(FrameError::Long(282, 281)));
        let mut decoder = Decoder::default();
        decoder.feed(&[0, 0, 0, 4, 0]);
        assert_eq!(decoder.next_frame(), Err(FrameError::Short(4)));
        let mut decoder = Decoder::default();
        decoder.feed(&[0, 0, 0, 5, 6]);
        assert_eq!(decoder.next_frame(), Err(FrameError::Operation(6)));
    }

    #[test]
    fn proof_is_sha1_of_nonce_then_secret() {
        // echo -n 'abcdsecret' | sha1sum
        let hex: String = secret_hash(b"abcd", b"secret").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ee895c4fcd00f02507835e0e9554441bd8888388");
    }
}
