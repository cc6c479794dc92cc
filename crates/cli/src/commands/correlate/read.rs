//! From what was typed to profiles.

use crate::analysis::{Request, analyze};
use crate::failure::Failure;
use crate::inputs::{Input, expand};
use crate::progress::Progress;
use noroshi_correlate::{Builder, Origin, Profile, session};
use noroshi_detect::Config;
use noroshi_enrich::Knowledge;
use noroshi_import::sessions::{Limits, Sessions};
use noroshi_import::{Budget, Item};
use noroshi_model::finding::Campaign;
use noroshi_model::session::Session;
use noroshi_model::{Addr, Nanos, Prefix};
use noroshi_packet::decode::decode;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Profiles that are read at most.
const PROFILES_MAX: usize = 2_000_000;
/// Bytes of a line at most, with room to see that it is too long.
const LINE_BYTES: u64 = noroshi_correlate::profile::LINE_BYTES_MAX as u64 + 2;
/// A campaign is asked for by its place among them, largest first.
pub(in crate::commands) const CAMPAIGN: &str = "campaign-";

/// The profiles of what was asked for.
pub(super) fn subject(what: &str, inputs: &[PathBuf], monitored: &[Prefix]) -> Result<Vec<Profile>, Failure> {
    let path = Path::new(what);
    if inputs.is_empty() {
        if !path.exists() && what != "-" {
            return Err(Failure::usage(format!("\"{what}\" is no file"))
                .hint("to look for it in captures or logs, add --in PATH"));
        }
        if path.is_file() && looks_like_profiles(path) {
            return known(&[path.to_owned()]);
        }
        return Ok(vec![capture(what, path, monitored)?]);
    }
    if let Ok(address) = what.parse::<Addr>() {
        if let Some(sessions) = sessions(inputs)? {
            let of: Vec<Profile> =
                sessions.iter().filter(|one| one.src == Some(address)).map(session::profile).collect();
            return found(of, what, inputs);
        }
        let space = if monitored.is_empty() { inferred(inputs)? } else { monitored.to_vec() };
        let profile = of_packets(what, inputs, &space, |src| src == address)?;
        return found(if profile.packets > 0 { vec![profile] } else { Vec::new() }, what, inputs);
    }
    if let Some(place) = what.strip_prefix(CAMPAIGN) {
        return campaign(what, place, inputs, monitored);
    }
    let sessions = sessions(inputs)?.unwrap_or_default();
    found(sessions.iter().filter(|one| one.id == what).map(session::profile).collect(), what, inputs)
}

/// A whole capture: one source's is taken for the traffic of a sample, of which everything was seen; else for that of a
/// darknet, whose space is inferred unless it is given.
fn capture(what: &str, path: &Path, monitored: &[Prefix]) -> Result<Profile, Failure> {
    let paths = [path.to_owned()];
    if !monitored.is_empty() {
        return of_packets(what, &paths, monitored, |_| true);
    }
    let mut sample = Builder::sandbox();
    each_packet(&expand(&paths)?, |batch, row| sample.add(row, batch.payload(row)))?;
    let profile = sample.finish(what, Origin::Sandbox);
    if profile.sources <= 1 { Ok(profile) } else { of_packets(what, &paths, &inferred(&paths)?, |_| true) }
}

/// The monitored prefixes as the report on the captures has them.
fn inferred(inputs: &[PathBuf]) -> Result<Vec<Prefix>, Failure> {
    let request = Request { config: Config::default(), sources_max: 1, now: Nanos(0) };
    Ok(analyze(&expand(inputs)?, request, &Knowledge::default(), &Progress::bytes(None)).monitored)
}

fn found(profiles: Vec<Profile>, what: &str, inputs: &[PathBuf]) -> Result<Vec<Profile>, Failure> {
    if !profiles.is_empty() {
        return Ok(profiles);
    }
    let places: Vec<String> = inputs.iter().map(|path| path.display().to_string()).collect();
    Err(Failure::refused(format!("\"{what}\" is not found")).at(places.join(", ")))
}

fn campaign(what: &str, place: &str, inputs: &[PathBuf], monitored: &[Prefix]) -> Result<Vec<Profile>, Failure> {
    let (campaign, profile) = campaign_of(place, inputs, monitored)?;
    Ok(vec![Profile { name: format!("{what} ({})", campaign.id), ..profile }])
}

