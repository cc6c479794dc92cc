//! System calls, from the emulator's own account (`qemu -strace`). It is written by a process that the sample shares, so
//! it is testimony, not proof; the traffic is proof.

use std::collections::BTreeMap;

/// Calls kept with their arguments.
const KEPT: usize = 20_000;
/// Bytes of one line that are kept.
const LINE_MAX: usize = 512;

/// One call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Process.
    pub process: u32,
    /// Name.
    pub name: String,
    /// Arguments and result, as written.
    pub text: String,
}

/// What a sample asked of the system.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// Calls by name.
    pub counts: BTreeMap<String, u64>,
    /// The calls in order, cut at a bound.
    pub calls: Vec<Call>,
    /// Distinct processes.
    pub processes: usize,
    /// Signals that were delivered.
    pub signals: BTreeMap<String, u64>,
}

impl Trace {
    /// From the emulator's text; lines that are no calls are passed over.
    pub fn read(text: &str) -> Self {
        let mut trace = Trace::default();
        let mut processes = std::collections::BTreeSet::new();
        for line in text.lines() {
            if let Some(signal) = line.strip_prefix("--- ").and_then(|rest| rest.split(' ').next()) {
                *trace.signals.entry(signal.to_owned()).or_default() += 1;
                continue;
            }
            let Some((process, rest)) = line.split_once(' ') else { continue };
            let (Ok(process), Some((name, arguments))) = (process.parse(), rest.split_once('(')) else { continue };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                continue;
            }
            processes.insert(process);
            *trace.counts.entry(name.to_owned()).or_default() += 1;
            if trace.calls.len() < KEPT {
                let text: String = arguments.chars().take(LINE_MAX).collect();
                trace.calls.push(Call { process, name: name.to_owned(), text });
            }
        }
        trace.processes = processes.len();
        trace
    }

    /// How often a call was made.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// The first call of these names whose text has a part in it.
    pub fn find(&self, names: &[&str], part: &str) -> Option<&Call> {
        self.calls.iter().find(|call| names.contains(&&*call.name) && call.text.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_emulator() {
        let text = "2 socket(PF_INET,SOCK_RAW,IPPROTO_RAW) = 3\n2 openat(AT_FDCWD,\"/etc/x\",O_RDONLY) = 4\n\
                    --- SIGSEGV {si_signo=SIGSEGV} ---\nnoise\n3 exit_group(0)\n(\n9 (";
        let trace = Trace::read(text);
        assert_eq!((trace.count("socket"), trace.count("openat"), trace.processes), (1, 1, 2));
        assert_eq!(trace.signals["SIGSEGV"], 1);
        assert!(trace.find(&["openat"], "/etc/x").is_some() && trace.find(&["open"], "/etc/x").is_none());
    }
}
