//! Captures to a [`Report`]: reading, decoding and detecting overlap; what is known of addresses is added at the end.

use crate::inputs::Input;
use crate::progress::Progress;
use noroshi_detect::engine::{Findings, SourceFacts};
use noroshi_detect::{Config, Engine};
use noroshi_enrich::{Kinds, Knowledge};
use noroshi_model::Nanos;
use noroshi_model::finding::Label;
use noroshi_model::packet::PacketBatch;
use noroshi_model::report::{Capture, FileSummary, Problem, Report, SCHEMA, SourceSummary};
use noroshi_packet::capture::{LinkType, RawBatch, Reader};
use noroshi_packet::decode::decode_pieces;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Raw batches that are decoded together, a quarter of a mebibyte each: enough for every thread to have some, few enough
/// that what was read is still in a cache when it is decoded.
const GROUP_BATCHES: usize = 12;

/// What the command line asks for.
pub struct Request {
    /// Settings of the detectors.
    pub config: Config,
    /// Sources listed at most.
    pub sources_max: usize,
    /// The present, for the report's date.
    pub now: Nanos,
}

/// Analyses the inputs in their order, on the threads of the current rayon pool. Inputs that are refused appear with
/// their problem and no packets.
pub fn analyze(inputs: &[Input], request: Request, knowledge: &Knowledge, progress: &Progress) -> Report {
    let mut engine = Engine::new(request.config);
    let mut files = Vec::with_capacity(inputs.len());
    for (file, input) in inputs.iter().enumerate() {
        let mut summary = FileSummary { path: input.path.clone(), ..FileSummary::default() };
        match input.open() {
            Ok(reader) => read(reader, file as u32, &mut engine, &mut summary, progress),
            Err(problem) => summary.problems.push(problem),
        }
        files.push(summary);
    }
    let found = engine.finish(request.sources_max);
    engine.summarise(&mut files);
    let known_at = files.iter().filter_map(|file| file.latest).max().unwrap_or(request.now);
    let countries = countries(&engine, knowledge, known_at);
    // The program is about to end: to take millions of small tables apart would cost one part in thirty of a large day.
    std::mem::forget(engine);
    report(files, found, countries, knowledge, known_at, request.now)
}

fn read(mut reader: Reader, file: u32, engine: &mut Engine, summary: &mut FileSummary, progress: &Progress) {
    summary.format = reader.format();
    summary.compression = reader.compression();
    let mut undecoded = BTreeMap::new();
    let decoded = Mutex::default();
    let mut taken = 0;
    let mut next_group = |reader: &mut Reader| {
        let group: Vec<RawBatch> = std::iter::from_fn(|| reader.next_batch()).take(GROUP_BATCHES).collect();
        let packets = group.iter().map(|batch| batch.records.len() as u64).sum();
        let now = reader.bytes_taken();
        progress.advance(now - std::mem::replace(&mut taken, now), packets);
        group
    };
    let mut group = next_group(&mut reader);
    while !group.is_empty() {
        let current = std::mem::take(&mut group);
        count_undecoded(&current, &mut undecoded);
        // Decoding and detecting one group overlaps with reading the next.
        let spent;
        (group, spent) = rayon::join(|| next_group(&mut reader), || detect(current, file, engine, &decoded));
        spent.into_iter().for_each(|raw| reader.give_back(raw));
    }
    summary.problems.extend_from_slice(reader.problems());
    summary.problems.extend(undecoded.into_iter().map(|(link, packets)| link_problem(link, packets)));
}

/// Decodes batches, into memory that is used again, and hands them to the detectors; gives back their own memory.
fn detect(group: Vec<RawBatch>, file: u32, engine: &mut Engine, decoded: &Mutex<Vec<PacketBatch>>) -> Vec<RawBatch> {
    let preparer = engine.preparer();
    let free = || decoded.lock().unwrap_or_else(PoisonError::into_inner);
    // One by one, so that no thread is left with many of them at the end.
    let ready = group.into_par_iter().with_max_len(1).map(|raw| {
        let mut batch = free().pop().unwrap_or_default();
        let mut prepared = preparer.begin(file);
        let spent = decode_pieces(raw, file, &mut batch, |piece| preparer.add(&mut prepared, piece));
        free().push(batch);
        (prepared, spent)
    });
    let (ready, spent): (Vec<_>, Vec<_>) = ready.collect();
    ready.into_iter().for_each(|batch| engine.observe_prepared(batch));
    spent
}

/// Packets by link type, of the types whose headers are not read.
fn count_undecoded(group: &[RawBatch], undecoded: &mut BTreeMap<LinkType, u64>) {
    let mut last = None;
    for record in group.iter().flat_map(|batch| &batch.records) {
        // Neighbouring packets have the same link type nearly always.
        if last.is_none_or(|(link, _)| link != record.link) {
            last = Some((record.link, record.link.describe().1));
        }
        if let Some((link, false)) = last {
            *undecoded.entry(link).or_default() += 1;
        }
    }
}

fn link_problem(link: LinkType, packets: u64) -> Problem {
    let (name, _) = link.describe();
    Problem {
        code: "link-type".to_owned(),
        offset: None,
        text: format!(
            "{packets} packets have link type {name}, whose headers are not read: they count with bytes and times only"
        ),
    }
}

fn countries(engine: &Engine, knowledge: &Knowledge, at: Nanos) -> BTreeMap<String, u64> {
    let mut countries: BTreeMap<String, u64> = BTreeMap::new();
    if !knowledge.has_country() {
        return countries;
    }
    for (source, packets) in engine.source_packets() {
        if let Some(country) = knowledge.country(source, at) {
            match countries.get_mut(country.as_str()) {
                Some(sum) => *sum += packets,
                None => {
                    countries.insert(country.as_str().to_owned(), packets);
                }
            }
        }
    }
    countries
}

fn report(
    files: Vec<FileSummary>,
    found: Findings,
    countries: BTreeMap<String, u64>,
    knowledge: &Knowledge,
    known_at: Nanos,
    now: Nanos,
) -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        generated: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capture: Capture { packets: files.iter().map(|file| file.packets).sum(), files },
        monitored: found.monitored,
        monitored_inferred: found.monitored_inferred,
        approximate: found.approximate,
        totals: found.totals,
        ports: found.ports,
        sources: found.sources.into_iter().map(|source| summary(source, knowledge, known_at)).collect(),
        scans: found.scans,
        campaigns: found.campaigns,
        attacks: found.attacks,
        payloads: found.payloads,
        brute_force: found.brute_force,
        timeline: found.timeline,
        countries,
        oddities: found.oddities,
    }
}

fn summary(source: SourceFacts, knowledge: &Knowledge, at: Nanos) -> SourceSummary {
    let known = knowledge.lookup(source.address, at);
    let mut labels = source.labels;
    for (kind, label) in [(Kinds::RESEARCH_SCANNER, Label::ResearchScanner), (Kinds::KNOWN_BENIGN, Label::KnownBenign)]
    {
        if known.kinds.has(kind) && !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels.sort_unstable();
    SourceSummary {
        address: source.address,
        packets: source.packets,
        ports: source.ports,
        destinations: source.destinations,
        tools: source.tools,
        labels,
        country: known.country.map(|country| country.as_str().to_owned()),
        asn: known.asn,
        first: source.first,
        last: source.last,
    }
}
