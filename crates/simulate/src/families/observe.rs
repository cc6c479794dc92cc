//! What a darknet sees of one source or campaign.

use super::Telescope;
use super::habit::{Habit, Rule, Sequence, Transport, Walk};
use crate::plan::popular_tcp;
use crate::rng::{Rng, mix, mix2};
use noroshi_model::packet::{Has, OptionKinds, Packet, tcp};
use noroshi_model::{Addr, Nanos};

/// Sources that one campaign has at most.
const SOURCES_MAX: u64 = 3000;
/// Packets below which nothing is called an observation: ten distinct destinations make a scan.
const PACKETS_MIN: u64 = 10;
/// 2026-01-01.
const START_SECONDS: u64 = 1_767_225_600;

/// One observation; [`Observation::for_each`] makes its packets.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The right answer.
    pub family: &'a str,
    /// Who observed.
    pub telescope: Telescope,
    /// When it began, in seconds since the half year began.
    pub second: u64,
    /// Whether something in it imitates another family or hides a habit.
    pub forged: bool,
    habit: Habit,
    decoy: Option<(&'a Habit, u64)>,
    /// Foreign packets in 1,000.
    foreign: u64,
    rewritten: bool,
    rng: Rng,
    packets: u64,
    sources: u64,
    micros: u64,
}

/// A source while it sends.
pub(super) struct Sender {
    pub(super) addr: u32,
    pub(super) key: u64,
    pub(super) hops: u8,
    pub(super) counter: u16,
}

/// Gives a packet its time and marks, and hands it on with its payload. `key`: seed of the payload.
pub(super) fn packet(mut row: Packet, second: u64, micros: u64, key: u64, visit: &mut impl FnMut(&Packet, &[u8])) {
    row.ts = Nanos((START_SECONDS + second) as i64 * 1_000_000_000 + micros as i64 * 1000);
    let payload: Vec<u8> =
        (0..u64::from(row.payload_len)).map(|k| mix2(key, k / 8).to_le_bytes()[k as usize % 8]).collect();
    noroshi_packet::fingerprint::mark(&mut row);
    visit(&row, &payload);
}

impl<'a> Observation<'a> {
    pub(super) fn draw(
        mut rng: Rng,
        family: &'a str,
        habit: &'a Habit,
        decoy: &'a Habit,
        telescope: Telescope,
        second: u64,
        packets_max: u64,
    ) -> Self {
        let hours = if telescope == Telescope::Small { 24 } else { rng.between(1, 24) };
        let mut micros = hours * 3_600_000_000;
        // As many within each factor of two.
        let octaves = u64::from((packets_max / PACKETS_MIN).max(2).ilog2());
        let from = PACKETS_MIN << rng.below(octaves);
        let mut packets = rng.between(from, 2 * from);
        // Packets that one source sends into the darknet in that time, in thousandths.
        let each = ((habit.rate * (micros / 1000) * telescope.addresses()) >> 32).max(1);
        let mut sources = (packets * 1000 / each).clamp(1, SOURCES_MAX);
        if sources == 1 {
            micros = (micros * packets * 1000 / each).clamp(1_000_000, micros);
        }
        if each * sources < packets * 1000 {
            packets = (each * sources / 1000).max(PACKETS_MIN);
            sources = sources.max(packets / 4);
        }
        let mut habit = habit.clone();
        let forgery = rng.below(20);
        if forgery == 0 {
            habit.disguise(&mut rng);
        }
        let decoy = (forgery == 1).then(|| (decoy, rng.between(100, 400)));
        let foreign = if rng.below(2) == 0 { rng.below(250) } else { 0 };
        let rewritten = rng.below(12) == 0;
        let forged = forgery < 2;
        Observation {
            family,
            telescope,
            second,
            forged,
            habit,
            decoy,
            foreign,
            rewritten,
            rng,
            packets,
            sources,
            micros,
        }
    }

    /// Makes the packets in the order of time; the second argument is the UDP payload.
    pub fn for_each(mut self, mut visit: impl FnMut(&Packet, &[u8])) {
        let mut planned: Vec<(u64, Packet, u64)> = Vec::new();
        let seed = self.rng.draw();
        let home = self.habit.clone();
        let rewritten = self.rewritten;
        self.emit(&home, seed, self.packets, self.sources, rewritten, &mut planned);
        let part = |thousandths: u64| self.packets * thousandths / 1000;
        let (decoys, strangers) = (self.decoy.map(|(habit, share)| (habit, part(share))), part(self.foreign));
        if let Some((habit, count)) = decoys {
            self.emit(habit, seed, count, self.sources, false, &mut planned);
        }
        for _ in 0..strangers {
            let mut stranger = Habit::draw(&mut self.rng);
            stranger.ports = vec![(popular_tcp(self.rng.draw()), 1)];
            stranger.transport = Transport::Tcp;
            self.emit(&stranger, seed, 1, self.sources, false, &mut planned);
        }
        planned.sort_by_key(|(at, ..)| *at);
        for (at, row, key) in planned {
            packet(row, self.second, at, key, &mut visit);
        }
    }

