//! Reads captures and prints what the engine finds, one line each: the shortest whole program around the engine.
//!
//! `cargo run --release -p noroshi-detect --example findings -- [--threads N] CAPTURE...`

use noroshi_detect::{Config, Engine};
use noroshi_model::packet::PacketBatch;
use noroshi_packet::capture::Reader;
use noroshi_packet::decode::decode_pieces;
use rayon::prelude::*;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths: Vec<String> = std::env::args().skip(1).collect();
    let mut threads = 1;
    if paths.first().is_some_and(|arg| arg == "--threads") {
        threads = paths.get(1).ok_or("--threads wants a number")?.parse()?;
        paths.drain(..2);
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let mut engine = Engine::new(Config { threads, ..Config::default() });
    for (file, path) in paths.iter().enumerate() {
        let mut reader = Reader::open(path.as_ref())?;
        let read = |reader: &mut Reader| std::iter::from_fn(|| reader.next_batch()).take(12).collect::<Vec<_>>();
        let mut group = read(&mut reader);
        while !group.is_empty() {
            // Decoding and detecting one group overlaps with reading the next.
            let current = std::mem::take(&mut group);
            let spent;
            (group, spent) = rayon::join(
                || read(&mut reader),
                || {
                    let preparer = engine.preparer();
                    let ready = current.into_par_iter().map_init(PacketBatch::default, |batch, raw| {
                        let mut prepared = preparer.begin(file as u32);
                        let spent = decode_pieces(raw, file as u32, batch, |piece| preparer.add(&mut prepared, piece));
                        (prepared, spent)
                    });
                    let (ready, spent): (Vec<_>, Vec<_>) = ready.collect();
                    ready.into_iter().for_each(|batch| engine.observe_prepared(batch));
                    spent
                },
            );
            spent.into_iter().for_each(|raw| reader.give_back(raw));
        }
    }
    engine.work();
    for (what, bytes) in engine.memory() {
        eprintln!("memory {what} {} MiB", bytes >> 20);
    }
    let found = engine.finish(1_000);
    println!("monitored {:?}", found.monitored);
    println!("totals {:?}", found.totals);
    for attack in &found.attacks {
        println!(
            "attack {} {} {} {:.2} {}",
            attack.kind, attack.vector, attack.victim, attack.confidence, attack.reason
        );
    }
    for campaign in &found.campaigns {
        println!("campaign {} {}", campaign.id, campaign.reason);
    }
    for scan in found.scans.iter().take(50) {
        println!("scan {} {} {}", scan.kind, scan.tool, scan.reason);
    }
    for login in &found.brute_force {
        println!("brute-force {}", login.reason);
    }
    for cluster in found.payloads.iter().take(10) {
        println!("payload {} {} packets, {:?}: {}", cluster.label, cluster.packets, cluster.ports, cluster.sample);
    }
    Ok(())
}
