//! A person at the command line: the pasted line, a policy change, revocation.

use super::lab::{Lab, PATIENCE, noroshi, tick};
use noroshi_simulate::{Scenario, World, write_day};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A generated capture.
fn generated(folder: &Path, packets: u64) -> PathBuf {
    let world = World::new(&Scenario::load("darknet-day").unwrap(), 7, packets);
    write_day(&world, folder, &mut |_| {}).unwrap().capture
}

#[test]
fn a_person_steers_a_sensor_from_the_command_line() {
    let lab = Lab::new();
    let capture = generated(&lab.path("day"), 20_000);
    let refused = noroshi().args(["fleet", "list", "--data"]).arg(lab.data()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no hub is running"));
    let _hub = lab.hub();
    assert!(lab.fleet(&["list"]).contains("no sensor has enrolled yet"));
    lab.enrol("kyoto");
    let _sensor = lab.sensor("kyoto", &capture, Some(86_400.0 / 20.0));
    let started = Instant::now();
    while lab.last_seq() == 0 {
        assert!(started.elapsed() < PATIENCE);
        tick(10);
    }
    let changed = lab.fleet(&["set", "kyoto", "payload_bytes=0", "filter=tcp"]);
    assert!(changed.contains("policy revision 2") && changed.contains("in force on the sensor after"), "{changed}");
    assert!(changed.contains("payload_bytes: 256 -> 0"), "{changed}");
    let wrong = noroshi().args(["fleet", "set", "kyoto", "payload_byte=0", "--data"]).arg(lab.data()).output().unwrap();
    assert_eq!(wrong.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean \"payload_bytes\""));
    assert!(lab.fleet(&["rollback", "kyoto"]).contains("policy revision 3"));
    let shown = lab.fleet(&["show", "kyoto"]);
    assert!(shown.contains("X25519MLKEM768") && shown.contains("rollback to revision 1"), "{shown}");
    assert!(lab.fleet(&["revoke", "kyoto"]).contains("live connections were cut"));
    assert!(lab.fleet(&["list"]).contains("revoked"));
}
