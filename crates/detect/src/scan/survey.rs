//! Scanners that survey the Internet, told by what they do where no list knows them.
//!
//! The measure is that of NICTER's observation reports, in which a source counts as a research scanner on a day when it
//! asks for thirty ports or more with 300,000 packets or more, in a darknet of about as many addresses. Scaled to other
//! sizes that is a packet a day for each monitored address.

use crate::config::Scale;
use crate::source::Source;
use noroshi_model::finding::Tool;

/// Distinct destination ports from which on a source surveys. Lower: bots with a list of ports are taken for research.
pub const PORTS_MIN: u64 = 30;
/// Packets a day for each monitored address. Lower: slower surveys are found, and more scanners that are none.
pub const PACKETS_PER_ADDRESS_DAY: u64 = 1;
/// Monitored addresses from which on the rule holds: in a smaller space the sweep of an attacker looks like a survey.
pub const ADDRESSES_MIN: u64 = 4096;
const DAY: i64 = 86_400_000_000_000;

/// Whether a source behaves as surveys do: many ports, the whole space, every day that it was seen, no mark of malware.
pub(crate) fn is_survey(source: &Source, tools: &[Tool], scale: &Scale) -> bool {
    let Some((first, last)) = source.times() else { return false };
    let days = (last.0.saturating_sub(first.0) / DAY) as u64 + 1;
    scale.addresses >= ADDRESSES_MIN
        && source.packets >= (scale.addresses * PACKETS_PER_ADDRESS_DAY).saturating_mul(days)
        && source.port_count() >= PORTS_MIN
        && source.destinations.len() >= scale.addresses / 4
        && source.answers * 2 <= source.packets
        && !tools.contains(&Tool::Mirai)
}
