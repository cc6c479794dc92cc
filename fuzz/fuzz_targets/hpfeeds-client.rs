//! `cargo +nightly fuzz run hpfeeds-client fuzz/corpus-run/hpfeeds-client fuzz/seeds/hpfeeds-client`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("hpfeeds-client").expect("a target of this name");
    (target.run)(bytes);
});
