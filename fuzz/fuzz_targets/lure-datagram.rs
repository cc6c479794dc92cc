//! `cargo +nightly fuzz run lure-datagram fuzz/corpus-run/lure-datagram fuzz/seeds/lure-datagram`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("lure-datagram").expect("a target of this name");
    (target.run)(bytes);
});
