//! The brief as one page: plots inline, loads nothing, runs nothing, prints well.

use super::catalogue::Catalogue;
use super::{interval, rise_line, tomorrow, verdict};
use crate::commands::forecast::page::{STYLE, esc};
use noroshi_detect::forecast::brief::{Brief, Expected, Rise};
use noroshi_detect::series::slot_name;
use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 96.0;

/// The whole page.
pub fn render(brief: &Brief, words: &Catalogue, source: &str, origin: &str) -> String {
    let title = words.title.replace("{day}", &slot_name(brief.day, brief.slot_seconds));
    let mut page = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>\
         <p>{}: {} <span class=\"tag\">{}</span></p>",
        words.code,
        words.data,
        esc(source),
        words.origin(origin)
    );
    rises(&mut page, words.new, &brief.new, words.nothing_new, words);
    rises(&mut page, words.grew, &brief.grew, words.nothing_grew, words);
    if !brief.fell.is_empty() {
        let _ = write!(page, "<h2>{}</h2><ul>", words.fell);
        for fall in &brief.fell {
            let line = words.rise.replace("{count}", &format!("{:.0}", fall.count));
            let line = line.replace("{usual}", &format!("{:.0}", fall.usual));
            let _ = write!(page, "<li><b>{}</b> {line}</li>", esc(&fall.key));
        }
        page.push_str("</ul>");
    }
    let _ = write!(page, "<h2>{}</h2>", words.tomorrow.replace("{day}", &tomorrow(brief)));
    for expected in &brief.expected {
        let about = words.expected.replace("{count}", &format!("{:.0}", expected.forecast.point));
        let _ = write!(
            page,
            "<p><b>{}</b> {about}, {}</p>",
            esc(&expected.key),
            interval(expected.forecast.interval80, words)
        );
        plot(&mut page, expected, words);
    }
    if brief.expected.is_empty() {
        let _ = write!(page, "<p>{}</p>", words.too_short);
    }
    checks(&mut page, brief, words);
    page.push_str("</body></html>\n");
    page
}

fn rises(page: &mut String, heading: &str, rises: &[Rise], none: &str, words: &Catalogue) {
    let _ = write!(page, "<h2>{heading}</h2>");
    if rises.is_empty() {
        let _ = write!(page, "<p>{none}</p>");
        return;
    }
    page.push_str("<ul>");
    for rise in rises {
        let _ = write!(page, "<li><b>{}</b> {}</li>", esc(&rise.key), rise_line(rise, words));
    }
    page.push_str("</ul>");
}

/// Counts as a line, then the forecast as a dot with its two intervals.
fn plot(page: &mut String, expected: &Expected, words: &Catalogue) {
    let known = expected.history.iter().flatten().copied();
    let wide = expected.forecast.interval95.map_or(expected.forecast.point, |(_, high)| high);
    let largest = known.fold(expected.forecast.point, f64::max).max(1.0);
    let top = wide.min(largest * 1.5).max(largest);
    let slots = expected.history.len() + 1;
    let x = |slot: usize| 4.0 + (WIDTH - 60.0) * slot as f64 / slots.max(2) as f64;
    let y = |value: f64| HEIGHT - 6.0 - (HEIGHT - 18.0) * (value / top).clamp(0.0, 1.0);
    let _ = write!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}: {}\">",
        esc(&expected.key),
        words.plot
    );
    let next = x(slots);
    for (class, ends) in [("b95", expected.forecast.interval95), ("b80", expected.forecast.interval80)] {
        if let Some((low, high)) = ends {
            let (above, tall) = (y(high), (y(low) - y(high)).max(1.0));
            let _ = write!(
                page,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{above:.1}\" width=\"12\" height=\"{tall:.1}\"/>",
                next - 6.0
            );
        }
    }
    let mut path = String::new();
    let mut pen = 'M';
    for (slot, value) in expected.history.iter().enumerate() {
        match value {
            Some(value) => {
                let _ = write!(path, "{pen}{:.1} {:.1}", x(slot), y(*value));
                pen = 'L';
            }
            None => pen = 'M',
        }
    }
    let _ = write!(
        page,
        "<path class=\"a\" d=\"{path}\"/><circle cx=\"{next:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"#0b5cad\"/>\
         <text x=\"{:.1}\" y=\"12\">{top:.0}</text></svg>",
        y(expected.forecast.point),
        WIDTH - 44.0
    );
}

fn checks(page: &mut String, brief: &Brief, words: &Catalogue) {
    let _ = write!(page, "<h2>{}</h2>", words.yesterday);
    if brief.checked.is_empty() {
        let _ = write!(page, "<p>{}</p>", words.too_short);
        return;
    }
    let _ = write!(page, "<table><tr><th>{}</th><th class=\"l\"></th><th class=\"l\"></th></tr>", words.series);
    for check in &brief.checked {
        let line = words
            .check
            .replace("{expected}", &format!("{:.0}", check.expected))
            .replace("{count}", &format!("{:.0}", check.count));
        let class = if check.within80 == Some(false) { "l worse" } else { "l" };
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=\"l\">{line}</td><td class=\"{class}\">{}</td></tr>",
            esc(&check.key),
            verdict(check, words)
        );
    }
    page.push_str("</table>");
}