    fn emit(
        &mut self,
        habit: &Habit,
        seed: u64,
        packets: u64,
        sources: u64,
        rewritten: bool,
        out: &mut Vec<(u64, Packet, u64)>,
    ) {
        let mut senders: Vec<Option<Sender>> = (0..sources).map(|_| None).collect();
        let mut shares = vec![0u64; sources as usize];
        for _ in 0..packets {
            shares[self.rng.below(sources) as usize] += 1;
        }
        for (number, share) in shares.into_iter().enumerate().filter(|(_, share)| *share > 0) {
            let sender = senders[number].get_or_insert_with(|| {
                let key = mix2(seed, number as u64);
                // Public unicast addresses, roughly.
                let addr = 0x0100_0000 + (key % 0xd800_0000) as u32;
                Sender { addr, key, hops: 4 + (key >> 40) as u8 % 20, counter: (key >> 48) as u16 }
            });
            let mut turn = Turn { habit, sender, rng: &mut self.rng, rewritten, seen_whole: false };
            turn.run(share, self.micros, self.telescope, out);
        }
    }
}

/// One source's turn.
pub(super) struct Turn<'a> {
    pub(super) habit: &'a Habit,
    pub(super) sender: &'a mut Sender,
    pub(super) rng: &'a mut Rng,
    pub(super) rewritten: bool,
    /// Whether the observer sees everything that the source sends; a darknet sees little of it.
    pub(super) seen_whole: bool,
}

impl Turn<'_> {
    fn run(&mut self, packets: u64, micros: u64, telescope: Telescope, out: &mut Vec<(u64, Packet, u64)>) {
        let size = telescope.addresses();
        let ascending = self.habit.walk == Walk::Ascending;
        let gap = 1_000_000 / self.habit.rate.max(1);
        let begin = self.rng.below(micros);
        let first = self.rng.below(size);
        // Times in order, so that counters rise with time.
        let mut times: Vec<u64> =
            (0..packets).map(|k| if ascending { begin + k * gap } else { self.rng.below(micros) }).collect();
        times.sort_unstable();
        let (mut made, mut at) = (0, 0);
        while made < packets {
            let time = times[made as usize];
            let target = if ascending { (first + at) % size } else { self.rng.below(size) };
            at += 1;
            for (k, port) in self.ports().into_iter().enumerate() {
                let row = self.probe(0xc612_0000 + target as u32, port);
                for again in 0..=self.habit.repeats {
                    if made < packets {
                        let wait = k as u64 * gap + again * self.habit.retry_seconds * 1_000_000;
                        out.push((time + wait, row, self.habit.payload.0));
                        made += 1;
                    }
                }
            }
        }
    }

    /// The ports that one target is asked for.
    pub(super) fn ports(&mut self) -> Vec<u16> {
        if self.habit.walk == Walk::EachPort {
            self.habit.ports.iter().map(|(port, _)| *port).collect()
        } else {
            vec![self.port()]
        }
    }

    fn port(&mut self) -> u16 {
        let total: u64 = self.habit.ports.iter().map(|(_, part)| part).sum();
        let mut at = if self.habit.one_port { mix(self.sender.key ^ 0x9027) % total } else { self.rng.below(total) };
        for (port, part) in &self.habit.ports {
            if at < *part {
                return *port;
            }
            at -= part;
        }
        0
    }

    fn number(&mut self, rule: Rule, salt: u64, range: (u16, u16)) -> u16 {
        let inside = |value: u64| range.0 + (value % (u64::from(range.1 - range.0) + 1)) as u16;
        match rule {
            Rule::Constant(value) => value,
            Rule::PerSource => inside(mix2(self.sender.key, salt)),
            Rule::PerPacket => inside(self.rng.draw()),
            Rule::Counter => {
                // Between two packets that a darknet sees, the source sent others elsewhere.
                let elsewhere = if self.seen_whole { 0 } else { self.rng.below(self.habit.rate) as u16 };
                self.sender.counter = self.sender.counter.wrapping_add(1 + elsewhere);
                inside(u64::from(self.sender.counter))
            }
        }
    }

    pub(super) fn probe(&mut self, dst: u32, dport: u16) -> Packet {
        let habit = self.habit;
        let sports = if self.rewritten { Rule::PerPacket } else { habit.sport };
        let range = if self.rewritten { (1024, 65_535) } else { habit.sports };
        let mut row = Packet { src: Addr::v4(self.sender.addr), dst: Addr::v4(dst), dport, ..Packet::BLANK };
        row.has = Has::IP | Has::PORTS | Has::IP_ID | Has::TIME;
        row.ttl = habit.ttl.saturating_sub(self.sender.hops);
        row.dscp = habit.dscp;
        row.sport = self.number(sports, 1, range);
        row.ip_id = self.number(habit.id, 2, (0, u16::MAX));
        match habit.transport {
            Transport::Udp => {
                (row.transport, row.proto) = (noroshi_model::packet::Transport::Udp, 17);
                row.payload_len = u32::from(habit.payload.1);
            }
            Transport::Tcp => {
                (row.transport, row.proto, row.tcp_flags) = (noroshi_model::packet::Transport::Tcp, 6, tcp::SYN);
                row.has.set(Has::TCP);
                row.window = self.number(habit.window, 3, (1, u16::MAX));
                row.options = OptionKinds::parse(habit.options).unwrap_or_default();
                if habit.mss > 0 {
                    row.has.set(Has::MSS);
                    row.mss = habit.mss;
                }
                row.seq = match habit.sequence {
                    Sequence::Target => dst,
                    Sequence::Random => self.rng.draw() as u32,
                    Sequence::PerSource => mix2(self.sender.key, 4) as u32,
                };
                if habit.masscan {
                    row.ip_id = (dst ^ u32::from(dport) ^ row.seq) as u16;
                }
            }
        }
        row
    }
}
