//! `cargo +nightly fuzz run pe fuzz/corpus-run/pe fuzz/seeds/pe`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("pe").expect("a target of this name");
    (target.run)(bytes);
});
