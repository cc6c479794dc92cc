//! `cargo +nightly fuzz run mmdb fuzz/corpus-run/mmdb fuzz/seeds/mmdb`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("mmdb").expect("a target of this name");
    (target.run)(bytes);
});
