//! From findings and incidents to bundles.
//!
//! Names of attackers appear only as [`Cleared`] addresses. A victim becomes an observable, never an indicator. The same
//! input gives the same bundle, byte for byte.

use super::id;
use super::marking::{self, Markings};
use super::types::{
    Bundle, Campaign, Domain, ExternalReference, Identity, Indicator, Malware, Named, NetworkTraffic, Object,
    Observable, ObservedData, Relationship, Report, Sighting, Valued,
};
use crate::gate::Cleared;
use crate::safe;
use noroshi_model::finding::{self, Attack, AttackKind, Tool, Vector, Victim};
use noroshi_model::incident::{Incident, IncidentKind};
use noroshi_model::report::BruteForce;
use noroshi_model::time::SECOND;
use noroshi_model::tlp::Tlp;
use noroshi_model::{Addr, Nanos};
use serde_json::json;
use std::collections::BTreeMap;

/// Days after which an indicator about an address is not to be used any more: most such addresses are leased. Ours;
/// longer blocks innocent successors.
const INDICATOR_DAYS: i64 = 14;

/// Who publishes.
#[derive(Clone, PartialEq, Debug)]
pub struct Producer {
    /// Name of the organisation.
    pub name: String,
    /// Label of everything in the bundle.
    pub tlp: Tlp,
    /// Which markings the reader understands.
    pub markings: Markings,
    /// When the bundle is made.
    pub created: Nanos,
}

/// Gathers objects; each id stands in the bundle once.
#[derive(Debug)]
pub struct Exporter {
    producer: Producer,
    identity: String,
    objects: BTreeMap<String, Object>,
    order: Vec<String>,
}

/// RFC 3339 with milliseconds, which every reader accepts.
pub fn timestamp(at: Nanos) -> String {
    let whole = Nanos::from_seconds(at.seconds()).rfc3339();
    let millis = (at.0.rem_euclid(SECOND)) / 1_000_000;
    format!("{}.{millis:03}Z", whole.trim_end_matches('Z'))
}

impl Exporter {
    /// An empty bundle with its maker and markings.
    pub fn new(producer: Producer) -> Self {
        let identity = id::own("identity", &producer.name);
        let mut exporter =
            Exporter { identity: identity.clone(), objects: BTreeMap::new(), order: Vec::new(), producer };
        for definition in marking::definitions(exporter.producer.tlp, exporter.producer.markings) {
            exporter.put(definition);
        }
        let name = safe::line(&exporter.producer.name);
        let body = Identity { name, identity_class: "organization".into() };
        let at = Nanos::from_seconds(1_767_225_600);
        let mut object = exporter.domain(identity, at, at, body);
        object.created_by_ref = None;
        exporter.put(Object::Identity(object));
        exporter
    }

    /// Denial of service on a victim that may be named.
    pub fn attack(&mut self, attack: &Attack, victim: &Cleared<Victim>) {
        let pattern = self.attack_pattern(technique(attack.kind, attack.vector));
        let address = self.address(**victim);
        let traffic = self.put_traffic(NetworkTraffic {
            start: Some(timestamp(attack.first)),
            end: Some(timestamp(attack.last)),
            is_active: Some(false),
            dst_ref: Some(address.clone()),
            dst_port: attack.victim_port,
            protocols: protocols(**victim, attack.vector),
            ..NetworkTraffic::default()
        });
        let what = format!("{}|{}|{}|{}", attack.kind, attack.vector, **victim, attack.first.0);
        let seen = self.observed(&what, attack.first, attack.last, attack.packets, vec![address, traffic]);
        let name = format!("Denial of service on {} ({}, {})", **victim, attack.vector, attack.kind);
        let body = Named { name, description: Some(safe::shown(&attack.reason)) };
        let mut incident = self.domain(id::own("incident", &what), attack.first, attack.last, body);
        incident.confidence = Some(percent(attack.confidence));
        incident.labels = vec![format!("attack-kind:{}", attack.kind), format!("vector:{}", attack.vector)];
        let incident = self.put(Object::Incident(incident));
        self.relate(&incident, "related-to", &pattern, attack.first);
        self.relate(&incident, "related-to", &seen, attack.first);
        self.sight(&what, &pattern, &seen, attack.first, attack.last, attack.packets);
    }

