//! Network namespaces that a test makes for itself, and programs that it needs there.

use std::process::{Command, Stdio};

const INSIDE: &str = "NOROSHI_TEST_INSIDE_NAMESPACE";

/// Whether this is the inside: a network namespace with loopback and nothing else. Outside, `test` of this binary is run
/// again within one, and the answer is no.
pub fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        let routes = Command::new("ip").args(["route", "show", "default"]).output().unwrap();
        assert!(routes.stdout.is_empty(), "a default route inside the namespace");
        return true;
    }
    // Root stays root, so that what it starts can become another user; others keep their identity and gain what they
    // need within.
    let ways: [&[&str]; 2] = [&["-n"], &["-U", "-c", "--keep-caps", "-n"]];
    let root = nix::unistd::geteuid().is_root();
    let Some(way) = ways[usize::from(!root)..].iter().find(|way| {
        let made = Command::new("unshare").args(**way).arg("true").stderr(Stdio::null()).status();
        made.is_ok_and(|status| status.success())
    }) else {
        assert!(std::env::var_os("CI").is_none(), "namespaces are not available");
        println!("skipped: this machine makes no network namespaces");
        return false;
    };
    let mut command = Command::new("unshare");
    command.args(*way).arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    print!("{text}{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success());
    assert!(text.contains("1 passed"), "the test inside did not run");
    false
}

/// Whether a program is there; where everything must be tested it has to be.
pub fn have(program: &str) -> bool {
    let found = Command::new("which").arg(program).stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    assert!(found || std::env::var_os("CI").is_none(), "{program} is missing");
    if !found {
        println!("skipped: {program} is missing");
    }
    found
}
