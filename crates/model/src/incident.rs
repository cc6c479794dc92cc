//! Everything that is known about one thing happening to one member, gathered from all detectors.
//!
//! Darknet findings, requests at amplification honeypots, honeypot sessions, sandbox reports and what partners send
//! about the same subject become one incident, each with its own line of evidence ([`Testimony`]).

use crate::Nanos;
use crate::alert::Severity;
use crate::finding::{AttackKind, Tool, Vector, Victim, named};
use crate::infection::InfectionClass;
use crate::member::MemberId;
use crate::packet::Evidence;
use crate::tlp::Tlp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

named! {
    /// What happens.
    IncidentKind {
        /// The subject attacks others or its own network.
        Infection = "infection",
        /// The subject talks to an address that was mistyped.
        Misconfiguration = "misconfiguration",
        /// The subject suffers denial of service.
        Attack = "attack",
        /// The subject is likely to be attacked soon.
        Precursor = "precursor",
    }
}

named! {
    /// Whether it goes on.
    IncidentState {
        /// It goes on.
        Open = "open",
        /// It has been silent for long enough.
        Closed = "closed",
    }
}

named! {
    /// Who saw it.
    Witness {
        /// Packets to unused addresses.
        Darknet = "darknet",
        /// Requests at an amplification honeypot.
        AmplificationHoneypot = "amplification-honeypot",
        /// Dialogue with a honeypot.
        Honeypot = "honeypot",
        /// A sample's behaviour in the sandbox.
        Sandbox = "sandbox",
        /// A partner's own analysis.
        Partner = "partner",
    }
}

/// What one witness says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Testimony {
    /// Who saw it.
    pub witness: Witness,
    /// Detector with version, or the partner's name.
    pub by: String,
    /// First seen by this witness.
    pub first: Nanos,
    /// Last seen by this witness.
    pub last: Nanos,
    /// Packets, requests or dialogues.
    pub count: u64,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// How far the other side's address is proven.
    pub proof: Evidence,
    /// One sentence.
    pub text: String,
}

/// One thing that happens to one member.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// UUID, the same for the same member, kind, subject and beginning.
    pub id: String,
    /// Whose it is.
    pub member: MemberId,
    /// What happens.
    pub kind: IncidentKind,
    /// To which address or network of the member.
    pub subject: Victim,
    /// Whether it goes on.
    pub state: IncidentState,
    /// How bad.
    pub severity: Severity,
    /// How far it may travel.
    pub tlp: Tlp,
    /// First seen by anyone.
    pub first: Nanos,
    /// Last seen by anyone.
    pub last: Nanos,
    /// Packets over all testimonies.
    pub packets: u64,
    /// Distinct other sides as the best witness counted them: destinations of an infection, sources of an attack.
    pub peers: u64,
    /// Ports: destinations of an infection, the attacked ones of an attack; at most sixteen.
    pub ports: BTreeSet<u16>,
    /// How the attack was seen.
    pub attack_kinds: BTreeSet<AttackKind>,
    /// How the attack is made.
    pub vectors: BTreeSet<Vector>,
    /// What made the packets.
    pub tools: BTreeSet<Tool>,
    /// Where an infected host's packets went.
    pub classes: BTreeSet<InfectionClass>,
    /// Highest rate at a sensor, unscaled, packets per second.
    pub peak_pps: f64,
    /// Highest estimate at the victim, packets per second.
    pub estimated_pps: Option<f64>,
    /// How sure, 0 to 1; the best of the testimonies.
    pub confidence: f64,
    /// Best proof of the attacking address.
    pub proof: Evidence,
    /// Probability of a main attack, for precursors.
    pub probability: Option<f64>,
    /// What each witness says, one per detector.
    pub testimonies: Vec<Testimony>,
}

/// Ports that an incident lists.
pub const PORTS_MAX: usize = 16;
/// Testimonies that an incident keeps: one per detector, so a larger number means a foreign source invents names.
pub const TESTIMONIES_MAX: usize = 16;

impl Incident {
    /// Takes in what one witness says now; a later statement by the same detector replaces the earlier one.
    pub fn hear(&mut self, said: Testimony) {
        self.first = self.first.min(said.first);
        self.last = self.last.max(said.last);
        self.confidence = self.confidence.max(said.confidence);
        self.proof = self.proof.max(said.proof);
        let known = self.testimonies.iter().position(|t| t.by == said.by && t.witness == said.witness);
        match known {
            Some(at) => {
                let known = &mut self.testimonies[at];
                let first = known.first.min(said.first);
                let last = known.last.max(said.last);
                let count = known.count.max(said.count);
                *known = Testimony { first, last, count, ..said };
            }
            None if self.testimonies.len() < TESTIMONIES_MAX => {
                self.testimonies.push(said);
                self.testimonies.sort_by(|a, b| (a.witness, &a.by).cmp(&(b.witness, &b.by)));
            }
            None => {}
        }
        self.packets = self.testimonies.iter().map(|t| t.count).fold(0, u64::saturating_add);
    }
}
