//! `cargo +nightly fuzz run correlate-model fuzz/corpus-run/correlate-model fuzz/seeds/correlate-model`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("correlate-model").expect("a target of this name");
    (target.run)(bytes);
});
