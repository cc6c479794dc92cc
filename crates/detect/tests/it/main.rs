//! The engine over real captures and over generated days whose truth is known.

mod captures;
mod generated_day;
mod quiet;
mod survey;

use noroshi_detect::engine::Findings;
use noroshi_detect::{Config, Engine};
use noroshi_packet::capture::Reader;
use noroshi_packet::decode::decode;
use std::path::{Path, PathBuf};

/// The folder of material shared between projects. Without it a test is skipped, but never where everything is tested.
fn shared(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("NOROSHI_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join(part);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing; set NOROSHI_SHARED", path.display());
    println!("skipped: {} is missing; set NOROSHI_SHARED", path.display());
    None
}

/// What the engine finds in one capture; nothing where the capture is refused.
fn findings(path: &Path) -> Findings {
    findings_with(path, Config { threads: 1, ..Config::default() })
}

fn findings_with(path: &Path, config: Config) -> Findings {
    let mut engine = Engine::new(config);
    if let Ok(mut reader) = Reader::open(path) {
        while let Some(raw) = reader.next_batch() {
            engine.observe(decode(raw, 0));
        }
    }
    engine.finish(usize::MAX)
}
