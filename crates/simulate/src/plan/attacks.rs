//! Denial of service: floods seen by backscatter, requests in victims' names, carpets, the small tests before them,
//! what only looks like a test, and the searches for reflectors.

use super::*;
use crate::scenario::{Order, Rate, Tests};
use noroshi_model::Nanos;
use noroshi_model::finding::{AttackKind, Victim};

/// Ports of services that are flooded: web, SSH, DNS, games, chat.
const FLOODED_PORTS: [u16; 8] = [80, 443, 22, 53, 25_565, 6667, 3074, 8080];
/// Source ports of requests in victims' names; not 53, which would make replies of a name server of them.
const REQUEST_PORTS: [u16; 7] = [80, 443, 22, 25_565, 6667, 3074, 8080];
/// A ramp grows in so many steps.
const RAMP_STEPS: u64 = 8;
/// A main attack is made at least so many times as strong as its test, by shortening it: "main" means a peak of ten
/// times the test's (methods C4), and chance must not undo that.
const MAIN_TO_TEST: u64 = 14;

/// An attack about to be planted.
struct Main<'a> {
    kind: AttackKind,
    vector: Vector,
    role: Role,
    v6: bool,
    victim: Victim,
    victims: Vec<Addr>,
    victim_port: Option<u16>,
    member: Option<&'a str>,
    reflectors: Option<u64>,
    incident: String,
}