    /// Scans that belong together, without their sources: openings can be forged.
    pub fn campaign(&mut self, campaign: &finding::Campaign) {
        let pattern = self.attack_pattern(("T1595.001", "Scanning IP Blocks"));
        let ports: Vec<String> = campaign.ports.iter().take(10).map(u16::to_string).collect();
        let body = Campaign {
            name: format!("Scan campaign {} ({}, ports {})", campaign.id, campaign.tool, ports.join(", ")),
            description: Some(safe::shown(&campaign.reason)),
            first_seen: timestamp(campaign.first),
            last_seen: timestamp(campaign.last),
        };
        let mut object = self.domain(id::own("campaign", &campaign.id), campaign.first, campaign.last, body);
        object.confidence = Some(percent(campaign.confidence));
        object.labels = vec![format!("tool:{}", campaign.tool)];
        let object = self.put(Object::Campaign(object));
        self.relate(&object, "uses", &pattern, campaign.first);
        if campaign.tool == Tool::Mirai {
            let malware = self.malware(campaign.tool);
            self.relate(&object, "uses", &malware, campaign.first);
        }
    }

    /// A source that completed handshakes and tried logins, as an indicator with an end.
    pub fn brute_force(&mut self, source: &Cleared<Addr>, seen: &BruteForce) {
        let pattern = self.attack_pattern(("T1110", "Brute Force"));
        let address = self.address(Victim::Address(**source));
        let what = format!("brute-force|{}|{}|{}", **source, seen.port, seen.first.0);
        let observed = self.observed(&what, seen.first, seen.last, seen.attempts, vec![address]);
        let family = if source.is_v4() { "ipv4-addr" } else { "ipv6-addr" };
        let end = Nanos(seen.last.0.saturating_add(INDICATOR_DAYS * 86_400 * SECOND));
        let body = Indicator {
            name: format!("Login attempts from {} on {}", **source, safe::line(&seen.service)),
            description: Some(format!("{} connections to port {}", seen.attempts, seen.port)),
            indicator_types: vec!["malicious-activity".into()],
            pattern: format!("[{family}:value = '{}']", **source),
            pattern_type: "stix".into(),
            pattern_version: "2.1".into(),
            valid_from: timestamp(seen.first),
            valid_until: timestamp(end),
        };
        let object = self.domain(id::own("indicator", &what), seen.first, seen.last, body);
        let indicator = self.put(Object::Indicator(object));
        self.relate(&indicator, "based-on", &observed, seen.first);
        self.relate(&indicator, "indicates", &pattern, seen.first);
    }

    /// What happens to a member: its own address as an observable, never as an indicator.
    pub fn incident(&mut self, incident: &Cleared<Incident>) {
        let pattern = self.attack_pattern(match incident.kind {
            IncidentKind::Infection | IncidentKind::Misconfiguration => ("T1595.001", "Scanning IP Blocks"),
            IncidentKind::Attack | IncidentKind::Precursor => {
                let kind = incident.attack_kinds.iter().next().copied().unwrap_or(AttackKind::Flood);
                technique(kind, incident.vectors.iter().next().copied().unwrap_or(Vector::Other))
            }
        });
        let address = self.address(incident.subject);
        let seen = self.observed(&incident.id, incident.first, incident.last, incident.packets, vec![address]);
        let said: Vec<String> = incident.testimonies.iter().map(|t| safe::shown(&t.text)).collect();
        let body = Named {
            name: format!("{}: {}", heading(incident.kind), incident.subject),
            description: (!said.is_empty()).then(|| said.join("\n")),
        };
        let mut object = self.domain(format!("incident--{}", incident.id), incident.first, incident.last, body);
        object.confidence = Some(percent(incident.confidence));
        object.labels = vec![
            format!("kind:{}", incident.kind),
            format!("severity:{}", incident.severity),
            format!("state:{}", incident.state),
        ];
        let object = self.put(Object::Incident(object));
        self.relate(&object, "related-to", &seen, incident.first);
        if incident.kind != IncidentKind::Misconfiguration {
            self.relate(&object, "related-to", &pattern, incident.first);
            self.sight(&incident.id, &pattern, &seen, incident.first, incident.last, incident.packets);
        }
        if incident.kind == IncidentKind::Infection && incident.tools.contains(&Tool::Mirai) {
            let malware = self.malware(Tool::Mirai);
            self.relate(&object, "related-to", &malware, incident.first);
        }
    }

