//! What is like what: senders by whom they appear with, sensors, services and days by what they share.
//!
//! Senders are embedded as in i-DarkVec (Gioacchini et al., ACM TOIT 2023): per service and hour, the order in which
//! sources appear is a sentence, and a skip-gram learns which sources keep the same company. Services asked for by most
//! sources stand alone, the rest together. Sequences of ports per sender, another way to make sentences, are not used.

use crate::sightings::{Service, Sightings};
use hashbrown::{HashMap, HashSet};
use noroshi_model::Addr;
use noroshi_model::Nanos;
use noroshi_stats::skipgram::{Embedding, Settings as Skipgram};
use noroshi_stats::{nearness, share};
use serde::Serialize;
use std::collections::BTreeMap;

/// Settings of the embedding.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Observations a source needs. Fewer: too little company to be known by. i-DarkVec: 10 in 30 days.
    pub sightings_min: usize,
    /// Services that get sentences of their own; all others share theirs.
    pub services: usize,
    /// Seconds of a sentence.
    pub sentence_seconds: i64,
    /// Senders embedded at most, the busiest first.
    pub senders_max: usize,
    /// Of the skip-gram.
    pub skipgram: Skipgram,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sightings_min: 10,
            services: 10,
            sentence_seconds: 3_600,
            senders_max: 200_000,
            skipgram: Skipgram::default(),
        }
    }
}

/// Embedded senders.
#[derive(Clone, Debug)]
pub struct Senders {
    /// Word number is the place here.
    pub addresses: Vec<Addr>,
    /// Words are places of [`Senders::addresses`].
    pub sentences: Vec<Vec<u32>>,
    embedding: Embedding,
    numbers: HashMap<Addr, u32>,
}

/// Something alike, with how much.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Alike {
    /// What.
    pub name: String,
    /// From -1 or 0 (nothing in common) to 1 (the same).
    pub similarity: f64,
    /// Why, in a few words.
    pub reason: String,
}

/// Embeds the senders of a finished table. With `daily`, days are learned one after the other, each going on from the
/// vectors before, which is how a running system follows; otherwise all at once.
pub fn senders(sightings: &Sightings, settings: &Settings, daily: bool) -> Senders {
    let mut seen: HashMap<Addr, usize> = HashMap::new();
    let mut askers: HashMap<Service, HashSet<Addr>> = HashMap::new();
    for row in sightings.rows() {
        *seen.entry(row.source).or_default() += 1;
    }
    let mut kept: Vec<(usize, Addr)> = seen
        .into_iter()
        .filter(|(_, count)| *count >= settings.sightings_min)
        .map(|(address, count)| (count, address))
        .collect();
    kept.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    kept.truncate(settings.senders_max);
    let addresses: Vec<Addr> = kept.into_iter().map(|(_, address)| address).collect();
    let numbers: HashMap<Addr, u32> = addresses.iter().copied().zip(0..).collect();
    for row in sightings.rows().iter().filter(|row| numbers.contains_key(&row.source)) {
        askers.entry(row.service).or_default().insert(row.source);
    }
    let mut services: Vec<(usize, Service)> = askers.iter().map(|(service, who)| (who.len(), *service)).collect();
    services.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let own: HashMap<Service, usize> =
        services.iter().take(settings.services).map(|(_, service)| *service).zip(0..).collect();
    let mut hours: BTreeMap<(i64, usize), Vec<u32>> = BTreeMap::new();
    for row in sightings.rows() {
        let Some(number) = numbers.get(&row.source) else { continue };
        let service = own.get(&row.service).copied().unwrap_or(settings.services);
        let sentence = hours.entry((row.at.seconds().div_euclid(settings.sentence_seconds), service)).or_default();
        // A source that goes on knocking is one word.
        if sentence.last() != Some(number) {
            sentence.push(*number);
        }
    }
    let mut embedding = Embedding::new(settings.skipgram);
    let day = |hour: i64| (hour * settings.sentence_seconds).div_euclid(86_400);
    let sentences: Vec<(i64, Vec<u32>)> = hours.into_iter().map(|((hour, _), words)| (day(hour), words)).collect();
    if daily {
        for day in sentences.chunk_by(|a, b| a.0 == b.0) {
            embedding.train(&day.iter().map(|sentence| sentence.1.clone()).collect::<Vec<_>>());
        }
    }
    let sentences: Vec<Vec<u32>> = sentences.into_iter().map(|sentence| sentence.1).collect();
    if !daily {
        embedding.train(&sentences);
    }
    Senders { addresses, sentences, embedding, numbers }
}

