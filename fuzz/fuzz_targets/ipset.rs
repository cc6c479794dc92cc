//! `cargo +nightly fuzz run ipset fuzz/corpus-run/ipset fuzz/seeds/ipset`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("ipset").expect("a target of this name");
    (target.run)(bytes);
});
