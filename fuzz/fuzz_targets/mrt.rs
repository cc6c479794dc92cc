//! `cargo +nightly fuzz run mrt fuzz/corpus-run/mrt fuzz/seeds/mrt`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("mrt").expect("a target of this name");
    (target.run)(bytes);
});
