//! The report as one self-contained HTML page, readable offline, in light and dark, on paper, and without a script.
//!
//! The page forbids scripts, connections and foreign styles to itself (content security policy), so even a mistake in
//! escaping could not run anything.

use super::chart;
use super::html_parts::{behind, esc, section, table, tag};
use super::words::{self, bytes, count, counted, duration, instant, percent, short, span};
use super::world;
use base64::Engine as _;
use noroshi_model::Nanos;
use noroshi_model::finding::{Attack, AttackKind, Campaign, Label, Scan, Tool};
use noroshi_model::report::{FileSummary, Report, SourceSummary};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{self, Write};

const STYLE: &str = include_str!("style.css");
/// Members of a campaign that are named.
const MEMBERS_SHOWN: usize = 24;
/// Countries listed beside the map.
const COUNTRIES_SHOWN: usize = 12;

/// A beacon: smoke above a fire.
const MARK: &str = "<svg viewBox=\"0 0 20 20\" aria-hidden=\"true\"><path d=\"M9 1c3 2-2 4 1 6s-1 3 0 4c2-2 5-3 2-6s1-4-3-4zM10 10c-1 \
    3-4 3-4 6 0 2 2 3 4 3s4-1 4-3c0-2-2-3-2-4-1 1-2 1-2-2z\"/></svg>";

/// Writes the page.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let whole = words::reach(report);
    let sections = [
        time(report),
        attacks(report, whole),
        campaigns(report, whole),
        scans(report, whole),
        logins(report),
        payloads(report),
        ports(report),
        sources(report),
        countries(report),
        oddities(report),
        inputs(report),
    ];
    out.write_all(head().as_bytes())?;
    out.write_all(header(report, &sections).as_bytes())?;
    out.write_all(b"<main>\n")?;
    for section in sections {
        out.write_all(section.as_bytes())?;
    }
    let made = format!(
        "</main><footer>Made by noroshi {} on {} UTC. Times are UTC. Rates at the victim are estimates from the share of \
         the address space that was watched. Every number comes from the captures named above.</footer></body></html>\n",
        esc(&report.version),
        instant(report.generated)
    );
    out.write_all(made.as_bytes())
}

fn head() -> String {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<meta name=\"referrer\" \
         content=\"no-referrer\">\n<title>Noroshi report</title>\n<style>{STYLE}</style></head>\n<body>"
    )
}

fn header(report: &Report, sections: &[String]) -> String {
    let mut html = format!("<header><h1>{MARK} Noroshi report<small>{} UTC</small></h1>", instant(report.generated));
    for (i, sentence) in words::headline(report).iter().enumerate() {
        let class = if i == 0 { "lead" } else { "said" };
        let _ = write!(html, "<p class=\"{class}\">{}</p>", esc(sentence));
    }
    if report.approximate {
        html.push_str("<p class=\"said warn\">The memory bound was reached: some counts are estimates.</p>");
    }
    html.push_str(&tiles(report));
    html.push_str("<nav aria-label=\"Contents\">");
    for section in sections {
        let part = |from: &str, to: &str| Some(section.split_once(from)?.1.split_once(to)?.0.to_owned());
        if let (Some(id), Some(title)) = (part("id=\"", "\""), part("<h2>", "<")) {
            let _ = write!(html, "<a href=\"#{id}\">{title}</a>");
        }
    }
    html + "</nav></header>\n"
}

fn tiles(report: &Report) -> String {
    let totals = &report.totals;
    let wire = report.capture.files.iter().map(|file| file.bytes_on_wire).sum();
    let tiles = [
        ("attacks", short(totals.attacks as f64), totals.attacks > 0),
        ("campaigns", short(totals.campaigns as f64), false),
        ("scans", short(totals.scans as f64), false),
        ("packets", short(report.capture.packets as f64), false),
        ("on the wire", bytes(wire), false),
        ("sources", short(totals.sources as f64), false),
        ("destinations", short(totals.destinations as f64), false),
        ("ports", short(totals.ports as f64), false),
    ];
    let mut html = String::from("<ul class=\"tiles\">");
    for (noun, value, hot) in tiles {
        let class = if hot { " class=\"hot\"" } else { "" };
        let _ = write!(html, "<li{class}><b>{value}</b><span>{noun}</span></li>");
    }
    html + "</ul>"
}

