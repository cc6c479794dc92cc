//! The traffic of no one in particular: what the planted things leave of the packets, over day and night.

use super::*;
use crate::rng::mix;
use crate::scenario::{Background, Ports, PortsNamed};

/// TCP services that scanners like, with parts of 1,000; after what darknet operators publish about telnet, SSH, web,
/// remote desktop, databases and IoT ports.
pub const TCP_PORTS: [(u16, u16); 40] = [
    (23, 180),
    (22, 110),
    (80, 70),
    (443, 66),
    (8080, 50),
    (445, 50),
    (3389, 44),
    (5555, 30),
    (6379, 28),
    (2323, 26),
    (8443, 22),
    (1433, 22),
    (3306, 20),
    (5900, 20),
    (81, 20),
    (2375, 16),
    (8081, 16),
    (5060, 14),
    (21, 14),
    (25, 14),
    (7547, 12),
    (37215, 12),
    (2222, 12),
    (8088, 10),
    (8888, 10),
    (9200, 10),
    (27017, 10),
    (5432, 10),
    (52869, 8),
    (60023, 8),
    (9000, 8),
    (1080, 8),
    (3128, 8),
    (11211, 8),
    (1883, 6),
    (5038, 6),
    (102, 6),
    (502, 6),
    (4567, 5),
    (34567, 5),
];
const TCP_PORTS_TOTAL: u64 = 1000;

/// One of the liked services, by a number that looks random.
#[inline]
pub fn popular_tcp(random: u64) -> u16 {
    let mut at = (mix(random) % TCP_PORTS_TOTAL) as u16;
    for (port, part) in TCP_PORTS {
        if at < part {
            return port;
        }
        at -= part;
    }
    TCP_PORTS[0].0
}

impl Planner<'_> {
    pub(super) fn background(&mut self) {
        let scenario = self.scenario;
        let total_weight: u64 = scenario.background.iter().map(|section| section.weight).sum();
        let available = self.left;
        let mut before = 0;
        for section in &scenario.background {
            let share = |weight: u64| u128::from(available) * u128::from(weight) / u128::from(total_weight);
            let packets = (share(before + section.weight) - share(before)) as u64;
            before += section.weight;
            self.crowd(section, packets);
        }
    }

    fn crowd(&mut self, section: &Background, packets: u64) {
        let sources = (packets * section.sources_per_1000 / 1000).clamp(1, SLOTS_MAX - self.plan.slots);
        let mix = &section.mix;
        let mut sum = 0;
        let mix = [mix.syn, mix.udp, mix.echo, mix.stray, mix.backscatter].map(|part| {
            sum += part;
            sum
        });
        let mut sum = 0;
        let summed = |(variant, part): &(Variant, u64)| {
            sum += part;
            (*variant, sum)
        };
        let ports = match &section.ports {
            Ports::List(list) => PortChoice::List(list.clone()),
            Ports::Named(PortsNamed::All | PortsNamed::Any) => PortChoice::All,
            Ports::Named(PortsNamed::Popular) | Ports::Habit => PortChoice::Habit,
        };
        let tools = section.tools.iter().map(summed).collect();
        let crowd = Crowd { sources, spread: section.spread, mix, tools, ports };
        let times = self.day_and_night(packets);
        self.plant("background", Role::Crowd(crowd), section.ip.is_v6(), sources, &times);
    }

    /// One segment per minute: a triangle wave of a day with a ripple of an hour and noise, in whole numbers.
    fn day_and_night(&mut self, packets: u64) -> Vec<(u64, u64, u64)> {
        let minutes = self.plan.length / MINUTE;
        let triangle = |minute: u64, period: u64| (minute % period).abs_diff(period / 2) * 1000 / (period / 2);
        let noise: Vec<u64> = (0..minutes).map(|_| self.rng.below(80)).collect();
        let weight =
            |minute: u64| 1000 + triangle(minute, 1440) * 7 / 10 + triangle(minute, 60) / 10 + noise[minute as usize];
        let total: u64 = (0..minutes).map(weight).sum();
        let mut before = 0;
        (0..minutes)
            .map(|minute| {
                let from = u128::from(packets) * u128::from(before) / u128::from(total);
                before += weight(minute);
                let to = u128::from(packets) * u128::from(before) / u128::from(total);
                (minute * MINUTE, (minute + 1) * MINUTE, (to - from) as u64)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_ports_add_up() {
        assert_eq!(TCP_PORTS.iter().map(|(_, part)| u64::from(*part)).sum::<u64>(), TCP_PORTS_TOTAL);
    }
}