/// A campaign by its place, from 1 for the largest, with the profile of all that its members send: a campaign is found
/// by one port, its sources may use others too.
pub(in crate::commands) fn campaign_of(
    place: &str,
    inputs: &[PathBuf],
    monitored: &[Prefix],
) -> Result<(Campaign, Profile), Failure> {
    let read = expand(inputs)?;
    let config = Config { monitored: monitored.to_vec(), ..Config::default() };
    let request = Request { config, sources_max: 1, now: Nanos(0) };
    let report = analyze(&read, request, &Knowledge::default(), &Progress::bytes(None));
    let number: usize = place.parse().unwrap_or(0);
    let Some(campaign) = number.checked_sub(1).and_then(|at| report.campaigns.get(at)) else {
        return Err(Failure::refused(format!(
            "there is no {CAMPAIGN}{place}: {} campaigns were found",
            report.campaigns.len()
        ))
        .hint("campaigns are numbered from 1, the largest first"));
    };
    let members: BTreeSet<Addr> = campaign.members.iter().copied().collect();
    let space = if monitored.is_empty() { report.monitored.clone() } else { monitored.to_vec() };
    let mut builder = Builder::new(size(&space));
    each_packet(&read, |batch, row| {
        if members.contains(&row.src) {
            builder.add(row, batch.payload(row));
        }
    })?;
    Ok((campaign.clone(), builder.finish(&campaign.id, Origin::Darknet)))
}

fn size(monitored: &[Prefix]) -> u64 {
    let sum: u128 = monitored.iter().map(|prefix| prefix.size()).sum();
    if sum == 0 { 1 << 32 } else { u64::try_from(sum).unwrap_or(u64::MAX) }
}

fn of_packets(
    name: &str,
    paths: &[PathBuf],
    monitored: &[Prefix],
    of: impl Fn(Addr) -> bool,
) -> Result<Profile, Failure> {
    let mut builder = Builder::new(size(monitored));
    let inside = |addr| monitored.is_empty() || monitored.iter().any(|prefix| prefix.contains(addr));
    each_packet(&expand(paths)?, |batch, row| {
        if of(row.src) && inside(row.dst) {
            builder.add(row, batch.payload(row));
        }
    })?;
    Ok(builder.finish(name, Origin::Darknet))
}

fn each_packet(
    inputs: &[Input],
    mut visit: impl FnMut(&noroshi_model::packet::PacketBatch, &noroshi_model::packet::Packet),
) -> Result<(), Failure> {
    for (file, input) in inputs.iter().enumerate() {
        let mut reader = input.open().map_err(|problem| Failure::refused(problem.text).at(&input.path))?;
        while let Some(raw) = reader.next_batch() {
            let batch = decode(raw, file as u32);
            batch.rows.iter().for_each(|row| visit(&batch, row));
        }
    }
    Ok(())
}

/// The dialogues of honeypots' logs; none when an input is a capture.
pub(in crate::commands) fn sessions(inputs: &[PathBuf]) -> Result<Option<Vec<Session>>, Failure> {
    let mut all = Vec::new();
    for path in inputs {
        let is_capture = expand(std::slice::from_ref(path))?.iter().all(|input| input.open().is_ok());
        if is_capture {
            return Ok(None);
        }
        let mut reader = noroshi_import::open(path, None, Budget::default())
            .map_err(|refused| Failure::refused(refused).at(path.display()))?;
        let mut assembler = Sessions::new(Limits::default());
        while let Some(item) = reader.next_item().map_err(|refused| Failure::refused(refused).at(path.display()))? {
            if let Item::Row(record) = item {
                all.extend(assembler.push(&record));
            }
        }
        all.extend(assembler.finish());
    }
    Ok(Some(all))
}

fn looks_like_profiles(path: &Path) -> bool {
    let mut start = [0; 1];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"{"
}

/// Profiles of files, and of .ndjson files in directories.
pub(super) fn known(paths: &[PathBuf]) -> Result<Vec<Profile>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        for file in files(path, 0)? {
            read_file(&file, &mut all)?;
        }
    }
    if all.is_empty() {
        let places: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::refused("there is no profile").at(places.join(", ")).hint("profiles end in .ndjson"));
    }
    Ok(all)
}

fn files(path: &Path, depth: usize) -> Result<Vec<PathBuf>, Failure> {
    let refused = |error: std::io::Error| Failure::refused(error).at(path.display());
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path).map_err(refused)?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() && depth < 4 {
            found.extend(files(&entry, depth + 1)?);
        } else if entry.extension().is_some_and(|ext| ext == "ndjson") {
            found.push(entry);
        }
    }
    Ok(found)
}

fn read_file(path: &Path, all: &mut Vec<Profile>) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| Failure::refused(error).at(path.display()))?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = || format!("{}, line {number}", path.display());
        if all.len() >= PROFILES_MAX {
            return Err(Failure::refused(format!("more than {PROFILES_MAX} profiles")).at(place()));
        }
        all.push(Profile::from_json(line.trim_ascii()).map_err(|refused| Failure::refused(refused).at(place()))?);
    }
    Ok(())
}
