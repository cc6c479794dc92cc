//! The state of one host in one class.

use super::{DETECTOR, Settings};
use noroshi_model::alert::Severity;
use noroshi_model::finding::{Position, ScanProtocol, Thresholds, Tool};
use noroshi_model::infection::{Infection, InfectionClass, Phase, PortUse};
use noroshi_model::member::MemberId;
use noroshi_model::packet::{Evidence, Packet, ToolBits};
use noroshi_model::{Addr, Nanos};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Packets of evidence kept per host: enough to look at, not a copy of the capture.
const EVIDENCE_MAX: usize = 8;
/// Ports from which on an infection is of medium severity (methods I: multi-port above single).
const PORTS_MEDIUM: usize = 2;
/// A payload rule looks at so many bytes.
const PAYLOAD_BYTES: usize = 512;

/// Texts that stand in a first payload only when one machine tells another to fetch and run something.
const PAYLOAD_RULES: [(&str, &[u8]); 6] = [
    ("shell-download", b"wget http"),
    ("shell-download", b"curl http"),
    ("busybox", b"/bin/busybox"),
    ("log4shell", b"${jndi:"),
    ("tmp-execute", b"chmod 777"),
    ("shell-pipe", b"|sh"),
];

/// The payload rule that matches, if any.
pub fn payload_rule(payload: &[u8]) -> Option<&'static str> {
    let head = &payload[..payload.len().min(PAYLOAD_BYTES)];
    PAYLOAD_RULES.iter().find(|(_, text)| head.windows(text.len()).any(|w| w == *text)).map(|(name, _)| *name)
}

/// The rule of that name.
pub fn rule_named(name: &str) -> Option<&'static str> {
    PAYLOAD_RULES.iter().map(|(known, _)| *known).find(|known| *known == name)
}

/// One packet as the host's state needs it.
pub struct Seen<'p> {
    pub port: (ScanProtocol, u16),
    pub packet: &'p Packet,
    pub position: Position,
    pub payload: Option<&'static str>,
    pub in_campaign: bool,
    pub typo: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct PortState {
    packets: u64,
    /// Times of the latest three packets, newest first.
    latest: [Option<Nanos>; 3],
    /// Destination of the newest packet, and when another one was last tried.
    newest: Option<(Addr, Nanos)>,
    other: Option<Nanos>,
    opened: bool,
}

impl PortState {
    /// Whether this packet completes the condition: so many packets to two destinations within the window.
    ///
    /// Three packets with two destinations lie within a window ending now exactly when the third newest does and the
    /// newest packet to another destination does; so no list of packets is needed.
    fn completes(&mut self, dst: Addr, at: Nanos, settings: &Settings) -> bool {
        self.packets += 1;
        self.latest = [Some(at), self.latest[0], self.latest[1]];
        if let Some((known, when)) = self.newest
            && known != dst
        {
            self.other = Some(when);
        }
        self.newest = Some((dst, at));
        let within = |when: Option<Nanos>| when.is_some_and(|w| at.seconds_since(w) <= settings.window_seconds as f64);
        let packets = match settings.packets_min {
            0 | 1 => true,
            2 => within(self.latest[1]),
            _ => within(self.latest[2]),
        };
        packets && (settings.destinations_min < 2 || within(self.other))
    }
}

/// Name of a payload rule. Spelled as a type of its own, since a stored state does not live as long as the names do.
type RuleName = &'static str;

/// What is known of one host in one class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    #[serde(with = "super::kept::pairs")]
    ports: BTreeMap<(ScanProtocol, u16), PortState>,
    destinations: BTreeSet<Addr>,
    destinations_at_least: bool,
    packets: u64,
    first: Nanos,
    last: Nanos,
    proof: Evidence,
    tool: Tool,
    #[serde(with = "super::kept::rule")]
    payload: Option<RuleName>,
    in_campaign: bool,
    /// Every packet so far went to one address that looks mistyped.
    typo_only: bool,
    evidence: Vec<Position>,
    opened: usize,
    told: Option<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Told {
    packets: u64,
    ports: usize,
    severity: Severity,
    typo: bool,
}

