//! `cargo +nightly fuzz run frame fuzz/corpus-run/frame fuzz/seeds/frame`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("frame").expect("a target of this name");
    (target.run)(bytes);
});
