//! Campaigns, synchronised groups, single scans, research scanners, members' infected hosts.

use super::*;
use crate::scenario::{Placement, Ports, PortsNamed, Shape};
use noroshi_model::Nanos;

/// Ports of Mirai's first version, in its preference (one probe in ten goes to the second).
const MIRAI_PORTS: [u16; 2] = [23, 2323];
/// A campaign's member sends at least so many packets on average, or the campaign gets fewer members: with less
/// nobody could tell that they scan.
const PACKETS_PER_MEMBER_MIN: u64 = 12;

impl Planner<'_> {
    pub(super) fn scanners(&mut self) {
        let scenario = self.scenario;
        for section in &scenario.research {
            self.research(section);
        }
        for section in &scenario.campaign {
            self.campaigns(section);
        }
        for section in &scenario.group {
            self.groups(section);
        }
        for section in &scenario.scan {
            self.scans(section);
        }
        for section in &scenario.infection {
            self.infections(section);
        }
    }

    fn campaigns(&mut self, section: &crate::scenario::Campaign) {
        for (k, packets) in self.budget(section.percent, section.count).into_iter().enumerate() {
            let variant = section.tools[k % section.tools.len()];
            let ports = self.choose_ports(&section.ports, variant);
            let most = (packets / PACKETS_PER_MEMBER_MIN).max(2);
            let members = self.rng.between(section.members[0], section.members[1]).min(most);
            let (start, end) = self.stretch(section.minutes, 0);
            let (home, members) = match section.placement {
                Placement::Scattered => (Home::Scattered, members),
                Placement::Network => (Home::Network(self.next_network()), members.min(254)),
            };
            let id = name("campaign", self.plan.truth.campaigns.len());
            let probes = Probes { variant, ports: ports.clone(), walk: Walk::Targets, home, even: false };
            let v6 = section.ip.is_v6();
            let Some(plant) = self.plant(&id, Role::Probes(probes), v6, members, &[(start, end, packets)]) else {
                continue;
            };
            let members = self.sources_of(plant);
            self.plan.truth.campaigns.push(truth::Campaign {
                id,
                tool: variant.tool(),
                variant: variant.name().to_owned(),
                ports: listed(&ports),
                network: matches!(home, Home::Network(_)).then(|| network_of(members[0])),
                members,
                family: section.family.clone(),
                sent: truth::Sent::by(plant),
            });
        }
    }

    fn groups(&mut self, section: &crate::scenario::Group) {
        for (k, packets) in self.budget(section.percent, section.count).into_iter().enumerate() {
            let variant = section.tools[k % section.tools.len()];
            let ports = match &section.ports {
                Ports::List(list) => PortChoice::List(vec![list[k % list.len()]]),
                other => self.choose_ports(other, variant),
            };
            let length = section.burst_seconds * SECOND;
            let mut starts = Vec::new();
            let mut at = self.rng.below(section.apart_minutes[1] * MINUTE);
            while at + length <= self.plan.length {
                starts.push(at);
                at +=
                    self.rng.between(section.apart_minutes[0] * MINUTE, section.apart_minutes[1] * MINUTE).max(length);
            }
            let per_burst = packets / starts.len().max(1) as u64;
            let members = self.rng.between(section.members[0], section.members[1]).min(per_burst.max(2));
            let per_burst = per_burst / members * members;
            let id = name("group", self.plan.truth.groups.len());
            let probes =
                Probes { variant, ports: ports.clone(), walk: Walk::Targets, home: Home::Scattered, even: true };
            let times: Vec<_> = starts.iter().map(|start| (*start, start + length, per_burst)).collect();
            let Some(plant) = self.plant(&id, Role::Probes(probes), section.ip.is_v6(), members, &times) else {
                continue;
            };
            let bursts =
                times.iter().map(|(start, end, _)| truth::Burst { start: self.at(*start), end: self.at(*end) });
            let bursts = bursts.collect();
            self.plan.truth.groups.push(truth::Group {
                id,
                tool: variant.tool(),
                variant: variant.name().to_owned(),
                ports: listed(&ports),
                members: self.sources_of(plant),
                bursts,
                family: section.family.clone(),
                sent: truth::Sent::by(plant),
            });
        }
    }

    fn at(&self, micros: u64) -> Nanos {
        Nanos(self.scenario.start.0 + micros as i64 * 1000)
    }

    fn scans(&mut self, section: &crate::scenario::Scan) {
        for (k, packets) in self.budget(section.percent, section.count).into_iter().enumerate() {
            let variant = section.tools[k % section.tools.len()];
            let (start, end) = self.stretch(section.minutes, 0);
            let (walk, shape, ports) = match section.shape {
                Shape::Horizontal => (Walk::Targets, "horizontal", self.choose_ports(&section.ports, variant)),
                Shape::Vertical => (Walk::Ports(section.ports_each), "vertical", PortChoice::All),
                Shape::Block => match &section.ports {
                    Ports::List(list) => (Walk::Both(list.len() as u64), "block", PortChoice::List(list.clone())),
                    _ => (Walk::Both(section.ports_each), "block", PortChoice::All),
                },
            };
            let id = name("scan", self.plan.truth.scans.len());
            let probes = Probes { variant, ports: ports.clone(), walk, home: Home::Scattered, even: true };
            let v6 = section.ip.is_v6();
            let Some(plant) = self.plant(&id, Role::Probes(probes), v6, 1, &[(start, end, packets)]) else { continue };
            let target = matches!(walk, Walk::Ports(_)).then(|| self.plan.target(plant, 0, 0));
            self.plan.truth.scans.push(truth::Scan {
                id,
                source: self.source(plant, 0),
                tool: variant.tool(),
                variant: variant.name().to_owned(),
                shape: shape.to_owned(),
                ports_count: match walk {
                    Walk::Targets => listed(&ports).len() as u64,
                    Walk::Ports(count) => count.min(packets),
                    Walk::Both(count) => count,
                },
                ports: listed(&ports),
                target,
                sent: truth::Sent::by(plant),
            });
        }
    }

    fn research(&mut self, section: &crate::scenario::Research) {
        let packets = self.budget(section.percent, 1)[0];
        let ports = self.choose_ports(&section.ports, section.tool);
        let home = Home::Network(self.next_network());
        let probes = Probes { variant: section.tool, ports, walk: Walk::Targets, home, even: true };
        let id = name("research", self.plan.truth.research.len());
        let times = [(0, self.plan.length, packets)];
        let v6 = section.ip.is_v6();
        let Some(plant) = self.plant(&id, Role::Probes(probes), v6, section.sources, &times) else { return };
        let sources = self.sources_of(plant);
        self.plan.truth.research.push(truth::Research {
            id,
            name: section.name.clone(),
            tool: section.tool.tool(),
            network: network_of(sources[0]),
            sources,
            sent: truth::Sent::by(plant),
        });
    }

    fn infections(&mut self, section: &crate::scenario::Infection) {
        for packets in self.budget(section.percent, section.hosts) {
            let host = self.member_host(&section.member);
            let ports = self.choose_ports(&section.ports, section.tool);
            let (start, end) = self.stretch(section.minutes, 0);
            let home = Home::Host(host);
            let probes = Probes { variant: section.tool, ports: ports.clone(), walk: Walk::Targets, home, even: true };
            let id = name("infection", self.plan.truth.infections.len());
            let Some(plant) = self.plant(&id, Role::Probes(probes), false, 1, &[(start, end, packets)]) else {
                continue;
            };
            self.plan.truth.infections.push(truth::Infection {
                id,
                member: section.member.clone(),
                host,
                tool: section.tool.tool(),
                ports: listed(&ports),
                family: section.family.clone(),
                sent: truth::Sent::by(plant),
            });
        }
    }

    pub(super) fn choose_ports(&mut self, ports: &Ports, variant: Variant) -> PortChoice {
        match ports {
            Ports::List(list) => PortChoice::List(list.clone()),
            Ports::Named(PortsNamed::All) => PortChoice::All,
            Ports::Named(PortsNamed::Any) => PortChoice::List(vec![self.rng.between(1, 65_535) as u16]),
            Ports::Habit if variant == Variant::Mirai => PortChoice::List(MIRAI_PORTS.to_vec()),
            Ports::Named(PortsNamed::Popular) | Ports::Habit => {
                PortChoice::List(vec![background::popular_tcp(self.rng.draw())])
            }
        }
    }
}

fn listed(ports: &PortChoice) -> Vec<u16> {
    match ports {
        PortChoice::List(list) => list.clone(),
        PortChoice::Habit | PortChoice::All => Vec::new(),
    }
}

fn network_of(source: Addr) -> Prefix {
    Prefix::new(source, if source.is_v4() { 24 } else { 64 })
}