    /// The bundle, with a report object that tells what belongs together.
    pub fn finish(mut self, title: &str, description: &str) -> Bundle {
        let references: Vec<String> = self.order.iter().filter(|id| !id.starts_with("marking-")).cloned().collect();
        let created = self.producer.created;
        let what = references.join("|");
        let body = Report {
            name: safe::line(title),
            description: Some(safe::line(description)),
            report_types: vec!["threat-report".into()],
            published: timestamp(created),
            object_refs: references,
        };
        let report = self.domain(id::own("report", &format!("{what}|{}", created.0)), created, created, body);
        self.put(Object::Report(report));
        let seed = self.order.join("|");
        let mut objects = self.objects;
        Bundle {
            kind: "bundle".into(),
            id: id::own("bundle", &seed),
            objects: self.order.iter().filter_map(|id| objects.remove(id)).collect(),
        }
    }

    fn put(&mut self, object: Object) -> String {
        let id = object.id().to_owned();
        if self.objects.insert(id.clone(), object).is_none() {
            self.order.push(id.clone());
        }
        id
    }

    fn domain<T>(&self, id: String, created: Nanos, modified: Nanos, body: T) -> Domain<T> {
        Domain {
            spec_version: "2.1".into(),
            id,
            created_by_ref: Some(self.identity.clone()),
            created: timestamp(created),
            modified: timestamp(modified.max(created)),
            confidence: None,
            labels: Vec::new(),
            external_references: Vec::new(),
            object_marking_refs: marking::references(self.producer.tlp, self.producer.markings),
            body,
        }
    }

    fn observable<T>(&self, id: String, body: T) -> Observable<T> {
        let object_marking_refs = marking::references(self.producer.tlp, self.producer.markings);
        Observable { spec_version: "2.1".into(), id, object_marking_refs, body }
    }

    fn address(&mut self, subject: Victim) -> String {
        let value = subject.to_string();
        let v4 = match subject {
            Victim::Address(addr) => addr.is_v4(),
            Victim::Network(prefix) => prefix.first().is_v4(),
        };
        let kind = if v4 { "ipv4-addr" } else { "ipv6-addr" };
        let id = id::observable(kind, &json!({ "value": value }));
        let object = self.observable(id, Valued { value });
        self.put(if v4 { Object::Ipv4Addr(object) } else { Object::Ipv6Addr(object) })
    }

    fn put_traffic(&mut self, body: NetworkTraffic) -> String {
        // Contributing properties of the standard, section 6.12; absent ones do not contribute.
        let mut properties = serde_json::to_value(&body).unwrap_or_default();
        if let Some(members) = properties.as_object_mut() {
            members.remove("is_active");
        }
        let id = id::observable("network-traffic", &properties);
        let object = self.observable(id, body);
        self.put(Object::NetworkTraffic(object))
    }

    fn observed(&mut self, what: &str, first: Nanos, last: Nanos, count: u64, object_refs: Vec<String>) -> String {
        let body = ObservedData {
            first_observed: timestamp(first),
            last_observed: timestamp(last.max(first)),
            number_observed: count.clamp(1, 999_999_999),
            object_refs,
        };
        let object = self.domain(id::own("observed-data", what), first, last, body);
        self.put(Object::ObservedData(object))
    }

