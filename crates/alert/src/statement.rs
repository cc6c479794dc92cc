//! What is said about a member: findings of any detector, in the one form that incidents are made from.

use noroshi_model::alert::Severity;
use noroshi_model::finding::{Attack, AttackKind, Tool, Vector, Victim};
use noroshi_model::incident::{IncidentKind, PORTS_MAX, Testimony, Witness};
use noroshi_model::infection::{Infection, InfectionClass, Phase};
use noroshi_model::member::{MemberId, Registry};
use noroshi_model::packet::Evidence;
use noroshi_model::tlp::Tlp;
use std::collections::BTreeSet;

/// Estimated packets per second at the victim from which an attack is critical: a million small packets per second
/// fill a 1 Gbit/s line (84 bytes on the wire each give 0.67 Gbit/s). Ours; lower wakes people more often.
pub const ATTACK_CRITICAL_PPS: f64 = 1_000_000.0;
/// Estimated packets per second below which an attack is of medium severity: what a single server answers without
/// noticing. Ours.
pub const ATTACK_HIGH_PPS: f64 = 1_000.0;

/// One thing said about one member.
#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    /// About whom.
    pub member: MemberId,
    /// What happens.
    pub kind: IncidentKind,
    /// To which address or network.
    pub subject: Victim,
    /// How bad.
    pub severity: Severity,
    /// How far it may travel.
    pub tlp: Tlp,
    /// The speaker decides that it is over.
    pub over: bool,
    /// Distinct other sides.
    pub peers: u64,
    /// Ports.
    pub ports: BTreeSet<u16>,
    /// How the attack was seen and is made.
    pub attack: Option<(AttackKind, Vector)>,
    /// What made the packets.
    pub tool: Option<Tool>,
    /// Where an infected host's packets went.
    pub class: Option<InfectionClass>,
    /// Highest rate at a sensor.
    pub peak_pps: f64,
    /// Estimate at the victim.
    pub estimated_pps: Option<f64>,
    /// Probability of a main attack, for precursors.
    pub probability: Option<f64>,
    /// The line of evidence.
    pub testimony: Testimony,
}

/// Label of findings about members unless someone says otherwise: the organisation and its clients.
pub const TLP_DEFAULT: Tlp = Tlp::Amber;

/// A member's host attacks.
pub fn of_infection(infection: &Infection) -> Statement {
    let kind = match infection.class {
        InfectionClass::Misconfiguration => IncidentKind::Misconfiguration,
        InfectionClass::Internal | InfectionClass::External => IncidentKind::Infection,
    };
    Statement {
        member: infection.member.clone(),
        kind,
        subject: Victim::Address(infection.host),
        severity: infection.severity,
        tlp: TLP_DEFAULT,
        over: infection.phase == Phase::Closed,
        peers: infection.destinations,
        ports: infection.ports.iter().map(|p| p.port).take(PORTS_MAX).collect(),
        attack: None,
        tool: (infection.tool != Tool::Unknown).then_some(infection.tool),
        class: Some(infection.class),
        peak_pps: 0.0,
        estimated_pps: None,
        probability: None,
        testimony: Testimony {
            witness: Witness::Darknet,
            by: format!("{} {}", infection.detector, infection.class),
            first: infection.first,
            last: infection.last,
            count: infection.packets,
            confidence: infection.confidence,
            proof: infection.proof,
            text: infection.reason.clone(),
        },
    }
}

/// How bad an attack is for its victim.
pub fn severity_of(attack: &Attack) -> Severity {
    let rate = attack.estimated_pps.unwrap_or(attack.peak_pps);
    match attack.kind {
        AttackKind::Carpet => Severity::Critical,
        _ if rate >= ATTACK_CRITICAL_PPS => Severity::Critical,
        _ if rate >= ATTACK_HIGH_PPS => Severity::High,
        _ => Severity::Medium,
    }
}

/// Denial of service, told to every member with a part of the victim.
pub fn of_attack(attack: &Attack, registry: &Registry) -> Vec<Statement> {
    let witness = match attack.kind {
        AttackKind::Amplification => Witness::AmplificationHoneypot,
        _ => Witness::Darknet,
    };
    let about = |member: &MemberId| Statement {
        member: member.clone(),
        kind: IncidentKind::Attack,
        subject: attack.victim,
        severity: severity_of(attack),
        tlp: TLP_DEFAULT,
        over: false,
        peers: attack.sources,
        ports: attack.victim_port.into_iter().collect(),
        attack: Some((attack.kind, attack.vector)),
        tool: None,
        class: None,
        peak_pps: attack.peak_pps,
        estimated_pps: attack.estimated_pps,
        probability: None,
        testimony: Testimony {
            witness,
            by: format!("{} {} {}", attack.detector, attack.kind, attack.vector),
            first: attack.first,
            last: attack.last,
            count: attack.packets,
            confidence: attack.confidence,
            // Whatever attacks, its addresses are forged until a dialogue proves them.
            proof: Evidence::Spoofable,
            text: attack.reason.clone(),
        },
    };
    registry.owners(attack.victim).into_iter().map(|member| about(&member.id)).collect()
}
