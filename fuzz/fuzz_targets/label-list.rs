//! `cargo +nightly fuzz run label-list fuzz/corpus-run/label-list fuzz/seeds/label-list`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("label-list").expect("a target of this name");
    (target.run)(bytes);
});
