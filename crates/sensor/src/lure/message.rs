//! What the sensor and its lure processes say to each other: JSON, one line each way in, counted frames on the way out.
//!
//! A frame is its length (u32, little endian) and that many bytes. What a lure process says is foreign: lengths are
//! bounded before anything is read, and rows are put under the policy before they are kept.

use crate::amplification::Bounds;
use crate::iot::Limits;
use noroshi_model::Prefix;
use noroshi_model::lure::Lure;
use noroshi_model::request::Request;
use noroshi_model::session::Session;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest frame: a dialogue with its recording and the files that were left, in base64.
pub const FRAME_BYTES_MAX: u32 = 16 << 20;

/// A lure and where it listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Which.
    pub lure: Lure,
    /// Where.
    pub listen: SocketAddr,
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (lure, listen) = text.split_once('=').ok_or("expected NAME=ADDR:PORT, such as telnet=192.0.2.7:23")?;
        let listen = listen.parse().map_err(|_| format!("\"{listen}\" is not ADDR:PORT"))?;
        Ok(Place { lure: lure.parse::<Lure>().map_err(|error| error.to_string())?, listen })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.lure, self.listen)
    }
}

/// The first line to a lure process: what to be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Order {
    /// Seed of names, versions and keys.
    pub seed: u64,
    /// Device persona: one that ships, or the text of a TOML file.
    pub persona: String,
    /// Lures, all dialogues or all datagrams.
    pub places: Vec<Place>,
    /// TUN device for the lure `tcp`, and the prefixes that are answered for; all, when there is no list.
    pub device: Option<(String, Option<Vec<Prefix>>)>,
    /// Bounds of replies.
    pub bounds: Bounds,
    /// Bounds of dialogues.
    pub limits: Limits,
    /// Payload bytes kept of each request.
    pub payload_bytes: usize,
    /// User to become when started by root.
    pub user: Option<String>,
}

/// Further lines to a lure process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tell {
    /// Send nothing to this network for so long.
    Mute {
        /// The network.
        network: Prefix,
        /// Seconds.
        seconds: u32,
    },
}

/// A file that a visitor left.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Left {
    /// SHA-256.
    pub hash: String,
    /// Its content.
    #[serde(with = "base64_bytes")]
    pub content: Vec<u8>,
}

/// A dialogue that is over.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The row.
    pub session: Session,
    /// The recording, asciicast version 2.
    pub recording: String,
    /// Files that were left.
    pub left: Vec<Left>,
}

/// What a lure process says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// It serves.
    Ready {
        /// Where.
        places: Vec<Place>,
        /// What it gave up, for people.
        confined: String,
    },
    /// Requests arrived.
    Requests(Vec<Request>),
    /// A dialogue is over.
    Dialogue(Box<Kept>),
    /// Requests since the start that could not be told about: the pipe was full.
    Lost(u64),
    /// It cannot serve.
    Failed(String),
}

/// Writes one frame.
pub async fn write<W: AsyncWrite + Unpin>(to: &mut W, said: &Said) -> io::Result<()> {
    let text = serde_json::to_vec(said)?;
    let length = u32::try_from(text.len()).ok().filter(|length| *length <= FRAME_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("a frame is too large"))?;
    to.write_all(&length.to_le_bytes()).await?;
    to.write_all(&text).await?;
    to.flush().await
}

/// Reads one frame; none at the end of the stream.
pub async fn read<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Option<Said>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let length = u32::from_le_bytes(length);
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other("a lure process said something too long"));
    }
    let mut text = vec![0; length as usize];
    from.read_exact(&mut text).await?;
    Ok(Some(serde_json::from_slice(&text)?))
}

mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(d)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_back_and_lengths_are_bounded() {
        let kept = Kept {
            session: Session::default(),
            recording: "x".into(),
            left: vec![Left { hash: "h".into(), content: vec![0, 255] }],
        };
        let said = Said::Dialogue(Box::new(kept));
        let mut bytes = Vec::new();
        write(&mut bytes, &said).await.unwrap();
        assert_eq!(read(&mut &bytes[..]).await.unwrap(), Some(said));
        assert_eq!(read(&mut &[][..]).await.unwrap(), None);
        assert!(read(&mut &u32::MAX.to_le_bytes()[..]).await.is_err());
        assert!(read(&mut &bytes[..9]).await.is_err());
    }

    #[test]
    fn places_are_typed() {
        let place: Place = "dns=127.0.0.1:53".parse().unwrap();
        assert_eq!(place.lure, Lure::Dns);
        assert!("dns".parse::<Place>().is_err());
        assert!("shell=127.0.0.1:1".parse::<Place>().unwrap_err().contains("telnet"));
    }
}
