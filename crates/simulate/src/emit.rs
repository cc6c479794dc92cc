//! One packet of one plant: the only place where roles become bytes.

use crate::frame::{Frame, Ip, Options, Tcp, quoted_udp};
use crate::plan::popular_tcp;
use crate::plan::{Crowd, Plan, Plant, PortChoice, Probes, Replies, Requests, Role, SLOTS_MAX, Victims, Walk};
use crate::requests::{VECTORS, port, request};
use crate::rng::{Permutation, Rng, mix, mix2};
use crate::scenario::{Flood, Spread};
use crate::tools::{Run, Variant};
use noroshi_model::Addr;
use noroshi_model::finding::Vector;
use noroshi_model::packet::tcp::{ACK, RST, SYN};

/// Packets that an address of a carpet gets before its neighbour's turn.
pub const CARPET_VISIT_PACKETS: u64 = 5;
/// One probe in so many repeats the one before it, as a tool does that had no answer.
const REPEAT_EVERY: u64 = 16;
/// The heaviest so many background sources scan: a stray host does not send a tenth of all packets.
const HEAVY_RANKS: u64 = 64;

/// Makes packets; remembers how many each source slot has sent.
pub struct Emitter {
    frame: Frame,
    payload: Vec<u8>,
    rng: Rng,
    sent: Vec<u32>,
}

/// The address with an index among the `count` victims of a carpet: ascending with the index, one in each equal part
/// of the prefix, so that a pass over the indices is a sweep over addresses.
pub fn carpet_victim(prefix: noroshi_model::Prefix, key: u64, count: u64, index: u64) -> Addr {
    let hosts = prefix.size() as u64 - 2;
    let (from, to) = (index * hosts / count, (index + 1) * hosts / count);
    let host = 1 + from + mix2(key, index) % (to - from).max(1);
    Addr(prefix.first().0 + u128::from(host))
}

impl Plan {
    /// The target at a place of a source's order.
    #[inline]
    pub fn target(&self, plant: usize, member: u64, place: u64) -> Addr {
        let plant = &self.plants[plant];
        self.target_of(plant, mix2(plant.key, member), place)
    }

    #[inline]
    fn target_of(&self, plant: &Plant, key: u64, place: u64) -> Addr {
        let size = self.space.size(plant.v6);
        self.space.target(plant.v6, Permutation::new(size, key).at(place))
    }
}

impl Crowd {
    /// The tool of a source whose key is known.
    pub fn variant(&self, key: u64, v6: bool) -> Variant {
        let total = self.tools.last().map_or(1, |(_, sum)| *sum);
        let at = mix(key ^ 0x7001) % total;
        let variant = self.tools[self.tools.partition_point(|(_, sum)| *sum <= at)].0;
        if v6 && !variant.speaks_ipv6() { Variant::Linux } else { variant }
    }

    /// What the source of a rank does: 0 SYN, 1 UDP, 2 echo, 3 stray, 4 single replies.
    pub fn class(&self, key: u64, rank: u64) -> usize {
        let at = mix(key ^ 0xc1a5) % self.mix[4];
        match self.mix.partition_point(|sum| *sum <= at) {
            3 if rank < HEAVY_RANKS && self.mix[0] > 0 => 0,
            class => class,
        }
    }

    fn rank(&self, rng: &mut Rng) -> u64 {
        if self.spread == Spread::Even {
            return rng.below(self.sources);
        }
        // Octaves alike, and numbers within an octave alike: 1/k within a factor of two, without logarithms, which
        // differ between machines.
        let octave = rng.below(u64::from(64 - self.sources.leading_zeros()));
        let rank = (1 << octave) - 1 + rng.below(1 << octave);
        if rank < self.sources { rank } else { rng.below(self.sources) }
    }
}

impl Emitter {
    /// For one walk through a plan.
    pub fn new(plan: &Plan, seed: u64) -> Self {
        Emitter {
            frame: Frame::default(),
            payload: Vec::with_capacity(1024),
            rng: Rng::new(mix2(seed, 2)),
            sent: vec![0; plan.slots as usize],
        }
    }

    /// Packets sent by each source slot so far.
    pub fn sent(&self) -> &[u32] {
        &self.sent
    }

