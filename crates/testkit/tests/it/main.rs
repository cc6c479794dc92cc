//! Every fuzz target survives its seeds and a fixed number of mutations of them.

use noroshi_testkit::fuzz::{Mutator, TARGETS};
use std::path::Path;

/// Mutations of each target: a second or so. `cargo xtask prove fuzz` goes on for minutes.
const MUTATIONS: usize = 2_000;

#[test]
fn parsers_survive_mutated_seeds() {
    for target in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target.name);
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{} holds no seed", folder.display());
        let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect();
        let mut mutator = Mutator::new(7);
        seeds.iter().for_each(|bytes| (target.run)(bytes));
        for _ in 0..MUTATIONS {
            (target.run)(&mutator.input(&seeds));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let seeds = [b"one seed".to_vec(), b"and another".to_vec()];
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..100).map(|_| mutator.input(&seeds)).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}
