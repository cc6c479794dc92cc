//! Scores: how often right, how well calibrated, how much better than always naming the commonest family.
//!
//! Definitions: *top-1* and *top-5* count a question as right when its family is the first, or among the first five,
//! candidates, abstentions not excused; families that were never known before cannot be right and are scored apart
//! (how many of them are rightly left unnamed). *Macro-F1* is the mean over known families of the harmonic mean of
//! precision and recall, where a named unknown counts against precision. *Calibration error* is the expected one over
//! ten bins of equal width (Guo et al., ICML 2017), over all questions, unknown families included.

use crate::judge::ABSTAIN_BELOW;
use serde::Serialize;
use std::collections::BTreeMap;

/// One question and what was answered.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The right family.
    pub truth: String,
    /// Whether that family was known when the question was asked.
    pub known: bool,
    /// Where it was seen from, such as `/16`.
    pub group: String,
    /// Packets the question rests on.
    pub packets: u64,
    /// Candidates with probability, best first.
    pub candidates: Vec<(String, f32)>,
}

impl Answer {
    fn first(&self) -> Option<&(String, f32)> {
        self.candidates.first()
    }

    fn right(&self) -> bool {
        self.first().is_some_and(|(family, _)| *family == self.truth)
    }

    fn among(&self) -> bool {
        self.candidates.iter().any(|(family, _)| *family == self.truth)
    }

    fn named(&self) -> bool {
        self.first().is_some_and(|(_, p)| *p >= ABSTAIN_BELOW)
    }
}

/// A bar of the reliability plot.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Bin {
    /// Questions.
    pub questions: u64,
    /// Mean probability.
    pub probability: f64,
    /// Share that was right.
    pub right: f64,
}

/// A point of the curve over packets.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Point {
    /// Fewest packets.
    pub packets_from: u64,
    /// Questions.
    pub questions: u64,
    /// Share right at first.
    pub top1: f64,
    /// Share right among five.
    pub top5: f64,
    /// Share that was named at all.
    pub coverage: f64,
}

/// All scores of one set of answers.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Score {
    /// Questions whose family was known.
    pub questions: u64,
    /// Distinct families among them.
    pub families: u64,
    /// Share whose first candidate is right.
    pub top1: f64,
    /// Share with the right one among five.
    pub top5: f64,
    /// Mean over families of F1.
    pub macro_f1: f64,
    /// Share that always naming the commonest family would get right.
    pub majority: f64,
    /// Share named rather than abstained from.
    pub coverage: f64,
    /// Share right among the named.
    pub named_right: f64,
    /// Expected calibration error.
    pub calibration_error: f64,
    /// Questions of families never known before.
    pub unknown_questions: u64,
    /// Share of those that is rightly left unnamed.
    pub unknown_abstained: f64,
    /// Ten bins of probability.
    pub reliability: Vec<Bin>,
    /// Accuracy over packets seen.
    pub curve: Vec<Point>,
}

/// Fewest packets of each point of the curve.
pub const CURVE: [u64; 8] = [5, 10, 20, 50, 100, 200, 500, 1000];

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Scores answers. `commonest`: the commonest family of training, for the baseline.
pub fn score(answers: &[&Answer], commonest: &str) -> Score {
    let known: Vec<&Answer> = answers.iter().copied().filter(|answer| answer.known).collect();
    let unknown: Vec<&Answer> = answers.iter().copied().filter(|answer| !answer.known).collect();
    let count = |list: &[&Answer], of: fn(&Answer) -> bool| list.iter().filter(|answer| of(answer)).count();
    let named: Vec<&Answer> = answers.iter().copied().filter(|answer| answer.named()).collect();
    let families: std::collections::BTreeSet<&str> = known.iter().map(|answer| &*answer.truth).collect();
    let (reliability, calibration_error) = reliability(answers);
    Score {
        questions: known.len() as u64,
        families: families.len() as u64,
        top1: share(count(&known, Answer::right), known.len()),
        top5: share(count(&known, Answer::among), known.len()),
        macro_f1: macro_f1(answers),
        majority: share(known.iter().filter(|answer| answer.truth == commonest).count(), known.len()),
        coverage: share(count(&known, Answer::named), known.len()),
        named_right: share(count(&named, Answer::right), named.len()),
        calibration_error,
        unknown_questions: unknown.len() as u64,
        unknown_abstained: share(unknown.len() - count(&unknown, Answer::named), unknown.len()),
        reliability,
        curve: curve(&known),
    }
}

