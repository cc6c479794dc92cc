//! The habits of one family: drawn from pools that all share, and changed one at a time.

use crate::plan::popular_tcp;
use crate::rng::{Rng, mix2};

/// Protocol of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// SYN.
    Tcp,
    /// A request.
    Udp,
}

/// How a number is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// Always the same.
    Constant(u16),
    /// Drawn once per source.
    PerSource,
    /// Drawn per packet.
    PerPacket,
    /// One more each time.
    Counter,
}

/// How sequence numbers are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sequence {
    /// The destination's address.
    Target,
    /// Drawn.
    Random,
    /// Drawn once per source.
    PerSource,
}

/// How targets follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Walk {
    /// Anywhere.
    Random,
    /// Address after address.
    Ascending,
    /// Anywhere, every port of the list at each.
    EachPort,
}

/// Habits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Habit {
    pub(crate) transport: Transport,
    /// Ports with parts.
    pub(crate) ports: Vec<(u16, u64)>,
    /// One source keeps to one port.
    pub(crate) one_port: bool,
    pub(crate) window: Rule,
    /// Option kinds as text, see [`noroshi_model::packet::OptionKinds`].
    pub(crate) options: &'static str,
    pub(crate) mss: u16,
    pub(crate) ttl: u8,
    pub(crate) sport: Rule,
    /// Range of drawn source ports.
    pub(crate) sports: (u16, u16),
    pub(crate) id: Rule,
    /// Identification by masscan's relation.
    pub(crate) masscan: bool,
    pub(crate) sequence: Sequence,
    pub(crate) walk: Walk,
    /// Probes per second of one source, the middle.
    pub(crate) rate: u64,
    /// Repeats of a probe without an answer.
    pub(crate) repeats: u64,
    pub(crate) retry_seconds: u64,
    pub(crate) dscp: u8,
    /// Seed of a UDP payload, and its length.
    pub(crate) payload: (u64, u16),
}

/// Of the habits of a published scanner, one in so many is changed.
const CHANGED_ONE_IN: u64 = 8;
const WINDOWS: [u16; 14] =
    [5840, 14_600, 29_200, 64_240, 65_535, 1024, 8192, 16_384, 512, 4096, 60_352, 2048, 32_120, 42_340];
/// Options of a Linux that connects.
pub(crate) const LINUX_OPTIONS: &str = "MSTNW";
const STACKS: [(&str, u16); 6] =
    [("", 0), ("M", 1460), (LINUX_OPTIONS, 1460), ("MNWNNS", 1460), ("M", 1400), ("MNNS", 536)];
const RANGES: [(u16, u16); 5] = [(1024, 65_535), (32_768, 60_999), (1024, 4999), (49_152, 65_535), (40_000, 60_000)];
const CONSTANT_PORTS: [u16; 6] = [6000, 8080, 43_690, 12_345, 54_321, 80];
const IDS: [u16; 4] = [0, 54_321, 256, 1];
const RATES: [u64; 6] = [60, 120, 160, 250, 500, 1200];
const UDP_PORTS: [u16; 14] = [53, 123, 1900, 161, 5060, 389, 11_211, 5683, 3702, 53_413, 19, 69, 27_015, 37_810];

/// An item, the first ones most often.
fn early<'a, T>(rng: &mut Rng, items: &'a [T]) -> &'a T {
    let n = items.len() as u64;
    &items[rng.below(n).min(rng.below(n)) as usize]
}

