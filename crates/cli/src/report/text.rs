//! The report as one page for a terminal: what happened first, then the lists, then what was odd.

use super::words::{self, bytes, count, counted, duration, instant, percent, short, span};
use crate::terminal::{Paint, escape};
use noroshi_model::Nanos;
use noroshi_model::finding::{Attack, Campaign};
use noroshi_model::report::{FileSummary, Report, SourceSummary};
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// Narrowest and widest page; wider lines are hard to read, narrower ones break the tables.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=120;
/// Inputs that are listed one by one; more are summed up.
const FILES_LISTED: usize = 8;
const BAR: usize = 14;

/// How the page looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Colours.
    pub paint: Paint,
    /// Columns of the terminal.
    pub width: usize,
}

impl Look {
    /// For whoever reads standard output.
    pub fn stdout() -> Look {
        let (_, columns) = console::Term::stdout().size_checked().unwrap_or((0, 100));
        Look { paint: Paint::stdout(), width: usize::from(columns) }
    }
}

/// Writes the page.
pub fn write(report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let width = look.width.clamp(*WIDTHS.start(), *WIDTHS.end());
    let mut page = Page { out, paint: look.paint, width };
    page.head(report)?;
    page.inputs(report)?;
    page.timeline(report)?;
    page.attacks(report)?;
    page.campaigns(report)?;
    page.scans(report)?;
    page.brute_force(report)?;
    page.payloads(report)?;
    page.ports(report)?;
    page.sources(report)?;
    page.countries(report)?;
    page.oddities(report)?;
    page.problems(report)
}

struct Page<'a> {
    out: &'a mut dyn Write,
    paint: Paint,
    width: usize,
}

/// One cell: its text, and whether it leans right.
struct Cell(String, bool);

fn left(text: impl Into<String>) -> Cell {
    Cell(text.into(), false)
}

fn right(text: impl Into<String>) -> Cell {
    Cell(text.into(), true)
}

