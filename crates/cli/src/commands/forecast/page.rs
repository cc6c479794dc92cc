//! The back-test as one page: every score, its data, its baseline, with plots inline. Loads nothing, runs nothing.

use super::events::{Everything, Reliability};
use super::{number, percent, quality};
use noroshi_detect::forecast::backtest::Backtest;
use noroshi_detect::series::surge::Surge;
use noroshi_detect::series::{Series, slot_name};
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;
const ERRORS: f64 = 90.0;
const LEFT: f64 = 56.0;
/// Surges listed; the command with --surges prints all.
const SURGES_MAX: usize = 200;

/// Look of the pages on forecasts.
pub(in super::super) const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1000px;padding:0 1rem;color:#1c2330;\
background:#fff}table{border-collapse:collapse;width:100%}th,td{padding:.3rem .5rem;border-bottom:1px solid #d8dde6;text-align:right}\
th:first-child,td:first-child,td.l,th.l{text-align:left}svg{width:100%;height:auto}.b95{fill:#cfe0f5}.b80{fill:#9fc3ec}\
.a{fill:none;stroke:#1c2330;stroke-width:1.3}.f{fill:none;stroke:#0b5cad;stroke-width:1.6}.n{fill:none;stroke:#a63d00;stroke-width:1.2;\
stroke-dasharray:4 3}.x{stroke:#8a93a3;stroke-width:1}text{font-size:11px;fill:#4a5468}.scroll{overflow-x:auto}\
.mark{fill:#0b5cad}.dot{fill:#1c2330}.worse{font-weight:bold;color:#a63d00}.tag{border:1px solid;border-radius:4px;padding:0 .4rem}\
@media(prefers-color-scheme:dark){body{background:#12161d;color:#e3e8f0}.a{stroke:#e3e8f0}.b95{fill:#1b3350}.b80{fill:#27527f}\
.f{stroke:#6fb3ff}.mark{fill:#6fb3ff}.dot{fill:#e3e8f0}.n{stroke:#ff9d5c}.worse{color:#ff9d5c}text{fill:#a9b3c4}th,td{border-color:#2e3644}}";

/// Foreign text for a page.
pub(in super::super) fn esc(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".into(),
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            '"' => "&quot;".into(),
            c if c.is_control() => "\u{fffd}".into(),
            c => c.to_string(),
        })
        .collect()
}

/// The whole page.
pub fn render(
    scores: &[Backtest],
    surges: &[Surge],
    series: &[Series],
    source: &str,
    origin: &str,
    more: &Everything,
) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Forecast back-test</title><style>{STYLE}</style></head><body><h1>Forecast back-test</h1>\
         <p>Data: {} <span class=\"tag\">{origin}</span>. Rolling origin: each forecast saw only the slots \
         before it. Scored on the last quarter of each series. The rule is the same for every series: the three candidates \
         with the least error over the last 42 forecasts, weighted by the inverse of that error. The naive methods are the \
         last value, the same day a week before, drift and the mean of all; moving averages of 7 and 28 stand beside them; the best is chosen \
         after the fact, which favours it.</p>",
        esc(source)
    );
    table(&mut page, scores, origin);
    for other in &more.horizons {
        table(&mut page, other, origin);
    }
    hazards(&mut page, more, origin);
    blocklist(&mut page, more, origin);
    for score in scores {
        section(&mut page, score, series, origin);
    }
    surge_list(&mut page, surges, series, origin);
    page.push_str("</body></html>\n");
    page
}

fn table(page: &mut String, scores: &[Backtest], origin: &str) {
    let horizon = scores.first().map_or("", |score| score.horizon);
    let _ = write!(page, "<h2>Scores, {horizon} ahead</h2>");
    page.push_str(
        "<div class=\"scroll\"><table><tr><th>series</th><th>data</th><th>slots</th><th>MAE</th><th>MASE</th>\
         <th>sMAPE</th><th>CRPS</th><th>in 80 %</th><th>in 95 %</th><th class=\"l\">best naive method</th><th>its MAE</th>\
         <th>relative</th><th>to best average</th></tr>",
    );
    for score in scores {
        let relative = score.relative(score.best_naive());
        let class = if relative.is_some_and(|relative| relative >= 1.0) { " class=\"worse\"" } else { "" };
        let (name, mae) = score.best_naive().map_or(("-", None), |best| (best.method, Some(best.mae)));
        let one = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{origin}</td><td>{}</td><td>{:.1}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td class=\"l\">{name}</td><td>{}</td><td{class}>{}</td><td>{}</td></tr>",
            esc(&score.key),
            score.scored,
            score.mae,
            number(score.mase),
            one(score.smape),
            one(score.crps),
            percent(score.coverage80),
            percent(score.coverage95),
            one(mae),
            number(relative),
            number(score.relative(score.best_average()))
        );
    }
    page.push_str(
        "</table></div><p>Relative: error divided by that of the best naive method; below 1 is better, others are marked. \
         MASE is scaled by the seasonal naive error before the scored part.</p>",
    );
}

fn section(page: &mut String, score: &Backtest, series: &[Series], origin: &str) {
    let _ = write!(page, "<h2>{}</h2>", esc(&score.key));
    plot(page, score, series);
    errors(page, score);
    let _ = write!(page, "<p>Mean absolute errors ({origin} data): Noroshi {:.1}", score.mae);
    for naive in &score.naive {
        let _ = write!(page, "; {} {:.1}", naive.method, naive.mae);
    }
    page.push_str(".</p>");
}

/// Lines of known points; a gap interrupts.
fn line(points: impl Iterator<Item = Option<(f64, f64)>>, class: &str) -> String {
    let mut path = String::new();
    let mut pen = 'M';
    for point in points {
        match point {
            Some((x, y)) => {
                let _ = write!(path, "{pen}{x:.1} {y:.1}");
                pen = 'L';
            }
            None => pen = 'M',
        }
    }
    format!("<path class=\"{class}\" d=\"{path}\"/>")
}

fn plot(page: &mut String, score: &Backtest, series: &[Series]) {
    let slots = score.history.len() + score.points.len();
    let wide =
        |p: &noroshi_detect::forecast::backtest::Point| p.forecast.as_ref().and_then(|f| f.interval95).map(|i| i.1);
    let seen = score.history.iter().copied().flatten().chain(score.points.iter().filter_map(|point| point.actual));
    let largest = seen.fold(1.0, f64::max);
    // A wide interval may leave the picture; the counts may not.
    let top = score.points.iter().filter_map(wide).fold(largest, f64::max).min(largest * 1.5);
    let x = |slot: usize| LEFT + (WIDTH - LEFT - 8.0) * slot as f64 / slots.max(2) as f64;
    let y = |value: f64| HEIGHT - 24.0 - (HEIGHT - 40.0) * (value / top).min(1.0);
    let begin = score.history.len();
    let _ = write!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"History and forecasts of {}\">",
        esc(&score.key)
    );
    for value in [0.0, top / 2.0, top] {
        let _ = write!(
            page,
            "<line class=\"x\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\" opacity=\".4\"/><text x=\"2\" y=\"{1:.1}\">{value:.0}</text>",
            y(value),
            y(value) + 4.0
        );
    }
    for (class, level) in [("b95", 95), ("b80", 80)] {
        for (index, point) in score.points.iter().enumerate() {
            let ends = point.forecast.as_ref().and_then(|f| if level == 95 { f.interval95 } else { f.interval80 });
            if let Some((low, high)) = ends {
                let width = x(1) - x(0);
                let _ = write!(
                    page,
                    "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                    x(begin + index) - width / 2.0,
                    y(high),
                    y(low) - y(high)
                );
            }
        }
    }
    let history = score.history.iter().copied().chain(score.points.iter().map(|point| point.actual));
    page.push_str(&line(history.enumerate().map(|(slot, value)| Some((x(slot), y(value?)))), "a"));
    let at = |index: usize, value: Option<f64>| Some((x(begin + index), y(value?)));
    page.push_str(&line(score.points.iter().enumerate().map(|(i, p)| at(i, p.naive)), "n"));
    page.push_str(&line(
        score.points.iter().enumerate().map(|(i, p)| at(i, p.forecast.as_ref().map(|f| f.point))),
        "f",
    ));
    if let (Some(point), Some(first)) = (score.points.first(), series.first()) {
        let _ = write!(
            page,
            "<text x=\"{:.1}\" y=\"{}\">scored from {}</text>",
            x(begin),
            HEIGHT - 6.0,
            slot_name(point.start, first.slot_seconds)
        );
    }
    let _ = write!(
        page,
        "<text x=\"{LEFT}\" y=\"{}\">black: counted; blue: forecast with 80 % and 95 % bands; dashed: best naive method</text></svg>",
        HEIGHT - 6.0
    );
}

