//! From findings to a MISP event: attacks as objects of template `ddos`, proven sources of logins as `ip-src`.

use super::event::{Attribute, Event, File, Object, Organisation, Tag};
use crate::gate::Cleared;
use crate::safe;
use crate::stix::export::timestamp;
use noroshi_model::finding::{Attack, AttackKind, Vector, Victim};
use noroshi_model::incident::Incident;
use noroshi_model::report::BruteForce;
use noroshi_model::tlp::Tlp;
use noroshi_model::{Addr, Nanos};
use uuid::Uuid;

/// Namespace of our UUIDs in MISP: drawn once at random.
const OWN: Uuid = Uuid::from_u128(0x3b0e_91d6_7c44_4f0f_a6a1_5e83_c2d9_0471);
/// Template `ddos` of misp-objects.
const DDOS: (&str, &str) = ("e2f124d6-f57c-4f93-99e6-8450545fa05d", "10");

fn uuid(what: &str) -> String {
    Uuid::new_v5(&OWN, what.as_bytes()).to_string()
}

/// Gathers one event.
#[derive(Debug)]
pub struct Exporter {
    producer: String,
    tlp: Tlp,
    created: Nanos,
    attributes: Vec<Attribute>,
    objects: Vec<Object>,
}

impl Exporter {
    /// An event of this organisation, with this label, made now.
    pub fn new(producer: &str, tlp: Tlp, created: Nanos) -> Self {
        Exporter { producer: safe::line(producer), tlp, created, attributes: Vec::new(), objects: Vec::new() }
    }

    /// Denial of service on a victim that may be named. No source is named: they are forged or reflectors.
    pub fn attack(&mut self, attack: &Attack, victim: &Cleared<Victim>) {
        let what = format!("ddos|{}|{}|{}|{}", attack.kind, attack.vector, **victim, attack.first.0);
        let origin = match attack.kind {
            AttackKind::Backscatter => "indirect capture such as backscatter",
            _ => "direct capture",
        };
        let victim_kind = ("ip-dst", "ip-dst", victim.to_string());
        let mut parts = vec![
            victim_kind,
            ("protocol", "text", protocol(attack.vector).to_owned()),
            ("total-packets-sent", "counter", attack.packets.to_string()),
            ("total-bytes-sent", "counter", attack.bytes.to_string()),
            ("first-seen", "datetime", timestamp(attack.first)),
            ("last-seen", "datetime", timestamp(attack.last)),
            ("type", "text", type_of(attack.vector)),
            ("capture-origin", "text", origin.to_owned()),
            ("text", "text", safe::shown(&attack.reason)),
        ];
        if let Some(pps) = attack.estimated_pps {
            parts.push(("total-pps", "counter", format!("{pps:.0}")));
        }
        if let Some(port) = attack.victim_port {
            parts.push(("dst-port", "port", port.to_string()));
        }
        let attributes = parts.into_iter().map(|(relation, kind, value)| self.part(&what, relation, kind, value));
        let object = Object {
            uuid: uuid(&what),
            name: "ddos".into(),
            meta_category: "network".into(),
            description: "Denial of service as seen by sensors".into(),
            template_uuid: DDOS.0.into(),
            template_version: DDOS.1.into(),
            timestamp: self.created.seconds().to_string(),
            comment: String::new(),
            first_seen: Some(timestamp(attack.first)),
            last_seen: Some(timestamp(attack.last)),
            attributes: attributes.collect(),
        };
        self.objects.push(object);
    }

    /// What happens to a member: its own address, not to be used for detection.
    pub fn incident(&mut self, incident: &Cleared<Incident>) {
        let comment: Vec<String> = incident.testimonies.iter().map(|t| safe::shown(&t.text)).collect();
        let mut attribute = self.attribute(&incident.id, "ip-dst", &incident.subject.to_string(), false);
        if incident.kind == noroshi_model::incident::IncidentKind::Infection {
            attribute.kind = "ip-src".into();
        }
        attribute.comment = format!("{} ({}): {}", incident.kind, incident.severity, comment.join("; "));
        attribute.first_seen = Some(timestamp(incident.first));
        attribute.last_seen = Some(timestamp(incident.last));
        self.attributes.push(attribute);
    }

