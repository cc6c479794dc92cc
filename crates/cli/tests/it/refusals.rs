//! What goes wrong at a sensor's host, and whether the message says what to do about it.

use super::lab::{Lab, in_namespace, noroshi, run};
use std::path::Path;
use std::process::{Command, Output};

fn sensor(state: &Path, arguments: &[&str]) -> Output {
    noroshi().arg("sensor").args(arguments).arg("--state").arg(state).env("RUST_LOG", "error").output().unwrap()
}

/// The exit code, and the message with all of `words` in it.
#[track_caller]
fn refused(done: &Output, code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&done.stderr);
    println!("{code}: {}", text.trim());
    assert_eq!(done.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "\"{word}\" is not in: {text}");
    }
}

/// Place and secret of a fresh line.
fn line(lab: &Lab, name: &str) -> (String, String) {
    let line = lab.fleet(&["token", name]);
    let mut words = line.split_whitespace().skip(2).map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn a_wrong_line_says_what_is_wrong_with_it() {
    let (lab, other) = (Lab::new(), Lab::new());
    let mut hub = lab.hub();
    let _other_hub = other.hub();
    let state = lab.state("kyoto");
    let (place, secret) = line(&lab, "kyoto");
    let torn = &secret[..secret.len() - 3];
    refused(&sensor(&state, &["enroll", &place, torn]), 3, &["paste"]);
    let (_, foreign) = line(&other, "kyoto");
    refused(&sensor(&state, &["enroll", &place, &foreign]), 1, &["pin", "TLS"]);
    let osaka = place.replace("kyoto", "osaka");
    refused(&sensor(&lab.state("osaka"), &["enroll", &osaka, &secret]), 1, &["another sensor name"]);
    let nowhere = "kyoto@hub.invalid:7443";
    refused(&sensor(&state, &["enroll", nowhere, &secret]), 1, &["does not resolve", "spelling"]);
    let done = sensor(&state, &["enroll", &place, &secret]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    refused(&sensor(&lab.state("twice"), &["enroll", &place, &secret]), 1, &["used already", "noroshi fleet token"]);
    refused(&sensor(&state, &["enroll", &place, &secret]), 1, &["already belongs", "--replace"]);
    hub.kill();
    refused(&sensor(&lab.state("late"), &["enroll", &place, &secret]), 1, &["no connection", "is the hub running"]);
}

#[test]
fn a_sensor_that_cannot_start_says_why() {
    let lab = Lab::new();
    let _hub = lab.hub();
    let state = lab.state("kyoto");
    let run_on = |interface: &str| sensor(&state, &["run", "--interface", interface]);
    refused(&run_on("no-such-if"), 3, &["does not exist", "lo"]);
    let nothing = lab.path("nothing.pcap");
    std::fs::write(&nothing, b"").unwrap();
    let nothing = nothing.to_str().unwrap();
    refused(&sensor(&state, &["run", "--replay", nothing]), 1, &["enrol first", "noroshi fleet token"]);
    lab.enrol("kyoto");
    let ceiling = lab.path("ceiling.toml");
    std::fs::write(&ceiling, "payload_byte = 0\n").unwrap();
    let arguments = ["run", "--replay", nothing, "--ceiling", ceiling.to_str().unwrap()];
    refused(&sensor(&state, &arguments), 3, &["ceiling.toml", "did you mean \"payload_bytes\""]);
    refused(&sensor(&state, &["run", "--replay", lab.path("gone").to_str().unwrap()]), 1, &["gone"]);
}

/// Root of a user namespace of its own has no rights over the network outside.
#[test]
fn capture_without_permission_says_what_it_needs() {
    let lab = Lab::new();
    let possible = Command::new("unshare").args(["-r", "true"]).status().is_ok_and(|status| status.success());
    if !possible {
        assert!(std::env::var_os("CI").is_none(), "namespaces are not available");
        return println!("skipped: this machine makes no namespaces");
    }
    let mut command = Command::new("unshare");
    command.arg("-r").arg(env!("CARGO_BIN_EXE_noroshi")).args(["sensor", "run", "--interface", "lo", "--state"]);
    refused(&command.arg(lab.state("kyoto")).output().unwrap(), 1, &["CAP_NET_RAW", "setcap"]);
}

#[test]
fn a_full_disk_at_the_start_is_named() {
    if !in_namespace("-rm", "refusals::a_full_disk_at_the_start_is_named") {
        return;
    }
    let lab = Lab::new();
    let _hub = lab.hub();
    let (place, secret) = line(&lab, "kyoto");
    let folder = lab.path("small");
    std::fs::create_dir(&folder).unwrap();
    run(&format!("mount -t tmpfs -o size=16k none {}", folder.display()));
    drop(std::fs::write(folder.join("filler"), vec![7; 64 << 10]));
    refused(&sensor(&folder.join("kyoto"), &["enroll", &place, &secret]), 1, &["No space left", "free space"]);
    let config = lab.path("full.toml");
    let text = format!("data = {:?}\nlisten = \"127.0.0.1:0\"\nlake = false\n", folder.join("hub").to_str().unwrap());
    std::fs::write(&config, text).unwrap();
    refused(&noroshi().args(["hub", "--config"]).arg(&config).output().unwrap(), 1, &["free space"]);
    // With room again the same line works: nothing of it was used up.
    std::fs::remove_file(folder.join("filler")).unwrap();
    run(&format!("mount -o remount,size=8m {}", folder.display()));
    let done = sensor(&folder.join("kyoto"), &["enroll", &place, &secret]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
