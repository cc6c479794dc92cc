//! `cargo +nightly fuzz run sandbox-trace fuzz/corpus-run/sandbox-trace fuzz/seeds/sandbox-trace`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("sandbox-trace").expect("a target of this name");
    (target.run)(bytes);
});