impl Page<'_> {
    fn head(&mut self, report: &Report) -> io::Result<()> {
        for (i, sentence) in words::headline(report).into_iter().enumerate() {
            for line in wrap(&escape(&sentence), self.width) {
                let line = if i == 0 { self.paint.heading(line) } else { line };
                writeln!(self.out, "{line}")?;
            }
        }
        if report.approximate {
            let note = "Counts marked here as exact are not: the memory bound replaced some by estimates (--memory).";
            writeln!(self.out, "{}", self.paint.warn(note))?;
        }
        Ok(())
    }

    fn section(&mut self, title: &str, note: &str) -> io::Result<()> {
        let title = self.paint.heading(title);
        writeln!(
            self.out,
            "\n{title}{}",
            if note.is_empty() { String::new() } else { format!("  {}", self.paint.faint(note)) }
        )
    }

    /// Title with the full count, and how to see the rest when the list was cut.
    fn list(&mut self, title: &str, shown: usize, total: u64) -> io::Result<()> {
        let note = match total > shown as u64 {
            true => format!("{} of {}; --top all shows every one", count(shown as u64), count(total)),
            false => String::new(),
        };
        self.section(title, &note)
    }

    /// Aligned columns; the last one is cut at the page's edge. Paints are applied per column after alignment.
    fn table(&mut self, rows: Vec<Vec<Cell>>, paints: &[fn(Paint, &str) -> String]) -> io::Result<()> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.0.width()).max().unwrap_or(0))
            .collect();
        for row in rows {
            let (mut line, mut used) = (String::from("  "), 2);
            for (c, Cell(text, leans_right)) in row.into_iter().enumerate() {
                let room = self.width.saturating_sub(used);
                let text = if c + 1 == columns { clip(&text, room) } else { text };
                let pad = " ".repeat(widths[c].saturating_sub(text.width()));
                used += widths[c] + 2;
                let painted = match paints.get(c) {
                    Some(paint) => paint(self.paint, &text),
                    None => text,
                };
                line.push_str(&if leans_right { format!("{pad}{painted}") } else { format!("{painted}{pad}") });
                line.push_str("  ");
            }
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// A sentence under an item.
    fn sentence(&mut self, text: &str) -> io::Result<()> {
        for line in wrap(&escape(text), self.width - 4) {
            writeln!(self.out, "    {}", self.paint.faint(line))?;
        }
        Ok(())
    }

    fn inputs(&mut self, report: &Report) -> io::Result<()> {
        self.section("Read", "times are UTC")?;
        let rows = report.capture.files.iter().take(FILES_LISTED).map(file_row).collect();
        self.table(rows, &[plain, faint])?;
        let hidden = report.capture.files.iter().skip(FILES_LISTED);
        let (files, packets) = hidden.fold((0, 0), |(files, packets), file| (files + 1, packets + file.packets));
        if files > 0 {
            writeln!(self.out, "  … and {} with {}", counted(files, "more file"), counted(packets, "packet"))?;
        }
        let monitored: Vec<_> = report.monitored.iter().map(ToString::to_string).collect();
        let how = if report.monitored_inferred { " (inferred from the data; --monitored CIDR settles it)" } else { "" };
        if !monitored.is_empty() {
            let text = format!("Monitored space: {}{how}", join_some(&monitored, 6));
            for line in wrap(&text, self.width - 2) {
                writeln!(self.out, "  {line}")?;
            }
        }
        Ok(())
    }

    fn timeline(&mut self, report: &Report) -> io::Result<()> {
        let timeline = &report.timeline;
        let slots = timeline.series.values().map(Vec::len).max().unwrap_or(0);
        let (Some(start), true) = (timeline.start, slots > 1) else { return Ok(()) };
        let per_column = slots.div_ceil(self.width - 38);
        let column = duration((per_column as u64 * timeline.slot_seconds) as f64);
        let end = Nanos::from_parts(start.seconds() + slots as i64 * timeline.slot_seconds as i64, 0);
        self.section("Time", &format!("{}, {column} per column, each line to its own scale", span(start, end)))?;
        let total: u64 = timeline.series.values().flatten().sum();
        let rows = timeline.series.iter().filter(|(_, slots)| slots.iter().any(|n| *n > 0)).map(|(name, slots)| {
            let columns: Vec<u64> = slots.chunks(per_column).map(|slots| slots.iter().sum()).collect();
            let packets: u64 = slots.iter().sum();
            vec![left(escape(name)), left(sparkline(&columns)), right(count(packets)), right(percent(packets, total))]
        });
        let rows = rows.collect();
        self.table(rows, &[plain, chart, plain, faint])
    }

    fn attacks(&mut self, report: &Report) -> io::Result<()> {
        if report.attacks.is_empty() {
            return Ok(());
        }
        self.list("Attacks", report.attacks.len(), report.totals.attacks)?;
        for attack in &report.attacks {
            self.attack(attack)?;
        }
        Ok(())
    }

    fn attack(&mut self, attack: &Attack) -> io::Result<()> {
        let lasted = duration(attack.last.seconds_since(attack.first));
        writeln!(
            self.out,
            "  {}  {} {}  {}  {} for {lasted}  {:.0} % sure",
            self.paint.error(words::victim(attack)),
            attack.kind,
            attack.vector,
            words::attack_rate(attack),
            self.paint.faint(instant(attack.first)),
            attack.confidence * 100.0,
        )?;
        self.sentence(&attack.reason)
    }

    fn campaigns(&mut self, report: &Report) -> io::Result<()> {
        if report.campaigns.is_empty() {
            return Ok(());
        }
        self.list("Campaigns", report.campaigns.len(), report.totals.campaigns)?;
        for campaign in &report.campaigns {
            self.campaign(campaign)?;
        }
        Ok(())
    }

    fn campaign(&mut self, campaign: &Campaign) -> io::Result<()> {
        writeln!(
            self.out,
            "  {}  {}  {} {}  {}",
            self.paint.warn(escape(&campaign.id)),
            counted(campaign.sources, "source"),
            if campaign.ports.len() == 1 { "port" } else { "ports" },
            words::port_list(&campaign.ports, 8),
            words::tool(campaign.tool),
        )?;
        self.sentence(&campaign.reason)
    }

    fn scans(&mut self, report: &Report) -> io::Result<()> {
        if report.scans.is_empty() {
            return Ok(());
        }
        self.list("Scans", report.scans.len(), report.totals.scans)?;
        let rows = report.scans.iter().map(|scan| {
            vec![
                left(scan.source.to_string()),
                left(words::scan_target(scan)),
                left(scan.kind.name()),
                right(counted(scan.packets, "packet")),
                right(counted(scan.destinations, "destination")),
                left(words::tool(scan.tool)),
                left(duration(scan.last.seconds_since(scan.first))),
            ]
        });
        let rows = rows.collect();
        self.table(rows, &[plain, plain, faint, plain, plain, warn, faint])
    }

    fn brute_force(&mut self, report: &Report) -> io::Result<()> {
        if report.brute_force.is_empty() {
            return Ok(());
        }
        self.section("Logins tried over and over", "")?;
        let rows = report.brute_force.iter().map(|case| {
            vec![
                left(case.source.to_string()),
                left(format!("→ {} {}", case.victim, escape(&case.service))),
                right(counted(case.attempts, "attempt")),
                left(span(case.first, case.last)),
            ]
        });
        let rows = rows.collect();
        self.table(rows, &[error, plain, plain, faint])
    }

    fn payloads(&mut self, report: &Report) -> io::Result<()> {
        if report.payloads.is_empty() {
            return Ok(());
        }
        self.section("First payloads", "alike once addresses and numbers are taken out")?;
        let rows = report.payloads.iter().map(|cluster| {
            let ports = words::port_list(&cluster.ports, 3);
            vec![
                right(count(cluster.packets)),
                right(counted(cluster.sources, "source")),
                left(format!("{}/{ports}", words::protocol_name(cluster.protocol))),
                left(escape(&cluster.label)),
                left(escape(&cluster.sample)),
            ]
        });
        let rows = rows.collect();
        self.table(rows, &[plain, plain, plain, warn, faint])
    }

    fn ports(&mut self, report: &Report) -> io::Result<()> {
        let Some(most) = report.ports.first().map(|port| port.packets) else { return Ok(()) };
        self.list("Ports", report.ports.len(), report.totals.ports)?;
        let rows = report.ports.iter().map(|port| {
            vec![
                left(words::port(port.protocol, port.port)),
                left(bar(port.packets, most, BAR)),
                right(count(port.packets)),
                right(percent(port.packets, report.capture.packets)),
                right(counted(port.sources, "source")),
            ]
        });
        let rows = rows.collect();
        self.table(rows, &[plain, chart, plain, faint, plain])
    }

    fn sources(&mut self, report: &Report) -> io::Result<()> {
        if report.sources.is_empty() {
            return Ok(());
        }
        self.list("Sources", report.sources.len(), report.totals.sources)?;
        let rows = report.sources.iter().map(source_row).collect();
        self.table(rows, &[plain, faint, plain, plain, plain, warn])
    }

    fn countries(&mut self, report: &Report) -> io::Result<()> {
        let mut countries: Vec<_> = report.countries.iter().collect();
        countries.sort_by_key(|(code, packets)| (std::cmp::Reverse(**packets), *code));
        let Some((_, most)) = countries.first().copied() else { return Ok(()) };
        self.section("Countries of the sources", "")?;
        let rows = countries.iter().take(10).map(|(code, packets)| {
            let name = super::world::name(code).unwrap_or(code);
            vec![
                left(escape(name)),
                left(bar(**packets, *most, BAR)),
                right(count(**packets)),
                right(percent(**packets, report.capture.packets)),
            ]
        });
        let rows = rows.collect();
        self.table(rows, &[plain, chart, plain, faint])
    }

    fn oddities(&mut self, report: &Report) -> io::Result<()> {
        if report.oddities.is_empty() {
            return Ok(());
        }
        self.section("Odd packets", "")?;
        let mut oddities: Vec<_> = report.oddities.iter().collect();
        oddities.sort_by_key(|(code, packets)| (std::cmp::Reverse(**packets), *code));
        let said: Vec<_> =
            oddities.iter().map(|(code, packets)| format!("{} {}", escape(code), short(**packets as f64))).collect();
        for line in wrap(&said.join(" · "), self.width - 2) {
            writeln!(self.out, "  {line}")?;
        }
        Ok(())
    }

    fn problems(&mut self, report: &Report) -> io::Result<()> {
        let files = report.capture.files.iter().filter(|file| !file.problems.is_empty());
        for (i, file) in files.enumerate() {
            if i == 0 {
                self.section("Problems", "")?;
            }
            writeln!(self.out, "  {}", self.paint.error(escape(&file.path)))?;
            for problem in &file.problems {
                let place = problem.offset.map_or(String::new(), |offset| format!(" (at byte {})", count(offset)));
                for line in wrap(&escape(&format!("{}{place}", problem.text)), self.width - 4) {
                    writeln!(self.out, "    {line}")?;
                }
            }
        }
        Ok(())
    }
}

