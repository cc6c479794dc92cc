//! The scenarios that ship with the program, as text.

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        /// Name and text of each, in the order of a list for people.
        pub const BUILTIN: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../../scenarios/", $name, ".toml"))),)*];
    };
}

builtin!(
    "darknet-day",
    "quiet",
    "zmap-masscan-today",
    "mirai-family",
    "nmap-lab",
    "unicornscan",
    "backscatter-week",
    "amplification",
    "precursors",
    "precursor-week",
    "carpet-bombing",
    "synchronised-botnets",
    "member-attacks",
    "ipv6-darknet",
    "living-hour",
);

/// The names alone.
pub fn builtin_names() -> Vec<&'static str> {
    BUILTIN.iter().map(|(name, _)| *name).collect()
}
