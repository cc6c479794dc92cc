//! Running the program.

use assert_cmd::Command;
use std::path::{Path, PathBuf};

/// The program with arguments, without colours or a terminal.
pub fn noroshi(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("noroshi").expect("the program is built with its tests");
    command.args(args).env_remove("CLICOLOR_FORCE");
    command
}

/// Standard output, standard error and exit code of a run.
pub fn run(args: &[&str]) -> (String, String, i32) {
    let output = noroshi(args).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("no signal ends the program"))
}

/// Shared material, when it is there: `$NOROSHI_SHARED`, by default beside the repository. Fails in CI when absent.
pub fn shared() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let path = std::env::var_os("NOROSHI_SHARED").map_or_else(default, PathBuf::from);
    if path.join("data").is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is absent in CI", path.display());
    println!("skipped: {} is absent", path.display());
    None
}

/// A capture and the facts beside it.
pub struct Facts {
    /// Where it is.
    pub path: PathBuf,
    /// What others counted.
    pub json: serde_json::Value,
}

/// Every shared capture.
pub fn captures() -> Option<Vec<Facts>> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(shared()?.join("data/captures")).unwrap().map(|entry| entry.unwrap().path()) {
        let files = std::fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        for path in files.filter(|path| path.extension().is_some_and(|extension| extension != "json")) {
            let mut facts = path.clone().into_os_string();
            facts.push(".json");
            if let Ok(text) = std::fs::read_to_string(facts) {
                found.push(Facts { path, json: serde_json::from_str(&text).unwrap() });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Some(found)
}

/// A folder that goes away with the test.
pub fn workdir(name: &str) -> tempfile::TempDir {
    tempfile::Builder::new().prefix(name).tempdir().unwrap()
}