impl Senders {
    /// The vector of a sender; `None` when it was seen too seldom.
    pub fn vector(&self, address: Addr) -> Option<&[f32]> {
        self.embedding.vector(*self.numbers.get(&address)?)
    }

    /// Senders nearest to a group of senders (the mean of their directions), the group left out.
    pub fn like(&self, group: &[Addr], most: usize) -> Vec<Alike> {
        let mut centre = vec![0.0_f32; self.embedding.width()];
        let mut members = HashSet::new();
        for address in group {
            let Some(vector) = self.vector(*address) else { continue };
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            centre.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value / length);
            members.insert(*address);
        }
        if members.is_empty() {
            return Vec::new();
        }
        let mut near: Vec<(f32, Addr)> = self
            .addresses
            .iter()
            .filter(|address| !members.contains(*address))
            .filter_map(|address| Some((nearness::cosine(&centre, self.vector(*address)?), *address)))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        near.truncate(most);
        near.into_iter()
            .map(|(cosine, address)| Alike {
                name: address.to_string(),
                similarity: f64::from(cosine),
                reason: "keeps the same company".to_owned(),
            })
            .collect()
    }
}

/// How well classes are told apart by nearest neighbours.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Attribution {
    /// Senders with a known class, all of them classified leaving one out.
    pub senders: usize,
    /// Classes.
    pub classes: usize,
    /// Neighbours that vote.
    pub neighbours: usize,
    /// Macro-F1 by the embedding.
    pub embedding: f64,
    /// Macro-F1 by the services asked for alone, the same vote.
    pub services: f64,
    /// Macro-F1 of always saying the largest class.
    pub majority: f64,
}

/// Neighbours that vote in i-DarkVec.
pub const NEIGHBOURS: usize = 7;
/// Services that stand in the vectors of the baseline.
const BASELINE_SERVICES: usize = 200;

/// Classifies the senders whose class is known by their nearest others of known class, and scores it (methods H). Classes
/// of fewer than `least` senders are left out. `None` with fewer than two classes.
pub fn attribution(
    sightings: &Sightings,
    senders: &Senders,
    classes: &BTreeMap<Addr, String>,
    least: usize,
) -> Option<Attribution> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    let known = || senders.addresses.iter().filter_map(|address| Some((*address, classes.get(address)?.as_str())));
    known().for_each(|(_, class)| *sizes.entry(class).or_default() += 1);
    sizes.retain(|_, size| *size >= least);
    if sizes.len() < 2 {
        return None;
    }
    let names: HashMap<&str, usize> = sizes.keys().copied().zip(0..).collect();
    let (chosen, truth): (Vec<Addr>, Vec<usize>) =
        known().filter_map(|(address, class)| Some((address, *names.get(class)?))).unzip();
    let vectors: Vec<f32> =
        chosen.iter().flat_map(|address| senders.vector(*address).unwrap_or_default().to_vec()).collect();
    let score = |vectors: &[f32], width: usize| {
        nearness::macro_f1(&truth, &nearness::nearest_classes(vectors, width, &truth, NEIGHBOURS))
    };
    let (ports, width) = service_vectors(sightings, &chosen);
    let largest = (0..names.len()).max_by_key(|class| truth.iter().filter(|one| *one == class).count())?;
    Some(Attribution {
        senders: chosen.len(),
        classes: names.len(),
        neighbours: NEIGHBOURS,
        embedding: score(&vectors, senders.embedding.width())?,
        services: score(&ports, width)?,
        majority: nearness::macro_f1(&truth, &vec![Some(largest); truth.len()])?,
    })
}

