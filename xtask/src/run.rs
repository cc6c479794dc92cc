//! Running programs and finding the way around the work tree.

use crate::Outcome;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The root of the work tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Material shared between projects: `NOROSHI_SHARED`, else the folder `shared` beside the work tree.
pub(crate) fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("NOROSHI_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    path.is_dir().then_some(path)
}

/// A cargo command in the root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    // What cargo says of the package that it runs, which is this one. Some build scripts look at these names: with them set,
    // half of all crates, the query engine among them, would be built anew whenever cargo is called by hand in between.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs to the end, showing what it prints; names the step, and how long it took.
pub(crate) fn step(name: &str, command: &mut Command) -> Outcome {
    println!("── {name}");
    let started = Instant::now();
    let status = command.status().map_err(|e| format!("{name}: {:?} did not start: {e}", command.get_program()))?;
    println!("── {name}: {:.1} s", started.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{name} failed ({status})")) }
}

/// Runs to the end and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = format!("{:?}", command.get_program());
    let out = command.output().map_err(|e| format!("{shown} did not start: {e}"))?;
    if !out.status.success() {
        return Err(format!("{shown} failed ({}): {}", out.status, String::from_utf8_lossy(&out.stderr).trim_end()));
    }
    String::from_utf8(out.stdout).map_err(|_| format!("{shown} printed bytes that are not text"))
}

/// Whether a program is on the path.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The value after `--name`, when it is there.
pub(crate) fn option<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == name)?;
    args.get(at + 1).map(String::as_str)
}
