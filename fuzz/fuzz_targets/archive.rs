//! `cargo +nightly fuzz run archive fuzz/corpus-run/archive fuzz/seeds/archive`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("archive").expect("a target of this name");
    (target.run)(bytes);
});
