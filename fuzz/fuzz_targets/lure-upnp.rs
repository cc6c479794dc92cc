//! `cargo +nightly fuzz run lure-upnp fuzz/corpus-run/lure-upnp fuzz/seeds/lure-upnp`; the parser is named in `noroshi_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = noroshi_testkit::fuzz::target("lure-upnp").expect("a target of this name");
    (target.run)(bytes);
});
