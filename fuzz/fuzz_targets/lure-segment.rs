//! `cargo +nightly fuzz run lure-segment fuzz/corpus-run/lure-segment fuzz/seeds/lure-segment`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("lure-segment").expect("a target of this name");
    (target.run)(bytes);
});
