//! The programs of others that the sandbox is built from.

use crate::Architecture;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the programs are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tools {
    /// bubblewrap.
    pub bwrap: PathBuf,
    /// `ip` of iproute2.
    pub ip: PathBuf,
    /// The emulator.
    pub emulator: PathBuf,
    /// The loader and libraries that the emulator needs; empty when it is static.
    pub libraries: Vec<PathBuf>,
}

const FOLDERS: [&str; 5] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"];

fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// What is missing for an architecture, as Debian packages to install.
pub fn missing(architecture: Architecture) -> Vec<&'static str> {
    let needed = [("bwrap", "bubblewrap"), ("ip", "iproute2"), (architecture.emulator(), "qemu-user")];
    needed.into_iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| package).collect()
}

impl Tools {
    /// Finds everything for an architecture; otherwise the packages to install.
    pub fn find(architecture: Architecture) -> Result<Self, Vec<&'static str>> {
        let (Some(bwrap), Some(ip), Some(emulator)) = (find("bwrap"), find("ip"), find(architecture.emulator())) else {
            return Err(missing(architecture));
        };
        let libraries = libraries(&emulator);
        Ok(Tools { bwrap, ip, emulator, libraries })
    }
}

/// Libraries of a program of the system, by `ldd`; the loader is among them.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let Ok(output) = Command::new("ldd").arg(program).env_clear().output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    paths.map(PathBuf::from).filter(|path| path.is_file()).collect()
}
