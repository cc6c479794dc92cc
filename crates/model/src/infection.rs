//! A member's host that attacks: what darknets and honeypots say about the inside of an organisation.

use crate::alert::Severity;
use crate::finding::{Position, ScanProtocol, Thresholds, Tool, named};
use crate::member::MemberId;
use crate::packet::Evidence;
use crate::{Addr, Nanos};
use serde::{Deserialize, Serialize};
use std::fmt;

named! {
    /// Where the host's packets went.
    InfectionClass {
        /// To unused addresses of its own organisation: something spreads inside.
        Internal = "internal",
        /// To addresses outside its organisation.
        External = "external",
        /// To one unused address that differs by one character from a used one: most likely a typing mistake.
        Misconfiguration = "misconfiguration",
    }
}

named! {
    /// What an infection just did.
    Phase {
        /// Seen for the first time, or again after it had closed.
        Opened = "opened",
        /// Counts, ports or severity grew.
        Grew = "grew",
        /// Silent for long enough to be taken as over.
        Closed = "closed",
    }
}

/// One port that the host tried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PortUse {
    /// Protocol.
    pub protocol: ScanProtocol,
    /// Destination port; 0 for ICMP.
    pub port: u16,
    /// Packets.
    pub packets: u64,
}

/// A member's host that attacks.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Infection {
    /// Whose host it is.
    pub member: MemberId,
    /// The host. The address is proven only as far as `proof` says.
    pub host: Addr,
    /// Where its packets went.
    pub class: InfectionClass,
    /// What just happened.
    pub phase: Phase,
    /// How bad.
    pub severity: Severity,
    /// Ports that met the condition, ascending; at most as many as the detector keeps.
    pub ports: Vec<PortUse>,
    /// Recognised by its packets.
    pub tool: Tool,
    /// Name of the payload rule that matched, when one did.
    pub payload: Option<String>,
    /// Packets of the host in this class.
    pub packets: u64,
    /// Distinct destinations; a lower bound when `destinations_at_least`.
    pub destinations: u64,
    /// Whether counting destinations stopped at its bound.
    pub destinations_at_least: bool,
    /// First packet.
    pub first: Nanos,
    /// Last packet.
    pub last: Nanos,
    /// Best proof of the source address among its packets.
    pub proof: Evidence,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// Thresholds used.
    pub thresholds: Thresholds,
    /// Name and version of the detector.
    pub detector: String,
    /// Packets to look at.
    pub evidence: Vec<Position>,
    /// One sentence.
    pub reason: String,
}