impl Host {
    pub fn new(first: Nanos) -> Self {
        Host {
            ports: BTreeMap::new(),
            destinations: BTreeSet::new(),
            destinations_at_least: false,
            packets: 0,
            first,
            last: first,
            proof: Evidence::Spoofable,
            tool: Tool::Unknown,
            payload: None,
            in_campaign: false,
            typo_only: true,
            evidence: Vec::new(),
            opened: 0,
            told: None,
        }
    }

    pub fn last(&self) -> Nanos {
        self.last
    }

    /// Takes in a packet; true when there may be something to report.
    pub fn see(&mut self, seen: &Seen<'_>, settings: &Settings) -> bool {
        let packet = seen.packet;
        self.packets += 1;
        self.first = self.first.min(packet.ts);
        self.last = self.last.max(packet.ts);
        self.proof = self.proof.max(packet.evidence);
        self.payload = self.payload.or(seen.payload);
        self.in_campaign |= seen.in_campaign;
        self.typo_only &= seen.typo;
        if self.evidence.len() < EVIDENCE_MAX {
            self.evidence.push(seen.position);
        }
        if !self.destinations.contains(&packet.dst) {
            if self.destinations.len() < settings.destinations_max {
                self.destinations.insert(packet.dst);
            } else {
                self.destinations_at_least = true;
            }
        }
        let proves = tool_proof(packet);
        if let Some(tool) = proves {
            self.tool = tool;
        }
        if !self.ports.contains_key(&seen.port) && self.ports.len() >= settings.ports_max {
            return self.told.is_some();
        }
        let port = self.ports.entry(seen.port).or_default();
        let completes = port.completes(packet.dst, packet.ts, settings);
        let proven = proves.is_some() || seen.payload.is_some() || packet.evidence == Evidence::Handshake;
        if !port.opened && (completes || proven) {
            port.opened = true;
            self.opened += 1;
        }
        self.opened > 0 || self.is_typo(settings)
    }

    /// One mistyped destination, tried often enough to be worth a word.
    fn is_typo(&self, settings: &Settings) -> bool {
        self.typo_only && self.destinations.len() == 1 && self.packets >= settings.packets_min
    }

    fn opened_ports(&self) -> Vec<PortUse> {
        let opened = self.ports.iter().filter(|(_, state)| state.opened);
        opened.map(|((protocol, port), s)| PortUse { protocol: *protocol, port: *port, packets: s.packets }).collect()
    }

    /// Malware's mark or payload > member of a campaign > several ports > one port (methods I).
    fn severity(&self, ports: usize, class: InfectionClass) -> Severity {
        match class {
            InfectionClass::Misconfiguration => Severity::Info,
            _ if self.tool == Tool::Mirai || self.payload.is_some() => Severity::Critical,
            _ if self.in_campaign || self.tool != Tool::Unknown => Severity::High,
            _ if ports >= PORTS_MEDIUM => Severity::Medium,
            _ => Severity::Low,
        }
    }

    /// The finding, when it opened or grew enough to be worth one: twice the packets, a new port, a worse severity.
    pub fn report(
        &mut self,
        member: &MemberId,
        addr: Addr,
        class: InfectionClass,
        settings: &Settings,
    ) -> Option<Infection> {
        let typo = self.opened == 0;
        if typo && !self.is_typo(settings) {
            return None;
        }
        let class = if typo { InfectionClass::Misconfiguration } else { class };
        let severity = self.severity(self.opened, class);
        let now = Told { packets: self.packets, ports: self.opened, severity, typo };
        let phase = match self.told {
            None => Phase::Opened,
            // A host that seemed to have mistyped an address and now attacks opens a finding of its own.
            Some(told) if told.typo && !typo => Phase::Opened,
            Some(told)
                if told.severity < severity
                    || told.ports < now.ports
                    || told.packets.saturating_mul(2) <= now.packets =>
            {
                Phase::Grew
            }
            Some(_) => return None,
        };
        self.told = Some(now);
        Some(self.infection(member, addr, class, phase, severity, settings))
    }

