//! `cargo +nightly fuzz run filter fuzz/corpus-run/filter fuzz/seeds/filter`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("filter").expect("a target of this name");
    (target.run)(bytes);
});