fn errors(page: &mut String, score: &Backtest) {
    let ours: Vec<Option<f64>> =
        score.points.iter().map(|p| Some((p.forecast.as_ref()?.point - p.actual?).abs())).collect();
    let naive: Vec<Option<f64>> = score.points.iter().map(|p| Some((p.naive? - p.actual?).abs())).collect();
    let top = ours.iter().chain(&naive).copied().flatten().fold(1.0, f64::max);
    let x = |slot: usize| LEFT + (WIDTH - LEFT - 8.0) * slot as f64 / ours.len().max(2) as f64;
    let y = |value: f64| ERRORS - 18.0 - (ERRORS - 28.0) * value / top;
    let _ = write!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {ERRORS}\" role=\"img\" aria-label=\"Absolute errors of {}\"><text x=\"2\" y=\"12\">{top:.0}</text>",
        esc(&score.key)
    );
    page.push_str(&line(naive.iter().enumerate().map(|(slot, value)| Some((x(slot), y((*value)?)))), "n"));
    page.push_str(&line(ours.iter().enumerate().map(|(slot, value)| Some((x(slot), y((*value)?)))), "f"));
    let _ = write!(
        page,
        "<text x=\"{LEFT}\" y=\"{}\">absolute error; blue: forecast; dashed: best naive method</text></svg>",
        ERRORS - 3.0
    );
}