    /// The last word about a host that was reported.
    pub fn close(
        &mut self,
        member: &MemberId,
        addr: Addr,
        class: InfectionClass,
        settings: &Settings,
    ) -> Option<Infection> {
        let told = self.told?;
        let class = if told.typo { InfectionClass::Misconfiguration } else { class };
        Some(self.infection(member, addr, class, Phase::Closed, told.severity, settings))
    }

    fn infection(
        &self,
        member: &MemberId,
        addr: Addr,
        class: InfectionClass,
        phase: Phase,
        severity: Severity,
        settings: &Settings,
    ) -> Infection {
        let mut ports = self.opened_ports();
        if ports.is_empty() {
            let used = self.ports.iter();
            ports = used.map(|(k, s)| PortUse { protocol: k.0, port: k.1, packets: s.packets }).collect();
        }
        Infection {
            member: member.clone(),
            host: addr,
            class,
            phase,
            severity,
            tool: self.tool,
            payload: self.payload.map(str::to_owned),
            packets: self.packets,
            destinations: self.destinations.len() as u64,
            destinations_at_least: self.destinations_at_least,
            first: self.first,
            last: self.last,
            proof: self.proof,
            confidence: self.confidence(class),
            thresholds: thresholds(settings),
            detector: DETECTOR.into(),
            evidence: self.evidence.clone(),
            reason: self.reason(class, &ports),
            ports,
        }
    }

    /// Ours, to be judged by measurement: a proven address or malware's mark leaves little doubt; a lone opening
    /// could be forged, but forging a member's address towards a darknet serves few.
    fn confidence(&self, class: InfectionClass) -> f64 {
        match class {
            InfectionClass::Misconfiguration => 0.5,
            _ if self.proof > Evidence::Spoofable => 0.98,
            _ if self.tool == Tool::Mirai || self.payload.is_some() => 0.95,
            _ if self.tool != Tool::Unknown => 0.85,
            _ if self.destinations.len() >= 10 => 0.8,
            _ => 0.6,
        }
    }

    fn reason(&self, class: InfectionClass, ports: &[PortUse]) -> String {
        let what = match class {
            InfectionClass::Internal => "to unused addresses of its own organisation",
            InfectionClass::External => "to observed addresses outside its organisation",
            InfectionClass::Misconfiguration => {
                "to one unused address that differs by one character from a used network"
            }
        };
        let at_least = if self.destinations_at_least { "at least " } else { "" };
        let listed: Vec<String> = ports.iter().take(5).map(|p| format!("{}/{}", p.protocol, p.port)).collect();
        let more = if ports.len() > 5 { " and more" } else { "" };
        let mut text = format!(
            "{} packets {what}, {at_least}{} destinations, on {}{more}",
            self.packets,
            self.destinations.len(),
            listed.join(", ")
        );
        if self.tool != Tool::Unknown {
            text.push_str(&format!("; the packets carry the mark of {}", self.tool));
        }
        if let Some(rule) = self.payload {
            text.push_str(&format!("; a payload matches rule {rule}"));
        }
        if self.in_campaign {
            text.push_str("; the host takes part in a campaign");
        }
        text
    }
}

/// A packet that proves its maker by itself: Mirai's sequence number (a chance match in 2^32), or masscan's relation
/// (in 2^16, and no member's host sends that many stray packets unnoticed).
fn tool_proof(packet: &Packet) -> Option<Tool> {
    if packet.tool_bits.has(ToolBits::MIRAI) {
        Some(Tool::Mirai)
    } else if packet.tool_bits.has(ToolBits::MASSCAN) {
        Some(Tool::Masscan)
    } else {
        None
    }
}

fn thresholds(settings: &Settings) -> Thresholds {
    [
        ("destinations_min_count", settings.destinations_min as f64),
        ("packets_min_count", settings.packets_min as f64),
        ("silence_seconds", settings.silence_seconds as f64),
        ("window_seconds", settings.window_seconds as f64),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
