//! `cargo +nightly fuzz run maltrail fuzz/corpus-run/maltrail fuzz/seeds/maltrail`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("maltrail").expect("a target of this name");
    (target.run)(bytes);
});
