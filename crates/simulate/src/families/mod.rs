//! Families of scanning malware that never existed, and what two darknets see of them: the ground truth that
//! correlation is trained and scored on. Every score made with it carries the words "generated data".
//!
//! Assumptions, so that a score can be judged by them:
//!
//! - A family is a set of habits ([`Habit`]): ports with weights, how windows, options, source ports, identifications,
//!   sequence numbers and targets are chosen, rate, repeats, payload. It takes the scanner of one of eight published
//!   tools, the commonest most often, and changes one habit in eight; ports come from the services that everybody
//!   scans. There is no value that only one family can have. A third of the families are forks of another family with
//!   one or two habits changed. Two families may share all habits but one, or all but the ports.
//! - A family changes: it has two to five variants, each one or two habits away from the one before, each active for a
//!   part of the half year. Variants of the last weeks are unlike anything seen before in some habit.
//! - Families differ in size by a factor of about thirty. Some appear only at the end: nobody can know their name.
//! - One observation is a source or a campaign of sources, for an hour to a day. How many packets of it reach a darknet
//!   follows from rate, time and the darknet's size: a /24 sees one packet of two hundred and fifty that a /16 sees, so
//!   there it takes many sources, of each of which a packet or two is seen. Hop counts differ by source.
//! - Half of the observations have up to a quarter of foreign packets in them: background, other campaigns on the same
//!   port, other infections behind the same address translation. Every tenth is forged: it mixes in packets that imitate
//!   another family, or hides one habit behind the commonest value of the pool. One in twelve has its source ports
//!   rewritten on the way.
//! - A sandbox sees one source and everything that it sends ([`SampleRun`]), under the kernel of the sandbox: a sample
//!   that connects shows that kernel's window, whatever the devices that it infects have.
//! - Not modelled: families that cooperate, sampling of packets, loss, defenders who answer, changes within an hour.

mod habit;
mod observe;
mod run;

pub use habit::{Habit, Transport};
pub use observe::Observation;
pub use run::SampleRun;

use crate::rng::{Rng, mix2};

/// Size of the observing darknet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Telescope {
    /// 65,536 addresses.
    Large,
    /// 256 addresses.
    Small,
}

impl Telescope {
    /// Addresses.
    pub fn addresses(self) -> u64 {
        match self {
            Telescope::Large => 1 << 16,
            Telescope::Small => 1 << 8,
        }
    }

    /// As a prefix length.
    pub fn name(self) -> &'static str {
        match self {
            Telescope::Large => "/16",
            Telescope::Small => "/24",
        }
    }
}

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Families that exist from early on.
    pub families: usize,
    /// Families that appear only in the last tenth.
    pub late_families: usize,
    /// Observations.
    pub observations: usize,
    /// Packets that one observation has at most.
    pub packets_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        // 16,236: the number of samples in the published work that this is measured against.
        Settings { families: 128, late_families: 6, observations: 16_236, packets_max: 2_000 }
    }
}

/// Days of the generated half year.
pub(crate) const DAYS: u64 = 182;
/// Day on which late families begin: within the test period of any split at seven tenths.
const LATE_FROM: u64 = 150;

/// A variant: habits for some days.
#[derive(Clone, Debug)]
struct Variant {
    from: u64,
    to: u64,
    habit: Habit,
}

/// One family.
#[derive(Clone, Debug)]
struct Family {
    name: String,
    /// Observations per million.
    weight: u64,
    variants: Vec<Variant>,
}

/// A generated world of families.
#[derive(Clone, Debug)]
pub struct Families {
    seed: u64,
    settings: Settings,
    families: Vec<Family>,
}

impl Families {
    /// The families of a seed.
    pub fn new(seed: u64, settings: Settings) -> Self {
        let mut rng = Rng::new(mix2(seed, 0xfa31));
        let mut families: Vec<Family> = Vec::new();
        for number in 0..settings.families + settings.late_families {
            let late = number >= settings.families;
            let habit = new_habit(&mut rng, &families);
            // One over the rank, shifted: the largest is thirty times the smallest.
            let weight = 1_000_000 / (8 + 2 * number as u64);
            let weight = if late { 15_000 } else { weight };
            families.push(Family {
                name: format!("family-{number:03}"),
                weight,
                variants: variants(&mut rng, habit, late),
            });
        }
        Families { seed, settings, families }
    }

