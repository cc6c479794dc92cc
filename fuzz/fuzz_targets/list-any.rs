//! `cargo +nightly fuzz run list-any fuzz/corpus-run/list-any fuzz/seeds/list-any`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("list-any").expect("a target of this name");
    (target.run)(bytes);
});
