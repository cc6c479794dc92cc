//! What tests of the stages share: packets as bytes ([`packet`]), captures as bytes ([`capture`]) and a clock that is
//! set by hand ([`clock`]), and every parser of foreign bytes with inputs for it ([`fuzz`]).
//!
//! ```
//! use noroshi_testkit::{PacketBuilder, pcap};
//! let syn = PacketBuilder::ipv4([192, 0, 2, 1], [198, 18, 0, 1]).ttl(50).tcp(40_000, 23).syn().seq(7).build();
//! let capture = pcap(&[(1_767_225_600_000_000_000, &syn)]);
//! assert_eq!(capture.len(), 24 + 16 + syn.len());
//! ```
//!
//! A dev-dependency of stages and programs, never of base crates; it opens nothing and waits for nothing.

pub mod capture;
pub mod clock;
pub mod fuzz;
pub mod packet;

pub use capture::{LINKTYPE_ETHERNET, LINKTYPE_RAW, pcap, pcap_of, pcapng};
pub use clock::ManualClock;
pub use packet::{PacketBuilder, checksum};