fn file_row(file: &FileSummary) -> Vec<Cell> {
    let when = match (file.earliest, file.latest) {
        (Some(first), Some(last)) => span(first, last),
        _ => String::new(),
    };
    let transports = [
        ("tcp", file.transport.tcp),
        ("udp", file.transport.udp),
        ("icmp", file.transport.icmp + file.transport.icmpv6),
        ("sctp", file.transport.sctp),
        ("other", file.transport.other),
    ];
    let shares: Vec<_> = transports
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("{name} {}", percent(*n, file.packets)))
        .collect();
    vec![
        left(escape(&file.path)),
        left(words::format_name(file.format, file.compression)),
        right(counted(file.packets, "packet")),
        right(bytes(file.bytes_on_wire)),
        left(when),
        left(shares.join(" ")),
    ]
}

fn source_row(source: &SourceSummary) -> Vec<Cell> {
    let place = match (&source.country, source.asn) {
        (Some(country), Some(asn)) => format!("{} AS{asn}", escape(country)),
        (Some(country), None) => escape(country).into_owned(),
        (None, Some(asn)) => format!("AS{asn}"),
        (None, None) => String::new(),
    };
    let marks = source.tools.iter().map(|tool| tool.name()).chain(source.labels.iter().map(|label| label.name()));
    vec![
        left(source.address.to_string()),
        left(place),
        right(counted(source.packets, "packet")),
        right(counted(source.destinations, "destination")),
        right(counted(source.ports, "port")),
        left(marks.collect::<Vec<_>>().join(", ")),
    ]
}

