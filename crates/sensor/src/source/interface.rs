//! Live interfaces as a source: one ring each, kernel drops counted, privileges given up once the rings are open.

use super::ring::Ring;
use super::{Source, SourceError, Taken};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use noroshi_packet::capture::RawBatch;
use std::io;
use std::time::Duration;

/// Captured bytes that one batch aims at.
const BATCH_BYTES: usize = 4 << 20;

struct Open {
    name: String,
    ring: Ring,
}

/// Captures from interfaces.
pub struct Interfaces {
    open: Vec<Open>,
    position: u64,
}

impl Interfaces {
    /// Opens every interface; needs CAP_NET_RAW.
    pub fn open(names: &[String]) -> Result<Interfaces, SourceError> {
        let open: Result<Vec<Open>, SourceError> = names.iter().map(|name| open(name)).collect();
        Ok(Interfaces { open: open?, position: 0 })
    }

    fn wait(&self, wait: Duration) -> Result<(), SourceError> {
        let mut fds: Vec<PollFd<'_>> =
            self.open.iter().map(|open| PollFd::new(open.ring.fd(), PollFlags::POLLIN)).collect();
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(failed(&self.open[0].name, "wait for packets", error.into())),
        }
        let down = |fd: &PollFd<'_>| fd.revents().is_some_and(|now| now.contains(PollFlags::POLLERR));
        match fds.iter().position(down) {
            // The interface went down or away. Its packets so far are taken; a sensor without packets must say so.
            Some(at) => Err(failed(&self.open[at].name, "capture", io::Error::other("the interface went down"))),
            None => Ok(()),
        }
    }
}

fn failed(place: &str, doing: &'static str, source: io::Error) -> SourceError {
    SourceError::Io { place: place.to_owned(), doing, source }
}

fn open(name: &str) -> Result<Open, SourceError> {
    let known: Vec<String> = std::fs::read_dir("/sys/class/net")
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    let unknown = || SourceError::Interface { name: name.to_owned(), known: known.clone() };
    let index = nix::net::if_::if_nametoindex(name).map_err(|_| unknown())?;
    let hardware = std::fs::read_to_string(format!("/sys/class/net/{name}/type"));
    let hardware = hardware.ok().and_then(|text| text.trim().parse().ok()).ok_or_else(unknown)?;
    let ring = Ring::open(index, hardware).map_err(|source| failed(name, "open for capture", source))?;
    Ok(Open { name: name.to_owned(), ring })
}

impl Source for Interfaces {
    fn next(&mut self, wait: Duration) -> Result<Taken, SourceError> {
        let mut raw = RawBatch { first_position: self.position, ..RawBatch::default() };
        let mut take = |open: &mut Vec<Open>| {
            for Open { ring, .. } in open {
                while raw.data.len() < BATCH_BYTES && ring.take(&mut raw) {}
            }
            !raw.records.is_empty()
        };
        if !take(&mut self.open) {
            self.wait(wait)?;
            take(&mut self.open);
        }
        let mut kernel_drops = 0;
        for Open { name, ring } in &self.open {
            kernel_drops += ring.drops().map_err(|source| failed(name, "count drops", source))?;
        }
        self.position += raw.records.len() as u64;
        Ok(if raw.records.is_empty() && kernel_drops == 0 { Taken::Idle } else { Taken::Packets { raw, kernel_drops } })
    }

    fn dated_here(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        let names: Vec<&str> = self.open.iter().map(|open| open.name.as_str()).collect();
        format!("interface {}", names.join(", "))
    }
}

/// Capabilities that are kept while a sensor runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// None.
    Nothing,
    /// Those with which a lure process opens its ports and becomes another user; it gives them up at once.
    ForLures,
}

/// Gives up capabilities of this thread and of those it will start. Call before any other thread exists.
pub fn drop_privileges(keep: Keep) -> Result<(), SourceError> {
    use caps::{CapSet, Capability};
    let refused = |error: caps::errors::CapsError| {
        failed("capabilities", "give up privileges", io::Error::other(error.to_string()))
    };
    let wanted: caps::CapsHashSet = match keep {
        Keep::Nothing => caps::CapsHashSet::new(),
        Keep::ForLures => {
            [Capability::CAP_NET_BIND_SERVICE, Capability::CAP_SETUID, Capability::CAP_SETGID].into_iter().collect()
        }
    };
    let held = caps::read(None, CapSet::Permitted).map_err(refused)?;
    let kept: caps::CapsHashSet = wanted.intersection(&held).copied().collect();
    caps::clear(None, CapSet::Ambient).map_err(refused)?;
    // What a program that is started may have must be inheritable, then ambient.
    for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(refused)?;
    }
    for capability in &kept {
        caps::raise(None, CapSet::Ambient, *capability).map_err(refused)?;
    }
    nix::sys::prctl::set_no_new_privs().map_err(|error| failed("capabilities", "give up privileges", error.into()))
}
