//! Charts as inline SVG: no script, no style attributes, colours from the page's style sheet by class.

use super::html_parts::esc;
use super::words::{count, duration, instant, percent, short};
use super::world;
use noroshi_model::Nanos;
use noroshi_model::finding::Attack;
use noroshi_model::report::{Report, Timeline};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Series in the order they are stacked, with what they are called.
const SERIES: &[(&str, &str)] = &[
    ("tcp-syn", "TCP SYN"),
    ("tcp-other", "other TCP"),
    ("udp", "UDP"),
    ("icmp", "ICMP"),
    ("backscatter", "backscatter"),
    ("other", "other"),
];
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 250.0;
/// Room for the labels of the vertical axis, the strip of attacks above and the labels of time below.
const LEFT: f64 = 64.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 30.0;
const RIGHT: f64 = 8.0;
/// Steps of a drawn line; more than the picture has room for only make the page heavy.
const COLUMNS_MAX: usize = 288;
/// Attacks that the strip shows.
const STRIP_MAX: usize = 500;

/// Packets over time, stacked by kind, with a strip above that tells when attacks ran. Empty without times.
pub fn time_series(report: &Report) -> String {
    let Some(plot) = Plot::new(&report.timeline) else { return String::new() };
    let mut svg = format!(
        "<div class=\"scroll\"><svg class=\"time\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Packets over time\">"
    );
    plot.axes(&mut svg);
    plot.areas(&mut svg);
    plot.strip(&report.attacks, &mut svg);
    svg.push_str("</svg></div>");
    svg.push_str(&plot.legend(!report.attacks.is_empty()));
    svg
}

struct Plot {
    start: Nanos,
    /// Seconds that one column stands for.
    column_seconds: u64,
    columns: usize,
    /// Known series first, each as packets per column.
    series: Vec<(String, Vec<u64>)>,
    /// Packets at the top of the vertical axis.
    ceiling: f64,
}

impl Plot {
    fn new(timeline: &Timeline) -> Option<Plot> {
        let slots = timeline.series.values().map(Vec::len).max().unwrap_or(0);
        let start = timeline.start?;
        let per_column = slots.div_ceil(COLUMNS_MAX).max(1);
        let columns = slots.div_ceil(per_column);
        let known = SERIES.iter().filter_map(|(name, _)| timeline.series.get_key_value(*name));
        let unknown = timeline.series.iter().filter(|(name, _)| !SERIES.iter().any(|(known, _)| known == name));
        let series: Vec<(String, Vec<u64>)> = known
            .chain(unknown)
            .filter(|(_, slots)| slots.iter().any(|n| *n > 0))
            .map(|(name, slots)| {
                let mut folded: Vec<u64> = slots.chunks(per_column).map(|slots| slots.iter().sum()).collect();
                folded.resize(columns, 0);
                (name.clone(), folded)
            })
            .collect();
        if series.is_empty() {
            return None;
        }
        let most = (0..columns).map(|c| series.iter().map(|(_, values)| values[c]).sum::<u64>()).max()?;
        let column_seconds = per_column as u64 * timeline.slot_seconds.max(1);
        Some(Plot { start, column_seconds, columns, series, ceiling: ceiling(most as f64) })
    }

    fn x(&self, column: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * column / self.columns as f64
    }

    fn x_of(&self, t: Nanos) -> f64 {
        self.x((t.seconds_since(self.start) / self.column_seconds as f64).clamp(0.0, self.columns as f64))
    }

    fn y(&self, packets: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * packets / self.ceiling
    }

