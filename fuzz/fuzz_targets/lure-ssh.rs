//! `cargo +nightly fuzz run lure-ssh fuzz/corpus-run/lure-ssh fuzz/seeds/lure-ssh`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("lure-ssh").expect("a target of this name");
    (target.run)(bytes);
});
