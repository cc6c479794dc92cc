//! Writes a world and says how fast: `cargo run --release -p noroshi-simulate --example day -- darknet-day 10000000 out/`.

use noroshi_simulate::{Scenario, World, write_day};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scenario, packets, directory] = arguments.as_slice() else {
        return Err("usage: day SCENARIO PACKETS DIRECTORY".into());
    };
    let started = Instant::now();
    let world = World::new(&Scenario::load(scenario)?, 1, packets.parse()?);
    let planned = started.elapsed().as_secs_f64();
    let written = write_day(&world, Path::new(directory), &mut |_| {})?;
    let seconds = started.elapsed().as_secs_f64();
    let rate = written.packets as f64 / seconds / 1e6;
    println!("{} packets, {} bytes", written.packets, written.capture_bytes);
    println!("plan {planned:.2} s, all {seconds:.2} s, {rate:.2} M packets/s to disk");
    Ok(())
}
