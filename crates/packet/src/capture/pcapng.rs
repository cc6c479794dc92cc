//! The block-structured capture format: draft-ietf-opsawg-pcapng.
//!
//! Packets come from enhanced, simple and (obsolete) packet blocks. Every other block is stepped over by its length, so
//! custom blocks, name resolution, statistics and decryption secrets do no harm.

use super::{CAPTURED_BYTES_MAX, LinkType, RawRecord, RecordOddity, Step, problem};
use noroshi_model::report::Problem;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Longest block that is held in memory; longer ones that carry no packet are refused too, as no writer makes them.
const BLOCK_BYTES_MAX: usize = 16 << 20;
/// Interfaces of one section, at most.
const INTERFACES_MAX: usize = 65_536;

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snap_len: u32,
    /// Ticks per second.
    ticks: Ticks,
    offset_seconds: i64,
}

#[derive(Clone, Copy, Debug)]
enum Ticks {
    /// A power of ten, up to 10^19.
    Decimal(u8),
    /// A power of two, up to 2^63.
    Binary(u8),
}

/// State of a pcapng stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// A section header was read.
    pub(super) opened: bool,
}

struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn u16(&self, at: usize) -> u16 {
        let pair = [self.bytes[at], self.bytes[at + 1]];
        if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    }
    fn u32(&self, at: usize) -> u32 {
        let quad: [u8; 4] = self.bytes[at..at + 4].try_into().expect("four bytes");
        if self.big_endian { u32::from_be_bytes(quad) } else { u32::from_le_bytes(quad) }
    }
    fn i64(&self, at: usize) -> i64 {
        let eight: [u8; 8] = self.bytes[at..at + 8].try_into().expect("eight bytes");
        if self.big_endian { i64::from_be_bytes(eight) } else { i64::from_le_bytes(eight) }
    }
}

/// Calls `visit(code, value offset, length)` for each option from `at` on; refuses options that leave the block.
fn options(fields: &Fields<'_>, mut at: usize, mut visit: impl FnMut(u16, usize, usize)) -> Result<(), String> {
    let end = fields.bytes.len();
    while at + 4 <= end {
        let (code, length) = (fields.u16(at), fields.u16(at + 2) as usize);
        if code == 0 {
            return Ok(());
        }
        if at + 4 + length > end {
            return Err(format!("an option of {length} bytes does not fit its block"));
        }
        visit(code, at + 4, length);
        at += 4 + length.next_multiple_of(4);
    }
    Ok(())
}

impl Pcapng {
    /// Whether these first four bytes begin a pcapng file.
    pub(super) fn recognises(magic: [u8; 4]) -> bool {
        magic == SECTION_HEADER.to_be_bytes()
    }

    /// Frames blocks from `bytes[at..]`, pushing each packet. `at` moves to the first unfinished block.
    pub(super) fn frame(&mut self, bytes: &[u8], at: &mut usize, offset: u64, out: &mut Vec<RawRecord>) -> Step {
        let start = *at;
        loop {
            let rest = &bytes[*at..];
            let need = |bytes: usize, at: usize| if at > start { Step::Took { used: at } } else { Step::Need(bytes) };
            if rest.len() < 12 {
                return need(12, *at);
            }
            let here = offset + *at as u64;
            let kind = u32::from_le_bytes(rest[..4].try_into().expect("four bytes"));
            if kind == SECTION_HEADER {
                match rest[8..12] {
                    [0x1a, 0x2b, 0x3c, 0x4d] => self.big_endian = true,
                    [0x4d, 0x3c, 0x2b, 0x1a] => self.big_endian = false,
                    _ => {
                        return Step::Stop(problem(
                            "byte-order",
                            Some(here + 8),
                            "a section header without its byte-order mark",
                        ));
                    }
                }
            }
            let head = Fields { bytes: rest, big_endian: self.big_endian };
            let (kind, length) = (head.u32(0), head.u32(4) as usize);
            if !(12..=BLOCK_BYTES_MAX).contains(&length) || length % 4 != 0 {
                let text = format!("a block claims {length} bytes; what follows cannot be read");
                return Step::Stop(problem("block-length", Some(here), text));
            }
            if rest.len() < length {
                return need(length, *at);
            }
            let trailer = head.u32(length - 4) as usize;
            if trailer != length {
                let text =
                    format!("the two lengths of a block differ ({length} and {trailer}); what follows cannot be read");
                return Step::Stop(problem("block-length", Some(here + length as u64 - 4), text));
            }
            let body = Fields { bytes: &rest[8..length - 4], big_endian: self.big_endian };
            if let Err(stop) = self.block(kind, &body, *at + 8, here, out) {
                return Step::Stop(stop);
            }
            *at += length;
        }
    }

    fn block(
        &mut self,
        kind: u32,
        body: &Fields<'_>,
        body_at: usize,
        here: u64,
        out: &mut Vec<RawRecord>,
    ) -> Result<(), Problem> {
        let bad = |text: String| problem("block", Some(here), text);
        match kind {
            SECTION_HEADER => self.section(body).map_err(bad),
            INTERFACE_DESCRIPTION => self.interface(body).map_err(bad),
            ENHANCED_PACKET => self.enhanced(body, body_at, out).map_err(bad),
            PACKET => self.obsolete(body, body_at, out).map_err(bad),
            SIMPLE_PACKET => self.simple(body, body_at, out).map_err(bad),
            _ => Ok(()),
        }
    }

