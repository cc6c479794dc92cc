//! `cargo +nightly fuzz run capture fuzz/corpus-run/capture fuzz/seeds/capture`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("capture").expect("a target of this name");
    (target.run)(bytes);
});
