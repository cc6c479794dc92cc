//! `--where`: tcpdump's filter language on the bytes of the frame.
//!
//! The expression is compiled once, for Ethernet; frames of other link types are looked at as if their network header
//! followed an empty Ethernet header. Like tcpdump, a filter looks at the outermost headers.

use crate::failure::Failure;
use noroshi_packet::capture::{LinkType, RawBatch, RawRecord};
use pktbaffle::bpf::Insn;
use pktbaffle::{Error, Program, Target};

/// Longest expression; the parser works recursively.
const EXPRESSION_BYTES_MAX: usize = 4096;
const ETHERNET_HEADER: usize = 14;
/// "Load the length of the packet", and "load a constant" (bpf(4)).
const LOAD_LENGTH: u16 = 0x80;
const LOAD_CONSTANT: u16 = 0x00;

/// A compiled filter.
pub struct Filter {
    program: Vec<Insn>,
    /// Instructions that load the length. The interpreter would take the captured length; tcpdump means the original.
    lengths: Vec<usize>,
    scratch: Vec<u8>,
    unreadable: u64,
}

impl Filter {
    /// Compiles an expression; a refusal names the word that was not understood.
    pub fn compile(expression: &str) -> Result<Filter, Failure> {
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(Failure::usage(format!("the filter is longer than {EXPRESSION_BYTES_MAX} bytes")).at("--where"));
        }
        let compiled = pktbaffle::compile(expression, pktbaffle::LinkType::Ethernet, Target::Classic);
        match compiled {
            Ok(program @ Program::Classic(_)) => {
                let program = program.instructions().to_vec();
                let lengths = (0..program.len()).filter(|at| program[*at].code == LOAD_LENGTH).collect();
                Ok(Filter { program, lengths, scratch: Vec::new(), unreadable: 0 })
            }
            Ok(Program::Extended(_)) => Err(Failure::failed("the filter was compiled for another machine")),
            Err(error) => Err(refusal(expression, &error)),
        }
    }

    /// Keeps the packets that match. Data of packets that were left out is given back when most of it is not needed.
    pub fn retain(&mut self, batch: &mut RawBatch) {
        let RawBatch { data, records, .. } = batch;
        let before = records.len();
        records.retain(|record| self.matches(frame(data, record), record));
        if records.len() * 2 < before {
            compact(batch);
        }
    }

    /// Packets whose link type the filter cannot look into; they never match.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    fn matches(&mut self, frame: &[u8], record: &RawRecord) -> bool {
        let set_length = |program: &mut [Insn], lengths: &[usize], length: u32| {
            for at in lengths {
                (program[*at].code, program[*at].k) = (LOAD_CONSTANT, length);
            }
        };
        set_length(&mut self.program, &self.lengths, record.wire_len);
        if record.link == LinkType::ETHERNET {
            return pktbaffle::vm::run(&self.program, frame);
        }
        let Some((ethertype, at)) = network_header(record.link, frame) else {
            self.unreadable += 1;
            return false;
        };
        self.scratch.clear();
        self.scratch.resize(ETHERNET_HEADER - 2, 0);
        self.scratch.extend_from_slice(&ethertype.to_be_bytes());
        self.scratch.extend_from_slice(&frame[at..]);
        pktbaffle::vm::run(&self.program, &self.scratch)
    }
}

fn frame<'a>(data: &'a [u8], record: &RawRecord) -> &'a [u8] {
    let start = record.start as usize;
    data.get(start..start + record.cap_len as usize).unwrap_or(&[])
}

/// Moves what is left together.
fn compact(batch: &mut RawBatch) {
    let total = batch.records.iter().map(|record| record.cap_len as usize).sum();
    let mut kept = Vec::with_capacity(total);
    for record in &mut batch.records {
        let bytes = frame(&batch.data, record);
        record.start = kept.len() as u32;
        kept.extend_from_slice(bytes);
    }
    batch.data = kept;
}

/// Ethertype and place of the network header behind a simple link layer.
fn network_header(link: LinkType, frame: &[u8]) -> Option<(u16, usize)> {
    const IPV4: u16 = 0x0800;
    const IPV6: u16 = 0x86dd;
    let by_version = |at: usize| match frame.get(at)? >> 4 {
        4 => Some((IPV4, at)),
        6 => Some((IPV6, at)),
        _ => None,
    };
    let by_ethertype =
        |at: usize, next: usize| Some((u16::from_be_bytes(*frame.get(at..)?.first_chunk()?), next.min(frame.len())));
    match link {
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => by_version(0),
        LinkType::NULL | LinkType::LOOP => by_version(4),
        LinkType::LINUX_SLL => by_ethertype(14, 16),
        LinkType::LINUX_SLL2 => by_ethertype(0, 20),
        LinkType::C_HDLC => by_ethertype(2, 4),
        LinkType::PPP | LinkType::PPP_HDLC => by_version(if frame.starts_with(&[0xff, 3]) { 4 } else { 2 }),
        _ => None,
    }
}