    fn section(&mut self, body: &Fields<'_>) -> Result<(), String> {
        if body.bytes.len() < 16 {
            return Err("a section header that is too short".to_owned());
        }
        let (major, minor) = (body.u16(4), body.u16(6));
        if major != 1 || !(minor == 0 || minor == 2) {
            return Err(format!("pcapng version {major}.{minor} is not known (1.0 is)"));
        }
        options(body, 16, |_, _, _| {})?;
        self.interfaces.clear();
        self.opened = true;
        Ok(())
    }

    fn interface(&mut self, body: &Fields<'_>) -> Result<(), String> {
        if body.bytes.len() < 8 {
            return Err("an interface description that is too short".to_owned());
        }
        if self.interfaces.len() >= INTERFACES_MAX {
            return Err(format!("more than {INTERFACES_MAX} interfaces in one section"));
        }
        let mut interface = Interface {
            link: LinkType(body.u16(0)),
            snap_len: body.u32(4),
            ticks: Ticks::Decimal(6),
            offset_seconds: 0,
        };
        options(body, 8, |code, at, length| match (code, length) {
            (9, 1) => {
                let value = body.bytes[at];
                interface.ticks = if value & 0x80 == 0 { Ticks::Decimal(value) } else { Ticks::Binary(value & 0x7f) };
            }
            (14, 8) => interface.offset_seconds = body.i64(at),
            _ => {}
        })?;
        if matches!(interface.ticks, Ticks::Decimal(20..) | Ticks::Binary(64..)) {
            return Err("an interface with a time resolution beyond 64 bits".to_owned());
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn enhanced(&self, body: &Fields<'_>, body_at: usize, out: &mut Vec<RawRecord>) -> Result<(), String> {
        if body.bytes.len() < 20 {
            return Err("a packet block that is too short".to_owned());
        }
        let interface = self.interface_of(body.u32(0))?;
        let ticks = u64::from(body.u32(4)) << 32 | u64::from(body.u32(8));
        self.packet(interface, Some(ticks), body.u32(12), body.u32(16), (body_at, body.bytes.len(), 20), out)
    }

    fn obsolete(&self, body: &Fields<'_>, body_at: usize, out: &mut Vec<RawRecord>) -> Result<(), String> {
        if body.bytes.len() < 20 {
            return Err("a packet block that is too short".to_owned());
        }
        let interface = self.interface_of(u32::from(body.u16(0)))?;
        let ticks = u64::from(body.u32(4)) << 32 | u64::from(body.u32(8));
        self.packet(interface, Some(ticks), body.u32(12), body.u32(16), (body_at, body.bytes.len(), 20), out)
    }

    fn simple(&self, body: &Fields<'_>, body_at: usize, out: &mut Vec<RawRecord>) -> Result<(), String> {
        if body.bytes.len() < 4 {
            return Err("a simple packet block that is too short".to_owned());
        }
        let interface = self.interface_of(0)?;
        let wire_len = body.u32(0);
        let snap_len = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
        self.packet(interface, None, wire_len.min(snap_len), wire_len, (body_at, body.bytes.len(), 4), out)
    }

    fn interface_of(&self, id: u32) -> Result<&Interface, String> {
        self.interfaces
            .get(id as usize)
            .ok_or_else(|| format!("a packet of interface {id}, but the section describes {}", self.interfaces.len()))
    }

    fn packet(
        &self,
        interface: &Interface,
        ticks: Option<u64>,
        cap_len: u32,
        wire_len: u32,
        (body_at, body_len, header): (usize, usize, usize),
        out: &mut Vec<RawRecord>,
    ) -> Result<(), String> {
        if cap_len > CAPTURED_BYTES_MAX || cap_len as usize > body_len - header {
            return Err(format!("a packet claims {cap_len} captured bytes, which its block does not hold"));
        }
        let pseudo = interface.link.pseudo_header().min(cap_len);
        out.push(RawRecord {
            ts: ticks.map_or(0, |ticks| interface.nanos(ticks)),
            start: (body_at + header) as u32 + pseudo,
            cap_len: cap_len - pseudo,
            wire_len: wire_len.saturating_sub(pseudo).min(i32::MAX as u32),
            link: interface.link,
            has_time: ticks.is_some(),
            odd: RecordOddity { subsecond: false, wire_length: wire_len > i32::MAX as u32 || wire_len < cap_len },
        });
        Ok(())
    }
}

impl Interface {
    /// Nanoseconds since 1970, rounded down; saturates at the ends of the range.
    fn nanos(&self, ticks: u64) -> i64 {
        let nanos = match self.ticks {
            Ticks::Decimal(power @ 0..=9) => u128::from(ticks) * 10u128.pow(9 - u32::from(power)),
            Ticks::Decimal(power) => u128::from(ticks) / 10u128.pow(u32::from(power) - 9),
            Ticks::Binary(power) => (u128::from(ticks) * 1_000_000_000) >> power,
        };
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        nanos.saturating_add(self.offset_seconds.saturating_mul(1_000_000_000))
    }
}
