//! Open files: each connection is one, and the usual soft limit of 1,024 is for fewer sensors than a hub serves.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process hold as many connections as the system's hard limit allows.
pub fn raise_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Where it is refused there is room for fewer peers, no more.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
