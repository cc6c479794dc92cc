//! A disk that fills up, again and again: no false acknowledgement, and recovery without a hand.

use super::lab::{Lab, PATIENCE, in_namespace, run, tick};
use super::trial::{Trial, wanted};
use std::io::Write;
use std::time::Instant;

/// Cycles of the short form; `NOROSHI_FULL_CYCLES` asks for more.
const CYCLES: u32 = 4;
/// Records that the hub may store on a full disk, into pages that it had before, until the cycle goes on.
const INSIDE: i64 = 4_000;

/// Takes all the space that is left, to the last byte.
fn fill(lab: &Lab) {
    let mut file = std::fs::File::options().create(true).append(true).open(lab.data().join("filler")).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

fn stored(lab: &Lab) -> i64 {
    lab.journal(async |connection| {
        let query = "select coalesce(sum(last_seq), 0) from streams";
        sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
    })
}

/// Waits until `done`; the hub's log says why when that does not come.
fn until(lab: &Lab, what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "{what} does not come:\n{}", lab.log("hub.log"));
        tick(10);
    }
}

#[test]
fn a_full_disk_acknowledges_nothing_and_heals_by_itself() {
    if !in_namespace("-rm", "full::a_full_disk_acknowledges_nothing_and_heals_by_itself") {
        return;
    }
    let cycles = wanted("NOROSHI_FULL_CYCLES", CYCLES);
    let lab = Lab::new();
    run(&format!("mount -t tmpfs -o size=1g none {}", lab.data().display()));
    // About four seconds of packets for each cycle, so that something is always under way.
    let packets = 8_000 * u64::from(cycles);
    let (total, mut refusing) = (2 * packets as i64, 0);
    let mut trial = Trial::new(lab, 2, packets, 2_000, None);
    for cycle in 1..=cycles {
        let before = stored(&trial.lab);
        until(&trial.lab, "a record", || stored(&trial.lab) > before || before == total);
        let refusals = trial.lab.log("hub.log").matches("journal did not store").count();
        fill(&trial.lab);
        // The hub may find room inside its own files for a while; then what it acknowledges must be there.
        let (refused, at) =
            (|| trial.lab.log("hub.log").matches("journal did not store").count() > refusals, stored(&trial.lab));
        until(&trial.lab, "a refusal", || refused() || stored(&trial.lab) > at + INSIDE || stored(&trial.lab) == total);
        refusing += u32::from(refused());
        trial.check().unwrap();
        // One in two: the hub is killed on the full disk and must come up there, or after there is room.
        let (killed, full) = (cycle % 2 == 0, stored(&trial.lab));
        if killed {
            trial.kill_hub();
            trial.check().unwrap();
        }
        std::fs::remove_file(trial.lab.data().join("filler")).unwrap();
        if killed {
            trial.start_hub();
        }
        let freed = Instant::now();
        until(&trial.lab, "recovery", || stored(&trial.lab) > full || full == total);
        println!("cycle {cycle}: stores again {:?} after there was room", freed.elapsed());
        if trial.running().is_none() {
            break;
        }
    }
    println!("{refusing} of {cycles} cycles made it refuse");
    assert!(refusing > 0, "the disk was never full enough");
    let lab = trial.finish().unwrap();
    run(&format!("umount {}", lab.data().display()));
}
