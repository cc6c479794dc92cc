//! `cargo +nightly fuzz run logs fuzz/corpus-run/logs fuzz/seeds/logs`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("logs").expect("a target of this name");
    (target.run)(bytes);
});
