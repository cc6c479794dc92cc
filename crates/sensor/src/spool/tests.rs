use super::*;
use proptest::prelude::*;

const QUOTA: u64 = 1 << 30;

fn batch(rows: u64, byte: u8, length: usize) -> NewBatch {
    NewBatch { schema: Some(SchemaId::PACKETS), rows, losses: vec![], body: vec![byte; length] }
}

fn all(spool: &Spool) -> Vec<(u64, u64, u64)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((head, _)) = spool.next_after(at).unwrap() {
        assert!(head.accounts(), "{head:?}");
        found.push((head.first_seq, head.last_seq, head.rows));
        at = head.last_seq;
    }
    found
}

#[test]
fn what_was_appended_survives_until_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), QUOTA).unwrap();
    let epoch = spool.state().epoch;
    spool.append(&batch(10, 1, 100)).unwrap();
    let losses = vec![(GapReason::Filter, 3), (GapReason::Kernel, 2)];
    spool.append(&NewBatch { losses, ..batch(5, 2, 100) }).unwrap();
    assert!(matches!(Spool::open(dir.path(), QUOTA), Err(SpoolError::Locked(_))));
    drop(spool);
    let spool = Spool::open(dir.path(), QUOTA).unwrap();
    assert_eq!(spool.state(), StreamState { epoch, last_seq: 20 });
    assert_eq!(all(&spool), [(1, 10, 10), (11, 20, 5)]);
    spool.acknowledge(10).unwrap();
    assert_eq!(all(&spool), [(11, 20, 5)]);
    spool.acknowledge(20).unwrap();
    spool.settle().unwrap();
    drop(spool);
    let spool = Spool::open(dir.path(), QUOTA).unwrap();
    assert_eq!(all(&spool), []);
    assert_eq!(spool.append(&batch(1, 3, 10)).unwrap(), 21);
}

#[test]
fn numbers_go_on_when_every_frame_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), QUOTA).unwrap();
    for n in 0..4 {
        spool.append(&batch(1, n, 4 << 20)).unwrap();
    }
    spool.acknowledge(4).unwrap();
    assert!(spool.bytes() <= SEGMENT_BYTES + (8 << 20), "{}", spool.bytes());
    drop(spool);
    assert_eq!(Spool::open(dir.path(), QUOTA).unwrap().state().last_seq, 4);
}

#[test]
fn the_quota_costs_the_oldest_and_says_so_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), 24 << 20).unwrap();
    for n in 0..20 {
        spool.append(&batch(7, n, 3 << 20)).unwrap();
    }
    assert!(spool.bytes() <= 24 << 20);
    let check = |spool: &Spool| {
        let found = all(spool);
        assert_eq!(found[0].0, 1);
        assert_eq!(found[0].2, 0, "the oldest are declared lost, as one gap");
        assert!(found.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
        assert_eq!(found.last().unwrap().1, 140);
        let stored: u64 = found.iter().map(|(_, _, rows)| rows).sum();
        assert_eq!(stored + found[0].1, 140);
    };
    check(&spool);
    assert!(spool.quota_losses() > 0);
    // A hub that got part of what was given up meanwhile: the gap is cut at its watermark.
    spool.acknowledge(7).unwrap();
    assert_eq!(spool.next_after(0).unwrap().unwrap().0.first_seq, 8);
    drop(spool);
    let spool = Spool::open(dir.path(), 24 << 20).unwrap();
    assert_eq!(all(&spool).last().unwrap().1, 140);
}

#[test]
fn a_refused_batch_becomes_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), QUOTA).unwrap();
    for n in 0..3 {
        spool.append(&batch(10, n, 50)).unwrap();
    }
    spool.refused(11, 20).unwrap();
    assert_eq!(all(&spool), [(1, 10, 10), (11, 20, 0), (21, 30, 10)]);
    drop(spool);
    let spool = Spool::open(dir.path(), QUOTA).unwrap();
    assert_eq!(all(&spool), [(1, 10, 10), (11, 20, 0), (21, 30, 10)]);
    assert_eq!(spool.next_after(10).unwrap().unwrap().0.gaps[0].reason, GapReason::Refused);
}

#[test]
fn damage_while_running_costs_that_frame() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), QUOTA).unwrap();
    for n in 0..3 {
        spool.append(&batch(10, n, 50)).unwrap();
    }
    let path = segment_path(dir.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(all(&spool), [(1, 10, 10), (11, 20, 0), (21, 30, 10)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever happens to the bytes of a segment: no panic, numbers account exactly, and damage in the middle costs
    /// only frames that were touched.
    #[test]
    fn any_damage_is_declared(
        frames in 1usize..8,
        cuts in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        truncate in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), QUOTA).unwrap();
        let appended: Vec<u64> = (0..frames).map(|n| spool.append(&batch(n as u64 + 1, n as u8, 40)).unwrap()).collect();
        drop(spool);
        let path = segment_path(dir.path(), 1);
        let mut bytes = std::fs::read(&path).unwrap();
        let whole = bytes.len();
        let mut touched = whole;
        for (at, value) in &cuts {
            let at = at.index(whole);
            if bytes[at] != *value {
                touched = touched.min(at);
            }
            bytes[at] = *value;
        }
        if let Some(at) = truncate {
            bytes.truncate(at.index(whole + 1));
            touched = touched.min(bytes.len());
        }
        std::fs::write(&path, &bytes).unwrap();
        let spool = Spool::open(dir.path(), QUOTA).unwrap();
        let found = all(&spool);
        prop_assert!(found.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
        prop_assert!(found.first().is_none_or(|first| first.0 == 1));
        prop_assert_eq!(found.last().map_or(0, |last| last.1), spool.state().last_seq);
        // Frames before the first touched byte are whole.
        let frame = whole / frames;
        let whole_frames = (touched / frame).min(frames);
        prop_assert!(found.len() >= whole_frames);
        for (at, last) in appended.iter().take(whole_frames).enumerate() {
            prop_assert_eq!((found[at].1, found[at].2), (*last, at as u64 + 1));
        }
        // And the spool goes on.
        let next = spool.state().last_seq + 1;
        prop_assert_eq!(spool.append(&batch(1, 9, 10)).unwrap(), next);
    }
}
