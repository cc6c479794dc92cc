//! `cargo +nightly fuzz run warninglist fuzz/corpus-run/warninglist fuzz/seeds/warninglist`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("warninglist").expect("a target of this name");
    (target.run)(bytes);
});
