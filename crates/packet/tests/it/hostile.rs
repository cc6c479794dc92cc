//! Hostile bytes: nothing panics, work is bounded, what is complete is kept.

use noroshi_model::Nanos;
use noroshi_model::packet::{Has, PacketBatch};
use noroshi_model::rows;
use noroshi_packet::capture::{LinkType, RawBatch, RawRecord, Reader};
use noroshi_packet::decode::{decode, decode_frame};
use proptest::prelude::*;
use std::io::Write;

fn read(bytes: Vec<u8>) -> Option<(Vec<PacketBatch>, usize)> {
    let mut reader = Reader::new(std::io::Cursor::new(bytes)).ok()?;
    let mut batches = Vec::new();
    while let Some(raw) = reader.next_batch() {
        batches.push(decode(raw, 0));
    }
    Some((batches, reader.problems().len()))
}

fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::from(0xa1b2_c3d4u32.to_be_bytes());
    out.extend([0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 1]);
    for (i, frame) in frames.iter().enumerate() {
        for value in [1_700_000_000 + i as u32, 5, frame.len() as u32, frame.len() as u32] {
            out.extend(value.to_be_bytes());
        }
        out.extend(frame);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_frame_on_any_link_decodes(bytes in proptest::collection::vec(any::<u8>(), 0..200), link in prop_oneof![
        Just(0u16), Just(1), Just(9), Just(51), Just(101), Just(104), Just(105), Just(108), Just(113), Just(127), Just(239), Just(276)]) {
        let mut rare = Vec::new();
        let row = decode_frame(&bytes, Nanos(0), bytes.len() as u32, LinkType(link), &mut rare);
        prop_assert!(row.payload_at as usize + row.payload_cap as usize <= bytes.len() || row.payload_cap == 0);
    }

    #[test]
    fn headers_with_random_damage_decode(seed in proptest::collection::vec((0usize..120, any::<u8>()), 0..12), cut in 0usize..140) {
        // Ethernet, VLAN, IPv6 with a destination option, GRE, IPv4, TCP with options.
        let mut frame = vec![0u8; 12];
        frame.extend([0x81, 0, 0, 7, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 76, 60, 64]);
        frame.extend([0x20; 32]);
        frame.extend([47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
        frame.extend([0x45, 0, 0, 60, 0, 1, 0, 0, 64, 6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        frame.extend([0, 80, 0, 90, 0, 0, 0, 1, 0, 0, 0, 2, 0x70, 2, 4, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4, 1, 1, 4, 2]);
        for (at, value) in seed {
            if let Some(byte) = frame.get_mut(at) { *byte = value; }
        }
        frame.truncate(cut);
        let mut rare = Vec::new();
        let row = decode_frame(&frame, Nanos(0), 140, LinkType::ETHERNET, &mut rare);
        prop_assert!(row.payload_at as usize + row.payload_cap as usize <= frame.len() || row.payload_cap == 0);
    }

    #[test]
    fn a_cut_file_keeps_its_complete_packets(cut in 24usize..400) {
        let whole = pcap(&[vec![0; 60], vec![1; 70], vec![2; 90]]);
        let cut = cut.min(whole.len());
        let complete = [24 + 76, 24 + 76 + 86, 24 + 76 + 86 + 106].iter().filter(|end| **end <= cut).count();
        let (batches, problems) = read(whole[..cut].to_vec()).expect("the header is whole");
        prop_assert_eq!(batches.iter().map(|batch| batch.rows.len()).sum::<usize>(), complete);
        let on_boundary = [24, 100, 186, 292].contains(&cut);
        prop_assert_eq!(problems, usize::from(!on_boundary));
    }

    #[test]
    fn damaged_captures_never_panic(ng in any::<bool>(), damage in proptest::collection::vec((0usize..300, any::<u8>()), 0..10)) {
        let mut bytes = if ng {
            let mut out = vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0];
            out.extend([0xff; 8]);
            out.extend([28, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0]);
            out.extend([6, 0, 0, 0, 52, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 20, 0, 0, 0]);
            out.extend([7; 20]);
            out.extend([52, 0, 0, 0]);
            out
        } else {
            pcap(&[vec![0; 60], vec![1; 70]])
        };
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) { *byte = value; }
        }
        read(bytes);
    }

    #[test]
    fn rows_survive_arrow(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 0..20), fix in any::<bool>()) {
        let mut data = Vec::new();
        let mut records = Vec::new();
        for (i, mut frame) in frames.into_iter().enumerate() {
            if fix && frame.len() > 34 {
                frame[12..14].copy_from_slice(&[8, 0]);
                frame[14] = 0x45;
                frame[23] = [1, 6, 17, 47][i % 4];
            }
            records.push(RawRecord { ts: i as i64, start: data.len() as u32, cap_len: frame.len() as u32, wire_len: 200,
                link: LinkType::ETHERNET, has_time: i % 3 > 0, odd: Default::default() });
            data.extend(frame);
        }
        let batch = decode(RawBatch { first_position: 0, data, records }, 0);
        let record_batch = rows::packets_record_batch(&batch);
        let back = rows::packet_batch(&record_batch).unwrap();
        prop_assert_eq!(rows::packets_record_batch(&back), record_batch);
        for (a, b) in batch.rows.iter().zip(&back.rows) {
            prop_assert_eq!(batch.payload(a), back.payload(b));
            prop_assert_eq!((a.src, a.dst, a.has.0 & !Has::LATER_FRAGMENT.0), (b.src, b.dst, b.has.0 & !Has::LATER_FRAGMENT.0));
        }
    }
}

#[test]
fn compressed_captures_read_alike() {
    let plain = pcap(&vec![vec![9; 60]; 5_000]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for bytes in [plain.clone(), gzip.clone(), zstd] {
        let (batches, problems) = read(bytes).unwrap();
        assert_eq!((batches.iter().map(|batch| batch.rows.len()).sum::<usize>(), problems), (5_000, 0));
    }
    let (batches, problems) = read(gzip[..gzip.len() / 2].to_vec()).unwrap();
    let kept: usize = batches.iter().map(|batch| batch.rows.len()).sum();
    assert!(
        kept < 5_000 && problems == 1,
        "a cut gzip gives what it holds and one problem: {kept} packets, {problems} problems"
    );
}

#[test]
fn a_compression_bomb_is_refused_in_bounded_memory() {
    let mut bomb = zstd::Encoder::new(Vec::new(), 1).unwrap();
    bomb.write_all(&pcap(&[])).unwrap();
    let record = [0u8; 16];
    let chunk: Vec<u8> = record.repeat(65_536);
    for _ in 0..200 {
        bomb.write_all(&chunk).unwrap();
    }
    let (_, problems) = read(bomb.finish().unwrap()).unwrap();
    assert_eq!(problems, 1);
}
