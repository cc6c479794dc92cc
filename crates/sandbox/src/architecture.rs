//! For which machine a sample is, from the first bytes of its ELF header (System V ABI, chapter 4).

/// A machine that a sample can be run for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names are the machines' own
pub enum Architecture {
    I386,
    Amd64,
    Arm,
    Aarch64,
    Mips,
    Mipsel,
    Mips64el,
    Powerpc,
    Ppc64le,
}

/// Why a file cannot be run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRunnable {
    /// Not an ELF file.
    #[error("it is no ELF program")]
    NotElf,
    /// An object, a library or a core.
    #[error("it is an ELF file but no program (type {0})")]
    NotProgram(u16),
    /// A machine that no emulator is set up for.
    #[error("it is for machine {machine} ({bits} bits, {order} endian), which the sandbox does not emulate")]
    Machine {
        /// `e_machine`.
        machine: u16,
        /// 32 or 64.
        bits: u8,
        /// "little" or "big".
        order: &'static str,
    },
}

impl Architecture {
    /// All, in the order of their names in Debian.
    pub const ALL: [Architecture; 9] = [
        Architecture::I386,
        Architecture::Amd64,
        Architecture::Arm,
        Architecture::Aarch64,
        Architecture::Mips,
        Architecture::Mipsel,
        Architecture::Mips64el,
        Architecture::Powerpc,
        Architecture::Ppc64le,
    ];

    /// From the first bytes of a file.
    pub fn of(file: &[u8]) -> Result<Self, NotRunnable> {
        if file.len() < 20 || &file[..4] != b"\x7fELF" {
            return Err(NotRunnable::NotElf);
        }
        let big = file[5] == 2;
        let word = |at: usize| {
            let bytes = [file[at], file[at + 1]];
            if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
        };
        let (kind, machine, wide) = (word(16), word(18), file[4] == 2);
        if !matches!(kind, 2 | 3) {
            return Err(NotRunnable::NotProgram(kind));
        }
        Ok(match (machine, wide, big) {
            (3, false, false) => Architecture::I386,
            (62, true, false) => Architecture::Amd64,
            (40, false, false) => Architecture::Arm,
            (183, true, false) => Architecture::Aarch64,
            (8, false, true) => Architecture::Mips,
            (8, false, false) => Architecture::Mipsel,
            (8, true, false) => Architecture::Mips64el,
            (20, false, true) => Architecture::Powerpc,
            (21, true, false) => Architecture::Ppc64le,
            _ => {
                let (bits, order) = (if wide { 64 } else { 32 }, if big { "big" } else { "little" });
                return Err(NotRunnable::Machine { machine, bits, order });
            }
        })
    }

    /// Debian's name.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::I386 => "i386",
            Architecture::Amd64 => "amd64",
            Architecture::Arm => "arm",
            Architecture::Aarch64 => "aarch64",
            Architecture::Mips => "mips",
            Architecture::Mipsel => "mipsel",
            Architecture::Mips64el => "mips64el",
            Architecture::Powerpc => "powerpc",
            Architecture::Ppc64le => "ppc64le",
        }
    }

    /// The emulator's program.
    pub fn emulator(self) -> &'static str {
        match self {
            Architecture::I386 => "qemu-i386",
            Architecture::Amd64 => "qemu-x86_64",
            Architecture::Arm => "qemu-arm",
            Architecture::Aarch64 => "qemu-aarch64",
            Architecture::Mips => "qemu-mips",
            Architecture::Mipsel => "qemu-mipsel",
            Architecture::Mips64el => "qemu-mips64el",
            Architecture::Powerpc => "qemu-ppc",
            Architecture::Ppc64le => "qemu-ppc64le",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, order: u8, kind: u8, machine: u8) -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', class, order];
        file.resize(20, 0);
        let at = usize::from(order == 2);
        (file[16 + at], file[18 + at]) = (kind, machine);
        file
    }

    #[test]
    fn headers_name_machines() {
        assert_eq!(Architecture::of(&header(1, 2, 2, 8)), Ok(Architecture::Mips));
        assert_eq!(Architecture::of(&header(1, 1, 3, 8)), Ok(Architecture::Mipsel));
        assert_eq!(Architecture::of(&header(2, 1, 2, 62)), Ok(Architecture::Amd64));
        assert!(matches!(Architecture::of(&header(1, 1, 1, 3)), Err(NotRunnable::NotProgram(1))));
        assert!(matches!(Architecture::of(&header(2, 2, 2, 21)), Err(NotRunnable::Machine { machine: 21, .. })));
        for cut in 0..20 {
            assert_eq!(Architecture::of(&header(1, 1, 2, 3)[..cut]), Err(NotRunnable::NotElf));
        }
        assert_eq!(Architecture::of(b"#!/bin/sh\n echo hello world"), Err(NotRunnable::NotElf));
    }
}