fn time(report: &Report) -> String {
    match chart::time_series(report) {
        svg if svg.is_empty() => String::new(),
        svg => section("time", "Over time", 0, 0, "", &svg),
    }
}

fn attacks(report: &Report, whole: Option<(Nanos, Nanos)>) -> String {
    if report.attacks.is_empty() {
        return String::new();
    }
    let body: String = report.attacks.iter().map(|attack| attack_card(attack, whole, &report.capture.files)).collect();
    section("attacks", "Attacks", report.attacks.len(), report.totals.attacks, "", &body)
}

fn kind_words(kind: AttackKind) -> &'static str {
    match kind {
        AttackKind::Backscatter => "seen from the victim's replies to forged packets",
        AttackKind::Reflection => "replies of reflectors arrive at the victim",
        AttackKind::Amplification => "requests in the victim's name, to be amplified",
        AttackKind::Flood => "arrives at the victim directly",
        AttackKind::Carpet => "many victims of one prefix",
    }
}

fn attack_card(attack: &Attack, whole: Option<(Nanos, Nanos)>, files: &[FileSummary]) -> String {
    let lasted = duration(attack.last.seconds_since(attack.first));
    format!(
        "<article class=\"finding attack\"><h3><span class=\"addr\">{}</span><span>{}{}</span><span class=\"rate\">{}</span></h3>\
         <p>{}</p><div class=\"facts\"><span>{}</span>{}<span><b>{}</b> for <b>{lasted}</b></span><span><b>{}</b> packets, \
         <b>{}</b></span><span><b>{}</b></span></div>{}</article>\n",
        words::victim(attack),
        tag("hot", attack.vector.name()),
        tag("", attack.kind.name()),
        words::attack_rate(attack),
        esc(&attack.reason),
        kind_words(attack.kind),
        chart::when(attack.first, attack.last, whole),
        instant(attack.first),
        count(attack.packets),
        bytes(attack.bytes),
        counted(attack.sources, "source"),
        behind("Evidence", &attack.detector, attack.confidence, &attack.thresholds, &attack.evidence, files),
    )
}

fn campaigns(report: &Report, whole: Option<(Nanos, Nanos)>) -> String {
    if report.campaigns.is_empty() {
        return String::new();
    }
    let files = &report.capture.files;
    let body: String = report.campaigns.iter().map(|campaign| campaign_card(campaign, whole, files)).collect();
    let note = "Scans of several sources that belong together: the same target, the same tool, the same time.";
    section("campaigns", "Campaigns", report.campaigns.len(), report.totals.campaigns, note, &body)
}

fn campaign_card(campaign: &Campaign, whole: Option<(Nanos, Nanos)>, files: &[FileSummary]) -> String {
    let mut members = String::new();
    for member in campaign.members.iter().take(MEMBERS_SHOWN) {
        let _ = write!(members, "<code>{member}</code> ");
    }
    let hidden = campaign.sources.saturating_sub(campaign.members.len().min(MEMBERS_SHOWN) as u64);
    if hidden > 0 {
        let _ = write!(members, "and {} more", count(hidden));
    }
    let ports = if campaign.ports.len() == 1 { "port" } else { "ports" };
    format!(
        "<article class=\"finding campaign\"><h3><span class=\"addr\">{}</span><span>{ports} {}</span><span>{}</span>\
         <span class=\"rate\">{}</span></h3><p>{}</p><div class=\"facts\">{}<span><b>{}</b></span><span><b>{}</b> packets</span>\
         </div>{}<details><summary>Members</summary>{members}</details></article>\n",
        esc(&campaign.id),
        words::port_list(&campaign.ports, 12),
        tag("tool", words::tool(campaign.tool)),
        counted(campaign.sources, "source"),
        esc(&campaign.reason),
        chart::when(campaign.first, campaign.last, whole),
        span(campaign.first, campaign.last),
        count(campaign.packets),
        behind("Evidence", &campaign.detector, campaign.confidence, &campaign.thresholds, &campaign.evidence, files),
    )
}

