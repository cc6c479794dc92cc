//! CPU time of the inner loops on the sizes of a day: `cargo run --release -p noroshi-stats --example kernels`.
//!
//! `-- nmf` runs those with that word in their names. Prints one JSON line per kernel: what, CPU seconds (Linux), per unit. Inputs come from a fixed seed. The named Python
//! packages on inputs of the same kind and size: `python crates/stats/tests/interop/kernels.py` (one thread each).

use nalgebra::DMatrix;
use noroshi_stats::changefinder::{Bank, Settings};
use noroshi_stats::skipgram::{Embedding, Settings as Skipgram};
use noroshi_stats::{glasso, nmf, pelt, smooth};

/// Ports and minutes of a day.
const PORTS: usize = 65_536;
const MINUTES: usize = 1_440;

fn main() {
    let mut random = Random(7);
    let counts: Vec<u16> = (0..PORTS * MINUTES).map(|_| (random.next() & 31) as u16).collect();
    report("changefinder, order 2, 65,536 ports x 1,440 minutes", counts.len() as f64, || {
        let value = |port: usize, minute: usize| f64::from(counts[port * MINUTES + minute]);
        Bank::new(Settings::default(), PORTS).largest(MINUTES, value).iter().sum()
    });
    let mut bank = Bank::new(Settings::default(), PORTS);
    let (mut newest, mut scores) = (vec![0.0; PORTS], vec![0.0; PORTS]);
    let mut minute = |at: usize| {
        newest.iter_mut().zip(counts.chunks_exact(MINUTES)).for_each(|(value, day)| *value = f64::from(day[at]));
        bank.update(&newest, &mut scores);
        scores.iter().filter(|score| !score.is_nan()).sum::<f64>()
    };
    (0..60).for_each(|at| {
        minute(at);
    });
    report("changefinder, a hundred new minutes of all ports", 100.0, || (60..160).map(&mut minute).sum());
    let series: Vec<f64> =
        (0..200 * MINUTES).map(|i| ((random.next() & 15) + if i % MINUTES > 700 { 8 } else { 0 }) as f64).collect();
    report("pelt, Poisson cost, 200 x 1,440", 200.0, || {
        series.chunks_exact(MINUTES).map(|values| pelt::changes(values, pelt::penalty(MINUTES), 1.0).len() as f64).sum()
    });
    let covariance = factor_covariance(&mut random, 1_000, 20);
    report("graphical lasso, 1,000 variables of 20 dense factors", 1.0, || {
        glasso::graphical_lasso(&covariance, 1_000, 0.3, 1e-4, None).map_or(0.0, |found| found.edges().count() as f64)
    });
    let table = DMatrix::from_fn(1_000, MINUTES, |_, _| (random.next() & 15) as f64);
    report("nmf, 1,000 x 1,440, rank 30, 200 updates", 1.0, || {
        nmf::factorise(&table, 30, 200, 0.0).map_or(0.0, |factors| factors.error)
    });
    let senders = Skipgram { epochs: 2, ..Skipgram::default() };
    let hours: Vec<Vec<u32>> =
        (0..240).map(|_| (0..1_000).map(|_| (random.next() % 20_000) as u32).collect()).collect();
    report("skip-gram, 240,000 words of 20,000, two passes", 480_000.0, || {
        let mut embedding = Embedding::new(senders);
        embedding.train(&hours);
        embedding.vectors().iter().map(|value| f64::from(value.abs())).sum()
    });
    let walks: Vec<Vec<f64>> = (0..ETS_SERIES).map(|_| walk(&mut random)).collect();
    report("ets, 60 series of 300, one step, result: mean absolute error", ETS_SERIES as f64, || {
        let error = |walk: &Vec<f64>| Some((smooth::ets(&walk[..walk.len() - 1])? - walk[walk.len() - 1]).abs());
        walks.iter().filter_map(error).sum::<f64>() / ETS_SERIES as f64
    });
}

/// Series of the smoothing kernel, and their length.
const ETS_SERIES: usize = 60;
const ETS_LENGTH: usize = 300;

/// A level that wanders, seen with noise.
fn walk(random: &mut Random) -> Vec<f64> {
    let mut level = 100.0;
    (0..ETS_LENGTH)
        .map(|_| {
            level += 4.0 * (random.uniform() - 0.5);
            level + 20.0 * (random.uniform() - 0.5)
        })
        .collect()
}

/// Covariance of variables that follow a few common factors, as scanners of one botnet do.
fn factor_covariance(random: &mut Random, size: usize, factors: usize) -> Vec<f64> {
    let samples = MINUTES;
    let loads: Vec<f64> = (0..size * factors).map(|_| random.uniform() - 0.5).collect();
    let mut rows = vec![0.0; samples * size];
    for row in rows.chunks_exact_mut(size) {
        let moved: Vec<f64> = (0..factors).map(|_| random.uniform() - 0.5).collect();
        for (variable, value) in row.iter_mut().enumerate() {
            let common: f64 = loads[variable * factors..][..factors].iter().zip(&moved).map(|(a, b)| a * b).sum();
            *value = 4.0 * common + random.uniform() - 0.5;
        }
    }
    let table = DMatrix::from_row_slice(samples, size, &rows);
    (table.tr_mul(&table) / samples as f64).as_slice().to_vec()
}

fn report(what: &str, units: f64, work: impl FnOnce() -> f64) {
    if std::env::args().nth(1).is_some_and(|wanted| !what.contains(&wanted)) {
        return;
    }
    let start = cpu_seconds();
    let result = work();
    let seconds = cpu_seconds() - start;
    println!(
        "{{\"what\": \"{what}\", \"cpu_seconds\": {seconds:.2}, \"per_unit\": {:.3e}, \"result\": {result:.3}}}",
        seconds / units
    );
}

/// User and system time of this process, in steps of a hundredth (fields 14 and 15 of proc_pid_stat(5)).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
