//! Small tests that announce large attacks (methods C4).
//!
//! Whoever rents or runs a booter tries the victim and the vector first: a handful of forged requests at reflectors,
//! which our lures are, or a few seconds of flood whose replies reach a darknet. A *small event* is at most [`Settings::packets_max`] packets of
//! one vector about one address within [`Settings::burst_seconds`], the first about its network for
//! [`Settings::memory_seconds`], with evidence of forgery. It is judged when it has been silent for a while: what goes on
//! is no test but the attack itself.
//!
//! The probability that a main attack follows is counted per class of events ([`Class`]) from what followed earlier ones
//! (Laplace's rule of succession), so it says what it has seen and nothing else. Every announcement is scored when the
//! main attack comes or [`Settings::main_within_seconds`] have passed; [`Scores`] are for everybody to see.
//!
//! Time is that of the packets. Memory is bounded by [`Settings::tracks_max`].

mod track;

use crate::daedalus::kept::pairs;
use crate::statement::{Statement, TLP_DEFAULT};
use noroshi_model::alert::Severity;
use noroshi_model::finding::{AttackKind, Vector, Victim};
use noroshi_model::incident::{IncidentKind, Testimony, Witness};
use noroshi_model::member::Registry;
use noroshi_model::packet::{Evidence, Has, Packet, PacketBatch, Transport, tcp};
use noroshi_model::request::Request;
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, Prefix};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use track::Track;

/// Name and version of the detector.
pub const DETECTOR: &str = "precursor/2";

/// Thresholds and bounds; sources: methods C4 unless stated.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Packets from which a small event is one; ours: fewer are noise.
    pub packets_min: u64,
    /// Packets up to which it is small.
    pub packets_max: u64,
    /// Seconds within which they lie.
    pub burst_seconds: i64,
    /// Silence after which a small event is over and judged; ours. Longer: less lead, fewer attacks taken for tests.
    pub silence_seconds: i64,
    /// Seconds without any sighting of the network and vector before it.
    pub memory_seconds: i64,
    /// A main attack has this many times the packets per minute of its test ...
    pub main_factor: u64,
    /// ... and at least so many packets ...
    pub main_packets_min: u64,
    /// ... within so many seconds.
    pub main_within_seconds: i64,
    /// Probability from which a member is told; ours. Higher: fewer alerts, lower recall.
    pub probability_min: f64,
    /// Announcements in 24 hours, at most; the rest is counted in [`Scores::held_back`].
    pub per_day_max: usize,
    /// Events and networks followed at once; ours.
    pub tracks_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            packets_min: 5,
            packets_max: 50,
            burst_seconds: 60,
            silence_seconds: 60,
            memory_seconds: 30 * 86_400,
            main_factor: 10,
            main_packets_min: 100,
            main_within_seconds: 86_400,
            probability_min: 0.3,
            per_day_max: 20,
            tracks_max: 200_000,
        }
    }
}

/// What kind of small event it was: the features that tell tests from chance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Requests to reflectors that keep one source port.
    FixedPort,
    /// Requests that ask one reflector again and again from changing ports, as no real host does.
    Repeated,
    /// Requests whose TTL began at 255, as raw sockets of attack tools send and few hosts do.
    HighTtl,
    /// Replies of a victim that nobody asked for.
    Replies,
    /// Requests at lures that equal, byte for byte but for transaction numbers, those of a large attack of the last day.
    KnownRequest,
}

/// Where it was seen. What a darknet and what lures see of one address is counted apart, since a host may be both and see
/// one packet twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// As a packet.
    Packets,
    /// As a request at a lure.
    Lures,
}

/// One packet or request, as far as it matters here.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    ts: Nanos,
    victim: Addr,
    /// Who was asked, or got the reply.
    at: Addr,
    sport: Option<u16>,
    ttl: Option<u8>,
    vector: Vector,
    kind: AttackKind,
    place: Place,
    /// What was asked, at lures.
    request: Option<u64>,
}

/// A small event that announces a large attack.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Precursor {
    /// Who is about to be attacked.
    pub victim: Addr,
    /// How.
    pub vector: Vector,
    /// How it was seen.
    pub kind: AttackKind,
    /// Its class.
    pub class: Class,
    /// Packets of the small event.
    pub packets: u64,
    /// First of them.
    pub first: Nanos,
    /// Last of them.
    pub last: Nanos,
    /// When it was announced.
    pub at: Nanos,
    /// Probability of a main attack within a day.
    pub probability: f64,
    /// Packets per minute that the sensors would then see: the median of what followed earlier ones.
    pub expected_ppm: f64,
}