fn surge_list(page: &mut String, surges: &[Surge], series: &[Series], origin: &str) {
    let (judged, wrong, weeks) = quality(surges, series);
    let _ = write!(
        page,
        "<h2>Surges</h2><p>{} surges in {weeks:.1} weeks ({origin} data); {wrong} of {judged} judged afterwards were no bursts \
         of their day: {:.2} a week. A burst is confirmed when the median of the seven slots before and after is at most a third \
         of it.</p><div class=\"scroll\"><table><tr><th>day</th><th>rank</th><th class=\"l\">what</th><th>confirmed</th></tr>",
        surges.len(),
        f64::from(wrong) / weeks.max(1.0)
    );
    for surge in surges.iter().take(SURGES_MAX) {
        let width = series.first().map_or(1, |series| series.slot_seconds);
        let confirmed = surge.confirmed.map_or("-", |yes| if yes { "yes" } else { "no" });
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td class=\"l\">{}</td><td>{confirmed}</td></tr>",
            slot_name(surge.start, width),
            surge.rank,
            esc(&surge.reason)
        );
    }
    page.push_str("</table></div>");
}

/// Said against happened, on square-root axes so that small probabilities can be told apart.
fn reliability(page: &mut String, judged: &Reliability, title: &str) {
    let skill = judged.skill.map_or("-".into(), |skill| format!("{skill:.3}"));
    let verdict = if judged.publishable() { "published" } else { "not better than the base rate: not published" };
    let _ = write!(
        page,
        "<h3>{}</h3><p>{} probabilities, {:.2} % happened; Brier score {:.5}, skill against the base rate {skill}: {verdict}.</p>",
        esc(title),
        judged.count,
        judged.base_rate * 100.0,
        judged.brier
    );
    let side = 260.0;
    let at = |share: f64| 30.0 + (side - 40.0) * share.clamp(0.0, 1.0).sqrt();
    let _ = write!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {side}\" role=\"img\" aria-label=\"Reliability: {}\"><line class=\"x\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
        esc(title),
        at(0.0),
        side - at(0.0),
        at(1.0),
        side - at(1.0)
    );
    for share in [0.01, 0.1, 0.25, 0.5, 1.0] {
        let _ = write!(
            page,
            "<text x=\"{:.1}\" y=\"{:.1}\">{share}</text><text x=\"0\" y=\"{:.1}\">{share}</text>",
            at(share) - 8.0,
            side - 14.0,
            side - at(share) + 4.0
        );
    }
    for (index, bin) in judged.bins.iter().enumerate() {
        let _ = write!(
            page,
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\"/><text x=\"300\" y=\"{}\">said {:.3}, happened {:.3}, {} times</text>",
            at(bin.said),
            side - at(bin.happened),
            2.0 + (bin.count as f64).ln().max(0.0) * 0.6,
            20 + index * 16,
            bin.said,
            bin.happened,
            bin.count
        );
    }
    let _ =
        write!(page, "<text x=\"30\" y=\"{}\">said; upward: happened; on the line is honest</text></svg>", side - 1.0);
}

fn hazards(page: &mut String, more: &Everything, origin: &str) {
    let _ = write!(page, "<h2>Probability of a surge ({origin} data)</h2>");
    for hazards in &more.hazards {
        let title = format!("Surge within {} d, any series of at least 100 counts", hazards.slots);
        match &hazards.judged {
            Some(judged) => reliability(page, judged, &title),
            None => {
                let _ = write!(page, "<h3>{}</h3><p>Too few surges to learn from.</p>", esc(&title));
            }
        }
    }
}

fn blocklist(page: &mut String, more: &Everything, origin: &str) {
    let _ = write!(page, "<h2>Predictive blocklists ({origin} data)</h2>");
    let Some(list) = more.blocklist.as_ref().filter(|list| !list.methods.is_empty()) else {
        page.push_str("<p>Not scored: the input names no sources, or too few days.</p>");
        return;
    };
    let _ = write!(
        page,
        "<p>Lists of {} sources per sensor for the next day, {} days scored. Recall counts against all sources that came, also those \
         never seen before.</p><table><tr><th>list</th><th>listed</th><th>came</th><th>precision</th><th>recall</th><th>of all observations</th></tr>",
        list.size, list.days
    );
    for method in &list.methods {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.1} %</td><td>{:.1} %</td><td>{:.1} %</td></tr>",
            method.method,
            method.listed,
            method.hits,
            method.precision * 100.0,
            method.recall * 100.0,
            method.observations * 100.0
        );
    }
    page.push_str("</table>");
    if let Some(judged) = &list.judged {
        reliability(page, judged, "A source of the last two weeks comes on the next day");
    }
}