fn scans(report: &Report, whole: Option<(Nanos, Nanos)>) -> String {
    if report.scans.is_empty() {
        return String::new();
    }
    let rows: String = report.scans.iter().map(|scan| scan_rows(scan, whole, &report.capture.files)).collect();
    let heads = ["Source", "Probes", "Shape", "Tool", ">Packets", ">Destinations", "When", ""];
    section("scans", "Scans", report.scans.len(), report.totals.scans, "", &table(&heads, &rows))
}

fn scan_rows(scan: &Scan, whole: Option<(Nanos, Nanos)>, files: &[FileSummary]) -> String {
    format!(
        "<tbody><tr><td class=\"addr\">{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td>{}</td><td class=\"k\">{}</td></tr><tr class=\"why\"><td colspan=\"8\">{}</td></tr></tbody>\n",
        scan.source,
        words::scan_target(scan),
        scan.kind,
        tag("tool", words::tool(scan.tool)),
        count(scan.packets),
        count(scan.destinations),
        chart::when(scan.first, scan.last, whole),
        duration(scan.last.seconds_since(scan.first)),
        behind(&scan.reason, &scan.detector, scan.confidence, &scan.thresholds, &scan.evidence, files),
    )
}

fn logins(report: &Report) -> String {
    if report.brute_force.is_empty() {
        return String::new();
    }
    let mut body = String::new();
    for case in &report.brute_force {
        let _ = writeln!(
            body,
            "<article class=\"finding login\"><h3><span class=\"addr\">{}</span><span>tries {} of <span class=\"addr\">{}</span>\
             </span><span class=\"rate\">{}</span></h3><p>{}</p><div class=\"facts\"><span>port <b>{}</b></span><span><b>{}</b></span>\
             </div></article>",
            case.source,
            esc(&case.service),
            case.victim,
            counted(case.attempts, "attempt"),
            esc(&case.reason),
            case.port,
            span(case.first, case.last),
        );
    }
    section(
        "logins",
        "Logins tried over and over",
        report.brute_force.len(),
        report.brute_force.len() as u64,
        "",
        &body,
    )
}

fn payloads(report: &Report) -> String {
    if report.payloads.is_empty() {
        return String::new();
    }
    let mut rows = String::from("<tbody>");
    for cluster in &report.payloads {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td class=\"k\">{}/{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td><code>{}</code></td></tr>",
            esc(&cluster.label),
            words::protocol_name(cluster.protocol),
            words::port_list(&cluster.ports, 3),
            count(cluster.packets),
            count(cluster.sources),
            esc(&cluster.sample),
        );
    }
    rows.push_str("</tbody>");
    let heads = ["Looks like", "Ports", ">Packets", ">Sources", "Begins with"];
    let note = "What strangers say first, grouped by content once addresses, numbers and random parts are taken out. \
                Nothing of it was executed.";
    section(
        "payloads",
        "First payloads",
        report.payloads.len(),
        report.payloads.len() as u64,
        note,
        &table(&heads, &rows),
    )
}

fn ports(report: &Report) -> String {
    let Some(most) = report.ports.first().map(|port| port.packets) else { return String::new() };
    let mut rows = String::from("<tbody>");
    for port in &report.ports {
        let _ = write!(
            rows,
            "<tr><td class=\"k\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            words::port(port.protocol, port.port),
            chart::bar(port.packets, most),
            count(port.packets),
            share(port.packets, report.capture.packets),
            count(port.sources),
        );
    }
    rows.push_str("</tbody>");
    let heads = ["Destination port", "", ">Packets", ">Share", ">Sources"];
    section("ports", "Ports", report.ports.len(), report.totals.ports, "", &table(&heads, &rows))
}

fn label_tag(label: Label) -> String {
    let class = match label {
        Label::Infected | Label::Reflector => "hot",
        _ => "",
    };
    tag(class, label.name())
}

fn sources(report: &Report) -> String {
    if report.sources.is_empty() {
        return String::new();
    }
    let rows: String = report.sources.iter().map(source_row).collect();
    let heads = ["Source", "From", "What it is", ">Packets", ">Destinations", ">Ports", "Seen"];
    let body = table(&heads, &format!("<tbody>{rows}</tbody>"));
    section("sources", "Sources", report.sources.len(), report.totals.sources, "", &body)
}