/// What became of an announcement.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The announcement.
    pub precursor: Precursor,
    /// First packet of the main attack; none when none came in time.
    pub main: Option<Nanos>,
    /// Most packets in a minute of it.
    pub peak_ppm: u64,
}

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// An attack is expected.
    Expected(Precursor),
    /// It came, or did not.
    Scored(Outcome),
}

/// Announcements and what became of them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Scores {
    /// Announced.
    pub announced: u64,
    /// The main attack came.
    pub came: u64,
    /// It did not, within the time.
    pub stayed_away: u64,
    /// Likely enough, but over the day's number.
    pub held_back: u64,
    /// Seconds from announcement to main attack, of those that came; the latest thousand.
    pub leads: Vec<f64>,
}

impl Scores {
    /// Announcements that were right, among those that are decided.
    pub fn precision(&self) -> Option<f64> {
        let decided = self.came + self.stayed_away;
        (decided > 0).then(|| self.came as f64 / decided as f64)
    }
}

/// What followed events of one class.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Record {
    followed: u64,
    not: u64,
    /// Sum of logarithms of (main's packets per minute) / (test's packets), for the geometric mean.
    #[serde(with = "bits")]
    growth_ln: f64,
}

/// A number as its bits: read back it is the same, also where text would lose the last of them.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(number: &f64, s: S) -> Result<S::Ok, S::Error> {
        number.to_bits().serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        u64::deserialize(d).map(f64::from_bits)
    }
}

type Key = (Addr, Vector, Place);

/// The detector. Its state is plain data, to be stored and taken up again: the same packets then give the same events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Precursors {
    /// Not stored: taken up with those of the day.
    #[serde(skip)]
    settings: Settings,
    #[serde(with = "pairs")]
    tracks: BTreeMap<Key, Track>,
    /// Networks and vectors with the time of their latest sighting.
    #[serde(with = "pairs")]
    seen: BTreeMap<(Prefix, Vector, Place), Nanos>,
    /// Requests of large attacks at lures, with the time of the latest.
    #[serde(with = "pairs")]
    requests: BTreeMap<u64, Nanos>,
    records: BTreeMap<Class, Record>,
    /// Times of the latest announcements.
    announced: std::collections::VecDeque<Nanos>,
    scores: Scores,
    now: Nanos,
    next_sweep: Nanos,
}

/// Tracks are judged at this interval of the data's time.
const SWEEP_SECONDS: i64 = 5;
/// Requests of large attacks that are remembered; methods C4 (d) asks for the last day's.
const REQUESTS_MAX: usize = 4_096;
/// Leads kept.
const LEADS_MAX: usize = 1_000;
/// Growth from a test to its attack before anything was learned: the least that counts as one, times three (ours).
const GROWTH_PRIOR: f64 = 30.0;

/// Services that reflect, and what an attack with them is called.
const REQUESTS: [(u16, Vector); 16] = [
    (17, Vector::Qotd),
    (19, Vector::Chargen),
    (53, Vector::Dns),
    (69, Vector::Tftp),
    (111, Vector::Portmap),
    (123, Vector::Ntp),
    (137, Vector::Netbios),
    (161, Vector::Snmp),
    (389, Vector::Cldap),
    (427, Vector::Slp),
    (1900, Vector::Ssdp),
    (3283, Vector::Ard),
    (3702, Vector::WsDiscovery),
    (5353, Vector::Mdns),
    (5683, Vector::Coap),
    (11_211, Vector::Memcached),
];

/// Whom a packet is about, how it is attacked, and the port that a forger may keep.
fn of_packet(packet: &Packet) -> Option<Sighting> {
    let ports = packet.has.has(Has::PORTS);
    let (vector, kind) = match packet.transport {
        Transport::Udp if ports => {
            let (_, vector) = REQUESTS.iter().find(|(port, _)| *port == packet.dport)?;
            (*vector, AttackKind::Amplification)
        }
        Transport::Tcp if packet.has.has(Has::TCP) => {
            let flags = packet.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST);
            let reply = flags == tcp::SYN | tcp::ACK || flags & tcp::RST != 0;
            reply.then_some((Vector::TcpSyn, AttackKind::Backscatter))?
        }
        Transport::Icmp if packet.icmp_type == 3 => (Vector::UdpOther, AttackKind::Backscatter),
        Transport::Icmp if packet.icmp_type == 0 => (Vector::IcmpEcho, AttackKind::Backscatter),
        _ => return None,
    };
    Some(Sighting {
        ts: packet.ts,
        victim: packet.src,
        at: packet.dst,
        sport: ports.then_some(packet.sport),
        ttl: Some(packet.ttl),
        vector,
        kind,
        place: Place::Packets,
        request: None,
    })
}

fn of_request(request: &Request) -> Sighting {
    Sighting {
        ts: request.ts,
        victim: request.src,
        at: request.dst,
        sport: Some(request.sport),
        ttl: request.ttl,
        vector: request.vector,
        kind: AttackKind::Amplification,
        place: Place::Lures,
        request: Some(request.request_hash),
    }
}

