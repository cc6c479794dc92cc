//! `cargo +nightly fuzz run lure-adb fuzz/corpus-run/lure-adb fuzz/seeds/lure-adb`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("lure-adb").expect("a target of this name");
    (target.run)(bytes);
});
