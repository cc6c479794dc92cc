//! What a world is made of, as a person writes it: a TOML file with one table per kind of thing to plant.
//!
//! Each section of the same kind plants `count` things; `percent` is the section's part of all packets, and the
//! background takes what is left. Unknown keys and values out of range are refused with the file, the key, the value
//! and what is allowed.

use crate::tools::Variant;
use noroshi_model::{Addr, Nanos, Prefix};
use serde::Deserialize;
use std::path::Path;

mod attacks;
mod builtin;
mod check;

pub use attacks::{Amplification, Backscatter, Carpet, Flood, Order, Rate, Sweep, Tests};
pub use builtin::{BUILTIN, builtin_names};

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Neither the name of a scenario that ships with the program nor a file.
    #[error("there is no scenario or file \"{name}\"; use one of {} or the path of a .toml file", builtin_names().join(", "))]
    Unknown {
        /// As given.
        name: String,
    },
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// Path.
        file: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The text is not TOML, has a key that nobody knows, or a value of the wrong kind.
    #[error("{file}, line {line}: {message}")]
    Syntax {
        /// Name or path.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong, with the allowed keys or values.
        message: String,
    },
    /// A value is out of range.
    #[error("{file}: {key} is {value}, but must be {allowed}")]
    Value {
        /// Name or path.
        file: String,
        /// Key, with its table.
        key: String,
        /// As given.
        value: String,
        /// What would be right.
        allowed: String,
    },
}

/// A readable description of a world.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name or path it was loaded by; not a key of the file.
    #[serde(skip)]
    pub name: String,
    /// One line for a list.
    pub title: String,
    /// What it is for.
    pub about: String,
    /// First instant of the world.
    #[serde(default = "default_start")]
    pub start: Nanos,
    /// Length.
    #[serde(default = "default_minutes")]
    pub minutes: u64,
    /// Packets when nobody says how many.
    #[serde(default = "default_packets")]
    pub packets: u64,
    /// Monitored prefixes: where every packet goes.
    pub monitored: Vec<Prefix>,
    /// Organisations whose hosts take part.
    #[serde(default)]
    pub member: Vec<Member>,
    /// Traffic of no one in particular.
    #[serde(default)]
    pub background: Vec<Background>,
    /// Sources that scan together.
    #[serde(default)]
    pub campaign: Vec<Campaign>,
    /// Botnets whose hosts act in the same minutes.
    #[serde(default)]
    pub group: Vec<Group>,
    /// Single scans.
    #[serde(default)]
    pub scan: Vec<Scan>,
    /// Scanners of known organisations.
    #[serde(default)]
    pub research: Vec<Research>,
    /// Members' hosts that attack.
    #[serde(default)]
    pub infection: Vec<Infection>,
    /// Floods with forged sources, seen by the victims' replies.
    #[serde(default)]
    pub backscatter: Vec<Backscatter>,
    /// Requests in victims' names.
    #[serde(default)]
    pub amplification: Vec<Amplification>,
    /// Attacks on many addresses of one prefix.
    #[serde(default)]
    pub carpet: Vec<Carpet>,
    /// Searches for reflectors.
    #[serde(default)]
    pub sweep: Vec<Sweep>,
}

fn default_start() -> Nanos {
    Nanos::from_seconds(1_767_225_600) // 2026-01-01T00:00:00Z
}
fn default_minutes() -> u64 {
    1440
}
fn default_packets() -> u64 {
    1_000_000
}

/// Smallest and largest, both included.
pub type Range = [u64; 2];

/// An organisation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Name.
    pub name: String,
    /// Its addresses.
    pub prefix: Prefix,
}

/// IP version of the packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub enum IpVersion {
    /// IPv4.
    #[default]
    #[serde(rename = "ipv4")]
    V4,
    /// IPv6.
    #[serde(rename = "ipv6")]
    V6,
}

impl IpVersion {
    /// True for IPv6.
    pub fn is_v6(self) -> bool {
        self == IpVersion::V6
    }
}

/// How packets spread over the sources of the background.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// A few sources send most: the k-th sends in proportion to 1/k, nearly.
    #[default]
    Zipf,
    /// All alike.
    Even,
}

/// Traffic of no one in particular.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// IP version.
    #[serde(default)]
    pub ip: IpVersion,
    /// Part of the packets that the planted things leave, relative to the other backgrounds.
    #[serde(default = "one")]
    pub weight: u64,
    /// Distinct sources per 1,000 packets.
    #[serde(default = "hundred")]
    pub sources_per_1000: u64,
    /// Spread over them.
    #[serde(default)]
    pub spread: Spread,
    /// What the sources do, in parts of any total.
    #[serde(default)]
    pub mix: Mix,
    /// Tools of the sources that send SYN, in parts of any total.
    #[serde(default = "default_tools")]
    pub tools: Vec<(Variant, u64)>,
    /// TCP ports.
    #[serde(default)]
    pub ports: Ports,
}

fn one() -> u64 {
    1
}
fn hundred() -> u64 {
    100
}
fn default_tools() -> Vec<(Variant, u64)> {
    vec![
        (Variant::Mirai, 24),
        (Variant::ZmapOld, 8),
        (Variant::Zmap, 10),
        (Variant::MasscanOld, 6),
        (Variant::Masscan, 8),
        (Variant::Nmap, 5),
        (Variant::NmapHalves, 1),
        (Variant::Unicornscan, 1),
        (Variant::Linux, 22),
        (Variant::Windows, 7),
        (Variant::Raw, 8),
    ]
}

