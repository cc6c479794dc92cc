//! How fast one sensor fills the hub's journal: both ends on this machine, as processes.

use super::lab::{Lab, Process, tick};
use super::trial::wanted;
use noroshi_simulate::{Scenario, World, write_day};
use std::time::Instant;

/// Packets that are replayed as fast as they go; `NOROSHI_RATE_PACKETS` asks for another number.
const PACKETS: u32 = 3_000_000;

/// Seconds of processor time so far, user and system.
fn cpu_seconds(process: &Process) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", process.0.id())).unwrap();
    // Behind the name, which may hold anything, stand the fields from the third on; times are the 14th to 17th.
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..15].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

#[test]
#[ignore = "measures: cargo xtask bench fleet"]
fn into_the_journal() {
    let packets = wanted("NOROSHI_RATE_PACKETS", PACKETS);
    let lab = Lab::new();
    let world = World::new(&Scenario::load("darknet-day").unwrap(), 7, packets.into());
    let day = write_day(&world, &lab.path("day"), &mut |_| {}).unwrap().capture;
    let hub = lab.hub();
    lab.enrol("kyoto");
    lab.fleet(&["set", "kyoto", "payload_bytes=0"]);
    let idle = cpu_seconds(&hub);
    let began = Instant::now();
    let mut sensor = lab.sensor("kyoto", &day, None);
    // The sensor ends when the hub has stored everything; its times are read before that.
    let (mut sensor_cpu, mut sensor_peak) = (0.0, 0);
    while sensor.0.try_wait().unwrap().is_none() {
        if std::path::Path::new(&format!("/proc/{}/exe", sensor.0.id())).exists() {
            (sensor_cpu, sensor_peak) = (cpu_seconds(&sensor), sensor.kibibytes("VmHWM"));
        }
        tick(20);
    }
    let seconds = began.elapsed().as_secs_f64();
    let hub_cpu = cpu_seconds(&hub) - idle;
    let stored = lab.last_seq() as u64;
    assert_eq!(stored, u64::from(packets), "every packet has a number, and the last one is the last packet's");
    println!("{stored} packets in {seconds:.2} s: {:.0} packets/s", stored as f64 / seconds);
    println!(
        "CPU seconds: sensor {sensor_cpu:.2}, hub {hub_cpu:.2}; {:.0} packets per CPU second of both",
        stored as f64 / (sensor_cpu + hub_cpu)
    );
    println!("memory: sensor at most {} MiB, hub at most {} MiB", sensor_peak >> 10, hub.kibibytes("VmHWM") >> 10);
}
