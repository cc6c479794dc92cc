//! Numbers, times and sentences for people; the same words in text and HTML.

use super::services;
use noroshi_model::Nanos;
use noroshi_model::finding::{Attack, AttackKind, Campaign, Scan, ScanType, Tool, Victim};
use noroshi_model::report::{Compression, Format, PortProtocol, Report};

/// `1234567` as `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun, in the plural where it is due: `1 scan`, `2 scans`.
pub fn counted(n: u64, noun: &str) -> String {
    let ending = match n {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", count(n))
}

/// Three digits at most, with a unit: `950`, `12.3 k`, `4.56 M`.
pub fn short(n: f64) -> String {
    let (value, unit) = match n.abs() {
        x if x >= 1e12 => (n / 1e12, " T"),
        x if x >= 1e9 => (n / 1e9, " G"),
        x if x >= 1e6 => (n / 1e6, " M"),
        x if x >= 1e4 => (n / 1e3, " k"),
        x if x >= 1e3 => return count(n.round() as u64),
        _ => (n, ""),
    };
    let digits = match value.abs() {
        x if x >= 100.0 || (x.fract() == 0.0 && unit.is_empty()) => 0,
        x if x >= 10.0 => 1,
        _ if unit.is_empty() => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

/// Bytes with a decimal unit.
pub fn bytes(n: u64) -> String {
    if n < 10_000 { format!("{} B", count(n)) } else { format!("{}B", short(n as f64)) }
}

/// Share of a whole in percent; small shares keep a digit, and only nothing is `0 %`.
pub fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    match part as f64 * 100.0 / whole as f64 {
        share if share < 0.1 => "<0.1 %".to_owned(),
        share if share < 9.95 => format!("{share:.1} %"),
        share => format!("{share:.0} %"),
    }
}

/// A length of time in its two largest units.
pub fn duration(seconds: f64) -> String {
    if seconds < 0.001 {
        return "less than a millisecond".to_owned();
    }
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 60.0 {
        return format!("{} s", if seconds < 10.0 { format!("{seconds:.1}") } else { format!("{seconds:.0}") });
    }
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds.round() as u64;
    let mut parts = Vec::new();
    for (size, unit) in units {
        if rest >= size || !parts.is_empty() {
            parts.push((rest / size, unit));
            rest %= size;
        }
    }
    parts.truncate(2);
    let shown: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    shown.join(" ")
}

/// Date and time to the second, UTC is said elsewhere.
pub fn instant(t: Nanos) -> String {
    let text = Nanos::from_seconds(t.seconds()).rfc3339();
    text.trim_end_matches('Z').replacen('T', " ", 1)
}

/// From when to when, the date given once when it is the same.
pub fn span(first: Nanos, last: Nanos) -> String {
    let (from, to) = (instant(first), instant(last));
    match (from.split_once(' '), to.split_once(' ')) {
        (Some((day, _)), Some((same, clock))) if day == same => format!("{from} – {clock}"),
        _ => format!("{from} – {to}"),
    }
}

/// Smallest and largest time over all inputs.
pub fn reach(report: &Report) -> Option<(Nanos, Nanos)> {
    let earliest = report.capture.files.iter().filter_map(|file| file.earliest).min()?;
    let latest = report.capture.files.iter().filter_map(|file| file.latest).max()?;
    Some((earliest, latest))
}

/// A port with its protocol and, when it is a usual one, its service: `tcp/23 telnet`.
pub fn port(protocol: PortProtocol, port: u16) -> String {
    let service = services::name(protocol, port);
    let text = format!("{}/{port}", protocol_name(protocol));
    if service.is_empty() { text } else { format!("{text} {service}") }
}

/// Lower-case name.
pub fn protocol_name(protocol: PortProtocol) -> &'static str {
    match protocol {
        PortProtocol::Tcp => "tcp",
        PortProtocol::Udp => "udp",
        PortProtocol::Sctp => "sctp",
    }
}

/// File format with its compression.
pub fn format_name(format: Format, compression: Compression) -> String {
    let format = match format {
        Format::Pcap => "pcap",
        Format::PcapNanos => "pcap (ns)",
        Format::Pcapng => "pcapng",
        Format::Unknown => "unknown",
    };
    match compression {
        Compression::None => format.to_owned(),
        Compression::Gzip => format!("{format}, gzip"),
        Compression::Zstd => format!("{format}, zstd"),
    }
}

/// The ports of a campaign, at most `most` of them.
pub fn port_list(ports: &[u16], most: usize) -> String {
    let mut text = ports.iter().take(most).map(u16::to_string).collect::<Vec<_>>().join(", ");
    if ports.len() > most {
        text.push_str(&format!(" and {} more", ports.len() - most));
    }
    text
}

/// What a scan looked at.
pub fn scan_target(scan: &Scan) -> String {
    let protocol = scan.protocol.name();
    let service = match (scan.protocol.name(), scan.port) {
        ("tcp", Some(port)) => services::name(PortProtocol::Tcp, port),
        ("udp", Some(port)) => services::name(PortProtocol::Udp, port),
        _ => "",
    };
    match (scan.port, scan.kind) {
        (Some(port), _) if service.is_empty() => format!("{protocol}/{port}"),
        (Some(port), _) => format!("{protocol}/{port} {service}"),
        (None, ScanType::Horizontal) => protocol.to_owned(),
        (None, _) => format!("{protocol}, many ports"),
    }
}

/// A tool's name; nothing for one that is not known.
pub fn tool(tool: Tool) -> &'static str {
    if tool == Tool::Unknown { "" } else { tool.name() }
}

