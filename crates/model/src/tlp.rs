//! Traffic Light Protocol 2.0 (FIRST, August 2022): how far a piece of information may travel.
//!
//! Ordered from free to closed, so that a derived thing carries the maximum of what it was made of, and a recipient
//! gets what does not exceed their ceiling.

use crate::finding::named;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

named! {
    /// A TLP 2.0 label.
    Tlp {
        /// No limit.
        Clear = "clear",
        /// The community.
        Green = "green",
        /// The organisation and its clients, as far as needed.
        Amber = "amber",
        /// The organisation only.
        AmberStrict = "amber+strict",
        /// The named recipients only.
        Red = "red",
    }
}

impl Tlp {
    /// The label of something made from both.
    pub fn join(self, other: Tlp) -> Tlp {
        self.max(other)
    }

    /// As written in documents: `TLP:AMBER+STRICT`.
    pub const fn label(self) -> &'static str {
        match self {
            Tlp::Clear => "TLP:CLEAR",
            Tlp::Green => "TLP:GREEN",
            Tlp::Amber => "TLP:AMBER",
            Tlp::AmberStrict => "TLP:AMBER+STRICT",
            Tlp::Red => "TLP:RED",
        }
    }
}

/// The text is not a TLP label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a TLP label (expected clear, green, amber, amber+strict or red)")]
pub struct ParseTlpError(pub String);

impl FromStr for Tlp {
    type Err = ParseTlpError;
    /// With or without `TLP:`, in any case. `white`, the name of TLP 1, reads as clear.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = text.trim().to_ascii_lowercase();
        let word = word.strip_prefix("tlp:").unwrap_or(&word);
        if word == "white" {
            return Ok(Tlp::Clear);
        }
        Tlp::ALL.iter().copied().find(|t| t.name() == word).ok_or_else(|| ParseTlpError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_back_and_join_upward() {
        for tlp in Tlp::ALL {
            assert_eq!(tlp.label().parse(), Ok(*tlp));
            assert_eq!(tlp.join(Tlp::Red), Tlp::Red);
        }
        assert_eq!("TLP:WHITE".parse(), Ok(Tlp::Clear));
        assert!("amber strict".parse::<Tlp>().is_err());
    }
}
