//! Packets in, a profile out: the one extractor for darknet sources, campaigns, and the traffic of samples.
//!
//! A sandbox sees all that its one source sends, a darknet one packet in thousands, from many sources. What both can
//! show must be counted alike, so the traffic of a sample is cut into slices by the network it goes to, as darknets cut
//! it ([`Builder::sandbox`]): a clock becomes chance, a counter jumps, a repeated probe follows its first, and what one
//! source drew for itself is what many sources would differ in.

use crate::feature::{DIMENSIONS, Dimension, POWER_OFFSET, SOURCE_RANGES, Token, VARIED, fold, options_value, step};
use crate::profile::{Origin, Profile};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use noroshi_model::packet::{Has, Packet, Transport, tcp};
use noroshi_model::{Addr, Nanos};

/// Sources that are followed from packet to packet; later ones count only packet by packet.
const SOURCES_MAX: usize = 4096;
/// Distinct values counted per dimension; later ones count as varied.
const VALUES_MAX: usize = 1024;
/// Slices that a sample's traffic is seen in, each as by a darknet of its own. More make what a darknet sees truer (a
/// slice sees one packet in so many), fewer leave more packets to each: 64 of a minute at 100 a second see 94 each.
const SLICES: u32 = 64;
/// First payload bytes that are compared.
const PAYLOAD_BYTES: usize = 16;
/// Packets of one source below which it has no rate.
const RATE_PACKETS_MIN: u32 = 3;
/// Gaps of one source below which it has no rhythm.
const RHYTHM_GAPS_MIN: u32 = 5;
/// A value is kept when at least so many packets have it; see [`Dimension::must_recur`].
const RECUR_MIN: u32 = 2;
/// Sources whose single draws together say something about the rule they were drawn by.
const DRAWS_MIN: usize = 3;
/// The Internet over the monitored space, above which "in the same /24" says nothing: below 2^14 addresses there are
/// fewer than 64 networks to choose from.
const SCALE_NEAR_MAX: f64 = (1 << 18) as f64;
/// Share of packets equal to the one before from which a value counts as drawn once.
const SAME_SHARE: f64 = 0.9;
/// Share below which a value counts as varied.
const SHARE_MIN: f32 = 0.02;

/// Counts of one dimension.
#[derive(Clone, Debug, Default)]
struct Counts {
    values: HashMap<u32, u32, FixedState>,
    total: u32,
}

impl Counts {
    #[inline]
    fn add(&mut self, value: u32) {
        self.total = self.total.saturating_add(1);
        if let Some(count) = self.values.get_mut(&value) {
            *count = count.saturating_add(1);
        } else if self.values.len() < VALUES_MAX {
            self.values.insert(value, 1);
        }
    }

    /// Shares of the values worth keeping; the rest is varied.
    fn shares(&self, dimension: Dimension, out: &mut Vec<(Token, f32)>) {
        if self.total == 0 {
            return;
        }
        let least = if dimension.must_recur() { RECUR_MIN } else { 1 };
        let share = |count: u32| count as f32 / self.total as f32;
        let mut kept: Vec<(u32, u32)> = self.values.iter().map(|(value, count)| (*value, *count)).collect();
        kept.retain(|(value, count)| *value != VARIED && *count >= least && share(*count) >= SHARE_MIN);
        kept.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        kept.truncate(dimension.kept());
        let rest = self.total - kept.iter().map(|(_, count)| count).sum::<u32>();
        if rest > 0 {
            kept.push((VARIED, rest));
        }
        out.extend(kept.into_iter().map(|(value, count)| (Token::new(dimension, value), share(count))));
    }
}

/// What is remembered of one source.
#[derive(Clone, Debug)]
struct Source {
    packets: u32,
    first: Nanos,
    last: Packet,
    gap_sum: f64,
    gap_squares: f64,
}

/// Makes a profile of packets in the order of time.
#[derive(Clone, Debug)]
pub struct Builder {
    /// The Internet over the monitored space.
    scale: f64,
    /// Slices by destination network; one for a darknet, which is a slice itself.
    slices: u32,
    counts: Vec<Counts>,
    sources: HashMap<(Addr, u32), Source, FixedState>,
    packets: u64,
    times: Option<(Nanos, Nanos)>,
}