/// What background sources do, in parts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// TCP SYN scanners.
    pub syn: u64,
    /// UDP scanners.
    pub udp: u64,
    /// ICMP echo.
    pub echo: u64,
    /// Hosts that talk to one wrong address.
    pub stray: u64,
    /// Single replies of many victims, none of which is under an attack large enough to see.
    pub backscatter: u64,
}

impl Default for Mix {
    fn default() -> Self {
        Mix { syn: 79, udp: 12, echo: 4, stray: 2, backscatter: 3 }
    }
}

/// Destination ports of probes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(untagged)]
pub enum Ports {
    /// These; the first nine times in ten when the tool is Mirai, else alike.
    List(Vec<u16>),
    /// "popular": services that attackers like. "any": a number drawn per thing. "all": every port.
    Named(PortsNamed),
    /// The tool's habit: as "popular" but Mirai's own.
    #[default]
    Habit,
}

/// Words for ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortsNamed {
    /// Services that attackers like.
    Popular,
    /// One number drawn for each planted thing.
    Any,
    /// Each probe its own.
    All,
}

/// Where the sources of one thing live.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// All over the Internet.
    #[default]
    Scattered,
    /// In one /24 (or /64).
    Network,
}

/// Sources that scan together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// How many campaigns.
    #[serde(default = "one")]
    pub count: u64,
    /// Part of all packets.
    pub percent: f64,
    /// IP version.
    #[serde(default)]
    pub ip: IpVersion,
    /// Tools, taken in turn.
    pub tools: Vec<Variant>,
    /// Ports.
    pub ports: Ports,
    /// Sources of each.
    pub members: Range,
    /// Length of each.
    pub minutes: Range,
    /// Where they live.
    #[serde(default)]
    pub placement: Placement,
    /// Malware family behind it, if any.
    #[serde(default)]
    pub family: Option<String>,
}

/// Botnets whose hosts act in the same minutes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// How many groups.
    #[serde(default = "one")]
    pub count: u64,
    /// Part of all packets.
    pub percent: f64,
    /// IP version.
    #[serde(default)]
    pub ip: IpVersion,
    /// Tools, taken in turn.
    pub tools: Vec<Variant>,
    /// Ports; of a list each group takes one, in turn.
    pub ports: Ports,
    /// Hosts of each.
    pub members: Range,
    /// Minutes from one burst to the next.
    pub apart_minutes: Range,
    /// Length of a burst.
    #[serde(default = "default_burst")]
    pub burst_seconds: u64,
    /// Malware family behind it, if any.
    #[serde(default)]
    pub family: Option<String>,
}

fn default_burst() -> u64 {
    60
}

/// Shape of a single scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// One port, many targets.
    Horizontal,
    /// Many ports, one target.
    Vertical,
    /// Many ports, many targets.
    Block,
}

/// Single scans.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// How many scans.
    #[serde(default = "one")]
    pub count: u64,
    /// Part of all packets.
    pub percent: f64,
    /// IP version.
    #[serde(default)]
    pub ip: IpVersion,
    /// Tools, taken in turn.
    pub tools: Vec<Variant>,
    /// Shape.
    pub shape: Shape,
    /// Ports of a horizontal or block scan.
    #[serde(default)]
    pub ports: Ports,
    /// Number of ports of a vertical or block scan.
    #[serde(default = "one_thousand")]
    pub ports_each: u64,
    /// Length.
    pub minutes: Range,
}

fn one_thousand() -> u64 {
    1000
}

/// Scanners of known organisations: a few neighbouring addresses, all day, politely.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Research {
    /// Name of the organisation.
    pub name: String,
    /// Part of all packets.
    pub percent: f64,
    /// IP version.
    #[serde(default)]
    pub ip: IpVersion,
    /// Tool.
    pub tool: Variant,
    /// Ports.
    pub ports: Ports,
    /// Sources.
    pub sources: u64,
}

/// Members' hosts that attack.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Infection {
    /// Name of the member.
    pub member: String,
    /// Hosts.
    #[serde(default = "one")]
    pub hosts: u64,
    /// Part of all packets.
    pub percent: f64,
    /// Tool.
    pub tool: Variant,
    /// Ports.
    #[serde(default)]
    pub ports: Ports,
    /// Length.
    pub minutes: Range,
    /// Malware family behind it, if any.
    #[serde(default)]
    pub family: Option<String>,
}

impl Scenario {
    /// By the name of one that ships with the program, or by path.
    pub fn load(name_or_path: &str) -> Result<Scenario, ScenarioError> {
        if let Some((_, text)) = BUILTIN.iter().find(|(name, _)| *name == name_or_path) {
            return Scenario::parse(name_or_path, text);
        }
        let path = Path::new(name_or_path);
        if !path.is_file() && !name_or_path.ends_with(".toml") && !name_or_path.contains(['/', '\\']) {
            return Err(ScenarioError::Unknown { name: name_or_path.to_owned() });
        }
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Read { file: name_or_path.to_owned(), source })?;
        Scenario::parse(name_or_path, &text)
    }

    /// From text; `file` is what errors call it.
    pub fn parse(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
        let mut scenario: Scenario = toml::from_str(text).map_err(|refused| ScenarioError::Syntax {
            file: file.to_owned(),
            line: refused.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count()),
            message: refused.message().to_owned(),
        })?;
        let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        scenario.name = stem.unwrap_or_else(|| file.to_owned());
        check::check(file, &scenario)?;
        Ok(scenario)
    }

    /// Whether an address is monitored.
    pub fn is_monitored(&self, addr: Addr) -> bool {
        self.monitored.iter().any(|prefix| prefix.contains(addr))
    }
}