impl Precursors {
    /// A detector that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Precursors {
            settings,
            tracks: BTreeMap::new(),
            seen: BTreeMap::new(),
            requests: BTreeMap::new(),
            records: BTreeMap::new(),
            announced: Default::default(),
            scores: Scores::default(),
            // No packet is from before 1970; and these are stored as text, which reaches from 1677 on.
            now: Nanos(0),
            next_sweep: Nanos(0),
        }
    }

    /// Announcements and what became of them.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// How often a main attack followed small events of any class so far.
    pub fn base_rate(&self) -> Option<f64> {
        let (followed, all) = self.records.values().fold((0, 0), |(f, a), r| (f + r.followed, a + r.followed + r.not));
        (all > 0).then(|| followed as f64 / all as f64)
    }

    /// Looks at packets.
    pub fn observe(&mut self, batch: &PacketBatch) -> Vec<Event> {
        let mut events = Vec::new();
        for packet in batch.rows.iter().filter(|packet| packet.has.has(Has::IP | Has::TIME)) {
            self.pass(packet.ts, &mut events);
            if let Some(sighting) = of_packet(packet) {
                self.see(&sighting, &mut events);
            }
        }
        events
    }

    /// Looks at requests at lures.
    pub fn observe_requests(&mut self, requests: &[Request]) -> Vec<Event> {
        let mut events = Vec::new();
        for request in requests {
            self.pass(request.ts, &mut events);
            self.see(&of_request(request), &mut events);
        }
        events
    }

    fn pass(&mut self, to: Nanos, events: &mut Vec<Event>) {
        if to > self.now {
            self.now = to;
            if self.now >= self.next_sweep {
                self.sweep(events);
            }
        }
    }

    /// Ends the data: everything is judged and scored as it stands.
    pub fn finish(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.now = Nanos(self.now.0.saturating_add((self.settings.silence_seconds + 1) * SECOND));
        self.sweep(&mut events);
        self.now = Nanos(self.now.0.saturating_add((self.settings.main_within_seconds + 1) * SECOND));
        self.sweep(&mut events);
        events
    }

    fn see(&mut self, sighting: &Sighting, events: &mut Vec<Event>) {
        let key = (sighting.victim, sighting.vector, sighting.place);
        if !self.tracks.contains_key(&key) {
            if self.tracks.len() >= self.settings.tracks_max {
                return;
            }
            let place = (sighting.victim.network(), key.1, key.2);
            let known = self.seen.get(&place).copied();
            let fresh = known.is_none_or(|at| sighting.ts.seconds_since(at) > self.settings.memory_seconds as f64);
            if known.is_some() || self.seen.len() < self.settings.tracks_max {
                self.seen.insert(place, sighting.ts);
            }
            self.tracks.insert(key, Track::new(sighting.kind, sighting.place, fresh, sighting.ts));
        }
        let Some(track) = self.tracks.get_mut(&key) else { return };
        let came = track.see(sighting, &self.settings);
        if track.is_main
            && let Some(request) = sighting.request
            && (self.requests.len() < REQUESTS_MAX || self.requests.contains_key(&request))
        {
            self.requests.insert(request, sighting.ts);
        }
        if came {
            let (peak_ppm, main) = (track.peak_ppm, track.main_begin);
            let Some(class) = track.judged else { return };
            let record = self.records.entry(class).or_default();
            record.followed += 1;
            record.growth_ln += (peak_ppm as f64 / track.test_packets.max(1) as f64).ln();
            if let Some(precursor) = track.announced.take() {
                self.scores.came += 1;
                if self.scores.leads.len() >= LEADS_MAX {
                    self.scores.leads.remove(0);
                }
                self.scores.leads.push(main.seconds_since(precursor.at));
                events.push(Event::Scored(Outcome { precursor, main: Some(main), peak_ppm }));
            }
        }
    }

    /// Judges what has become silent, and gives up what was announced and did not come.
    fn sweep(&mut self, events: &mut Vec<Event>) {
        self.next_sweep = Nanos(self.now.0.saturating_add(SWEEP_SECONDS * SECOND));
        let (now, settings) = (self.now, self.settings);
        self.requests.retain(|_, at| now.seconds_since(*at) <= settings.main_within_seconds as f64);
        let mut gone = Vec::new();
        let mut judged = Vec::new();
        for (key, track) in &mut self.tracks {
            if track.judged.is_none()
                && !track.is_main
                && now.seconds_since(track.last) > settings.silence_seconds as f64
            {
                match track.class(&settings, &self.requests) {
                    Some(class) => judged.push((*key, class)),
                    None => gone.push(*key),
                }
            } else if track.is_main && now.seconds_since(track.last) > settings.main_within_seconds as f64 {
                gone.push(*key);
            } else if let (Some(class), false) = (track.judged, track.is_main)
                && now.seconds_since(track.judged_at) > settings.main_within_seconds as f64
            {
                self.records.entry(class).or_default().not += 1;
                if let Some(precursor) = track.announced.take() {
                    self.scores.stayed_away += 1;
                    events.push(Event::Scored(Outcome { precursor, main: None, peak_ppm: track.peak_ppm }));
                }
                gone.push(*key);
            }
        }
        for key in gone {
            self.tracks.remove(&key);
        }
        for (key, class) in judged {
            self.announce(key, class, events);
        }
    }

    fn announce(&mut self, key: Key, class: Class, events: &mut Vec<Event>) {
        let (probability, growth) = self.forecast(class);
        // What was announced from one place is not announced again from the other.
        let other = if key.2 == Place::Packets { Place::Lures } else { Place::Packets };
        let announced = self.tracks.get(&(key.0, key.1, other)).is_some_and(|track| track.announced.is_some());
        let Some(track) = self.tracks.get_mut(&key) else { return };
        track.judge(class, self.now);
        if announced || probability < self.settings.probability_min {
            return;
        }
        let day_ago = Nanos(self.now.0.saturating_sub(86_400 * SECOND));
        self.announced.retain(|at| *at > day_ago);
        if self.announced.len() >= self.settings.per_day_max {
            self.scores.held_back += 1;
            return;
        }
        self.announced.push_back(self.now);
        self.scores.announced += 1;
        let precursor = Precursor {
            victim: key.0,
            vector: key.1,
            kind: track.kind,
            class,
            packets: track.test_packets,
            first: track.first,
            last: track.last,
            at: self.now,
            // As exact as it is: more digits would say nothing, and not every one of them survives as text.
            probability: (probability * 1e4).round() / 1e4,
            expected_ppm: (track.test_packets as f64 * growth).round(),
        };
        track.announced = Some(precursor.clone());
        events.push(Event::Expected(precursor));
    }

    /// Probability that a main attack follows an event of this class, and how much larger it is: the rule of succession
    /// over what was seen, with one imagined success and one imagined failure.
    fn forecast(&self, class: Class) -> (f64, f64) {
        let record = self.records.get(&class).copied().unwrap_or_default();
        let probability = (record.followed + 1) as f64 / (record.followed + record.not + 2) as f64;
        let growth = ((record.growth_ln + GROWTH_PRIOR.ln()) / (record.followed + 1) as f64).exp();
        (probability, growth)
    }
}

