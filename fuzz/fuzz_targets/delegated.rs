//! `cargo +nightly fuzz run delegated fuzz/corpus-run/delegated fuzz/seeds/delegated`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("delegated").expect("a target of this name");
    (target.run)(bytes);
});
