//! What is read of samples: profiles, models, and what a sample says in the sandbox.

use noroshi_correlate::feature::{Dimension, Token};
use noroshi_correlate::{Index, Model, Profile, Scratch};
use noroshi_model::Nanos;
use noroshi_sandbox::behaviour::judge;
use noroshi_sandbox::internet::Internet;
use noroshi_sandbox::trace::Trace;
use noroshi_sandbox::{Architecture, Run, report};

/// A file of profiles, line by line; each that is one is known, and asked about.
pub(super) fn profiles(bytes: &[u8]) {
    let model = Model::shipped();
    let read: Vec<Profile> =
        bytes.split(|byte| *byte == b'\n').filter_map(|line| Profile::from_json(line).ok()).take(64).collect();
    let (mut index, mut scratch) = (Index::new(model.similarity), Scratch::default());
    read.iter().for_each(|profile| _ = index.insert(profile));
    for profile in &read {
        std::hint::black_box(index.judge(&model, profile, &mut scratch));
        assert_eq!(
            Profile::from_json(profile.to_json().to_string().as_bytes()).map(|again| again.name).ok().as_ref(),
            Some(&profile.name)
        );
    }
}

/// A model file; what is read as one judges.
pub(super) fn correlate_model(bytes: &[u8]) {
    let Ok(model) = Model::read(bytes) else { return };
    let known = |name: &str, window| Profile {
        name: name.into(),
        packets: 30,
        features: vec![(Token::new(Dimension::Port, 23), 1.0), (Token::new(Dimension::Window, window), 1.0)],
        ..Profile::default()
    };
    let (mut index, mut scratch) = (Index::new(model.similarity), Scratch::default());
    for one in [known("a", 1024), known("b", 5840)] {
        index.insert(&one);
    }
    std::hint::black_box(index.judge(&model, &known("c", 1024), &mut scratch));
}

/// The emulator's account of system calls, judged and reported on.
pub(super) fn sandbox_trace(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    sandbox_report(Run { trace: Trace::read(&text), trace_text: text, ..blank_run() });
}

/// What a sample sends to the fake Internet, packet by packet with a length of two bytes before each; then judged and
/// reported on.
pub(super) fn sandbox_packets(bytes: &[u8]) {
    let mut internet = Internet::new(Some("token".into()), 1 << 20);
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (packet, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)).min(tail.len()));
        std::hint::black_box(internet.receive(packet, Nanos(0)));
        rest = tail;
    }
    let _runnable_or_not = std::hint::black_box(Architecture::of(bytes));
    sandbox_report(Run { seen: internet.seen().clone(), ..blank_run() });
}

fn blank_run() -> Run {
    let (outcome, seen, trace) = Default::default();
    Run { architecture: Architecture::Mips, outcome, seen, trace, trace_text: String::new() }
}

fn sandbox_report(run: Run) {
    let text = report::text("fuzz", &run, &judge(&run));
    assert!(!text.contains('\x1b'), "nothing foreign reaches a terminal");
}
