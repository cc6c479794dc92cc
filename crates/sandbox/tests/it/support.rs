//! Specimens and the programs they need.

use noroshi_sandbox::{Architecture, Limits, Run, Settings, missing, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A token that specimens ask for.
pub const TOKEN: &str = "7f3a9c0021";

/// Whether everything is installed; says what is not, and fails where CI must have it.
pub fn ready() -> bool {
    let mut packages = missing(Architecture::Amd64);
    for (program, package) in [("clang", "clang"), ("ld.lld", "lld")] {
        if Command::new(program).arg("--version").output().is_err() {
            packages.push(package);
        }
    }
    if !Path::new("/dev/net/tun").exists() {
        packages.push("(a kernel with /dev/net/tun)");
    }
    if packages.is_empty() {
        return true;
    }
    let text = format!("skipped: the sandbox needs {}", packages.join(", "));
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
    println!("{text}");
    false
}

/// The folder of built specimens; built by the first test that comes, while the others wait.
pub fn specimens() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("specimens");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("specimens");
    std::fs::create_dir_all(&out).unwrap();
    let lock = std::fs::File::create(out.join("lock")).unwrap();
    lock.lock().unwrap();
    let texts = ["start.h", "specimen.c", "abuse.c", "build.sh"].map(|name| std::fs::read(source.join(name)).unwrap());
    let stamp = out.join("built-from");
    if std::fs::read(&stamp).ok() != Some(texts.concat()) {
        let built = Command::new("sh").arg(source.join("build.sh")).arg(&out).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        std::fs::write(stamp, texts.concat()).unwrap();
    }
    out
}

/// Settings with a parameter file.
pub fn settings(seconds: u64, parameters: &str) -> Settings {
    Settings {
        limits: Limits { seconds, ..Limits::default() },
        files: vec![("/etc/specimen.conf".into(), format!("{parameters}\ntoken={TOKEN}\n").into_bytes())],
        token: Some(TOKEN.into()),
        cell: Some(env!("CARGO_BIN_EXE_noroshi-sandbox-cell").into()),
        ..Settings::default()
    }
}

/// Runs a specimen.
pub fn run_specimen(name: &str, settings: &Settings) -> Run {
    let sample = std::fs::read(specimens().join(name)).unwrap();
    run(&sample, settings).unwrap()
}