    /// The last frame made.
    #[inline]
    pub fn frame(&self) -> &[u8] {
        self.frame.bytes()
    }

    /// Makes the packet with a number (from 0) of a plant.
    #[inline]
    pub fn emit(&mut self, plan: &Plan, plant: &Plant, number: u64) {
        match &plant.role {
            Role::Crowd(crowd) => self.crowd(plan, plant, crowd),
            Role::Probes(probes) => self.probes(plan, plant, probes, number),
            Role::Replies(replies) => self.replies(plan, plant, replies, number),
            Role::Requests(requests) => self.requests(plan, plant, requests, number),
            Role::Sweep(vector) => self.sweep(plan, plant, *vector),
        }
    }

    /// Counts a packet of a source; gives how many it sent before.
    #[inline]
    fn step(&mut self, plant: &Plant, member: u64) -> u64 {
        let sent = &mut self.sent[(plant.slot + member) as usize];
        let before = *sent;
        *sent = before.saturating_add(1);
        u64::from(before)
    }

    fn probes(&mut self, plan: &Plan, plant: &Plant, probes: &Probes, number: u64) {
        let member = if number < plant.slots || probes.even {
            number % plant.slots
        } else {
            self.rng.below(plant.slots).min(self.rng.below(plant.slots))
        };
        let step = self.step(plant, member);
        let key = mix2(plant.key, member);
        // Sources of one thing run the same tool on the same kind of system; sequence keys differ by source.
        let stack = if matches!(probes.variant, Variant::Linux | Variant::Windows | Variant::Raw) {
            plant.key & 0xff | key & !0xff
        } else {
            key
        };
        let (place, again) = repeat(probes.variant, step);
        let (dst, dport) = match probes.walk {
            Walk::Targets => (plan.target_of(plant, key, place), pick_port(&probes.ports, probes.variant, key, place)),
            Walk::Ports(count) => (plan.target_of(plant, key, 0), numbered_port(count, key, place)),
            Walk::Both(count) => {
                let dport = match &probes.ports {
                    PortChoice::List(list) => list[(place % list.len() as u64) as usize],
                    _ => numbered_port(count, key, place % count),
                };
                (plan.target_of(plant, key, place / count), dport)
            }
        };
        let run = Run { variant: probes.variant, src: plan.source(plant, member), key: stack };
        let (ip, tcp) = run.probe(dst, dport, again, &mut self.rng);
        self.frame.tcp(&ip, &tcp);
    }

    fn crowd(&mut self, plan: &Plan, plant: &Plant, crowd: &Crowd) {
        let rank = crowd.rank(&mut self.rng) % plant.slots;
        let key = mix2(plant.key, rank);
        let class = crowd.class(key, rank);
        if class == 4 {
            return self.single_reply(plan, plant);
        }
        let step = self.step(plant, rank);
        let src = plan.source(plant, rank);
        match class {
            0 => {
                let variant = crowd.variant(key, plant.v6);
                let (place, again) = repeat(variant, step);
                let dst = plan.target_of(plant, key, place);
                let dport = pick_port(&crowd.ports, variant, key, place);
                let (ip, tcp) = Run { variant, src, key }.probe(dst, dport, again, &mut self.rng);
                self.frame.tcp(&ip, &tcp);
            }
            1 => self.udp_scanner(plan, plant, src, key, step),
            2 => {
                let dst = plan.target_of(plant, key, step);
                self.echo(src, dst, key, step, 0);
            }
            _ => self.stray(plan, plant, src, key),
        }
    }

    fn udp_scanner(&mut self, plan: &Plan, plant: &Plant, src: Addr, key: u64, step: u64) {
        let ip = self.ip(src, plan.target_of(plant, key, step), key);
        self.payload.clear();
        let dport = if key & 3 == 0 {
            // An unknown service: a few bytes that stay the same for one source.
            let length = 8 + (key >> 20) as usize % 40;
            self.payload.extend((0..length).map(|i| mix(key ^ (i as u64 / 8)).to_le_bytes()[i % 8]));
            (1 + (key >> 40) % 65_535) as u16
        } else {
            let (vector, port) = VECTORS[((key >> 8) % VECTORS.len() as u64) as usize];
            request(vector, key, &mut self.rng, &mut self.payload);
            port
        };
        let sport = (32_768 + (key >> 16) % 28_000) as u16;
        self.frame.udp(&ip, sport, dport, &self.payload);
    }