/// Share of each sender's observations per service.
fn service_vectors(sightings: &Sightings, chosen: &[Addr]) -> (Vec<f32>, usize) {
    let rows: HashMap<Addr, usize> = chosen.iter().copied().zip(0..).collect();
    let mut counts: HashMap<Service, HashMap<usize, u32>> = HashMap::new();
    for row in sightings.rows() {
        if let Some(at) = rows.get(&row.source) {
            *counts.entry(row.service).or_default().entry(*at).or_default() += 1;
        }
    }
    let mut services: Vec<(usize, Service)> = counts.iter().map(|(service, who)| (who.len(), *service)).collect();
    services.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    services.truncate(BASELINE_SERVICES);
    let width = services.len().max(1);
    let mut vectors = vec![0.0; chosen.len() * width];
    for (column, (_, service)) in services.iter().enumerate() {
        for (row, count) in &counts[service] {
            vectors[row * width + column] = *count as f32;
        }
    }
    (vectors, width)
}

/// Two sensors and how alike they are, three ways.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SensorPair {
    /// One.
    pub a: String,
    /// The other.
    pub b: String,
    /// Jaccard similarity of their sources.
    pub jaccard: f64,
    /// Share of the smaller set of sources that the other sensor saw too.
    pub containment: f64,
    /// Spearman correlation of unique sources per slot; none for too few slots.
    pub spearman: Option<f64>,
    /// Warped distance of the same series on log(1 + x), each less its mean; small is alike.
    pub warped: Option<f64>,
}

/// Sakoe-Chiba band, slots (methods K).
const BAND: usize = 6;
/// Sensors compared pairwise at most.
const SENSORS_MAX: usize = 64;

/// Compares the sensors pairwise, most alike first by Jaccard. Empty with more than 64 sensors.
pub fn sensor_pairs(sightings: &Sightings) -> Vec<SensorPair> {
    let count = sightings.sensors().len();
    if count > SENSORS_MAX {
        return Vec::new();
    }
    let mut sources = vec![Vec::new(); count];
    sightings.rows().iter().for_each(|row| sources[usize::from(row.sensor)].push(row.source));
    for list in &mut sources {
        list.sort_unstable();
        list.dedup();
    }
    let series = slots(sightings, sightings.slot_seconds());
    let level = |values: &[f64]| {
        let logs: Vec<f64> = values.iter().map(|value| value.ln_1p()).collect();
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        logs.iter().map(|value| value - mean).collect::<Vec<f64>>()
    };
    let mut found = Vec::new();
    for a in 0..count {
        for b in a + 1..count {
            let shared = nearness::common(&sources[a], &sources[b]) as f64;
            found.push(SensorPair {
                a: sightings.sensors()[a].clone(),
                b: sightings.sensors()[b].clone(),
                jaccard: nearness::jaccard(&sources[a], &sources[b]).unwrap_or(0.0),
                containment: shared / sources[a].len().min(sources[b].len()).max(1) as f64,
                spearman: nearness::spearman(&series[a], &series[b]),
                warped: nearness::warped(&level(&series[a]), &level(&series[b]), BAND),
            });
        }
    }
    found.sort_by(|x, y| y.jaccard.total_cmp(&x.jaccard).then_with(|| (&x.a, &x.b).cmp(&(&y.a, &y.b))));
    found
}

/// Slots of a series at most: longer data are counted in longer slots by the caller.
const SLOTS_MAX: i64 = 100_000;