fn refusal(expression: &str, error: &Error) -> Failure {
    let place = match error {
        Error::LexError { offset, .. } => describe(expression, *offset),
        Error::ParseError { .. } => match offending_word(expression, error) {
            Some(at) => describe(expression, at),
            None => format!("--where \"{expression}\", at its end"),
        },
        Error::CodegenError { .. } => format!("--where \"{expression}\""),
    };
    let what = match error {
        Error::CodegenError { message } => format!("the filter cannot be used on captured packets: {message}"),
        _ if place.ends_with("end") => "the filter ends too early".to_owned(),
        _ => "the filter cannot be understood".to_owned(),
    };
    Failure::usage(what)
        .at(place)
        .hint("write it as for tcpdump (man pcap-filter), such as: tcp dst port 23 and src net 192.0.2.0/24")
}

fn describe(expression: &str, offset: usize) -> String {
    let rest = expression.get(offset..).unwrap_or("");
    let word = rest.split_whitespace().next().unwrap_or("");
    let character = expression.get(..offset).map_or(0, |before| before.chars().count()) + 1;
    format!("--where \"{expression}\", character {character}: \"{word}\"")
}

/// Where the parser stopped. It tells only what it saw, so the expression is read word by word until it says the same;
/// `None` when that takes the whole expression and a word is missing after it.
fn offending_word(expression: &str, error: &Error) -> Option<usize> {
    let starts = expression.char_indices().filter(|(at, c)| {
        !c.is_whitespace()
            && expression[..*at].chars().next_back().is_none_or(|c| c.is_whitespace() || "()!".contains(c))
            || "()!".contains(*c)
    });
    let starts: Vec<usize> = starts.map(|(at, _)| at).collect();
    let says = |text: &str| matches!(pktbaffle::parse(text), Err(same) if same == *error);
    let ends_early = error.to_string().contains("None");
    let at = starts.iter().enumerate().find(|(i, _)| {
        let end = starts.get(i + 1).copied().unwrap_or(expression.len());
        says(&expression[..end])
    });
    at.map(|(_, at)| *at).filter(|_| !ends_early)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(expression: &str) -> String {
        Filter::compile(expression).err().expect("it is refused").to_string()
    }

    #[test]
    fn refusals_name_the_word() {
        assert!(place("tcp prt 80").contains("character 5: \"prt\""), "{}", place("tcp prt 80"));
        assert!(place("tcp port 99999").contains("character 10: \"99999\""), "{}", place("tcp port 99999"));
        assert!(place("tcp and").contains("ends too early"), "{}", place("tcp and"));
        assert!(place("tcp port ???").contains("character 10: \"???\""), "{}", place("tcp port ???"));
        assert!(place("inbound").contains("cannot be used on captured packets"), "{}", place("inbound"));
        assert!(place(&"!".repeat(5000)).contains("longer than"));
    }

    #[test]
    fn the_empty_filter_is_refused() {
        assert!(Filter::compile("").is_err());
    }

    fn syn(link: LinkType, head: &[u8]) -> RawBatch {
        let mut data = head.to_vec();
        data.extend_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
        data.extend_from_slice(&[0x30, 0x39, 0, 23, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0]);
        let record = RawRecord {
            ts: 0,
            start: 0,
            cap_len: data.len() as u32,
            wire_len: 1000,
            link,
            has_time: true,
            odd: Default::default(),
        };
        RawBatch { first_position: 0, data, records: vec![record] }
    }

    #[test]
    fn every_link_type_is_looked_into() {
        let mut ethernet = vec![0; 12];
        ethernet.extend_from_slice(&[8, 0]);
        let mut cooked = vec![0; 14];
        cooked.extend_from_slice(&[8, 0]);
        let mut cooked_2 = vec![8, 0];
        cooked_2.resize(20, 0);
        for (link, head) in [
            (LinkType::ETHERNET, &ethernet[..]),
            (LinkType::RAW, &[]),
            (LinkType::NULL, &[2, 0, 0, 0]),
            (LinkType::LINUX_SLL, &cooked),
            (LinkType::LINUX_SLL2, &cooked_2),
            (LinkType::PPP, &[0xff, 3, 0, 0x21]),
        ] {
            for (expression, kept) in [
                ("tcp dst port 23 and src host 192.0.2.1", 1),
                ("udp or dst port 24", 0),
                ("tcp[tcpflags] & tcp-syn != 0", 1),
                ("greater 900", 1),
                ("less 900", 0),
            ] {
                let mut batch = syn(link, head);
                Filter::compile(expression).unwrap().retain(&mut batch);
                assert_eq!(batch.records.len(), kept, "{link:?} {expression}");
            }
        }
    }

    #[test]
    fn an_unknown_link_type_never_matches_and_is_counted() {
        let mut filter = Filter::compile("tcp").unwrap();
        let mut batch = syn(LinkType(147), &[]);
        filter.retain(&mut batch);
        assert_eq!((batch.records.len(), filter.unreadable()), (0, 1));
    }

    #[test]
    fn data_is_moved_together_when_most_is_left_out() {
        let mut batch = syn(LinkType::RAW, &[]);
        let end = batch.data.len() as u32;
        let again = batch.data.clone();
        batch.data.extend_from_slice(&again);
        batch.data.extend_from_slice(&again);
        let first = batch.records[0];
        batch.data[end as usize + 23] = 99;
        batch.records = (0..3).map(|i| RawRecord { start: i * end, ..first }).collect();
        Filter::compile("dst port 99").unwrap().retain(&mut batch);
        assert_eq!((batch.records.len(), batch.data.len()), (1, end as usize));
        assert_eq!((batch.records[0].start, batch.data[23]), (0, 99));
    }
}