    fn axes(&self, svg: &mut String) {
        for step in 0..=4 {
            let packets = self.ceiling * f64::from(step) / 4.0;
            let y = self.y(packets);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text class=\"r\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                short(packets)
            );
        }
        let seconds = self.columns as u64 * self.column_seconds;
        let step = tick_seconds(seconds);
        let mut at = self.start.seconds().div_euclid(step) * step;
        while at <= self.start.seconds() + seconds as i64 {
            if at >= self.start.seconds() {
                let (x, label) = (self.x_of(Nanos::from_seconds(at)), tick_label(at, step));
                let y = HEIGHT - BOTTOM;
                let _ = write!(svg, "<path class=\"tick\" d=\"M{x:.1} {y}v5\"/>");
                if x < WIDTH - 24.0 {
                    let _ = write!(svg, "<text class=\"m\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>", y + 19.0);
                }
            }
            at += step;
        }
    }

    fn areas(&self, svg: &mut String) {
        let mut base = vec![0u64; self.columns];
        for (name, values) in &self.series {
            let mut path = format!("M{:.1} {:.1}", self.x(0.0), self.y(base[0] as f64));
            for (c, value) in values.iter().enumerate() {
                let _ = write!(path, "V{:.1}H{:.1}", self.y((base[c] + value) as f64), self.x(c as f64 + 1.0));
            }
            for c in (0..self.columns).rev() {
                let _ = write!(path, "V{:.1}H{:.1}", self.y(base[c] as f64), self.x(c as f64));
            }
            let total = values.iter().sum();
            let label = label(name);
            let _ = write!(
                svg,
                "<path class=\"area {}\" d=\"{path}z\"><title>{}: {} packets</title></path>",
                class(name),
                esc(label),
                count(total)
            );
            for (sum, value) in base.iter_mut().zip(values) {
                *sum += value;
            }
        }
    }

    fn strip(&self, attacks: &[Attack], svg: &mut String) {
        for attack in attacks.iter().take(STRIP_MAX) {
            let (from, to) = (self.x_of(attack.first), self.x_of(attack.last));
            let _ = write!(
                svg,
                "<rect class=\"attack\" x=\"{from:.1}\" y=\"6\" width=\"{:.1}\" height=\"8\"><title>{} on {}</title></rect>",
                (to - from).max(1.5),
                attack.vector,
                attack.victim
            );
        }
        if !attacks.is_empty() {
            let _ = write!(svg, "<text class=\"r\" x=\"{:.1}\" y=\"14\">attacks</text>", LEFT - 6.0);
        }
    }

    fn legend(&self, attacks: bool) -> String {
        let mut html = String::from("<p class=\"legend\">");
        for (name, values) in &self.series {
            let _ = write!(
                html,
                "<span><i class=\"key {}\"></i>{} <b>{}</b></span> ",
                class(name),
                esc(label(name)),
                short(values.iter().sum::<u64>() as f64)
            );
        }
        if attacks {
            html.push_str("<span><i class=\"key attack\"></i>an attack runs</span> ");
        }
        let column = duration(self.column_seconds as f64);
        let _ =
            write!(html, "<span class=\"faint\">packets per {column}, UTC, from {}</span></p>", instant(self.start));
        html
    }
}

fn label(name: &str) -> &str {
    SERIES.iter().find(|(known, _)| *known == name).map_or(name, |(_, label)| label)
}

/// Class of a series; an unknown name never reaches an attribute.
fn class(name: &str) -> &'static str {
    SERIES.iter().find(|(known, _)| *known == name).map_or("other", |(known, _)| known)
}

/// The next round number whose quarters are round too.
fn ceiling(most: f64) -> f64 {
    let mut unit = 1.0;
    loop {
        for step in [4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 28.0, 32.0, 40.0] {
            if step * unit >= most {
                return step * unit;
            }
        }
        unit *= 10.0;
    }
}

/// Seconds between labels, so that there are at most eight.
fn tick_seconds(span: u64) -> i64 {
    const STEPS: [i64; 19] = [
        1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
        2_592_000,
    ];
    STEPS.into_iter().find(|step| span as i64 / step <= 8).unwrap_or((span as i64 / 8).max(1))
}

fn tick_label(second: i64, step: i64) -> String {
    let text = instant(Nanos::from_seconds(second));
    let (date, clock) = text.split_once(' ').unwrap_or((&text, ""));
    match step {
        1..60 => clock.to_owned(),
        _ if second.rem_euclid(86_400) == 0 || step >= 86_400 => date.get(5..).unwrap_or(date).to_owned(),
        _ => clock.get(..5).unwrap_or(clock).to_owned(),
    }
}

/// A bar inside a table.
pub fn bar(value: u64, most: u64) -> String {
    let width = (value as f64 / most.max(1) as f64 * 100.0).max(0.6);
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect width=\"{width:.1}\" height=\"8\"/></svg>"
    )
}