/// What an event says to the member whose address it is about, if it is a member's.
pub fn statement(event: &Event, registry: &Registry) -> Option<Statement> {
    let (precursor, outcome) = match event {
        Event::Expected(precursor) => (precursor, None),
        Event::Scored(outcome) => (&outcome.precursor, Some(outcome)),
    };
    let (member, _) = registry.owner(precursor.victim)?;
    let text = match outcome {
        None => format!(
            "{} packets of a small {} {} within {:.0} s, the first about this network: an attack of about {:.0} packets \
             per minute at the sensors follows within a day with probability {:.2}",
            precursor.packets,
            precursor.vector,
            precursor.kind,
            precursor.last.seconds_since(precursor.first),
            precursor.expected_ppm,
            precursor.probability
        ),
        Some(Outcome { main: Some(main), peak_ppm, .. }) => format!(
            "the expected attack came {:.0} minutes after the announcement, with up to {peak_ppm} packets per minute at \
             the sensors",
            main.seconds_since(precursor.at) / 60.0
        ),
        Some(Outcome { main: None, .. }) => "the expected attack did not come within a day".to_owned(),
    };
    let witness = match precursor.kind {
        AttackKind::Amplification => Witness::AmplificationHoneypot,
        _ => Witness::Darknet,
    };
    Some(Statement {
        member: member.id.clone(),
        kind: IncidentKind::Precursor,
        subject: Victim::Address(precursor.victim),
        severity: Severity::Medium,
        tlp: TLP_DEFAULT,
        over: outcome.is_some(),
        peers: 1,
        ports: Default::default(),
        attack: Some((precursor.kind, precursor.vector)),
        tool: None,
        class: None,
        peak_pps: 0.0,
        estimated_pps: None,
        probability: Some(precursor.probability),
        testimony: Testimony {
            witness,
            by: format!("{DETECTOR} {} {}", precursor.kind, precursor.vector),
            first: precursor.first,
            last: outcome.and_then(|outcome| outcome.main).unwrap_or(precursor.last),
            count: precursor.packets,
            confidence: precursor.probability,
            proof: Evidence::Spoofable,
            text,
        },
    })
}
