//! The program for the field stays lean.

use std::process::Command;

/// What must not be linked: the query engine, the table format, the rule engine, the hub's database.
const FORBIDDEN: [&str; 6] = ["datafusion", "deltalake", "yara-x", "sqlx", "noroshi-store", "noroshi-hub"];

#[test]
fn the_sensor_links_no_engine() {
    let arguments = ["tree", "-p", "noroshi-sensor", "-e", "normal", "--prefix", "none", "--offline", "--locked"];
    let done = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let tree = String::from_utf8(done.stdout).unwrap();
    assert!(tree.contains("noroshi-packet"), "the tree was read");
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(!FORBIDDEN.contains(&name), "{line} is linked by noroshi-sensor");
    }
}
