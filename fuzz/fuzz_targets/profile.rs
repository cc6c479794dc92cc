//! `cargo +nightly fuzz run profile fuzz/corpus-run/profile fuzz/seeds/profile`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("profile").expect("a target of this name");
    (target.run)(bytes);
});