impl Builder {
    /// For packets seen by a space of so many addresses.
    pub fn new(monitored: u64) -> Self {
        Self::with(1, 4_294_967_296.0 / monitored.clamp(1, 1 << 32) as f64)
    }

    /// For the traffic of a sample, of which a sandbox sees everything: the profile is the one that darknets would see.
    pub fn sandbox() -> Self {
        Self::with(SLICES, f64::from(SLICES))
    }

    fn with(slices: u32, scale: f64) -> Self {
        Builder {
            scale,
            slices,
            counts: vec![Counts::default(); DIMENSIONS],
            sources: HashMap::default(),
            packets: 0,
            times: None,
        }
    }

    /// Whether a packet asks rather than answers or carries on: only such packets reach a darknet by intent.
    pub fn probes(row: &Packet) -> bool {
        if !row.has.has(Has::IP) || row.has.has(Has::LATER_FRAGMENT) {
            return false;
        }
        match row.transport {
            Transport::Tcp => {
                let flags = row.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST);
                row.has.has(Has::TCP) && (flags == tcp::SYN || flags == 0 && row.payload_len == 0)
            }
            Transport::Udp => row.has.has(Has::PORTS) && !(row.sport < 1024 && row.dport >= 1024),
            Transport::Icmp => matches!(row.icmp_type, 8 | 13 | 15 | 17),
            Transport::Icmpv6 => row.icmp_type == 128,
            _ => false,
        }
    }

    /// Adds a packet, when it probes.
    pub fn add(&mut self, row: &Packet, payload: &[u8]) {
        if !Self::probes(row) {
            return;
        }
        self.packets += 1;
        self.times = Some(self.times.map_or((row.ts, row.ts), |(first, last)| (first.min(row.ts), last.max(row.ts))));
        self.headers(row);
        if row.transport == Transport::Tcp {
            self.tcp(row);
        }
        self.count(Dimension::Length, row.payload_len.min(VARIED - 1));
        if !payload.is_empty() {
            let head = &payload[..payload.len().min(PAYLOAD_BYTES)];
            let hash =
                head.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
            self.count(Dimension::Payload, fold(hash));
        }
        self.follow(row);
    }

    #[inline]
    fn count(&mut self, dimension: Dimension, value: u32) {
        self.counts[dimension as usize].add(value);
    }

    fn headers(&mut self, row: &Packet) {
        let transport: u32 = match row.transport {
            Transport::Tcp => 0,
            Transport::Udp => 1,
            Transport::Icmp | Transport::Icmpv6 => 2,
            _ => 3,
        };
        let port = if transport == 2 { u32::from(row.icmp_type) } else { u32::from(row.dport) };
        self.count(Dimension::Port, transport << 16 | port);
        self.count(Dimension::Kind, transport << 8 | u32::from(if transport == 0 { row.tcp_flags } else { 0 }));
        self.count(Dimension::Service, u32::from(row.dscp));
        let start = match row.ttl {
            0..=32 => 32,
            33..=64 => 64,
            65..=128 => 128,
            _ => 255,
        };
        self.count(Dimension::Ttl, start);
        if row.has.has(Has::IP_ID) {
            self.count(Dimension::Id, u32::from(row.ip_id));
        }
        if row.has.has(Has::PORTS) {
            self.count(Dimension::SourcePort, u32::from(row.sport));
            let range = SOURCE_RANGES.iter().position(|(last, _)| row.sport <= *last).unwrap_or_default();
            self.count(Dimension::SourceRange, range as u32);
        }
    }

    fn tcp(&mut self, row: &Packet) {
        self.count(Dimension::Window, u32::from(row.window));
        self.count(Dimension::Options, options_value(row.options));
        self.count(Dimension::Marks, u32::from(row.tool_bits.0));
        if row.has.has(Has::MSS) {
            self.count(Dimension::Mss, u32::from(row.mss));
        }
    }

    /// Compares with the packet that the same source sent before.
    fn follow(&mut self, row: &Packet) {
        let known = self.sources.len();
        // A darknet is one network or a few: what goes to one /24 is seen by one of them.
        let network = fold((row.dst.0 >> 8) as u64);
        let key = (row.src, network % self.slices);
        let Some(source) = self.sources.get_mut(&key) else {
            if known < SOURCES_MAX {
                let source = Source { packets: 1, first: row.ts, last: *row, gap_sum: 0.0, gap_squares: 0.0 };
                self.sources.insert(key, source);
            }
            return;
        };
        let before = source.last;
        let gap = row.ts.seconds_since(before.ts).max(0.0);
        source.packets = source.packets.saturating_add(1);
        source.gap_sum += gap;
        source.gap_squares += gap * gap;
        source.last = *row;
        let same_target = before.dst == row.dst;
        // To a darknet, a counter that also counts what goes elsewhere does not look like one.
        let thinned = |step| if self.slices > 1 && !same_target && step != step::SAME { step::OTHER } else { step };
        let target = target_step(before.dst, row.dst);
        // In a space of few networks every target is near the one before.
        let target = if target == step::NEAR && self.scale > SCALE_NEAR_MAX { step::OTHER } else { target };
        let (id, sport) = (thinned(step_of(before.ip_id, row.ip_id)), thinned(step_of(before.sport, row.sport)));
        self.count(Dimension::TargetStep, target);
        self.count(Dimension::IdStep, id);
        if before.transport != row.transport || !row.has.has(Has::PORTS) {
            return;
        }
        let again = same_target && before.dport == row.dport;
        self.count(Dimension::SourceStep, sport);
        self.count(Dimension::PortStep, if before.dport == row.dport { step::SAME } else { step::OTHER });
        if again && gap > 0.0 {
            self.count(Dimension::Retry, power(gap));
        }
        if row.transport == Transport::Tcp {
            let same = |equal| if equal { step::SAME } else { step::OTHER };
            self.count(Dimension::SequenceStep, same(before.seq == row.seq));
            self.count(Dimension::WindowStep, same(before.window == row.window));
        }
    }

    /// Packets that count so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// The profile of what was added.
    pub fn finish(&self, name: &str, origin: Origin) -> Profile {
        let mut features = Vec::new();
        for dimension in Dimension::ALL {
            self.counts[dimension as usize].shares(dimension, &mut features);
        }
        self.drop_single_draws(&mut features);
        self.rates(&mut features);
        features.sort_by_key(|(token, _)| *token);
        let (first, last) = self.times.unwrap_or_default();
        Profile {
            name: name.to_owned(),
            label: None,
            origin,
            packets: self.packets,
            sources: self.source_count() as u64,
            first,
            last,
            features,
            exact: Default::default(),
        }
    }

    /// What a source drew once and then kept is one draw, however many packets carry it: of too few sources it says
    /// nothing about the rule behind it. Windows that stacks choose, and identifications that tools are known by, stay.
    fn drop_single_draws(&self, features: &mut Vec<(Token, f32)>) {
        if self.source_count() >= DRAWS_MIN {
            return;
        }
        let kept = |dimension: Dimension| {
            let counts = &self.counts[dimension as usize];
            let same = counts.values.get(&step::SAME).copied().unwrap_or(0);
            f64::from(same) >= SAME_SHARE * f64::from(counts.total)
        };
        let (port, window, id) = (kept(Dimension::SourceStep), kept(Dimension::WindowStep), kept(Dimension::IdStep));
        features.retain(|(token, _)| match Dimension::ALL[token.dimension()] {
            Dimension::SourcePort | Dimension::SourceRange => !port,
            Dimension::Window => !window || chosen_window(token.value()),
            Dimension::Id => !id || matches!(token.value(), 0 | 54_321),
            _ => true,
        });
        let gone = window && !features.iter().any(|(token, _)| token.dimension() == Dimension::Window as usize);
        if gone && self.slices > 1 {
            // No stack chooses such a window, so the sample drew it: its many sources in a darknet differ.
            features.push((Token::new(Dimension::Window, VARIED), 1.0));
        }
    }

    /// Distinct sources that are followed.
    fn source_count(&self) -> usize {
        if self.slices == 1 {
            return self.sources.len();
        }
        self.sources.keys().map(|(source, _)| source).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Rate and rhythm: of each source that has one, in the middle of all of them.
    fn rates(&self, out: &mut Vec<(Token, f32)>) {
        let (mut rates, mut rhythms) = (Vec::new(), Vec::new());
        for source in self.sources.values() {
            let seconds = source.last.ts.seconds_since(source.first);
            let gaps = source.packets - 1;
            if source.packets >= RATE_PACKETS_MIN && seconds > 0.0 {
                rates.push((f64::from(gaps) / seconds * self.scale).log2());
            }
            if gaps >= RHYTHM_GAPS_MIN && source.gap_sum > 0.0 {
                let mean = source.gap_sum / f64::from(gaps);
                let variance = (source.gap_squares / f64::from(gaps) - mean * mean).max(0.0);
                rhythms.push(variance.sqrt() / mean * 2.0);
            }
        }
        if let Some(rate) = middle(&mut rates) {
            between(Dimension::Rate, rate + f64::from(POWER_OFFSET), out);
        }
        if let Some(rhythm) = middle(&mut rhythms) {
            between(Dimension::Rhythm, rhythm.min(5.0), out);
        }
    }
}