impl Habit {
    /// New habits: a scanner that somebody published, with ports of one's own and at times a habit changed.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let mut habit = Self::published(*early(rng, &[0, 1, 2, 3, 4, 5, 6, 7]), rng);
        habit.draw_ports(rng);
        habit.rate = *rng.choose(&RATES);
        for change in
            [Self::draw_window, Self::draw_source_ports, Self::draw_id, Self::draw_sequence, Self::draw_repeats]
        {
            if rng.below(CHANGED_ONE_IN) == 0 {
                change(&mut habit, rng);
            }
        }
        if rng.below(CHANGED_ONE_IN) == 0 {
            (habit.options, habit.mss) = *early(rng, &STACKS);
        }
        if rng.below(CHANGED_ONE_IN) == 0 {
            habit.draw_walk(rng);
        }
        habit
    }

    /// The published scanners that families are made of, roughly: Mirai's, that of Mirai's kin with a fixed window, a
    /// connecting Linux, masscan's, ZMap's, a connecting Windows, a UDP sender, a loader that connects from one port.
    fn published(number: u64, rng: &mut Rng) -> Self {
        let base = Habit {
            transport: Transport::Tcp,
            ports: Vec::new(),
            one_port: false,
            window: Rule::PerSource,
            options: "",
            mss: 0,
            ttl: 64,
            sport: Rule::PerSource,
            sports: (1024, 65_535),
            id: Rule::PerPacket,
            masscan: false,
            sequence: Sequence::Target,
            walk: Walk::Random,
            rate: 160,
            repeats: 0,
            retry_seconds: 3,
            dscp: 0,
            payload: (rng.draw(), *rng.choose(&[8, 12, 20, 24, 30, 46])),
        };
        let linux = Habit {
            window: Rule::Constant(*early(rng, &[64_240, 29_200, 14_600, 5840])),
            options: LINUX_OPTIONS,
            mss: 1460,
            sport: Rule::PerPacket,
            sports: (32_768, 60_999),
            sequence: Sequence::Random,
            repeats: 2,
            retry_seconds: 1,
            ..base.clone()
        };
        match number {
            0 => base,
            1 => Habit { window: Rule::Constant(*early(rng, &WINDOWS)), ..base },
            2 => linux,
            3 => Habit {
                window: Rule::Constant(1024),
                ttl: 255,
                masscan: true,
                sequence: Sequence::Random,
                sports: (40_000, 60_000),
                ..base
            },
            4 => Habit {
                window: Rule::Constant(65_535),
                ttl: 255,
                sport: Rule::PerPacket,
                sports: (32_768, 60_999),
                id: Rule::Constant(54_321),
                sequence: Sequence::Random,
                ..base
            },
            5 => Habit {
                window: Rule::Constant(*early(rng, &[8192, 64_240, 65_535])),
                options: "MNWNNS",
                mss: 1460,
                ttl: 128,
                sport: Rule::Counter,
                sports: (49_152, 65_535),
                id: Rule::Counter,
                sequence: Sequence::Random,
                repeats: 2,
                ..base
            },
            6 => Habit { transport: Transport::Udp, ..base },
            _ => Habit { sport: Rule::Constant(*early(rng, &CONSTANT_PORTS)), ..linux },
        }
    }

    fn draw_ports(&mut self, rng: &mut Rng) {
        self.ports.clear();
        for _ in 0..rng.between(1, 5).min(rng.between(1, 9)) {
            let port = self.draw_port(rng);
            self.add_port(port, rng.between(1, 9));
        }
    }

    fn draw_port(&self, rng: &mut Rng) -> u16 {
        match self.transport {
            Transport::Udp => *early(rng, &UDP_PORTS),
            // One in five is a number that somebody found once.
            Transport::Tcp if rng.below(5) == 0 => 1024 + mix2(77, rng.below(300)) as u16 % 60_000,
            Transport::Tcp => popular_tcp(rng.draw()),
        }
    }

    fn add_port(&mut self, port: u16, part: u64) {
        match self.ports.iter_mut().find(|(known, _)| *known == port) {
            Some((_, known)) => *known += part,
            None => self.ports.push((port, part)),
        }
    }

    fn draw_window(&mut self, rng: &mut Rng) {
        self.window = match rng.below(10) {
            0..=5 => Rule::Constant(*early(rng, &WINDOWS)),
            6 | 7 => Rule::PerSource,
            _ => Rule::PerPacket,
        };
    }

    fn draw_source_ports(&mut self, rng: &mut Rng) {
        self.sport = match rng.below(10) {
            0 | 1 => Rule::Constant(*rng.choose(&CONSTANT_PORTS)),
            2..=4 => Rule::PerSource,
            5 | 6 => Rule::Counter,
            _ => Rule::PerPacket,
        };
        self.sports = *early(rng, &RANGES);
    }

    fn draw_id(&mut self, rng: &mut Rng) {
        self.masscan = rng.below(12) == 0;
        self.id = match rng.below(10) {
            0 | 1 => Rule::Constant(*early(rng, &IDS)),
            2 => Rule::Counter,
            3 => Rule::PerSource,
            _ => Rule::PerPacket,
        };
    }

    fn draw_sequence(&mut self, rng: &mut Rng) {
        self.sequence = match rng.below(10) {
            0..=3 => Sequence::Target,
            4 => Sequence::PerSource,
            _ => Sequence::Random,
        };
    }

    fn draw_walk(&mut self, rng: &mut Rng) {
        self.walk = match rng.below(10) {
            0 => Walk::Ascending,
            1 | 2 => Walk::EachPort,
            _ => Walk::Random,
        };
    }

    fn draw_repeats(&mut self, rng: &mut Rng) {
        self.repeats = *rng.choose(&[0, 0, 0, 1, 2, 4]);
        self.retry_seconds = *rng.choose(&[1, 3, 5, 30]);
    }

    /// Changes one habit: what a fork does.
    pub(crate) fn change(&mut self, rng: &mut Rng) {
        match rng.below(8) {
            0 | 1 => self.draw_ports(rng),
            2 => self.draw_window(rng),
            3 => self.draw_source_ports(rng),
            4 => self.draw_sequence(rng),
            5 => (self.options, self.mss) = *early(rng, &STACKS),
            6 => self.draw_id(rng),
            _ => self.rate = *rng.choose(&RATES),
        }
    }

    /// Changes one habit a little: what a new version does. Mostly another port is added or left out.
    pub(crate) fn drift(&mut self, rng: &mut Rng) {
        match rng.below(10) {
            0..=2 => {
                let port = self.draw_port(rng);
                self.add_port(port, rng.between(1, 5));
            }
            3 | 4 if self.ports.len() > 1 => {
                let at = rng.below(self.ports.len() as u64) as usize;
                self.ports.remove(at);
            }
            5 | 6 => {
                let at = rng.below(self.ports.len() as u64) as usize;
                self.ports[at].1 = rng.between(1, 9);
            }
            7 => self.rate = (self.rate * rng.between(2, 8) / 4).max(8),
            8 => self.draw_repeats(rng),
            _ => self.change(rng),
        }
    }

    /// Hides one habit behind a common value: what a forger does.
    pub(crate) fn disguise(&mut self, rng: &mut Rng) {
        match rng.below(4) {
            0 => self.window = Rule::Constant(WINDOWS[rng.below(3) as usize]),
            1 => (self.options, self.mss) = STACKS[rng.below(3) as usize],
            2 => self.sequence = Sequence::Target,
            _ => self.id = Rule::Constant(54_321),
        }
    }

    /// Whether two families with these would be one for every observer: the same ports, and hardly another difference.
    pub(crate) fn hardly_differs(&self, other: &Habit) -> bool {
        let ports = |habit: &Habit| {
            let mut ports: Vec<u16> = habit.ports.iter().map(|(port, _)| *port).collect();
            ports.sort_unstable();
            ports
        };
        let same = [
            self.window == other.window,
            self.options == other.options,
            (self.sport, self.sports) == (other.sport, other.sports),
            self.sequence == other.sequence,
            self.id == other.id,
        ];
        ports(self) == ports(other) && same.into_iter().filter(|same| *same).count() >= 4
    }
}
