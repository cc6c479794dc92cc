//! `cargo +nightly fuzz run partner-finding fuzz/corpus-run/partner-finding fuzz/seeds/partner-finding`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("partner-finding").expect("a target of this name");
    (target.run)(bytes);
});
