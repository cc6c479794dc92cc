//! `cargo +nightly fuzz run prefix-csv fuzz/corpus-run/prefix-csv fuzz/seeds/prefix-csv`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("prefix-csv").expect("a target of this name");
    (target.run)(bytes);
});
