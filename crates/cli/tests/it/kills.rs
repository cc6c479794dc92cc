//! SIGKILL of either end at any moment, under load: nothing lost, nothing repeated, nobody called.

use super::lab::Lab;
use super::oracle::Fault;
use super::trial::{Trial, wanted};
use rand::RngExt;
use std::time::Instant;

/// Sensors at work.
const SENSORS: usize = 8;
/// Packets a second, of all together.
const PER_SECOND: u64 = 20_000;
/// Packets of one sensor in one round: about half a minute when nobody interrupts.
const PACKETS: u64 = 60_000;
/// At least this many kills of each side; `NOROSHI_FLEET_KILLS` asks for more, in rounds of this many.
const KILLS: u32 = 30;

struct Kills {
    hub: u32,
    sensor: u32,
}

/// Kills until there were enough or everything has arrived, then lets the rest arrive.
fn round(trial: &mut Trial, most: u32) -> Result<Kills, Fault> {
    let (mut hub, mut sensor) = (0, 0);
    while hub < most || sensor < most {
        // One kill in ten falls into the recovery from the one before.
        let soon = trial.random.random_range(0..10) == 0;
        trial.wait(if soon { 0..5 } else { 5..400 });
        let Some(victim) = trial.running() else { break };
        let both = trial.random.random_range(0..10) == 0;
        let hub_first = hub <= sensor;
        if both || !hub_first {
            trial.kill_sensor(victim);
            sensor += 1;
        }
        if both || hub_first {
            trial.kill_hub();
            hub += 1;
            trial.check()?;
            trial.start_hub();
        }
        if both || !hub_first {
            trial.start_sensor(victim);
        }
    }
    Ok(Kills { hub, sensor })
}

#[test]
fn kills_of_either_side_lose_nothing_and_repeat_nothing() {
    let (wanted, started) = (wanted("NOROSHI_FLEET_KILLS", KILLS), Instant::now());
    let (mut hub, mut sensor, mut records) = (0, 0, 0);
    while hub < wanted || sensor < wanted {
        let mut trial = Trial::new(Lab::new(), SENSORS, PACKETS, PER_SECOND / SENSORS as u64, None);
        let kills = round(&mut trial, KILLS).unwrap();
        trial.finish().unwrap();
        hub += kills.hub;
        sensor += kills.sensor;
        records += SENSORS as u64 * PACKETS;
        println!("{hub} kills of the hub, {sensor} of sensors, {records} records, {:?}", started.elapsed());
    }
}

/// An oracle that finds nothing when a promise is broken would find nothing, ever. The sync, which a kill cannot show,
/// is broken in the test of power cuts.
fn broken(promise: &str) {
    for attempt in 1..=5 {
        let mut trial = Trial::new(Lab::new(), 4, 30_000, 5_000, Some(promise));
        match round(&mut trial, 15).and_then(|_| trial.finish().map(drop)) {
            Err(Fault(what)) => return println!("found in round {attempt}: {what}"),
            Ok(()) => println!("round {attempt} shows nothing"),
        }
    }
    panic!("`{promise}` was broken and the oracle did not see it");
}

#[test]
fn a_broken_watermark_is_seen() {
    broken("watermark");
}

#[test]
fn a_spool_that_forgets_too_early_is_seen() {
    broken("delete-order");
}
