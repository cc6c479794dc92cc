//! `--where`: tcpdump's filter language on the bytes of the frame, and what to say when it is not understood.

use crate::failure::Failure;
use noroshi_packet::capture::{RawBatch, RawRecord};
use noroshi_packet::filter::{self, FilterError};

/// Longest expression.
const EXPRESSION_BYTES_MAX: usize = 4096;

/// A compiled filter.
pub struct Filter {
    filter: filter::Filter,
    unreadable: u64,
}

impl Filter {
    /// Compiles an expression; a refusal names the word that was not understood.
    pub fn compile(expression: &str) -> Result<Filter, Failure> {
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(Failure::usage(format!("the filter is longer than {EXPRESSION_BYTES_MAX} bytes")).at("--where"));
        }
        let compiled = filter::Filter::compile(expression);
        compiled.map(|filter| Filter { filter, unreadable: 0 }).map_err(|error| refusal(expression, &error))
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
        let matched = self.filter.matches(record.link, frame, record.wire_len);
        self.unreadable += u64::from(matched.is_none());
        matched.unwrap_or(false)
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

fn refusal(expression: &str, error: &FilterError) -> Failure {
    let (what, place) = match error {
        FilterError::Word(at) => ("the filter cannot be understood".to_owned(), describe(expression, *at)),
        FilterError::EndsEarly => (error.to_string(), format!("--where \"{expression}\", at its end")),
        _ => (error.to_string(), format!("--where \"{expression}\"")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_packet::capture::LinkType;

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
