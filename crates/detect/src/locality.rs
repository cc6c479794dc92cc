//! What is special about each sensor: what it sees more than the others, or alone, and how long its sources stay.
//!
//! Everything counts unique sources, so that one loud source weighs as much as a quiet one. The location quotient with
//! its exact Poisson interval says what is more frequent here than elsewhere; the Jensen-Shannon divergence says how far a
//! sensor's mix of services is from that of the others; the decay of the overlap between slots says after which time a
//! listed source is not worth its place in a blocklist any more (Kepner et al., 2022).

use crate::sightings::{Service, Sightings};
use hashbrown::HashMap;
use noroshi_model::Addr;
use noroshi_stats::{decay, share};
use serde::Serialize;

/// What counts as local.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Least location quotient.
    pub quotient_min: f64,
    /// Least lower end of its 95 % interval. Smaller: chance.
    pub low_min: f64,
    /// Least unique sources. Smaller: anecdotes.
    pub sources_min: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { quotient_min: 3.0, low_min: 1.5, sources_min: 20 }
    }
}

/// One sensor beside the others.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Sensor {
    /// Its name.
    pub sensor: String,
    /// Unique sources.
    pub sources: u64,
    /// Sources that no other sensor saw.
    pub sources_only_here: u64,
    /// Services asked for.
    pub services: u64,
    /// Entropy of the sources over the services, bits: how broad its view is.
    pub entropy_bits: f64,
    /// Divergence of its mix of services from that of all other sensors, bits, 0 to 1; none for a single sensor.
    pub divergence: Option<f64>,
}

/// A service that is local to a sensor.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Local {
    /// Where.
    pub sensor: String,
    /// What.
    pub service: String,
    /// Unique sources there.
    pub sources: u64,
    /// Unique sources everywhere, a source counting once per sensor.
    pub sources_everywhere: u64,
    /// Location quotient: 1 is as everywhere.
    pub quotient: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether no other sensor saw the service at all.
    pub only_here: bool,
    /// One sentence.
    pub reason: String,
}

/// Two sensors.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Pair {
    /// One.
    pub a: String,
    /// The other.
    pub b: String,
    /// Divergence of their mixes of services, bits, 0 to 1.
    pub divergence: f64,
}

/// How sources stay away with time.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Fading {
    /// Seconds of a slot.
    pub slot_seconds: i64,
    /// Share of a slot's sources that are seen again in the slot 1, 2, 3, … later.
    pub again: Vec<f64>,
    /// Exponent of the fitted curve; none when the shares do not fall.
    pub alpha: Option<f64>,
    /// Slots after which half is left.
    pub beta: Option<f64>,
    /// Root of the mean squared error of the fit.
    pub error: Option<f64>,
    /// Slots after which a source is half as likely to return as in the next slot: when it may leave a list.
    pub expiry_half: Option<f64>,
    /// Slots after which it is a tenth as likely.
    pub expiry_tenth: Option<f64>,
}

/// All of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Locality {
    /// By name.
    pub sensors: Vec<Sensor>,
    /// Most local first.
    pub local: Vec<Local>,
    /// Least alike first.
    pub pairs: Vec<Pair>,
    /// None with fewer than four slots.
    pub fading: Option<Fading>,
}

/// Pairs of sensors compared at most.
const PAIRS_MAX: usize = 64;
/// Slots over which overlap is followed.
const FADING_MAX: usize = 60;

/// Unique sources per service (row) and sensor (column).
fn counts(sightings: &Sightings) -> HashMap<Service, Vec<u64>> {
    let mut seen: Vec<(Service, u16, Addr)> =
        sightings.rows().iter().map(|row| (row.service, row.sensor, row.source)).collect();
    seen.sort_unstable();
    seen.dedup();
    let mut counts: HashMap<Service, Vec<u64>> = HashMap::new();
    for (service, sensor, _) in seen {
        counts.entry(service).or_insert_with(|| vec![0; sightings.sensors().len()])[usize::from(sensor)] += 1;
    }
    counts
}

/// Compares the sensors. The table must be finished.
pub fn locality(sightings: &Sightings, settings: &Settings) -> Locality {
    let counts = counts(sightings);
    let mut services: Vec<(Service, Vec<u64>)> = counts.into_iter().collect();
    services.sort_unstable();
    Locality {
        sensors: sensors(sightings, &services),
        local: local(sightings.sensors(), &services, settings),
        pairs: pairs(sightings.sensors(), &services),
        fading: fading(sightings),
    }
}

fn column(services: &[(Service, Vec<u64>)], sensor: usize) -> Vec<f64> {
    services.iter().map(|(_, counts)| counts[sensor] as f64).collect()
}

fn sensors(sightings: &Sightings, services: &[(Service, Vec<u64>)]) -> Vec<Sensor> {
    let mut seen: Vec<(Addr, u16)> = sightings.rows().iter().map(|row| (row.source, row.sensor)).collect();
    seen.sort_unstable();
    seen.dedup();
    let (mut sources, mut alone) = (vec![0; sightings.sensors().len()], vec![0; sightings.sensors().len()]);
    for places in seen.chunk_by(|a, b| a.0 == b.0) {
        places.iter().for_each(|(_, sensor)| sources[usize::from(*sensor)] += 1);
        if let [(_, sensor)] = places {
            alone[usize::from(*sensor)] += 1;
        }
    }
    let everywhere: Vec<f64> = services.iter().map(|(_, counts)| counts.iter().sum::<u64>() as f64).collect();
    let one = |(sensor, name): (usize, &String)| {
        let here = column(services, sensor);
        let others: Vec<f64> = everywhere.iter().zip(&here).map(|(all, here)| all - here).collect();
        Sensor {
            sensor: name.clone(),
            sources: sources[sensor],
            sources_only_here: alone[sensor],
            services: here.iter().filter(|count| **count > 0.0).count() as u64,
            entropy_bits: share::entropy(&here).unwrap_or(0.0),
            divergence: share::jensen_shannon(&here, &others),
        }
    };
    sightings.sensors().iter().enumerate().map(one).collect()
}