/// Whether a window is a number that a stack or a tool chooses: a power of two, a little of it less, or whole segments.
fn chosen_window(window: u32) -> bool {
    window.is_multiple_of(512)
        || window == 65_535
        || [1460, 1448, 536].iter().any(|segment| window.is_multiple_of(*segment))
}

fn middle(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let at = values.len() / 2;
    Some(*values.select_nth_unstable_by(at, f64::total_cmp).1)
}

/// A number between two classes belongs to both, in proportion: near numbers then look alike.
fn between(dimension: Dimension, number: f64, out: &mut Vec<(Token, f32)>) {
    let number = number.clamp(0.0, 1000.0);
    let upper = number.fract() as f32;
    for (value, share) in [(number as u32, 1.0 - upper), (number as u32 + 1, upper)] {
        if share >= SHARE_MIN {
            out.push((Token::new(dimension, value), share));
        }
    }
}

fn power(seconds: f64) -> u32 {
    (seconds.log2().round() + f64::from(POWER_OFFSET)).clamp(0.0, 64.0) as u32
}

fn step_of(before: u16, now: u16) -> u32 {
    match now.wrapping_sub(before) {
        0 => step::SAME,
        1..=16 => step::UP,
        65_520..=65_535 => step::DOWN,
        _ => step::OTHER,
    }
}

