//! The line that a sensor's host pastes: where the hub is, how to recognise it, and the right to join once.

use crate::identity::{CaPin, SensorName};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// 256 random bits that may be turned into one certificate, once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(pub [u8; 32]);

impl Token {
    /// A new token.
    pub fn generate() -> Self {
        Token(rand::random())
    }

    /// What the hub keeps: reading its database gives nobody a usable token.
    pub fn hash(&self) -> String {
        Sha256::digest(self.0).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The form used in messages.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads [`Token::text`].
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Everything a sensor needs to enrol. Text form: `NAME@HOST:PORT nrs1-…`, two words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Name the sensor will have.
    pub name: SensorName,
    /// Host (name or address) and port of the hub. May be edited when the hub is reached another way.
    pub hub: String,
    /// The right to join.
    pub token: Token,
    /// The hub's pin.
    pub pin: CaPin,
}

/// The pasted line is not an invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// Not `NAME@HOST:PORT`.
    #[error("\"{0}\" is not of the form NAME@HOST:PORT; paste the whole line that `noroshi fleet token` printed")]
    Place(String),
    /// The second word is damaged.
    #[error("the token is damaged (a token starts with nrs1- and has 96 characters after it); paste the whole line")]
    Token,
}

const PREFIX: &str = "nrs1-";
/// Bytes of checksum at the end, so that a line cut by a terminal is noticed before the hub is asked.
const CHECK: usize = 8;

impl Invitation {
    /// The two words of the line.
    pub fn words(&self) -> (String, String) {
        let mut bytes = Vec::with_capacity(64 + CHECK);
        bytes.extend_from_slice(&self.token.0);
        bytes.extend_from_slice(&self.pin.0);
        let check = Sha256::digest(&bytes);
        bytes.extend_from_slice(&check[..CHECK]);
        (format!("{}@{}", self.name, self.hub), format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Reads the two words.
    pub fn parse(place: &str, secret: &str) -> Result<Self, InvitationError> {
        let wrong = || InvitationError::Place(place.chars().take(80).collect());
        let (name, hub) = place.split_once('@').ok_or_else(wrong)?;
        let (host, port) = hub.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() || port.parse::<u16>().is_err() || host.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(wrong());
        }
        let bytes = secret.strip_prefix(PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let bytes: [u8; 64 + CHECK] = bytes.and_then(|b| b.try_into().ok()).ok_or(InvitationError::Token)?;
        if Sha256::digest(&bytes[..64])[..CHECK] != bytes[64..] {
            return Err(InvitationError::Token);
        }
        let part = |at: usize| bytes[at..at + 32].try_into().expect("thirty-two bytes");
        Ok(Invitation {
            name: SensorName::from_str(name).map_err(|_| wrong())?,
            hub: hub.to_owned(),
            token: Token(part(0)),
            pin: CaPin(part(32)),
        })
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, secret) = self.words();
        write!(f, "{place} {secret}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_survives_pasting_and_a_cut_line_does_not() {
        let invitation = Invitation {
            name: "kyoto-1".parse().unwrap(),
            hub: "[::1]:7443".into(),
            token: Token::generate(),
            pin: CaPin([7; 32]),
        };
        let (place, secret) = invitation.words();
        assert_eq!(Invitation::parse(&place, &secret), Ok(invitation));
        for cut in 0..secret.len() {
            assert_eq!(Invitation::parse(&place, &secret[..cut]), Err(InvitationError::Token));
        }
        for bad in ["kyoto", "kyoto@host", "Kyoto@host:1", "kyoto@:1", "kyoto@h:99999", "a@b c:1", "a@b\n:1"] {
            assert!(matches!(Invitation::parse(bad, &secret), Err(InvitationError::Place(_))), "{bad}");
        }
    }
}
