//! `cargo +nightly fuzz run hpfeeds-broker fuzz/corpus-run/hpfeeds-broker fuzz/seeds/hpfeeds-broker`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("hpfeeds-broker").expect("a target of this name");
    (target.run)(bytes);
});
