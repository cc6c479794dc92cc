//! The evaluation as one page: scores beside their baseline, accuracy over packets, calibration. Loads and runs nothing.

use super::evaluate::Evaluation;
use noroshi_correlate::evaluate::Score;
use std::fmt::Write as _;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1000px;padding:0 1rem;color:#1c2330;\
background:#fff}table{border-collapse:collapse;width:100%}th,td{padding:.3rem .5rem;border-bottom:1px solid #d8dde6;text-align:right}\
th:first-child,td:first-child{text-align:left}svg{width:48%;height:auto;min-width:300px}.tag{border:1px solid;border-radius:4px;\
padding:0 .4rem}.axis{stroke:#8a93a3}.l0{stroke:#0b5cad;fill:none;stroke-width:2}.l1{stroke:#a63d00;fill:none;stroke-width:2;\
stroke-dasharray:6 3}.p0{fill:#0b5cad}.p1{fill:#a63d00}.ideal{stroke:#8a93a3;stroke-dasharray:2 4}text{font-size:12px;fill:#4a5468}\
.scroll{overflow-x:auto}@media(prefers-color-scheme:dark){body{background:#12161d;color:#e3e8f0}th,td{border-color:#2e3644}\
text{fill:#a9b3c4}.l0{stroke:#6fb3ff}.p0{fill:#6fb3ff}.l1{stroke:#ff9d5c}.p1{fill:#ff9d5c}}";

const SIDE: f64 = 400.0;
const EDGE: f64 = 46.0;

/// The whole page.
pub(super) fn render(result: &Evaluation) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Correlation, scored on generated data</title><style>{STYLE}</style></head><body>\
         <h1>Correlation <span class=\"tag\">generated data</span></h1><p>{}. {} profiles of {} packets, {} families known when \
         questions begin. The families never existed; what is assumed of them stands at the head of \
         <code>crates/simulate/src/families/mod.rs</code>. A score here says that the method works when the world is as \
         assumed, no more.</p>",
        result.data, result.profiles, result.packets, result.families
    );
    page.push_str("<h2>Families known by what darknets saw before <span class=\"tag\">generated data</span></h2>");
    table(&mut page, &result.scores);
    let _ = write!(
        page,
        "<h2>Families known by {} runs of samples in the sandbox, and nothing else <span class=\"tag\">generated data</span></h2>",
        result.sandbox_runs
    );
    table(&mut page, &result.sandbox_scores);
    let _ = write!(page, "<p>The majority baseline always names {}, the commonest.</p>", result.commonest);
    let named = |name: &str| result.scores.iter().find(|(group, _)| group == name).map(|(_, score)| score);
    if let (Some(large), Some(small)) = (named("/16"), named("/24")) {
        page.push_str("<h2>Accuracy over packets seen, and calibration <span class=\"tag\">generated data</span></h2>");
        curves(&mut page, large, small);
        reliability(&mut page, large, small);
    }
    let [median, p99, most] = result.query_milliseconds;
    let _ = write!(
        page,
        "<h2>One query</h2><p>Median {median:.2} ms, 99 of 100 within {p99:.2} ms, longest {most:.2} ms, with {} profiles in the \
         index.</p><h2>What tells families apart</h2><table><tr><th>behaviour</th><th>weight</th></tr>",
        result.indexed
    );
    for (words, weight) in result.importance.iter().filter(|(_, weight)| *weight > 0.01) {
        let _ = write!(page, "<tr><td>{words}</td><td>{weight:.2}</td></tr>");
    }
    page.push_str("</table></body></html>\n");
    page
}

fn table(page: &mut String, scores: &[(String, Score)]) {
    page.push_str(
        "<div class=\"scroll\"><table><tr><th>seen by</th><th>questions</th>\
         <th>families</th><th>top-1</th><th>top-5</th><th>macro-F1</th><th>majority baseline</th><th>coverage</th>\
         <th>right when named</th><th>calibration error</th><th>new families</th><th>of them left unnamed</th></tr>",
    );
    for (group, one) in scores {
        let _ = write!(
            page,
            "<tr><td>{group}</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td>\
             <td>{:.3}</td><td>{:.3}</td><td>{}</td><td>{:.3}</td></tr>",
            one.questions,
            one.families,
            one.top1,
            one.top5,
            one.macro_f1,
            one.majority,
            one.coverage,
            one.named_right,
            one.calibration_error,
            one.unknown_questions,
            one.unknown_abstained
        );
    }
    page.push_str("</table></div>");
}

fn x(part: f64) -> f64 {
    EDGE + part * (SIDE - 2.0 * EDGE)
}

fn y(part: f64) -> f64 {
    SIDE - EDGE - part * (SIDE - 2.0 * EDGE)
}

fn frame(page: &mut String, title: &str, across: &str, up: &str) {
    let _ = write!(
        page,
        "<svg viewBox=\"0 0 {SIDE} {SIDE}\" role=\"img\" aria-label=\"{title}\"><text x=\"{EDGE}\" y=\"20\">{title}</text>\
         <line class=\"axis\" x1=\"{0}\" y1=\"{1}\" x2=\"{2}\" y2=\"{1}\"/><line class=\"axis\" x1=\"{0}\" y1=\"{1}\" x2=\"{0}\" y2=\"{3}\"/>\
         <text x=\"{EDGE}\" y=\"{4}\">{across}</text><text x=\"6\" y=\"36\">{up}</text>",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0),
        SIDE - 8.0
    );
    for tenth in [0, 5, 10] {
        let part = f64::from(tenth) / 10.0;
        let _ = write!(page, "<text x=\"14\" y=\"{}\">{part:.1}</text>", y(part) + 4.0);
    }
}

fn legend(page: &mut String) {
    let (left, low) = (x(0.55), y(0.1));
    let _ = write!(
        page,
        "<text class=\"p0\" x=\"{left}\" y=\"{low}\">darknet of /16</text><text class=\"p1\" x=\"{left}\" y=\"{}\">darknet of /24</text></svg>",
        low + 16.0
    );
}

fn line(page: &mut String, number: usize, points: &[(f64, f64)]) {
    let text: Vec<String> = points.iter().map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py))).collect();
    let _ = write!(page, "<polyline class=\"l{number}\" points=\"{}\"/>", text.join(" "));
    for (px, py) in points {
        let _ = write!(page, "<circle class=\"p{number}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", x(*px), y(*py));
    }
}

fn curves(page: &mut String, large: &Score, small: &Score) {
    frame(page, "top-1 over packets seen", "packets seen, from 5 to 2,000 (logarithmic)", "top-1");
    let place = |packets: u64| (packets as f64 / 5.0).ln() / 400.0f64.ln();
    for (number, score) in [large, small].into_iter().enumerate() {
        let points: Vec<(f64, f64)> = score.curve.iter().map(|point| (place(point.packets_from), point.top1)).collect();
        line(page, number, &points);
    }
    legend(page);
}

fn reliability(page: &mut String, large: &Score, small: &Score) {
    frame(page, "calibration", "probability that was stated", "share that was right");
    let _ =
        write!(page, "<line class=\"ideal\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>", x(0.0), y(0.0), x(1.0), y(1.0));
    for (number, score) in [large, small].into_iter().enumerate() {
        let filled = score.reliability.iter().filter(|bin| bin.questions > 0);
        line(page, number, &filled.map(|bin| (bin.probability, bin.right)).collect::<Vec<_>>());
    }
    legend(page);
}