    /// A host that talks to an address that once was something: one target, one port, high numbers.
    fn stray(&mut self, plan: &Plan, plant: &Plant, src: Addr, key: u64) {
        let ip = self.ip(src, plan.target_of(plant, key, 0), key);
        self.payload.clear();
        let length = 20 + (key >> 12) as usize % 60;
        let first = self.rng.draw();
        self.payload.extend((0..length).map(|i| mix(first ^ (i as u64 / 8)).to_le_bytes()[i % 8]));
        self.frame.udp(&ip, (10_000 + key % 50_000) as u16, (20_000 + (key >> 16) % 40_000) as u16, &self.payload);
    }

    /// A reply to a forged packet, of a victim that shows up once.
    fn single_reply(&mut self, plan: &Plan, plant: &Plant) {
        let random = self.rng.draw();
        let victim = plan.sources.scattered(plant.v6, SLOTS_MAX | random & (SLOTS_MAX / 2 - 1));
        let flood = [Flood::SynOpen, Flood::SynClosed, Flood::SynOpen, Flood::Udp][(random >> 40) as usize & 3];
        let port = [80, 443, 22, 25_565][(random >> 44) as usize & 3];
        self.reply(plan, plant, &Replies { flood, victims: Victims::One(victim), port }, victim, random);
    }

    fn replies(&mut self, plan: &Plan, plant: &Plant, replies: &Replies, number: u64) {
        let victim = self.whose(replies.victims, plant.key, number);
        self.reply(plan, plant, replies, victim, plant.key);
    }

    fn reply(&mut self, plan: &Plan, plant: &Plant, replies: &Replies, victim: Addr, key: u64) {
        // The flood's forged sources are uniform, so the replies that arrive here are, too.
        let index = self.rng.below(plan.space.size(plant.v6));
        let dst = plan.space.target(plant.v6, index);
        let random = self.rng.draw();
        let forged_port = 1024 + (random >> 48) as u16 % 64_000;
        let mut ip = self.ip(victim, dst, key);
        let tcp = Tcp {
            sport: replies.port,
            dport: forged_port,
            seq: random as u32,
            ack: (random >> 16) as u32 ^ 0x5a5a_5a5a,
            flags: SYN | ACK,
            window: if key & 1 == 0 { 65_535 } else { 64_240 },
            options: Options::mss(1460),
        };
        match replies.flood {
            Flood::SynOpen => self.frame.tcp(&ip, &tcp),
            Flood::SynClosed => {
                self.frame.tcp(&ip, &Tcp { seq: 0, flags: RST | ACK, window: 0, options: Options::NONE, ..tcp });
            }
            Flood::Udp | Flood::UdpRouter => {
                let forged = Ip { src: dst, dst: victim, ttl: 40, id: random as u16, dont_fragment: false };
                quoted_udp(&forged, forged_port, replies.port, 512, &mut self.payload);
                let (kind, mut code) = if plant.v6 { (1, 4) } else { (3, 3) };
                if replies.flood == Flood::UdpRouter {
                    ip.src = Addr(victim.network().first().0 + 1);
                    code = if plant.v6 { 3 } else { 1 };
                }
                self.frame.icmp(&ip, kind, code, [0; 4], &self.payload);
            }
            Flood::Echo => self.echo(victim, dst, key, random >> 32, 1),
        }
    }

    /// Echo request (0) or reply (1).
    fn echo(&mut self, src: Addr, dst: Addr, key: u64, sequence: u64, reply: u8) {
        let ip = self.ip(src, dst, key);
        let kind = match (src.is_v4(), reply) {
            (true, 0) => 8,
            (true, _) => 0,
            (false, reply) => 128 + reply,
        };
        let [a, b] = (key as u16).to_be_bytes();
        let [c, d] = (sequence as u16).to_be_bytes();
        self.frame.icmp(&ip, kind, 0, [a, b, c, d], b"abcdefghijklmnopqrstuvwabcdefghi");
    }

