//! `cargo +nightly fuzz run lure-redis fuzz/corpus-run/lure-redis fuzz/seeds/lure-redis`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("lure-redis").expect("a target of this name");
    (target.run)(bytes);
});
