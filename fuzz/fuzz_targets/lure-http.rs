//! `cargo +nightly fuzz run lure-http fuzz/corpus-run/lure-http fuzz/seeds/lure-http`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("lure-http").expect("a target of this name");
    (target.run)(bytes);
});