    fn whose(&mut self, victims: Victims, key: u64, number: u64) -> Addr {
        match victims {
            Victims::One(addr) => addr,
            Victims::Many(prefix, count, in_order) => {
                let index = match (in_order, number < count) {
                    (true, _) => number / CARPET_VISIT_PACKETS % count,
                    (false, true) => number,
                    (false, false) => self.rng.below(count),
                };
                carpet_victim(prefix, key, count, index)
            }
        }
    }

    fn requests(&mut self, plan: &Plan, plant: &Plant, requests: &Requests, number: u64) {
        let src = self.whose(requests.victims, plant.key, number);
        let place = if requests.real { number } else { self.rng.below(requests.reflectors) };
        let mut ip = self.ip(src, plan.target_of(plant, plant.key, place), plant.key);
        if !requests.real {
            // The forger's machine, not the victim: another distance, and a raw socket's high start.
            ip.ttl = 255 - (8 + plant.key % 16) as u8;
        }
        let sport = requests.sport.unwrap_or(1024 + (self.rng.draw() >> 48) as u16 % 64_000);
        self.payload.clear();
        request(requests.vector, plant.key, &mut self.rng, &mut self.payload);
        self.frame.udp(&ip, sport, port(requests.vector).unwrap_or(0), &self.payload);
    }

    fn sweep(&mut self, plan: &Plan, plant: &Plant, vector: Vector) {
        let step = self.step(plant, 0);
        let ip = self.ip(plan.source(plant, 0), plan.target_of(plant, plant.key, step), plant.key);
        self.payload.clear();
        request(vector, plant.key, &mut self.rng, &mut self.payload);
        let sport = (32_768 + plant.key % 28_000) as u16;
        self.frame.udp(&ip, sport, port(vector).unwrap_or(0), &self.payload);
    }

    /// The IP header of an ordinary host.
    fn ip(&mut self, src: Addr, dst: Addr, key: u64) -> Ip {
        let start = [64, 128, 64, 255][(key >> 5) as usize & 3];
        let ttl = (start - (5 + (key >> 8) % 16)) as u8;
        Ip { src, dst, ttl, id: (self.rng.draw() >> 48) as u16, dont_fragment: false }
    }
}

/// The place in its order that a source probes at a step, and whether it is a repetition.
#[inline]
fn repeat(variant: Variant, step: u64) -> (u64, u64) {
    let repeats = step % REPEAT_EVERY == REPEAT_EVERY - 1 && variant != Variant::Mirai;
    (step - u64::from(repeats), u64::from(repeats))
}

fn pick_port(ports: &PortChoice, variant: Variant, key: u64, place: u64) -> u16 {
    let drawn = mix2(key, place);
    match ports {
        PortChoice::List(list) if variant == Variant::Mirai && list.len() > 1 => {
            if drawn.is_multiple_of(10) {
                list[1 + (drawn >> 8) as usize % (list.len() - 1)]
            } else {
                list[0]
            }
        }
        PortChoice::List(list) => list[(drawn % list.len() as u64) as usize],
        PortChoice::All => (1 + drawn % 65_535) as u16,
        PortChoice::Habit => habit_port(variant, key, drawn),
    }
}

fn habit_port(variant: Variant, key: u64, drawn: u64) -> u16 {
    if variant == Variant::Mirai {
        // Families of kin keep the mark and change the doors.
        let doors: [u16; 2] = match (key >> 44) % 10 {
            0..=5 => [23, 2323],
            6 => [5555, 5555],
            7 => [37_215, 52_869],
            8 => [60_023, 60_023],
            _ => [80, 8080],
        };
        return doors[usize::from(drawn.is_multiple_of(10))];
    }
    match drawn % 100 {
        0..=54 => popular_tcp(key >> 20),
        55..=79 => popular_tcp(drawn >> 8),
        _ => (1 + (drawn >> 16) % 65_535) as u16,
    }
}

/// The port at a place of a scan of many ports.
fn numbered_port(count: u64, key: u64, place: u64) -> u16 {
    (1 + Permutation::new(65_535, key ^ 0x9047).at(place % count)) as u16
}