    fn attack_pattern(&mut self, (technique, name): (&str, &str)) -> String {
        let at = Nanos::from_seconds(1_767_225_600);
        let body = Named { name: name.into(), description: None };
        let mut object = self.domain(id::own("attack-pattern", technique), at, at, body);
        object.external_references.push(ExternalReference {
            source_name: "mitre-attack".into(),
            external_id: Some(technique.into()),
            url: Some(format!("https://attack.mitre.org/techniques/{}/", technique.replace('.', "/"))),
        });
        self.put(Object::AttackPattern(object))
    }

    fn malware(&mut self, tool: Tool) -> String {
        let at = Nanos::from_seconds(1_767_225_600);
        let types = vec!["bot".to_owned(), "ddos".to_owned(), "worm".to_owned()];
        let body = Malware { name: tool.to_string(), is_family: true, malware_types: types };
        let object = self.domain(id::own("malware", tool.name()), at, at, body);
        self.put(Object::Malware(object))
    }

    fn relate(&mut self, from: &str, how: &str, to: &str, at: Nanos) {
        let body =
            Relationship { relationship_type: how.into(), source_ref: from.to_owned(), target_ref: to.to_owned() };
        let object = self.domain(id::own("relationship", &format!("{from}|{how}|{to}")), at, at, body);
        self.put(Object::Relationship(object));
    }

    fn sight(&mut self, what: &str, of: &str, seen: &str, first: Nanos, last: Nanos, count: u64) {
        let body = Sighting {
            description: None,
            first_seen: timestamp(first),
            last_seen: timestamp(last.max(first)),
            count: Some(count.min(999_999_999)),
            sighting_of_ref: of.to_owned(),
            observed_data_refs: vec![seen.to_owned()],
            where_sighted_refs: vec![self.identity.clone()],
        };
        let object = self.domain(id::own("sighting", what), first, last, body);
        self.put(Object::Sighting(object));
    }
}

fn percent(confidence: f64) -> u8 {
    (confidence.clamp(0.0, 1.0) * 100.0).round() as u8
}

fn heading(kind: IncidentKind) -> &'static str {
    match kind {
        IncidentKind::Infection => "Attacking host",
        IncidentKind::Misconfiguration => "Misconfigured host",
        IncidentKind::Attack => "Denial of service",
        IncidentKind::Precursor => "Denial of service expected",
    }
}

/// ATT&CK technique of an attack.
fn technique(kind: AttackKind, vector: Vector) -> (&'static str, &'static str) {
    let reflected = matches!(kind, AttackKind::Reflection | AttackKind::Amplification)
        || matches!(vector, Vector::Dns | Vector::Ntp | Vector::Ssdp | Vector::Cldap | Vector::Memcached);
    match vector {
        _ if reflected => ("T1498.002", "Reflection Amplification"),
        Vector::TcpSyn | Vector::TcpAck => ("T1499.001", "OS Exhaustion Flood"),
        _ => ("T1498.001", "Direct Network Flood"),
    }
}

/// Protocols from the network layer up, by the vector.
fn protocols(victim: Victim, vector: Vector) -> Vec<String> {
    let v4 = match victim {
        Victim::Address(addr) => addr.is_v4(),
        Victim::Network(prefix) => prefix.first().is_v4(),
    };
    let mut found = vec![if v4 { "ipv4" } else { "ipv6" }];
    match vector {
        Vector::TcpSynAck
        | Vector::TcpMiddlebox
        | Vector::TcpSyn
        | Vector::TcpAck
        | Vector::TcpRst
        | Vector::TcpOther => found.push("tcp"),
        Vector::IcmpEcho | Vector::IcmpOther => found.push("icmp"),
        Vector::Icmpv6 => found.push("ipv6-icmp"),
        Vector::Fragments | Vector::Other => {}
        Vector::UdpOther => found.push("udp"),
        named => {
            found.push("udp");
            found.push(named.name());
        }
    }
    found.into_iter().map(str::to_owned).collect()
}
