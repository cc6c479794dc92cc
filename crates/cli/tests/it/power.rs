//! Power cuts: the disk of either end stops in the middle and comes back with what was synced, and nothing else.
//!
//! Each end lives on an ext4 of its own in a file. The shutdown ioctl of ext4 drops everything that was not synced, as
//! a power cut would; then the file system is mounted anew and the processes start again.

use super::lab::{Lab, in_namespace, run};
use super::oracle::Fault;
use super::trial::{Trial, wanted};
use rand::RngExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Cuts of the short form; `NOROSHI_POWER_CUTS` asks for more, in rounds of this many.
const CUTS: u32 = 6;
const IMAGE_MEGABYTES: u64 = 512;

/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH (fs/ext4/ext4.h).
const CUT: &str = "import fcntl, os, struct, sys; \
                   fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

fn mount(lab: &Lab, name: &str) {
    let (image, folder) = (lab.path(&format!("{name}.img")), lab.path(name));
    run(&format!("mount -o loop {} {}", image.display(), folder.display()));
}

fn cut(lab: &Lab, name: &str) {
    let script = lab.path("cut.py");
    std::fs::write(&script, CUT).unwrap();
    run(&format!("python3 {} {}", script.display(), lab.path(name).display()));
}

fn remount(lab: &Lab, name: &str) {
    run(&format!("umount {}", lab.path(name).display()));
    mount(lab, name);
}

fn lab() -> Lab {
    let lab = Lab::new();
    for name in ["hub", "sensors"] {
        let image = lab.path(&format!("{name}.img"));
        std::fs::File::create(&image).unwrap().set_len(IMAGE_MEGABYTES << 20).unwrap();
        run(&format!("mkfs.ext4 -q -F {}", image.display()));
        mount(&lab, name);
    }
    lab
}

fn round(trial: &mut Trial, cuts: u32) -> Result<u32, Fault> {
    for done in 0..cuts {
        trial.wait(50..700);
        if trial.running().is_none() {
            return Ok(done);
        }
        let (hub, sensors) = [(true, false), (false, true), (true, true)][trial.random.random_range(0..3)];
        if hub {
            // Power takes the process and its disk in one moment: it must not live on and misread a dying disk.
            trial.freeze_hub();
            cut(&trial.lab, "hub");
            trial.kill_hub();
            remount(&trial.lab, "hub");
            trial.check()?;
        }
        let mut all = Vec::new();
        if sensors {
            trial.freeze_sensors();
            cut(&trial.lab, "sensors");
            all = trial.kill_sensors();
            remount(&trial.lab, "sensors");
        }
        if hub {
            trial.start_hub();
        }
        all.into_iter().for_each(|at| trial.start_sensor(at));
    }
    Ok(cuts)
}

/// The file systems are unmounted when everything on them has ended.
fn end(lab: Lab) {
    ["hub", "sensors"].iter().for_each(|name| run(&format!("umount {}", lab.path(name).display())));
}

fn can_mount() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let possible = root && Path::new("/dev/loop-control").exists();
    assert!(possible || std::env::var_os("CI").is_none(), "power cuts need root and loop devices");
    if !possible {
        println!("skipped: power cuts need root and loop devices");
    }
    possible
}

#[test]
#[ignore = "minutes, as root: cargo xtask prove power"]
fn power_cuts_lose_nothing_that_was_acknowledged() {
    if !can_mount() || !in_namespace("-m", "power::power_cuts_lose_nothing_that_was_acknowledged") {
        return;
    }
    let (wanted, mut cuts) = (wanted("NOROSHI_POWER_CUTS", CUTS), 0);
    while cuts < wanted {
        let mut trial = Trial::new(lab(), 2, 80_000, 5_000, None);
        cuts += round(&mut trial, CUTS.max(40.min(wanted - cuts))).unwrap();
        end(trial.finish().unwrap());
        println!("{cuts} power cuts");
    }
}

#[test]
#[ignore = "minutes, as root: cargo xtask prove power"]
fn a_missing_sync_is_seen() {
    if !can_mount() || !in_namespace("-m", "power::a_missing_sync_is_seen") {
        return;
    }
    for _ in 0..3 {
        let mut trial = Trial::new(lab(), 2, 80_000, 5_000, Some("sync"));
        match round(&mut trial, 10) {
            Err(Fault(what)) => return println!("found: {what}"),
            Ok(cuts) => println!("{cuts} cuts show nothing"),
        }
    }
    panic!("nothing was synced and the oracle did not see it");
}