fn plain(_: Paint, text: &str) -> String {
    text.to_owned()
}
fn faint(paint: Paint, text: &str) -> String {
    paint.faint(text)
}
fn chart(paint: Paint, text: &str) -> String {
    paint.chart(text)
}
fn warn(paint: Paint, text: &str) -> String {
    paint.warn(text)
}
fn error(paint: Paint, text: &str) -> String {
    paint.error(text)
}

/// At most `most` items, then how many more.
fn join_some(items: &[String], most: usize) -> String {
    let mut text = items.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > most {
        text.push_str(&format!(" and {} more", items.len() - most));
    }
    text
}

/// A horizontal bar in eighths of a character.
fn bar(value: u64, most: u64, width: usize) -> String {
    let eighths = (value as f64 / most.max(1) as f64 * width as f64 * 8.0).round().max(1.0) as usize;
    let mut text = "█".repeat(eighths / 8);
    text.extend(['▏', '▎', '▍', '▌', '▋', '▊', '▉'].get((eighths % 8).wrapping_sub(1)));
    text
}

/// One character per value, to the scale of the largest; nothing is a space.
fn sparkline(values: &[u64]) -> String {
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let level = |value: u64| ((value as f64 / most as f64 * 8.0).ceil() as usize).clamp(1, 8) - 1;
    let marks = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    values.iter().map(|value| if *value == 0 { ' ' } else { marks[level(*value)] }).collect()
}

/// The start of a text that fits, with an ellipsis where something is missing.
fn clip(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.width() + c.to_string().width() + 1 > width {
            break;
        }
        out.push(c);
    }
    out + "…"
}

/// Lines of at most `width` columns, broken between words where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("starts with one line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_in_characters() {
        assert_eq!(sparkline(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(sparkline(&[0, 0]), "  ");
        assert_eq!(bar(8, 8, 4), "████");
        assert_eq!(bar(1, 1000, 4), "▏", "something is never nothing");
        assert_eq!(bar(3, 8, 1), "▍");
    }

    #[test]
    fn lines_fit() {
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(clip("abcdef", 4), "abc…");
        assert_eq!(clip("狼煙狼煙", 5), "狼煙…");
        assert_eq!(clip("abc", 3), "abc");
    }
}