    /// A proven source of logins.
    pub fn brute_force(&mut self, source: &Cleared<Addr>, seen: &BruteForce) {
        let what = format!("brute-force|{}|{}", **source, seen.port);
        let mut attribute = self.attribute(&what, "ip-src", &source.to_string(), true);
        attribute.comment =
            format!("{} login attempts on {} (port {})", seen.attempts, safe::shown(&seen.service), seen.port);
        attribute.first_seen = Some(timestamp(seen.first));
        attribute.last_seen = Some(timestamp(seen.last));
        self.attributes.push(attribute);
    }

    fn part(&self, what: &str, relation: &str, kind: &str, value: String) -> Attribute {
        let mut attribute = self.attribute(&format!("{what}|{relation}"), kind, &value, false);
        attribute.object_relation = Some(relation.to_owned());
        if kind != "ip-dst" {
            attribute.category = if kind == "port" { "Network activity" } else { "Other" }.into();
            attribute.disable_correlation = true;
        }
        attribute
    }

    fn attribute(&self, what: &str, kind: &str, value: &str, to_ids: bool) -> Attribute {
        Attribute {
            uuid: uuid(&format!("attribute|{what}|{value}")),
            kind: kind.into(),
            category: "Network activity".into(),
            value: value.into(),
            comment: String::new(),
            to_ids,
            disable_correlation: false,
            timestamp: self.created.seconds().to_string(),
            first_seen: None,
            last_seen: None,
            object_relation: None,
        }
    }

    /// How many objects and attributes are in.
    pub fn len(&self) -> usize {
        self.objects.len() + self.attributes.len()
    }

    /// Whether nothing is in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The event. The same title on the same day by the same organisation is the same event, renewed.
    pub fn finish(self, title: &str) -> File {
        let stamp = self.created.seconds().to_string();
        let date = self.created.rfc3339()[..10].to_owned();
        let mut tags = vec![Tag { name: format!("tlp:{}", self.tlp), colour: Some(colour(self.tlp).into()) }];
        if self.tlp == Tlp::Clear {
            // What readers of TLP 1 know.
            tags.push(Tag { name: "tlp:white".into(), colour: Some("#ffffff".into()) });
        }
        File {
            event: Event {
                uuid: uuid(&format!("event|{}|{title}|{date}", self.producer)),
                info: safe::line(title),
                threat_level_id: "4".into(),
                analysis: "2".into(),
                date,
                timestamp: stamp.clone(),
                publish_timestamp: stamp,
                published: true,
                orgc: Organisation { uuid: uuid(&format!("organisation|{}", self.producer)), name: self.producer },
                tags,
                attributes: self.attributes,
                objects: self.objects,
            },
        }
    }
}

fn colour(tlp: Tlp) -> &'static str {
    match tlp {
        Tlp::Clear => "#ffffff",
        Tlp::Green => "#339900",
        Tlp::Amber | Tlp::AmberStrict => "#ffc000",
        Tlp::Red => "#cc0033",
    }
}

fn protocol(vector: Vector) -> &'static str {
    match vector {
        Vector::TcpSynAck
        | Vector::TcpMiddlebox
        | Vector::TcpSyn
        | Vector::TcpAck
        | Vector::TcpRst
        | Vector::TcpOther => "TCP",
        Vector::IcmpEcho | Vector::IcmpOther | Vector::Icmpv6 => "ICMP",
        Vector::Fragments | Vector::Other => "IP",
        _ => "UDP",
    }
}

fn type_of(vector: Vector) -> String {
    match vector {
        Vector::TcpSyn => "tcp-syn".into(),
        Vector::TcpAck => "tcp-ack".into(),
        Vector::UdpOther | Vector::Other | Vector::Fragments => "flooding-attack".into(),
        _ if protocol(vector) == "UDP" => format!("{vector}-amplification-attack"),
        _ => vector.name().into(),
    }
}