/// When something ran within the whole capture.
pub fn when(first: Nanos, last: Nanos, whole: Option<(Nanos, Nanos)>) -> String {
    let Some((start, end)) = whole else { return String::new() };
    let length = end.seconds_since(start);
    if length <= 0.0 {
        return String::new();
    }
    let at = |t: Nanos| (t.seconds_since(start) / length * 120.0).clamp(0.0, 120.0);
    let (from, to) = (at(first), at(last));
    let width = (to - from).max(2.0);
    format!(
        "<svg class=\"when\" viewBox=\"0 0 120 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"rail\" \
         y=\"3\" width=\"120\" height=\"2\"/><rect x=\"{:.1}\" width=\"{width:.1}\" height=\"8\"/></svg>",
        from.min(120.0 - width)
    )
}

/// Shares that divide the colours of the map, in percent of all packets; fixed, so that two reports compare.
const SHARES: [f64; 4] = [0.1, 1.0, 3.0, 10.0];

fn shade(packets: u64, total: u64) -> usize {
    let share = packets as f64 * 100.0 / total.max(1) as f64;
    1 + SHARES.iter().filter(|bound| share >= **bound).count()
}

/// Countries shaded by their share of the packets.
pub fn map(countries: &BTreeMap<String, u64>) -> String {
    let total: u64 = countries.values().sum();
    let (width, height) = world::SIZE;
    let mut svg = format!(
        "<svg class=\"map\" viewBox=\"0 0 {width}0 {height}0\" role=\"img\" aria-label=\"Packets by country of the source\">"
    );
    let mut points = String::new();
    for land in world::LANDS {
        let packets = countries.get(land.code).copied().unwrap_or(0);
        let shade = if packets > 0 { shade(packets, total) } else { 0 };
        let title = match packets {
            0 => String::new(),
            _ => format!(
                "<title>{}: {} packets, {}</title>",
                esc(land.name),
                count(packets),
                esc(&percent(packets, total))
            ),
        };
        match land.point {
            None => {
                let _ = write!(svg, "<path class=\"c{shade}\" d=\"{}\">{title}</path>", land.outline);
            }
            Some((x, y)) if packets > 0 => {
                let radius = 28 + 12 * shade;
                let _ =
                    write!(points, "<circle class=\"c{shade}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\">{title}</circle>");
            }
            Some(_) => {}
        }
    }
    svg + &points + "</svg>" + &map_legend()
}

fn map_legend() -> String {
    let bounds = ["under 0.1 %", "0.1 to 1 %", "1 to 3 %", "3 to 10 %", "10 % and more"];
    let mut html = String::from("<p class=\"legend\">");
    for (i, bound) in bounds.iter().enumerate() {
        let _ = write!(html, "<span><i class=\"key c{}\"></i>{bound}</span> ", i + 1);
    }
    html.push_str("<span class=\"faint\">of the packets whose country is known; forged addresses count where they pretend to be from</span></p>");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_round() {
        for (most, top) in [(1.0, 4.0), (5.0, 6.0), (99.0, 100.0), (101.0, 120.0), (2900.0, 3200.0)] {
            assert_eq!(ceiling(most), top);
        }
        assert_eq!(tick_seconds(86_400), 10_800);
        assert_eq!(tick_seconds(60), 10);
        assert_eq!(tick_label(1_767_225_600, 10_800), "01-01");
        assert_eq!(tick_label(1_767_225_600 + 10_800, 10_800), "03:00");
    }

    #[test]
    fn shades_follow_shares() {
        for (packets, expected) in [(1, 1), (100, 2), (1000, 3), (3000, 4), (10_000, 5)] {
            assert_eq!(shade(packets, 100_000), expected, "{packets}");
        }
    }

    #[test]
    fn a_country_is_found_on_the_map() {
        let svg = map(&BTreeMap::from([("JP".to_owned(), 75), ("SG".to_owned(), 25), ("??".to_owned(), 1)]));
        assert!(svg.contains("<title>Japan: 75 packets, 74 %</title></path>"), "{svg}");
        assert!(svg.contains("<title>Singapore: 25 packets, 25 %</title></circle>"));
        assert!(!svg.contains("??"));
    }
}
