//! Table `flows`: packets folded per minute, for hosts that do not let single packets leave.
//!
//! A sensor whose policy says `granularity=flows` or `counters` sends these instead of packets. The packets of a row
//! are counted exactly, and the numbers they would have taken are declared as folded, so the account still balances.

use crate::columns::{Column, Type, optional, required, schema_of};
use crate::packet::Evidence;
use crate::rows::RowsError;
use crate::{Addr, Nanos, arrays};
use arrow_array::{ArrayRef, RecordBatch};

/// Nanoseconds of the interval that packets are folded over.
pub const MINUTE: i64 = 60_000_000_000;

/// What the packets of a row have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FlowKey {
    /// Start of the minute.
    pub minute: Nanos,
    /// Source and destination; none where only counters are kept, or where there was no IP header.
    pub addresses: Option<(Addr, Addr)>,
    /// IP protocol; none without an IP header.
    pub proto: Option<u8>,
    /// Destination port, or ICMP type.
    pub dport: Option<u16>,
    /// TCP flags.
    pub tcp_flags: Option<u8>,
}

/// How many packets that was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowCount {
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Best proof of the source that all of them have.
    pub evidence: Evidence,
}

impl FlowCount {
    /// Adds packets to packets.
    pub fn add(&mut self, other: &FlowCount) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.evidence = self.evidence.min(other.evidence);
    }
}

/// Table `flows`.
pub const FLOWS: &[Column] = &[
    required("ts", Type::Time, "", "start of the minute"),
    required("sensor", Type::Keyword, "", "sensor name"),
    optional("src", Type::Address, "", "source; null where the policy keeps only counters"),
    optional("dst", Type::Address, "", "destination; null where the policy keeps only counters"),
    optional("proto", Type::U8, "", "IP protocol"),
    optional("dport", Type::U16, "", "destination port, or ICMP type"),
    optional("tcp_flags", Type::U8, "", "flags of each packet"),
    required("packets", Type::U64, "packets", "packets folded into this row"),
    required("bytes", Type::U64, "bytes", "their length on the wire"),
    required("evidence", Type::U8, "", "lowest proof of their source: 0 spoofable, 1 challenge verified, 2 handshake"),
];

/// The rows of a sensor as one batch with the columns of [`FLOWS`].
pub fn record_batch(sensor: &str, rows: &[(FlowKey, FlowCount)]) -> RecordBatch {
    let keys = || rows.iter().map(|(key, _)| key);
    let counts = || rows.iter().map(|(_, count)| count);
    let arrays: Vec<ArrayRef> = vec![
        arrays::times(keys().map(|key| Some(key.minute))),
        arrays::keywords(keys().map(|_| Some(sensor))),
        arrays::addresses(keys().map(|key| key.addresses.map(|(src, _)| src))),
        arrays::addresses(keys().map(|key| key.addresses.map(|(_, dst)| dst))),
        arrays::u8s(keys().map(|key| key.proto)),
        arrays::u16s(keys().map(|key| key.dport)),
        arrays::u8s(keys().map(|key| key.tcp_flags)),
        arrays::u64s(counts().map(|count| Some(count.packets))),
        arrays::u64s(counts().map(|count| Some(count.bytes))),
        arrays::u8s(counts().map(|count| Some(count.evidence as u8))),
    ];
    RecordBatch::try_new(schema_of(FLOWS), arrays).expect("arrays follow the declared columns")
}

/// Flows from a batch with the columns of [`FLOWS`]; the inverse of [`record_batch`].
pub fn flows(batch: &RecordBatch) -> Result<Vec<(FlowKey, FlowCount)>, RowsError> {
    let read = arrays::Read::new(batch, FLOWS)?;
    let (ts, src, dst, proto) = (read.times("ts"), read.addresses("src"), read.addresses("dst"), read.u8s("proto"));
    let (dport, tcp_flags) = (read.u16s("dport"), read.u8s("tcp_flags"));
    let (packets, bytes, evidence) = (read.u64s("packets"), read.u64s("bytes"), read.u8s("evidence"));
    (0..batch.num_rows())
        .map(|row| {
            let impossible = |column| RowsError::Value { row, column };
            let minute = ts(row).filter(|ts| ts.0 % MINUTE == 0).ok_or(impossible("ts"))?;
            let key = FlowKey {
                minute,
                addresses: src(row).zip(dst(row)),
                proto: proto(row),
                dport: dport(row),
                tcp_flags: tcp_flags(row),
            };
            let evidence = match evidence(row) {
                Some(0) => Evidence::Spoofable,
                Some(1) => Evidence::ChallengeVerified,
                Some(2) => Evidence::Handshake,
                _ => return Err(impossible("evidence")),
            };
            let packets = packets(row).filter(|count| *count > 0).ok_or(impossible("packets"))?;
            Ok((key, FlowCount { packets, bytes: bytes(row).unwrap_or(0), evidence }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_the_way_through_columns() {
        let key = FlowKey {
            minute: Nanos(3 * MINUTE),
            addresses: Some((Addr::v4(1), Addr::v4(2))),
            proto: Some(6),
            dport: Some(23),
            tcp_flags: Some(2),
        };
        let count = FlowCount { packets: 7, bytes: 420, evidence: Evidence::Spoofable };
        let counter = FlowKey { addresses: None, dport: None, tcp_flags: None, ..key };
        let rows = vec![(key, count), (counter, FlowCount { packets: u64::MAX, ..count })];
        assert_eq!(flows(&record_batch("kyoto", &rows)).unwrap(), rows);
        let torn = FlowKey { minute: Nanos(1), ..key };
        assert!(flows(&record_batch("kyoto", &[(torn, count)])).is_err());
        assert!(flows(&record_batch("kyoto", &[(key, FlowCount { packets: 0, ..count })])).is_err());
    }
}