    /// Names of all families.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.families.iter().map(|family| &*family.name)
    }

    /// All observations in the order of time.
    pub fn observations(&self) -> impl Iterator<Item = Observation<'_>> {
        let count = self.settings.observations as u64;
        (0..count).map(move |number| self.observation(number, count))
    }

    /// Runs of samples in a sandbox, so many of each variant of each family, family by family; each is found on the day
    /// its variant appears.
    pub fn runs(&self, of_each: u64) -> impl Iterator<Item = SampleRun<'_>> {
        self.families.iter().enumerate().flat_map(move |(number, family)| {
            family.variants.iter().enumerate().flat_map(move |(variant, one)| {
                (0..of_each).map(move |run| {
                    let key = (number as u64) << 20 | (variant as u64) << 10 | run;
                    SampleRun::draw(Rng::new(mix2(self.seed ^ 0x5a3b, key)), &family.name, &one.habit, one.from)
                })
            })
        })
    }

    fn observation(&self, number: u64, count: u64) -> Observation<'_> {
        let mut rng = Rng::new(mix2(self.seed ^ 0x0b5e, number));
        let day = number * DAYS / count.max(1);
        let second = number * DAYS * 86_400 / count.max(1);
        let (family, habit) = self.draw(&mut rng, day);
        let decoy = self.draw(&mut rng, day).1;
        let telescope = if rng.below(2) == 0 { Telescope::Large } else { Telescope::Small };
        Observation::draw(rng, &self.families[family].name, habit, decoy, telescope, second, self.settings.packets_max)
    }

    /// A family that is active on a day, by weight, and the habits of one of its active variants.
    fn draw(&self, rng: &mut Rng, day: u64) -> (usize, &Habit) {
        let active = |family: &Family| family.variants.iter().any(|variant| (variant.from..=variant.to).contains(&day));
        let total: u64 = self.families.iter().filter(|family| active(family)).map(|family| family.weight).sum();
        let mut at = rng.below(total.max(1));
        for (number, family) in self.families.iter().enumerate().filter(|(_, family)| active(family)) {
            if at < family.weight {
                let active: Vec<&Variant> =
                    family.variants.iter().filter(|variant| (variant.from..=variant.to).contains(&day)).collect();
                return (number, &rng.choose(&active).habit);
            }
            at -= family.weight;
        }
        (0, &self.families[0].variants[0].habit)
    }
}

/// Habits that no family has yet: new, or a fork's.
fn new_habit(rng: &mut Rng, families: &[Family]) -> Habit {
    loop {
        let habit = if !families.is_empty() && rng.below(3) == 0 {
            let parent = rng.choose(families);
            let mut habit = parent.variants[0].habit.clone();
            for _ in 0..rng.between(1, 2) {
                habit.change(rng);
            }
            habit
        } else {
            Habit::draw(rng)
        };
        let twin = |family: &Family| family.variants.iter().any(|variant| variant.habit.hardly_differs(&habit));
        if !families.iter().any(twin) {
            return habit;
        }
    }
}

fn variants(rng: &mut Rng, habit: Habit, late: bool) -> Vec<Variant> {
    if late {
        return vec![Variant { from: LATE_FROM + rng.below(10), to: DAYS, habit }];
    }
    let count = rng.between(2, 5);
    let mut all: Vec<Variant> = Vec::new();
    let mut from = rng.below(30);
    for number in 0..count {
        let mut habit = all.last().map_or_else(|| habit.clone(), |before| before.habit.clone());
        if number > 0 {
            for _ in 0..rng.between(1, 2) {
                habit.drift(rng);
            }
        }
        let length = DAYS / count;
        let to = if number + 1 == count { DAYS } else { (from + length + rng.between(10, 50)).min(DAYS) };
        all.push(Variant { from, to, habit });
        from = (from + length / 2 + rng.below(length)).min(DAYS - 5).min(to);
    }
    all
}
