//! Lists for machines: blocklists, Flowspec, Shadowserver's columns.

pub mod blocklist;
pub mod flowspec;
pub mod shadowserver;