fn macro_f1(answers: &[&Answer]) -> f64 {
    // Per family: right, asked, named.
    let mut families: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for answer in answers {
        if answer.known {
            families.entry(&answer.truth).or_default().1 += 1;
        }
        if let Some((family, _)) = answer.first()
            && (answer.known || answer.named())
        {
            let counts = families.entry(family).or_default();
            counts.2 += 1;
            counts.0 += u64::from(answer.right());
        }
    }
    let asked: Vec<f64> = families
        .values()
        .filter(|(_, asked, _)| *asked > 0)
        .map(|(right, asked, named)| 2.0 * *right as f64 / (*asked + *named) as f64)
        .collect();
    if asked.is_empty() { 0.0 } else { asked.iter().sum::<f64>() / asked.len() as f64 }
}

fn reliability(answers: &[&Answer]) -> (Vec<Bin>, f64) {
    let mut bins = vec![Bin::default(); 10];
    for answer in answers {
        let Some((_, p)) = answer.first() else { continue };
        let bin = &mut bins[((p * 10.0) as usize).min(9)];
        bin.questions += 1;
        bin.probability += f64::from(*p);
        bin.right += f64::from(u8::from(answer.right()));
    }
    let mut error = 0.0;
    for bin in &mut bins {
        if bin.questions > 0 {
            bin.probability /= bin.questions as f64;
            bin.right /= bin.questions as f64;
            error += (bin.probability - bin.right).abs() * bin.questions as f64 / answers.len() as f64;
        }
    }
    (bins, error)
}

fn curve(known: &[&Answer]) -> Vec<Point> {
    let points = CURVE.iter().enumerate().map(|(k, from)| {
        let to = CURVE.get(k + 1).copied().unwrap_or(u64::MAX);
        let inside: Vec<&Answer> = known.iter().copied().filter(|one| (*from..to).contains(&one.packets)).collect();
        let of = |test: fn(&Answer) -> bool| share(inside.iter().filter(|one| test(one)).count(), inside.len());
        Point {
            packets_from: *from,
            questions: inside.len() as u64,
            top1: of(Answer::right),
            top5: of(Answer::among),
            coverage: of(Answer::named),
        }
    });
    points.filter(|point| point.questions > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(truth: &str, known: bool, candidates: &[(&str, f32)]) -> Answer {
        let candidates = candidates.iter().map(|(family, p)| ((*family).to_owned(), *p)).collect();
        Answer { truth: truth.into(), known, group: "/16".into(), packets: 30, candidates }
    }

    #[test]
    fn scores_by_hand() {
        let answers = [
            answer("a", true, &[("a", 0.95), ("b", 0.05)]),
            answer("a", true, &[("b", 0.55), ("a", 0.4)]),
            answer("b", true, &[("b", 0.85)]),
            answer("b", true, &[("a", 0.35), ("c", 0.3)]),
            answer("new", false, &[("a", 0.2)]),
            answer("new", false, &[("b", 0.65)]),
        ];
        let all: Vec<&Answer> = answers.iter().collect();
        let score = score(&all, "a");
        assert_eq!((score.questions, score.families, score.unknown_questions), (4, 2, 2));
        assert_eq!((score.top1, score.top5, score.majority), (0.5, 0.75, 0.5));
        assert_eq!((score.coverage, score.named_right, score.unknown_abstained), (0.75, 0.5, 0.5));
        // a: one right of two asked, named twice; b: one right of two asked, named three times.
        assert!((score.macro_f1 - (2.0 / 4.0 + 2.0 / 5.0) / 2.0).abs() < 1e-12);
        let error = [0.05, 0.55, 0.15, 0.35, 0.2, 0.65].iter().sum::<f64>() / 6.0;
        assert!((score.calibration_error - error).abs() < 1e-6, "{}", score.calibration_error);
        assert_eq!(score.curve.len(), 1);
    }

    #[test]
    fn nothing_gives_zeros() {
        assert_eq!(score(&[], "a").top1, 0.0);
    }
}
