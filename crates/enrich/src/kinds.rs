//! What it means to be in a list.

use std::fmt;

/// What the lists that hold an address say it is; several may apply.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<&'static str>")]
pub struct Kinds(u16);

const NAMES: [(Kinds, &str); 8] = [
    (Kinds::RESEARCH_SCANNER, "research scanner"),
    (Kinds::MASS_SCANNER, "mass scanner"),
    (Kinds::KNOWN_BENIGN, "known benign"),
    (Kinds::PUBLIC_RESOLVER, "public resolver"),
    (Kinds::BOGON, "bogon"),
    (Kinds::SINKHOLE, "sinkhole"),
    (Kinds::SHARED_HOSTING, "shared infrastructure"),
    (Kinds::MALWARE_HOST, "malware host"),
];

impl Kinds {
    /// Nothing is said.
    pub const NONE: Kinds = Kinds(0);
    /// An organisation that scans the Internet and says so.
    pub const RESEARCH_SCANNER: Kinds = Kinds(1);
    /// Scans the whole Internet; by whom and what for is not vouched for.
    pub const MASS_SCANNER: Kinds = Kinds(2);
    /// A known service whose traffic is no attack (search engines, monitoring).
    pub const KNOWN_BENIGN: Kinds = Kinds(4);
    /// An open DNS resolver run for the public.
    pub const PUBLIC_RESOLVER: Kinds = Kinds(8);
    /// Never a genuine source on the Internet: private, reserved, multicast, documentation.
    pub const BOGON: Kinds = Kinds(16);
    /// Receives traffic of seized or expired malware domains.
    pub const SINKHOLE: Kinds = Kinds(32);
    /// Content delivery, cloud or VPN exit: many unrelated parties share the address.
    pub const SHARED_HOSTING: Kinds = Kinds(64);
    /// Was named as a control or download host of malware.
    pub const MALWARE_HOST: Kinds = Kinds(128);

    /// Both together.
    pub const fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Whether all of `other` are here.
    pub const fn has(self, other: Kinds) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is said.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The kinds in words, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |(kind, _)| self.has(*kind)).map(|(_, name)| *name)
    }

    /// The kind of that name, as [`Kinds::names`] writes it; `-` may stand for the blank.
    pub fn from_name(name: &str) -> Option<Kinds> {
        let name = name.replace('-', " ");
        NAMES.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// All names, for help texts.
    pub fn all_names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }

    /// What a list is, judged by its name: publishers have no field for it. A name that tells nothing gives none.
    pub fn from_list_name(name: &str) -> Kinds {
        let name = name.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if says(&["rfc1918", "rfc5735", "rfc6598", "rfc3849", "rfc 1918", "rfc 5735", "rfc 6598", "rfc 3849"])
            || says(&["rfc6890", "bogon", "linklocal", "link local", "multicast", "fullbogons", "special-use"])
        {
            Kinds::BOGON
        } else if says(&["mass_scanner", "mass-scanner", "mass scanner"]) {
            Kinds::MASS_SCANNER
        } else if says(&["scanning", "scanner"]) || name.starts_with("nethash.") {
            Kinds::RESEARCH_SCANNER
        } else if says(&["sinkhole"]) {
            Kinds::SINKHOLE
        } else if says(&["public-dns", "public dns", "resolver"]) {
            Kinds::PUBLIC_RESOLVER
        } else if says(&["googlebot", "bingbot", "crawler", "uptimerobot", "pingdom", "monitoring", "smtp-"]) {
            Kinds::KNOWN_BENIGN
        } else if says(&["cdn", "cloud", "amazon", "azure", "fastly", "akamai", "vpn", "google-gcp", "hosting"]) {
            Kinds::SHARED_HOSTING
        } else {
            Kinds::NONE
        }
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names().enumerate().try_for_each(|(i, name)| write!(f, "{}{name}", if i == 0 { "" } else { ", " }))
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

impl From<Kinds> for Vec<&'static str> {
    fn from(kinds: Kinds) -> Self {
        kinds.names().collect()
    }
}

impl TryFrom<Vec<String>> for Kinds {
    type Error = String;
    fn try_from(names: Vec<String>) -> Result<Self, String> {
        names.iter().try_fold(Kinds::NONE, |kinds, name| {
            Kinds::from_name(name).map(|k| kinds.with(k)).ok_or_else(|| format!("unknown kind \"{name}\""))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        let kinds = Kinds::RESEARCH_SCANNER.with(Kinds::BOGON);
        assert_eq!(kinds.to_string(), "research scanner, bogon");
        let json = serde_json::to_string(&kinds).unwrap();
        assert_eq!(serde_json::from_str::<Kinds>(&json).unwrap(), kinds);
        assert!(serde_json::from_str::<Kinds>("[\"nonsense\"]").is_err());
        assert_eq!(Kinds::from_name("public-resolver"), Some(Kinds::PUBLIC_RESOLVER));
    }
}
