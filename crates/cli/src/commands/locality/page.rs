//! Locality as one page. Loads nothing, runs nothing.

use super::expiry;
use crate::commands::forecast::page::{STYLE, esc};
use noroshi_detect::locality::{Fading, Locality};
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 56.0;
/// Rows of local services on the page.
const LOCAL_MAX: usize = 200;
/// Sensors of the matrix; more would not be readable.
const MATRIX_MAX: usize = 32;

/// The whole page.
pub fn render(found: &Locality, origin: &str) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Locality</title><style>{STYLE}</style></head><body><h1>Locality</h1><p>Data: <span class=\"tag\">{origin}</span>. \
         All numbers count unique sources.</p>"
    );
    sensors(&mut page, found);
    local(&mut page, found);
    matrix(&mut page, found);
    if let Some(fading) = &found.fading {
        curve(&mut page, fading);
    }
    page.push_str("</body></html>\n");
    page
}

fn sensors(page: &mut String, found: &Locality) {
    page.push_str(
        "<h2>Sensors</h2><div class=\"scroll\"><table><tr><th>sensor</th><th>sources</th><th>only here</th><th>services</th>\
         <th>entropy, bits</th><th>divergence from the others, bits</th></tr>",
    );
    for sensor in &found.sensors {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2}</td><td>{}</td></tr>",
            esc(&sensor.sensor),
            sensor.sources,
            sensor.sources_only_here,
            sensor.services,
            sensor.entropy_bits,
            sensor.divergence.map_or("-".into(), |value| format!("{value:.3}"))
        );
    }
    page.push_str("</table></div>");
}

fn local(page: &mut String, found: &Locality) {
    let most = found.local.iter().map(|local| local.high).fold(1.0, f64::max).ln();
    let x = |value: f64| 10.0 + 280.0 * (value.max(1.0).ln() / most.max(1e-9)).clamp(0.0, 1.0);
    page.push_str(
        "<h2>Seen mostly here</h2><div class=\"scroll\"><table><tr><th>sensor</th><th class=\"l\">service</th><th>sources</th>\
         <th>everywhere</th><th>quotient</th><th class=\"l\">95 % interval, logarithmic from 1</th></tr>",
    );
    for local in found.local.iter().take(LOCAL_MAX) {
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=\"l\">{}{}</td><td>{}</td><td>{}</td><td>{:.1}</td><td class=\"l\"><svg viewBox=\"0 0 300 14\" \
             role=\"img\" aria-label=\"{:.1} to {:.1}\"><line class=\"x\" x1=\"10\" x2=\"290\" y1=\"7\" y2=\"7\"/><rect class=\"b80\" \
             x=\"{:.1}\" y=\"3\" width=\"{:.1}\" height=\"8\"/><rect class=\"mark\" x=\"{:.1}\" y=\"0\" width=\"2\" height=\"14\"/></svg></td></tr>",
            esc(&local.sensor),
            esc(&local.service),
            if local.only_here { " (only here)" } else { "" },
            local.sources,
            local.sources_everywhere,
            local.quotient,
            local.low,
            local.high,
            x(local.low),
            (x(local.high) - x(local.low)).max(1.0),
            x(local.quotient) - 1.0,
        );
    }
    page.push_str("</table></div>");
    if found.local.is_empty() {
        page.push_str("<p>Nothing: the sensors see the same.</p>");
    }
}

fn matrix(page: &mut String, found: &Locality) {
    let names: Vec<&str> = found.sensors.iter().map(|sensor| sensor.sensor.as_str()).collect();
    if names.len() < 2 || names.len() > MATRIX_MAX || found.pairs.is_empty() {
        return;
    }
    page.push_str("<h2>How unlike the sensors are</h2><p>Jensen-Shannon divergence of the mixes of services, bits: 0 alike, 1 nothing in common.</p><div class=\"scroll\"><table><tr><th></th>");
    names.iter().for_each(|name| page.push_str(&format!("<th>{}</th>", esc(name))));
    page.push_str("</tr>");
    for a in &names {
        let _ = write!(page, "<tr><td>{}</td>", esc(a));
        for b in &names {
            let pair = found.pairs.iter().find(|pair| (pair.a == *a && pair.b == *b) || (pair.a == *b && pair.b == *a));
            match pair {
                Some(pair) => {
                    let shade = (pair.divergence * 100.0).clamp(0.0, 100.0);
                    let _ = write!(
                        page,
                        "<td style=\"background:color-mix(in srgb,#0b5cad {shade:.0}%,transparent)\">{:.2}</td>",
                        pair.divergence
                    );
                }
                None => page.push_str("<td></td>"),
            }
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div>");
}

fn curve(page: &mut String, fading: &Fading) {
    let count = fading.again.len();
    let top = fading.again.iter().copied().fold(0.0, f64::max).max(1e-6) * 1.1;
    let x = |lag: f64| LEFT + (WIDTH - LEFT - 8.0) * lag / (count as f64 + 1.0);
    let y = |share: f64| HEIGHT - 24.0 - (HEIGHT - 40.0) * (share / top).clamp(0.0, 1.0);
    let _ = write!(
        page,
        "<h2>How long sources stay</h2><p>{}</p><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Share of sources seen again by lag\">",
        esc(&expiry(fading))
    );
    for value in [0.0, top / 2.0, top] {
        let _ = write!(
            page,
            "<line class=\"x\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\" opacity=\".4\"/><text x=\"2\" y=\"{1:.1}\">{2:.1} %</text>",
            y(value),
            y(value) + 4.0,
            value * 100.0
        );
    }
    for (index, share) in fading.again.iter().enumerate() {
        let _ = write!(
            page,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" class=\"dot\"/>",
            x(index as f64 + 1.0),
            y(*share)
        );
    }
    if let (Some(alpha), Some(beta)) = (fading.alpha, fading.beta) {
        let fitted = noroshi_detect::locality::curve(alpha, beta);
        let mut path = String::new();
        for step in 4..=count * 4 {
            let lag = step as f64 / 4.0;
            let _ = write!(path, "{}{:.1} {:.1}", if step == 4 { 'M' } else { 'L' }, x(lag), y(fitted(lag)));
        }
        let _ = write!(page, "<path class=\"f\" d=\"{path}\"/>");
    }
    let _ = write!(
        page,
        "<text x=\"{LEFT}\" y=\"{}\">dots: share of a slot's sources seen again so many slots later; line: fitted curve</text></svg>",
        HEIGHT - 6.0
    );
}
