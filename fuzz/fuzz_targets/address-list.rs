//! `cargo +nightly fuzz run address-list fuzz/corpus-run/address-list fuzz/seeds/address-list`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("address-list").expect("a target of this name");
    (target.run)(bytes);
});
