//! `cargo +nightly fuzz run intake fuzz/corpus-run/intake fuzz/seeds/intake`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("intake").expect("a target of this name");
    (target.run)(bytes);
});