fn target_step(before: Addr, now: Addr) -> u32 {
    let up = now.0.wrapping_sub(before.0);
    match up {
        0 => step::SAME,
        1..=16 => step::UP,
        _ if before.0.wrapping_sub(now.0) <= 16 => step::DOWN,
        _ if before.0 >> 8 == now.0 >> 8 => step::NEAR,
        _ => step::OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syn(second: i64, dst: u32, dport: u16, window: u16) -> Packet {
        let mut row = Packet { src: Addr::v4(1), dst: Addr::v4(dst), ts: Nanos::from_seconds(second), ..Packet::BLANK };
        row.has = Has::IP | Has::PORTS | Has::TCP | Has::IP_ID | Has::TIME;
        (row.dport, row.window, row.ttl, row.transport, row.tcp_flags) = (dport, window, 50, Transport::Tcp, tcp::SYN);
        row
    }

    fn share(profile: &Profile, dimension: Dimension, value: u32) -> f32 {
        let token = Token::new(dimension, value);
        profile.features.iter().find(|(t, _)| *t == token).map_or(0.0, |(_, share)| *share)
    }

    #[test]
    fn shares_steps_and_rate_are_what_was_sent() {
        let mut builder = Builder::new(1 << 32);
        for k in 0..8 {
            builder.add(&syn(k, 100 + k as u32, if k < 6 { 23 } else { 2323 }, 5840), b"");
        }
        let profile = builder.finish("x", Origin::Darknet);
        assert_eq!((profile.packets, profile.sources), (8, 1));
        assert_eq!(share(&profile, Dimension::Port, 23), 0.75);
        assert_eq!(share(&profile, Dimension::Window, 5840), 1.0);
        assert_eq!(share(&profile, Dimension::Ttl, 64), 1.0);
        assert_eq!(share(&profile, Dimension::TargetStep, step::UP), 1.0);
        assert_eq!(share(&profile, Dimension::Rate, POWER_OFFSET), 1.0, "one probe a second");
        assert_eq!(share(&profile, Dimension::Rhythm, 0), 1.0, "a clock");
    }

    #[test]
    fn values_that_do_not_recur_are_varied() {
        let mut builder = Builder::new(256);
        for k in 0..5 {
            builder.add(&syn(k, 7, 23, 1000 + 77 * k as u16), b"");
        }
        let profile = builder.finish("x", Origin::Darknet);
        assert_eq!(share(&profile, Dimension::Window, VARIED), 1.0);
        assert_eq!(share(&profile, Dimension::Retry, POWER_OFFSET), 1.0, "the same probe after a second");
    }

    #[test]
    fn one_draw_says_nothing_about_the_rule() {
        let profile = |sources: u32, window| {
            let mut builder = Builder::new(1 << 32);
            for k in 0..12u32 {
                let row = syn(i64::from(k), 9 * k, 23, window);
                builder.add(&Packet { src: Addr::v4(k % sources), sport: 4000, ..row }, b"");
            }
            builder.finish("x", Origin::Sandbox)
        };
        assert!(profile(1, 12_345).values(Dimension::Window).is_empty());
        assert!(profile(1, 12_345).values(Dimension::SourceRange).is_empty());
        assert_eq!(profile(1, 5840).values(Dimension::Window).len(), 1, "four segments of 1460");
        assert_eq!(profile(4, 12_345).values(Dimension::Window).len(), 1, "four sources agree");
    }

    #[test]
    fn a_sandbox_shows_what_darknets_would_see() {
        // Ten a second like a clock, each target asked again after two seconds, identifications counted up.
        let mut rows: Vec<Packet> = Vec::new();
        let mut state = 1u32;
        for k in 0..900 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            for again in 0..2i64 {
                let row = Packet { sport: 4000, ..syn(0, state, 23, 12_345) };
                rows.push(Packet { ts: Nanos(k * 100_000_000 + again * 2_000_000_000), ..row });
            }
        }
        rows.sort_by_key(|row| row.ts);
        let mut builder = Builder::sandbox();
        for (k, row) in rows.iter().enumerate() {
            builder.add(&Packet { ip_id: k as u16, ..*row }, b"");
        }
        let profile = builder.finish("x", Origin::Sandbox);
        assert_eq!((profile.packets, profile.sources), (1800, 1));
        assert_eq!(share(&profile, Dimension::Window, VARIED), 1.0, "each source of a darknet draws its own");
        assert!(
            share(&profile, Dimension::Rhythm, 0) < 0.1,
            "chance, no clock: {:?}",
            profile.values(Dimension::Rhythm)
        );
        assert!(share(&profile, Dimension::Retry, POWER_OFFSET + 1) > 0.95, "the second probe follows its first");
        assert!(share(&profile, Dimension::IdStep, step::UP) < 0.4, "{:?}", profile.values(Dimension::IdStep));
        let rate = profile.values(Dimension::Rate).iter().map(|(t, p)| p * (t.value() as f32)).sum::<f32>();
        assert!((rate - POWER_OFFSET as f32 - 20f32.log2()).abs() < 0.5, "{rate}");
    }

    #[test]
    fn in_a_small_space_every_target_is_near() {
        let of = |monitored| {
            let mut builder = Builder::new(monitored);
            [0, 100, 30, 200].into_iter().for_each(|dst| builder.add(&syn(0, dst, 23, 1), b""));
            builder.finish("x", Origin::Darknet).values(Dimension::TargetStep)[0].0.value()
        };
        assert_eq!((of(256), of(1 << 16)), (step::OTHER, step::NEAR));
    }

    #[test]
    fn answers_do_not_count() {
        let mut answer = syn(0, 1, 23, 1);
        answer.tcp_flags |= tcp::ACK;
        let mut builder = Builder::new(256);
        builder.add(&answer, b"");
        assert_eq!(builder.packets(), 0);
        assert!(builder.finish("x", Origin::Darknet).features.is_empty());
    }

    #[test]
    fn a_shorter_darknet_means_a_higher_rate() {
        let of = |monitored| {
            let mut builder = Builder::new(monitored);
            for k in 0..4 {
                builder.add(&syn(k, k as u32 * 1000, 23, 1), b"");
            }
            builder.finish("x", Origin::Darknet).values(Dimension::Rate)[0].0.value()
        };
        assert_eq!(of(1 << 16), POWER_OFFSET + 16);
        assert_eq!(of(1 << 8), POWER_OFFSET + 24);
    }
}
