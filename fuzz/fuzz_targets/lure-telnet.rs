//! `cargo +nightly fuzz run lure-telnet fuzz/corpus-run/lure-telnet fuzz/seeds/lure-telnet`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("lure-telnet").expect("a target of this name");
    (target.run)(bytes);
});