/// Unique sources per slot, one series per sensor. Empty series when the data span too many slots.
pub fn slots(sightings: &Sightings, seconds: i64) -> Vec<Vec<f64>> {
    let slot = |at: Nanos| at.seconds().div_euclid(seconds.max(1));
    let empty = vec![Vec::new(); sightings.sensors().len()];
    let Some((first, last)) = sightings.span().map(|(first, last)| (slot(first), slot(last))) else { return empty };
    if last - first >= SLOTS_MAX {
        return empty;
    }
    let mut seen: Vec<(u16, i64, Addr)> =
        sightings.rows().iter().map(|row| (row.sensor, slot(row.at) - first, row.source)).collect();
    seen.sort_unstable();
    seen.dedup();
    let mut series = vec![vec![0.0; (last - first + 1) as usize]; sightings.sensors().len()];
    for (sensor, slot, _) in seen {
        series[usize::from(sensor)][slot as usize] += 1.0;
    }
    series
}

/// Services asked for by the same sources.
pub fn services_like(sightings: &Sightings, wanted: Service, most: usize) -> Vec<Alike> {
    let mut askers: HashMap<Service, Vec<Addr>> = HashMap::new();
    sightings.rows().iter().for_each(|row| askers.entry(row.service).or_default().push(row.source));
    for list in askers.values_mut() {
        list.sort_unstable();
        list.dedup();
    }
    let Some(ours) = askers.remove(&wanted) else { return Vec::new() };
    let found = askers.iter().map(|(service, theirs)| {
        let shared = nearness::common(&ours, theirs);
        Alike {
            name: service.to_string(),
            similarity: nearness::jaccard(&ours, theirs).unwrap_or(0.0),
            reason: format!("{shared} sources ask for both, of {} and {}", ours.len(), theirs.len()),
        }
    });
    ranked(found, most)
}

/// Sensors like one, by Jaccard similarity of sources.
pub fn sensors_like(sightings: &Sightings, wanted: &str, most: usize) -> Vec<Alike> {
    let found = sensor_pairs(sightings).into_iter().filter(|pair| pair.a == wanted || pair.b == wanted).map(|pair| {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        Alike {
            similarity: pair.jaccard,
            reason: format!(
                "containment {:.2}, Spearman {}, warped distance {}",
                pair.containment,
                number(pair.spearman),
                number(pair.warped)
            ),
            name: if pair.a == wanted { pair.b } else { pair.a },
        }
    });
    ranked(found, most)
}

/// Days whose mix of services, in unique sources, is like that of the day of `wanted`: one less the Jensen-Shannon
/// divergence.
pub fn days_like(sightings: &Sightings, wanted: Nanos, most: usize) -> Vec<Alike> {
    let day = |at: Nanos| at.seconds().div_euclid(86_400);
    let mut seen: Vec<(i64, Service, Addr)> =
        sightings.rows().iter().map(|row| (day(row.at), row.service, row.source)).collect();
    seen.sort_unstable();
    seen.dedup();
    let mut services: Vec<Service> = seen.iter().map(|row| row.1).collect();
    services.sort_unstable();
    services.dedup();
    let column: HashMap<Service, usize> = services.into_iter().zip(0..).collect();
    let mut days: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (day, service, _) in seen {
        days.entry(day).or_insert_with(|| vec![0.0; column.len()])[column[&service]] += 1.0;
    }
    let Some(ours) = days.remove(&day(wanted)) else { return Vec::new() };
    let found = days.iter().filter_map(|(other, mix)| {
        let name = crate::series::slot_name(Nanos::from_seconds(other * 86_400), crate::series::DAY_SECONDS);
        let divergence = share::jensen_shannon(&ours, mix)?;
        Some(Alike { name, similarity: 1.0 - divergence, reason: "mix of services".to_owned() })
    });
    ranked(found, most)
}

fn ranked(found: impl Iterator<Item = Alike>, most: usize) -> Vec<Alike> {
    let mut found: Vec<Alike> = found.filter(|alike| alike.similarity > 0.0).collect();
    found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then_with(|| a.name.cmp(&b.name)));
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests;
