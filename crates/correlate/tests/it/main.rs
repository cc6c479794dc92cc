//! Correlation on a small generated world: profiles of families that never existed, seen by two darknets.

use noroshi_correlate::evaluate::{Answer, score};
use noroshi_correlate::live::Correlator;
use noroshi_correlate::model::Card;
use noroshi_correlate::{Builder, Index, Model, Origin, Profile, Scratch, train};
use noroshi_simulate::families::{Families, Settings};
use std::collections::BTreeSet;

fn profiles(seed: u64, settings: Settings) -> Vec<(Profile, &'static str)> {
    let world = Families::new(seed, settings);
    let observations = world.observations().enumerate().map(|(number, one)| {
        let mut builder = Builder::new(one.telescope.addresses());
        let (family, telescope) = (one.family.to_owned(), one.telescope.name());
        one.for_each(|row, payload| builder.add(row, payload));
        let profile = builder.finish(&format!("observation-{number}"), Origin::Darknet);
        (Profile { label: Some(family), ..profile }, telescope)
    });
    observations.collect()
}

const SMALL: Settings = Settings { families: 24, late_families: 2, observations: 1600, packets_max: 320 };

fn answers(known: &[(Profile, &'static str)], asked: &[(Profile, &'static str)], model: &Model) -> Vec<Answer> {
    let mut index = Index::new(model.similarity);
    let mut families = BTreeSet::new();
    for (profile, _) in known {
        index.insert(profile);
        families.insert(profile.label.clone());
    }
    let mut scratch = Scratch::default();
    let ask = |(profile, telescope): &(Profile, &'static str)| {
        let verdict = index.judge(model, profile, &mut scratch);
        Answer {
            truth: profile.label.clone().unwrap(),
            known: families.contains(&profile.label),
            group: (*telescope).to_owned(),
            packets: profile.packets,
            candidates: verdict.candidates.into_iter().map(|one| (one.family, one.probability)).collect(),
        }
    };
    asked.iter().map(ask).collect()
}

#[test]
fn the_shipped_model_says_where_it_comes_from_and_holds_on_a_world_it_never_saw() {
    let model = Model::shipped();
    assert!(model.card.data.contains("generated data"), "{:?}", model.card);
    let all = profiles(90, SMALL);
    let (known, asked) = all.split_at(all.len() * 7 / 10);
    let answers = answers(known, asked, &model);
    for group in ["/16", "/24"] {
        let of_group: Vec<&Answer> = answers.iter().filter(|answer| answer.group == group).collect();
        let score = score(&of_group, "family-000");
        assert!(score.questions > 150, "{group}");
        assert!(score.top1 >= 0.9 && score.top5 >= 0.97, "{group}: {score:?}");
        assert!(score.macro_f1 >= 0.85, "{group}: {score:?}");
        assert!(score.top1 > score.majority + 0.3, "{group}: {score:?}");
    }
    let unknown: Vec<&Answer> = answers.iter().filter(|answer| !answer.known).collect();
    assert!(!unknown.is_empty());
}

#[test]
fn training_is_deterministic_and_beats_no_training() {
    let all = profiles(5, Settings { observations: 800, ..SMALL });
    let known: Vec<Profile> = all.iter().take(560).map(|(profile, _)| profile.clone()).collect();
    let card = Card { data: "generated data, test".into(), ..Card::default() };
    let (once, twice) = (train::train(&known, card.clone()), train::train(&known, card));
    assert_eq!(once, twice);
    let read = Model::read(once.write().as_bytes()).unwrap();
    assert_eq!(read.card.data, "generated data, test");
    let answers = answers(&all[..560], &all[560..], &read);
    let score = score(&answers.iter().collect::<Vec<_>>(), "family-000");
    assert!(score.top1 > 0.8, "{score:?}");
}

#[test]
fn labels_shuffled_among_profiles_teach_nothing() {
    // If anything but behaviour told the family, this would still score.
    let mut all = profiles(11, Settings { observations: 800, ..SMALL });
    let labels: Vec<Option<String>> = all.iter().map(|(profile, _)| profile.label.clone()).collect();
    let count = all.len();
    for (number, (profile, _)) in all.iter_mut().enumerate() {
        profile.label = labels[(number * 367 + 41) % count].clone();
    }
    let answers = answers(&all[..560], &all[560..], &Model::shipped());
    let score = score(&answers.iter().collect::<Vec<_>>(), "family-000");
    assert!(score.top1 < 0.2, "{score:?}");
}

#[test]
fn verdicts_have_reasons_and_abstain() {
    let all = profiles(3, SMALL);
    let mut index = Index::new(Model::shipped().similarity);
    for (profile, _) in &all[..1200] {
        index.insert(profile);
    }
    let (model, mut scratch) = (Model::shipped(), Scratch::default());
    let verdict = index.judge(&model, &all[1300].0, &mut scratch);
    assert!(verdict.candidates.len() <= 5 && !verdict.candidates.is_empty());
    let first = &verdict.candidates[0];
    assert!(first.reasons.iter().any(|reason| reason.weight > 0.0), "{verdict:?}");
    assert!(verdict.candidates.windows(2).all(|pair| pair[0].probability >= pair[1].probability));
    let sum: f32 = verdict.candidates.iter().map(|one| one.probability).sum();
    assert!(sum <= 1.001, "{sum}");
    let nothing = index.judge(&model, &Profile { packets: 3, ..Profile::default() }, &mut scratch);
    assert!(nothing.family.is_none() && nothing.abstains.unwrap().contains("too few"));
    let empty = Index::new(model.similarity).judge(&model, &all[0].0, &mut scratch);
    assert!(empty.family.is_none() && empty.candidates.is_empty());
}

#[test]
fn a_new_sample_explains_what_was_seen_before_it() {
    let all = profiles(8, SMALL);
    let target = all[1000].0.label.clone();
    let mut live = Correlator::new(Model::shipped(), 64);
    // Known: everything but one family, whose members are seen without a name.
    for (profile, _) in all[..1000].iter().filter(|(profile, _)| profile.label != target) {
        live.learn(profile);
    }
    let seen: Vec<&Profile> = all[1000..].iter().map(|(profile, _)| profile).filter(|p| p.label == target).collect();
    let mut first = seen[0].clone();
    first.exact.hashes = vec!["cd".repeat(32)];
    let others = seen.iter().skip(1).take(9).map(|finding| (*finding).clone());
    for finding in [first, all[1001].0.clone()].into_iter().chain(others) {
        live.judge(Profile { label: None, ..finding });
    }
    let mut links = Vec::new();
    // The latest first: versions differ.
    for profile in
        all[..1000].iter().rev().map(|(profile, _)| profile).filter(|profile| profile.label == target).take(12)
    {
        let mut sample = profile.clone();
        sample.exact.hashes = vec!["CD".repeat(32)];
        links = live.learn(&sample);
    }
    assert!(links.iter().any(|link| link.finding == seen[0].name && !link.joins.is_empty()), "{links:?}");
    assert!(links.iter().any(|link| link.verdict.family == target), "{links:?}");
    // Memory stays bounded, and what was dropped is not found again.
    for (profile, _) in all[..300].iter() {
        live.judge(Profile { label: None, ..profile.clone() });
    }
    let late = live.learn(&Profile { exact: seen[0].exact.clone(), ..seen[0].clone() });
    assert!(late.iter().all(|link| link.finding != seen[0].name));
}