fn source_row(source: &SourceSummary) -> String {
    let country = source.country.as_deref().map_or(String::new(), |code| match world::name(code) {
        Some(name) => esc(name).to_string(),
        None => esc(code).to_string(),
    });
    let network = source.asn.map_or(String::new(), |asn| format!(" <span class=\"faint\">AS{asn}</span>"));
    let tools = source.tools.iter().filter(|tool| **tool != Tool::Unknown).map(|tool| tag("tool", tool.name()));
    let marks: String = tools.chain(source.labels.iter().map(|label| label_tag(*label))).collect();
    let seen = match (source.first, source.last) {
        (Some(first), Some(last)) => span(first, last),
        _ => String::new(),
    };
    format!(
        "<tr><td class=\"addr\">{}</td><td>{country}{network}</td><td>{marks}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"k faint\">{seen}</td></tr>",
        source.address,
        count(source.packets),
        count(source.destinations),
        count(source.ports),
    )
}

fn countries(report: &Report) -> String {
    if report.countries.is_empty() {
        return String::new();
    }
    let mut ranked: Vec<_> = report.countries.iter().collect();
    ranked.sort_by_key(|(code, packets)| (std::cmp::Reverse(**packets), *code));
    let (most, total) = (*ranked[0].1, report.countries.values().sum());
    let mut rows = String::from("<tbody>");
    for (code, packets) in ranked.iter().take(COUNTRIES_SHOWN) {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td></tr>",
            esc(world::name(code).unwrap_or(code)),
            chart::bar(**packets, most),
            share(**packets, total)
        );
    }
    rows.push_str("</tbody>");
    let list = table(&["Country", "", ">Packets"], &rows);
    let body = format!("<div class=\"beside\"><div>{}</div>{list}</div>", chart::map(&report.countries));
    section("countries", "Countries of the sources", ranked.len(), ranked.len() as u64, "", &body)
}

fn oddities(report: &Report) -> String {
    if report.oddities.is_empty() {
        return String::new();
    }
    let mut ranked: Vec<_> = report.oddities.iter().collect();
    ranked.sort_by_key(|(code, packets)| (std::cmp::Reverse(**packets), *code));
    let body: String = ranked.iter().map(|(code, packets)| tag("", &format!("{code} {}", count(**packets)))).collect();
    let note =
        "Packets that break a rule of their protocol, or that no usual system sends. They count like all others.";
    section("oddities", "Odd packets", 0, 0, note, &format!("<div>{body}</div>"))
}

fn inputs(report: &Report) -> String {
    let mut rows = String::from("<tbody>");
    for file in &report.capture.files {
        let when = file.earliest.zip(file.latest).map_or(String::new(), |(first, last)| span(first, last));
        let t = &file.transport;
        let _ = write!(
            rows,
            "<tr><td class=\"path\"><code>{}</code></td><td class=\"k\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"k\">{when}</td></tr>",
            esc(&file.path),
            words::format_name(file.format, file.compression),
            count(file.packets),
            bytes(file.bytes_on_wire),
            share(t.tcp, file.packets),
            share(t.udp, file.packets),
            share(t.icmp + t.icmpv6, file.packets),
        );
    }
    rows.push_str("</tbody>");
    let heads = ["File", "Format", ">Packets", ">On the wire", ">TCP", ">UDP", ">ICMP", "Time"];
    let mut body = table(&heads, &rows);
    for file in &report.capture.files {
        for problem in &file.problems {
            let place = problem.offset.map_or(String::new(), |offset| format!(" at byte {}", count(offset)));
            let _ = write!(
                body,
                "<p class=\"problem\"><code>{}</code>: {} <span class=\"faint\">({}{place})</span></p>",
                esc(&file.path),
                esc(&problem.text),
                esc(&problem.code)
            );
        }
    }
    section(
        "inputs",
        "What was read",
        report.capture.files.len(),
        report.capture.files.len() as u64,
        &monitored(report),
        &body,
    )
}

fn share(part: u64, whole: u64) -> String {
    esc(&percent(part, whole)).to_string()
}

fn monitored(report: &Report) -> String {
    if report.monitored.is_empty() {
        return String::new();
    }
    let list: Vec<_> = report.monitored.iter().take(12).map(|prefix| format!("<code>{prefix}</code>")).collect();
    let rest = report.monitored.len().saturating_sub(12);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let how = if report.monitored_inferred { ", inferred from the data" } else { "" };
    format!("Monitored space: {}{more}{how}.", list.join(", "))
}
