//! The classic capture format: draft-ietf-opsawg-pcap.

use super::{CAPTURED_BYTES_MAX, LinkType, RawRecord, RecordOddity, Step, problem};
use noroshi_model::report::{Format, Problem};

/// Length of the file header.
pub(super) const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// What the file header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    nanos: bool,
    link: LinkType,
    /// Extra bytes of each record header (8 in the form patched by A. Kuznetsov).
    extra: usize,
    /// Which of a record's two lengths comes first.
    order: Order,
    /// Bytes of each record that stand before its packet.
    pseudo: u32,
}

/// Programs of before 1995 wrote the original length first (libpcap's `savefile` history): up to version 2.2 all of them,
/// of version 2.3 some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    CapturedFirst,
    OriginalFirst,
    LargerIsOriginal,
}

fn u32_of(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let quad: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
    if big_endian { u32::from_be_bytes(quad) } else { u32::from_le_bytes(quad) }
}

impl Pcap {
    /// Whether these first four bytes begin a pcap file.
    pub(super) fn recognises(magic: [u8; 4]) -> bool {
        Self::kind(magic).is_some()
    }

    fn kind(magic: [u8; 4]) -> Option<(bool, bool, usize)> {
        Some(match magic {
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, false, 0),
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, false, 0),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, true, 0),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, true, 0),
            [0xa1, 0xb2, 0xcd, 0x34] => (true, false, 8),
            [0x34, 0xcd, 0xb2, 0xa1] => (false, false, 8),
            _ => return None,
        })
    }

    /// Reads a file header of [`FILE_HEADER`] bytes.
    pub(super) fn new(header: &[u8]) -> Result<Self, Problem> {
        let magic = header[..4].try_into().expect("four bytes");
        let (big_endian, nanos, extra) = Self::kind(magic).expect("recognised before");
        let half = |at: usize| {
            let pair = [header[at], header[at + 1]];
            if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        let (major, minor) = (half(4), half(6));
        if major != 2 {
            let text = format!("pcap version {major}.{minor} is not known (2.4 is); the header is damaged");
            return Err(problem("version", Some(4), text));
        }
        let network = u32_of(header, 20, big_endian);
        if network & 0x03ff_0000 != 0 {
            let text = format!("the reserved bits of the link type are set ({network:#010x}); the header is damaged");
            return Err(problem("link-type-reserved", Some(20), text));
        }
        let order = match minor {
            0..=2 => Order::OriginalFirst,
            3 => Order::LargerIsOriginal,
            _ => Order::CapturedFirst,
        };
        let link = LinkType(network as u16);
        Ok(Pcap { big_endian, nanos, link, extra, order, pseudo: link.pseudo_header() })
    }

    pub(super) fn format(&self) -> Format {
        if self.nanos { Format::PcapNanos } else { Format::Pcap }
    }

    /// Frames records from `bytes[at..]` until they end; pushes each. `at` moves to the first unfinished record.
    pub(super) fn frame(&self, bytes: &[u8], at: &mut usize, offset: u64, out: &mut Vec<RawRecord>) -> Step {
        if self.big_endian {
            self.frame_as::<true>(bytes, at, offset, out)
        } else {
            self.frame_as::<false>(bytes, at, offset, out)
        }
    }

    #[inline]
    fn frame_as<const BIG: bool>(&self, bytes: &[u8], at: &mut usize, offset: u64, out: &mut Vec<RawRecord>) -> Step {
        let header = RECORD_HEADER + self.extra;
        let start = *at;
        loop {
            let rest = &bytes[*at..];
            if rest.len() < header {
                return if *at > start { Step::Took { used: *at } } else { Step::Need(header) };
            }
            let head = &rest[..RECORD_HEADER];
            let (seconds, subsecond, mut cap_len, mut wire_len) =
                (u32_of(head, 0, BIG), u32_of(head, 4, BIG), u32_of(head, 8, BIG), u32_of(head, 12, BIG));
            if self.order != Order::CapturedFirst && (self.order == Order::OriginalFirst || cap_len > wire_len) {
                (cap_len, wire_len) = (wire_len, cap_len);
            }
            if cap_len > CAPTURED_BYTES_MAX {
                let text = format!(
                    "a record claims {cap_len} captured bytes, more than the {CAPTURED_BYTES_MAX} any capture program writes; \
                     what follows cannot be read"
                );
                return Step::Stop(problem("record-length", Some(offset + *at as u64), text));
            }
            let whole = header + cap_len as usize;
            if rest.len() < whole {
                return if *at > start { Step::Took { used: *at } } else { Step::Need(whole) };
            }
            let pseudo = self.pseudo.min(cap_len);
            let (scale, limit) = if self.nanos { (1, 1_000_000_000) } else { (1_000, 1_000_000) };
            out.push(RawRecord {
                ts: i64::from(seconds) * 1_000_000_000 + i64::from(subsecond) * scale,
                start: (*at + header) as u32 + pseudo,
                cap_len: cap_len - pseudo,
                wire_len: wire_len.saturating_sub(pseudo).min(i32::MAX as u32),
                link: self.link,
                has_time: true,
                odd: RecordOddity {
                    subsecond: subsecond >= limit,
                    wire_length: wire_len > i32::MAX as u32 || wire_len < cap_len,
                },
            });
            *at += whole;
        }
    }
}