fn local(sensors: &[String], services: &[(Service, Vec<u64>)], settings: &Settings) -> Vec<Local> {
    let totals: Vec<u64> = (0..sensors.len()).map(|sensor| services.iter().map(|row| row.1[sensor]).sum()).collect();
    let all: u64 = totals.iter().sum();
    let mut found = Vec::new();
    for (service, counts) in services {
        let everywhere: u64 = counts.iter().sum();
        for (sensor, &here) in counts.iter().enumerate().filter(|(_, here)| **here >= settings.sources_min) {
            let Some(quotient) = share::location_quotient(here, totals[sensor], everywhere, all) else { continue };
            if quotient.value <= settings.quotient_min || quotient.low <= settings.low_min {
                continue;
            }
            let only_here = here == everywhere;
            let name = &sensors[sensor];
            let beside = if only_here { ", and at no other sensor" } else { "" };
            found.push(Local {
                sensor: name.clone(),
                service: service.to_string(),
                sources: here,
                sources_everywhere: everywhere,
                quotient: quotient.value,
                low: quotient.low,
                high: quotient.high,
                only_here,
                reason: format!(
                    "{service} is {:.1} times as frequent at {name} as everywhere (95 %: {:.1} to {:.1}): {here} sources{beside}.",
                    quotient.value, quotient.low, quotient.high
                ),
            });
        }
    }
    found.sort_by(|a, b| b.low.total_cmp(&a.low).then_with(|| (&a.sensor, &a.service).cmp(&(&b.sensor, &b.service))));
    found
}

fn pairs(sensors: &[String], services: &[(Service, Vec<u64>)]) -> Vec<Pair> {
    let mut found = Vec::new();
    if sensors.len() > PAIRS_MAX {
        return found;
    }
    let columns: Vec<Vec<f64>> = (0..sensors.len()).map(|sensor| column(services, sensor)).collect();
    for a in 0..sensors.len() {
        for b in a + 1..sensors.len() {
            if let Some(divergence) = share::jensen_shannon(&columns[a], &columns[b]) {
                found.push(Pair { a: sensors[a].clone(), b: sensors[b].clone(), divergence });
            }
        }
    }
    found.sort_by(|x, y| y.divergence.total_cmp(&x.divergence).then_with(|| (&x.a, &x.b).cmp(&(&y.a, &y.b))));
    found
}

/// Share of sources seen again after each number of slots, and the curve through them.
fn fading(sightings: &Sightings) -> Option<Fading> {
    let slot_seconds = sightings.slot_seconds();
    let slot = |second: i64| second.div_euclid(slot_seconds);
    let (first, last) = sightings.span().map(|(a, b)| (slot(a.seconds()), slot(b.seconds())))?;
    let slots = usize::try_from(last - first + 1).ok()?;
    if slots < 4 {
        return None;
    }
    let mut seen: Vec<(Addr, i64)> =
        sightings.rows().iter().map(|row| (row.source, slot(row.at.seconds()) - first)).collect();
    seen.sort_unstable();
    seen.dedup();
    let reach = FADING_MAX.min(slots - 1);
    let (mut shared, mut sizes) = (vec![0_u64; reach + 1], vec![0_u64; slots]);
    for places in seen.chunk_by(|a, b| a.0 == b.0) {
        for (index, (_, at)) in places.iter().enumerate() {
            sizes[*at as usize] += 1;
            for (_, later) in places[index + 1..].iter().take_while(|(_, later)| later - at <= reach as i64) {
                shared[(later - at) as usize] += 1;
            }
        }
    }
    // A slot counts for a lag only when the slot so much later is there and not a gap.
    let possible = |lag: usize| (0..slots - lag).filter(|at| sizes[at + lag] > 0).map(|at| sizes[at]).sum::<u64>();
    let points: Vec<(f64, f64, f64)> = (1..=reach)
        .filter(|lag| possible(*lag) > 0)
        .map(|lag| (lag as f64, shared[lag] as f64 / possible(lag) as f64, possible(lag) as f64))
        .collect();
    let curve = decay::fit(&points);
    let expiry = |part: f64| curve.and_then(|curve| curve.until(curve.at(1.0) * part));
    Some(Fading {
        slot_seconds,
        again: points.iter().map(|point| point.1).collect(),
        alpha: curve.map(|curve| curve.alpha),
        beta: curve.map(|curve| curve.beta),
        error: curve.map(|curve| curve.error),
        expiry_half: expiry(0.5),
        expiry_tenth: expiry(0.1),
    })
}

/// The curve of a [`Fading`] as a function of slots.
pub fn curve(alpha: f64, beta: f64) -> impl Fn(f64) -> f64 {
    let curve = decay::Decay { alpha, beta, error: 0.0 };
    move |slots| curve.at(slots)
}

#[cfg(test)]
mod tests;
