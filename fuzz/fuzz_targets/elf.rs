//! `cargo +nightly fuzz run elf fuzz/corpus-run/elf fuzz/seeds/elf`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("elf").expect("a target of this name");
    (target.run)(bytes);
});