/// Packets per second, estimated at the victim where that means something.
pub fn attack_rate(attack: &Attack) -> String {
    match attack.estimated_pps {
        Some(pps) => format!("≈ {}/s at the victim", short(pps)),
        None => format!("{}/s at the peak", short(attack.peak_pps)),
    }
}

/// Who is hit, with the port where one stands out.
pub fn victim(attack: &Attack) -> String {
    match (attack.victim, attack.victim_port) {
        (Victim::Address(addr), Some(port)) if !addr.is_v4() => format!("[{addr}]:{port}"),
        (victim, Some(port)) => format!("{victim}:{port}"),
        (victim, None) => victim.to_string(),
    }
}

/// What happened, in one to four sentences.
pub fn headline(report: &Report) -> Vec<String> {
    let packets = report.capture.packets;
    if packets == 0 {
        let refused = report.capture.files.iter().filter(|file| !file.problems.is_empty()).count();
        return vec![match refused {
            0 => "Nothing was there to be read: the input holds no packets.".to_owned(),
            _ => "Nothing could be read; see the problems below.".to_owned(),
        }];
    }
    let mut said = vec![opening(report)];
    said.extend(heaviest(report).map(attack_sentence));
    said.extend(report.campaigns.first().map(campaign_sentence));
    if report.attacks.is_empty() && report.campaigns.is_empty() {
        said.extend(report.scans.first().map(scan_sentence));
    }
    said
}

fn opening(report: &Report) -> String {
    let totals = &report.totals;
    let found: Vec<String> = [(totals.attacks, "attack"), (totals.campaigns, "campaign"), (totals.scans, "scan")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| counted(n, noun))
        .collect();
    let what = match &found[..] {
        [] => "No attack and no scan".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    };
    let time = match reach(report) {
        Some((first, last)) => format!("{} of traffic", duration(last.seconds_since(first))),
        None => "traffic without times".to_owned(),
    };
    format!(
        "{what} in {time}: {} from {}.",
        counted(report.capture.packets, "packet"),
        counted(totals.sources, "source")
    )
}

/// The attack with the highest estimate at its victim, else the one with most packets.
fn heaviest(report: &Report) -> Option<&Attack> {
    let weight = |attack: &&Attack| attack.estimated_pps.unwrap_or(attack.peak_pps);
    report.attacks.iter().max_by(|a, b| weight(a).total_cmp(&weight(b)))
}

fn attack_sentence(attack: &Attack) -> String {
    let how = match attack.kind {
        AttackKind::Backscatter => {
            format!("a {} flood with forged sources, seen from the victim's replies", attack.vector)
        }
        AttackKind::Reflection => format!("{} replies of {}", attack.vector, counted(attack.sources, "reflector")),
        AttackKind::Amplification => format!("{} requests in its name, to be amplified", attack.vector),
        AttackKind::Flood => format!("a {} flood from {}", attack.vector, counted(attack.sources, "source")),
        AttackKind::Carpet => format!("{} carpet bombing", attack.vector),
    };
    let lasted = duration(attack.last.seconds_since(attack.first));
    format!("Heaviest attack: {} under {how}, {} for {lasted}.", victim(attack), attack_rate(attack))
}

fn campaign_sentence(campaign: &Campaign) -> String {
    let with = match tool(campaign.tool) {
        "" => String::new(),
        tool => format!(" with {tool}"),
    };
    let noun = if campaign.ports.len() == 1 { "port" } else { "ports" };
    let probing = match campaign.ports.is_empty() {
        true => "probing".to_owned(),
        false => format!("probing {noun} {}", port_list(&campaign.ports, 5)),
    };
    format!("Largest campaign: {} {probing}{with}.", counted(campaign.sources, "source"))
}

fn scan_sentence(scan: &Scan) -> String {
    let with = match tool(scan.tool) {
        "" => String::new(),
        tool => format!(" with {tool}"),
    };
    let targets = counted(scan.destinations, "destination");
    format!("Largest scan: {} probes {} on {targets}{with}.", scan.source, scan_target(scan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "scan"), "1 scan");
        assert_eq!(counted(2, "address"), "2 addresses");
        for (n, text) in
            [(0.0, "0"), (7.25, "7.2"), (999.0, "999"), (1234.0, "1,234"), (12_345.0, "12.3 k"), (4.56e6, "4.56 M")]
        {
            assert_eq!(short(n), text);
        }
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(831_000_000), "831 MB");
        assert_eq!(percent(1, 3), "33 %");
        assert_eq!(percent(1, 100_000), "<0.1 %");
        assert_eq!(percent(0, 3), "0 %");
        assert_eq!(percent(999, 1000), "100 %");
    }

    #[test]
    fn times_for_people() {
        for (seconds, text) in [
            (0.0, "less than a millisecond"),
            (0.25, "250 ms"),
            (3.21, "3.2 s"),
            (42.0, "42 s"),
            (60.0, "1 min"),
            (3661.0, "1 h 1 min"),
            (86_400.0, "1 d"),
            (90_000.0, "1 d 1 h"),
            (86_399.9, "1 d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        let day = Nanos::from_seconds(1_767_225_600);
        assert_eq!(span(day, Nanos::from_seconds(1_767_229_200)), "2026-01-01 00:00:00 – 01:00:00");
        assert_eq!(span(day, Nanos::from_seconds(1_767_312_000)), "2026-01-01 00:00:00 – 2026-01-02 00:00:00");
    }
}
