//! ISO 3166-1 alpha-2 country codes, two bytes.

use std::fmt;

/// A country as its ISO 3166-1 alpha-2 code in capitals (also codes that registries use beside it, such as `EU`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// From two ASCII letters in either case; `ZZ` and `XX` ("unknown") and anything else is none.
    pub fn new(code: &str) -> Option<Self> {
        let bytes: [u8; 2] = code.as_bytes().try_into().ok()?;
        Self::from_bytes(bytes.map(|b| b.to_ascii_uppercase())).filter(|c| !matches!(&c.0, b"ZZ" | b"XX"))
    }

    pub(crate) fn from_bytes(code: [u8; 2]) -> Option<Self> {
        code.iter().all(u8::is_ascii_uppercase).then_some(Country(code))
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        // Always two ASCII capitals, so never the fallback.
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }

    /// The two letters as bytes.
    pub const fn bytes(self) -> [u8; 2] {
        self.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        assert_eq!(Country::new("jp").map(|c| c.to_string()).as_deref(), Some("JP"));
        for bad in ["", "J", "JPN", "1a", "ZZ", "é"] {
            assert_eq!(Country::new(bad), None, "{bad}");
        }
    }
}
