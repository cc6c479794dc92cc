//! What correlation says, as sentences of a report.

use super::{gather, percent, read};
use crate::failure::Failure;
use noroshi_correlate::feature::{Dimension, Token};
use noroshi_correlate::joins::Join;
use noroshi_correlate::{Model, Profile, Scratch, Verdict};
use noroshi_malware::report::{Sentence, defang, say};
use std::path::PathBuf;

/// Reasons that stand behind one sentence.
const REASONS: usize = 4;
/// Equal values that are told.
const JOINS: usize = 12;

/// Which malware is behind a profile, by the profiles at these places; nothing where there are none.
pub(in crate::commands) fn malware(profile: &Profile, against: &[PathBuf]) -> Result<Vec<Sentence>, Failure> {
    if against.is_empty() {
        return Ok(Vec::new());
    }
    let model = Model::shipped();
    let known = read::known(against)?;
    let (index, joins) = gather(&model, &known);
    let verdict = index.judge(&model, profile, &mut Scratch::default());
    let mut said = vec![behaviour(&verdict, index.len(), &model)];
    said.extend(joins.find(&profile.exact).iter().take(JOINS).map(equal));
    Ok(said)
}

fn behaviour(verdict: &Verdict, known: usize, model: &Model) -> Sentence {
    let basis = format!("{known} profiles known; probabilities learned on {}", model.card.data);
    match (&verdict.family, verdict.candidates.first()) {
        (Some(family), Some(first)) => {
            let reasons: Vec<&str> = first.reasons.iter().take(REASONS).map(|reason| reason.text.as_str()).collect();
            say(
                format!("It behaves like {family} ({} sure).", percent(first.probability)),
                format!("{}; {basis}", reasons.join("; ")),
            )
        }
        _ => say(
            format!(
                "No family is named by behaviour: {}.",
                verdict.abstains.as_deref().unwrap_or("nothing is like it")
            ),
            basis,
        ),
    }
}

fn equal(join: &Join) -> Sentence {
    let label =
        join.owner.label.as_deref().map_or("of which no label is known".into(), |label| format!("called {label}"));
    let kind = format!("{:?}", join.kind).to_lowercase();
    say(
        format!("It has the same {kind} as {}, {label}.", join.owner.name),
        format!("equal {kind}: {}", defang(&join.value.replace('\n', ", "))),
    )
}

/// How probes look, in the dimensions that a person can use.
pub(in crate::commands) fn probes(profile: &Profile) -> Vec<Sentence> {
    const TOLD: [(Dimension, &str); 8] = [
        (Dimension::Port, "Its probes go to"),
        (Dimension::Marks, "Fingerprints of scanners that single probes carry:"),
        (Dimension::Window, "Their TCP window:"),
        (Dimension::Options, "Their TCP options:"),
        (Dimension::Ttl, "Their hop limit when they leave:"),
        (Dimension::TargetStep, "The next target of a source, against the one before:"),
        (Dimension::Rate, "Probes that one source sends into the whole Internet:"),
        (Dimension::Rhythm, "The gaps between a source's probes:"),
    ];
    let told = TOLD.into_iter().filter_map(|(dimension, begin)| {
        let mut values = profile.values(dimension).to_vec();
        values.sort_by(|a, b| b.1.total_cmp(&a.1));
        let listed: Vec<String> = values
            .iter()
            .take(4)
            .filter(|(_, share)| *share >= 0.02)
            .map(|(token, share)| match *share > 0.995 {
                true => word(token),
                false => format!("{} ({})", word(token), percent(*share)),
            })
            .collect();
        let evidence =
            format!("{}; shares among {} packets of {} sources", dimension.words(), profile.packets, profile.sources);
        (!listed.is_empty()).then(|| say(format!("{begin} {}.", listed.join(", ")), evidence))
    });
    told.collect()
}

/// A value as it stands in a sentence.
fn word(token: &Token) -> String {
    match token.to_string().as_str() {
        "varied" => "a different one at each source".to_owned(),
        "other" => "in no order".to_owned(),
        text => text.to_owned(),
    }
}
