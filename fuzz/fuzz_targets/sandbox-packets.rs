//! `cargo +nightly fuzz run sandbox-packets fuzz/corpus-run/sandbox-packets fuzz/seeds/sandbox-packets`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("sandbox-packets").expect("a target of this name");
    (target.run)(bytes);
});
