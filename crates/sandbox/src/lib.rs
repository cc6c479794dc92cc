//! Runs a sample where nothing can leave, and keeps what it did.
//!
//! A sample runs in qemu's user emulation, inside bubblewrap, with namespaces of its own. Its network namespace has one
//! neighbour: a fake Internet of ours ([`internet`]), which is this process reading a TUN device, so every packet is
//! seen and none can be forwarded. Memory, time, processes, files and output are bounded; a list of system calls is
//! refused ([`filter`]). What comes back is a [`Run`]: the traffic as packets and as a capture, the system calls, the
//! files, the conversations, and what follows from them ([`behaviour`], [`report`]).
//!
//! Three processes: the caller ([`run`]); the *cell*, a supervisor in a mount namespace of its own that starts
//! bubblewrap, holds the limits and reads what is left ([`cell`]); and the sample.
//!
//! Never: a packet on a network of the host; a file of the host written; a verdict "clean". What could not be seen is
//! `inconclusive`.

pub mod architecture;
pub mod behaviour;
pub mod cell;
mod channel;
pub mod filter;
pub mod internet;
pub mod report;
mod run;
mod tools;
pub mod trace;
mod tun;

pub use architecture::Architecture;
pub use channel::{FileLeft, Outcome};
pub use run::{Error, Limits, Run, Settings, run};
pub use tools::{Tools, missing};