impl Planner<'_> {
    pub(super) fn attacks(&mut self) {
        let scenario = self.scenario;
        for section in &scenario.backscatter {
            self.backscatter(section);
        }
        for section in &scenario.amplification {
            self.amplification(section);
        }
        for section in &scenario.carpet {
            self.carpets(section);
        }
        for section in &scenario.sweep {
            self.sweeps(section);
        }
    }

    fn incident(&mut self) -> String {
        self.incidents += 1;
        format!("incident-{}", self.incidents)
    }

    /// An address of a member, or one that nothing else in this world has.
    fn victim(&mut self, member: Option<&str>, v6: bool) -> Addr {
        match member {
            Some(name) => self.member_host(name),
            None => {
                let slot = self.plan.slots;
                self.plan.slots += 1;
                self.plan.sources.scattered(v6, slot)
            }
        }
    }

    fn flood(&mut self, flood: Flood, victims: Victims) -> (Role, Vector, Option<u16>) {
        let port = *self.rng.choose(&FLOODED_PORTS);
        let (vector, port_seen) = match flood {
            Flood::SynOpen | Flood::SynClosed => (Vector::TcpSyn, Some(port)),
            Flood::Udp | Flood::UdpRouter => (Vector::UdpOther, Some(port)),
            Flood::Echo => (Vector::IcmpEcho, None),
        };
        (Role::Replies(Replies { flood, victims, port }), vector, port_seen)
    }

    fn requests(
        &mut self,
        vector: Vector,
        victims: Victims,
        reflectors: [u64; 2],
        v6: bool,
    ) -> (Role, Option<u16>, u64) {
        let reflectors = self.rng.between(reflectors[0], reflectors[1]).min(self.plan.space.size(v6));
        // Most tools take the attacked service as source port; the others draw one for each packet.
        let sport = (self.rng.below(10) < 7).then(|| *self.rng.choose(&REQUEST_PORTS));
        (Role::Requests(Requests { vector, victims, reflectors, sport, real: false }), sport, reflectors)
    }

    fn backscatter(&mut self, section: &crate::scenario::Backscatter) {
        let v6 = section.ip.is_v6();
        for (k, packets) in self.budget(section.percent, section.count).into_iter().enumerate() {
            let victim = self.victim(section.member.as_deref(), v6);
            let (role, vector, victim_port) =
                self.flood(section.floods[k % section.floods.len()], Victims::One(victim));
            let incident = self.incident();
            let main = Main {
                kind: AttackKind::Backscatter,
                vector,
                role,
                v6,
                victim: Victim::Address(victim),
                victims: Vec::new(),
                victim_port,
                member: section.member.as_deref(),
                reflectors: None,
                incident,
            };
            self.main_and_test(main, packets, section.minutes, section.rate, section.tests.as_ref());
        }
        let Some(tests) = &section.tests else { return };
        for k in 0..tests.abandoned {
            let victim = self.victim(None, v6);
            let flood = section.floods[k as usize % section.floods.len()];
            let (role, vector, _) = self.flood(flood, Victims::One(victim));
            self.decoy("abandoned-test", AttackKind::Backscatter, vector, victim, role, v6, tests);
        }
    }

    fn amplification(&mut self, section: &crate::scenario::Amplification) {
        let v6 = section.ip.is_v6();
        let member = section.member.as_deref();
        for (k, packets) in self.budget(section.percent, section.count).into_iter().enumerate() {
            let victim = self.victim(member, v6);
            let incident = self.incident();
            let mut again = None;
            for j in 0..section.vectors_each {
                let vector = section.vectors[(k + j as usize) % section.vectors.len()];
                let (role, sport, reflectors) = self.requests(vector, Victims::One(victim), section.reflectors, v6);
                let main = Main {
                    kind: AttackKind::Amplification,
                    vector,
                    role,
                    v6,
                    victim: Victim::Address(victim),
                    victims: Vec::new(),
                    victim_port: sport,
                    member,
                    reflectors: Some(reflectors),
                    incident: incident.clone(),
                };
                let packets = packets * (j + 1) / section.vectors_each - packets * j / section.vectors_each;
                if let Some(stretch) = again {
                    self.main(main, packets, stretch, section.rate);
                } else {
                    again = self.main_and_test(main, packets, section.minutes, section.rate, section.tests.as_ref());
                }
            }
        }
        let Some(tests) = &section.tests else { return };
        for k in 0..tests.abandoned + tests.lookalikes {
            let victim = self.victim(None, v6);
            let vector = section.vectors[k as usize % section.vectors.len()];
            let (mut role, ..) = self.requests(vector, Victims::One(victim), section.reflectors, v6);
            let abandoned = k < tests.abandoned;
            if let (Role::Requests(requests), false) = (&mut role, abandoned) {
                *requests = Requests { sport: None, real: true, ..*requests };
            }
            let reason = if abandoned { "abandoned-test" } else { "lookalike" };
            self.decoy(reason, AttackKind::Amplification, vector, victim, role, v6, tests);
        }
    }

    /// Plants an attack and, by chance, the test before it; gives its stretch.
    fn main_and_test(
        &mut self,
        main: Main<'_>,
        packets: u64,
        minutes: [u64; 2],
        rate: Rate,
        tests: Option<&Tests>,
    ) -> Option<(u64, u64)> {
        let Some(tests) = tests.filter(|tests| self.rng.below(100) < tests.before_percent) else {
            let stretch = self.stretch(minutes, 0);
            return self.main(main, packets, stretch, rate).map(|_| stretch);
        };
        let seconds = self.rng.between(tests.seconds[0], tests.seconds[1]);
        let lead = self.rng.between(tests.lead_minutes[0] * 60, tests.lead_minutes[1] * 60);
        let test_packets = self.rng.between(tests.packets[0], tests.packets[1]).min(packets / (2 * MAIN_TO_TEST));
        let stretch = self.stretch(minutes, (lead + seconds) * SECOND);
        let longest = packets * MINUTE / (MAIN_TO_TEST * test_packets).max(1);
        let stretch = (stretch.0, stretch.1.min(stretch.0 + longest));
        let test_start = stretch.0.saturating_sub((lead + seconds) * SECOND);
        let (kind, vector, victim, role, v6) = (main.kind, main.vector, main.victim, main.role.clone(), main.v6);
        let attack = self.main(main, packets - test_packets, stretch, rate)?;
        let id = name("precursor", self.plan.truth.precursors.len());
        let times = [(test_start, test_start + seconds * SECOND, test_packets)];
        if let Some(plant) = self.plant(&id, role, v6, 0, &times) {
            // The same attacker with the same tool: the same name asked for, reflectors, source port and TTL.
            let main_plant = self.plan.truth.attacks.last().map_or(plant, |attack| attack.sent.plant);
            self.plan.plants[plant].key = self.plan.plants[main_plant].key;
            let sent = truth::Sent::by(plant);
            let (attack_start, lead_seconds) = (Nanos(0), 0.0);
            self.plan.truth.precursors.push(truth::Precursor {
                id,
                attack,
                kind,
                vector,
                victim,
                attack_start,
                lead_seconds,
                sent,
            });
        }
        Some(stretch)
    }

    /// Plants an attack; gives its id.
    fn main(&mut self, main: Main<'_>, packets: u64, stretch: (u64, u64), rate: Rate) -> Option<String> {
        let id = name("attack", self.plan.truth.attacks.len());
        let plant = self.plant(&id, main.role, main.v6, 0, &at_rate(stretch, packets, rate))?;
        self.plan.truth.attacks.push(truth::Attack {
            id: id.clone(),
            incident: main.incident,
            kind: main.kind,
            vector: main.vector,
            victim: main.victim,
            victims: main.victims,
            victim_port: main.victim_port,
            member: main.member.map(str::to_owned),
            reflectors: main.reflectors,
            sent: truth::Sent::by(plant),
        });
        Some(id)
    }

    #[allow(clippy::too_many_arguments)] // one row of the truth, flat
    fn decoy(
        &mut self,
        reason: &str,
        kind: AttackKind,
        vector: Vector,
        source: Addr,
        role: Role,
        v6: bool,
        tests: &Tests,
    ) {
        let seconds = self.rng.between(tests.seconds[0], tests.seconds[1]);
        let packets = self.rng.between(tests.packets[0], tests.packets[1]);
        let start = self.rng.below(self.plan.length.saturating_sub(seconds * SECOND).max(1));
        let id = name("decoy", self.plan.truth.decoys.len());
        let times = [(start, start + seconds * SECOND, packets)];
        let Some(plant) = self.plant(&id, role, v6, 0, &times) else { return };
        let (reason, victim, sent) = (reason.to_owned(), Victim::Address(source), truth::Sent::by(plant));
        self.plan.truth.decoys.push(truth::Decoy { id, reason, kind, vector, victim, sent });
    }

    fn carpets(&mut self, section: &crate::scenario::Carpet) {
        for (k, packets) in self.budget(section.percent, section.count).into_iter().enumerate() {
            let prefix = self.plan.sources.block(self.blocks, section.prefix_length);
            self.blocks += 1;
            let count = self.rng.between(section.victims[0], section.victims[1]);
            let count = count.min((packets / crate::emit::CARPET_VISIT_PACKETS).max(2));
            let victims = Victims::Many(prefix, count, section.order == Order::Sequential);
            let (role, vector, victim_port, reflectors) = if section.vectors.is_empty() {
                let flood = section.floods[k % section.floods.len()];
                let (role, vector, port) = self.flood(flood, victims);
                (role, vector, port, None)
            } else {
                let vector = section.vectors[k % section.vectors.len()];
                let (role, sport, reflectors) = self.requests(vector, victims, section.reflectors, false);
                (role, vector, sport, Some(reflectors))
            };
            let incident = self.incident();
            let stretch = self.stretch(section.minutes, 0);
            let main = Main {
                kind: AttackKind::Carpet,
                vector,
                role,
                v6: false,
                victim: Victim::Network(prefix),
                victims: Vec::new(),
                victim_port,
                member: None,
                reflectors,
                incident,
            };
            if self.main(main, packets, stretch, Rate::Flat).is_none() {
                continue;
            }
            let Some(attack) = self.plan.truth.attacks.last_mut() else { continue };
            let key = self.plan.plants[attack.sent.plant].key;
            attack.victims = (0..count).map(|i| crate::emit::carpet_victim(prefix, key, count, i)).collect();
        }
    }

    fn sweeps(&mut self, section: &crate::scenario::Sweep) {
        for (k, packets) in self.budget(section.percent, section.count).into_iter().enumerate() {
            let vector = section.vectors[k % section.vectors.len()];
            let (start, end) = self.stretch(section.minutes, 0);
            let id = name("sweep", self.plan.truth.sweeps.len());
            let v6 = section.ip.is_v6();
            let Some(plant) = self.plant(&id, Role::Sweep(vector), v6, 1, &[(start, end, packets)]) else { continue };
            let (source, sent) = (self.source(plant, 0), truth::Sent::by(plant));
            self.plan.truth.sweeps.push(truth::Sweep { id, source, vector, sent });
        }
    }
}

/// Segments of an attack.
fn at_rate((start, end): (u64, u64), packets: u64, rate: Rate) -> Vec<(u64, u64, u64)> {
    let length = end - start;
    // Weight of each of `steps` equal steps.
    let (steps, weight): (u64, fn(u64) -> u64) = match rate {
        Rate::Flat => (1, |_| 1),
        Rate::Ramp => (RAMP_STEPS, |step| step + 1),
        Rate::Pulse => (length / MINUTE, |step| 1 - step % 2),
    };
    let steps = steps.max(1);
    let total: u64 = (0..steps).map(weight).sum();
    let mut before = 0;
    (0..steps)
        .map(|step| {
            let from = packets * before / total;
            before += weight(step);
            (start + length * step / steps, start + length * (step + 1) / steps, packets * before / total - from)
        })
        .collect()
}
