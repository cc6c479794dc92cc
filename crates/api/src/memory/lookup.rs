//! Everything known about a value, from packets and findings in memory.

use super::State;
use super::explore::answer;
use crate::filter::{Expr, Field, parse};
use crate::query::{Measure, Query};
use crate::scope::Scope;
use crate::views::{Count, Known, Rates, ScanView, ValueKind, Verdict};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, Prefix};

/// How far back a lookup reads, seconds.
const BACK_SECONDS: i64 = 7 * 86_400;
/// Points of the series on the page.
const POINTS: i64 = 168;

/// A value as typed, in normal form.
pub struct Value {
    text: String,
    /// What it is.
    pub kind: ValueKind,
    filter: Option<String>,
    prefix: Option<Prefix>,
    port: Option<u16>,
}

impl Value {
    /// The filter that selects its packets; none when packets tell nothing of such a value.
    pub fn expr(&self) -> Option<Expr> {
        parse(self.filter.as_deref()?).ok().flatten()
    }

    /// The address, when it is one.
    pub fn address(&self) -> Option<Addr> {
        self.prefix.filter(|_| self.kind == ValueKind::Address).map(Prefix::first)
    }

    /// The field whose most frequent values tell most of it.
    pub fn top_field(&self) -> Field {
        match self.kind {
            ValueKind::Port => Field::Src,
            _ => Field::Dport,
        }
    }
}

/// What packets tell of a value.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Figures {
    /// Packets.
    pub packets: u64,
    /// Distinct sources.
    pub sources: u64,
    /// Distinct destinations.
    pub destinations: u64,
    /// First packet.
    pub first: Option<Nanos>,
    /// Last packet.
    pub last: Option<Nanos>,
    /// Country, for an address.
    pub country: Option<String>,
    /// Tools whose fingerprints its packets satisfy.
    pub tools: Vec<String>,
    /// Packets over time, by kind.
    pub rates: Rates,
    /// Most frequent values of [`Value::top_field`].
    pub top: Vec<Count>,
}

/// Reads a value as somebody typed it.
pub fn read(text: &str, scope: &Scope) -> Value {
    let plain = |kind, text: String| Value { text, kind, filter: None, prefix: None, port: None };
    if let Ok(prefix) = text.parse::<Prefix>() {
        let single = prefix.first() == prefix.last();
        let (kind, value) = match single {
            true => (ValueKind::Address, prefix.first().to_string()),
            false => (ValueKind::Prefix, prefix.to_string()),
        };
        let filter = match scope.sensor_addresses() {
            true => format!("src in {value} or quoted_dst in {value} or dst in {value}"),
            false => format!("src in {value} or quoted_dst in {value}"),
        };
        return Value { text: value, kind, filter: Some(filter), prefix: Some(prefix), port: None };
    }
    let lower = text.to_ascii_lowercase();
    let (proto, digits) = match lower.split_once(['/', ' ']) {
        Some((proto @ ("tcp" | "udp" | "sctp"), digits)) => (Some(proto.to_owned()), digits),
        Some(("port", digits)) => (None, digits),
        _ => (None, lower.as_str()),
    };
    if let (true, Ok(port)) = (digits.bytes().all(|b| b.is_ascii_digit()), digits.parse::<u16>()) {
        let (text, filter) = match proto {
            Some(proto) => (format!("{proto}/{port}"), format!("dport = {port} and proto = {proto}")),
            None => (port.to_string(), format!("dport = {port}")),
        };
        return Value { text, kind: ValueKind::Port, filter: Some(filter), prefix: None, port: Some(port) };
    }
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
        let code = text.to_ascii_uppercase();
        let filter = Some(format!("country = {code}"));
        return Value { text: code, kind: ValueKind::Country, filter, prefix: None, port: None };
    }
    let hash = matches!(text.len(), 32 | 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    match lower.as_str() {
        _ if hash => plain(ValueKind::Hash, lower),
        l if l.starts_with("cve-") => plain(ValueKind::Cve, text.to_ascii_uppercase()),
        l if l.starts_with("http://") || l.starts_with("https://") => plain(ValueKind::Url, text.to_owned()),
        l if l.strip_prefix("as").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) => {
            plain(ValueKind::Asn, text.to_ascii_uppercase())
        }
        _ => plain(ValueKind::Unknown, text.to_owned()),
    }
}

/// Looks a value up: findings from memory, figures from wherever packets are.
pub fn lookup(state: &State, scope: &Scope, value: &Value, figures: Figures) -> Known {
    let country = match value.kind {
        ValueKind::Country => Some(value.text.clone()),
        _ => figures.country,
    };
    let mut known = Known {
        value: value.text.clone(),
        kind: value.kind,
        verdict: Verdict::Unseen,
        confidence: 0.0,
        spoofable: true,
        reasons: Vec::new(),
        filter: value.filter.clone().unwrap_or_default(),
        country,
        labels: figures.tools,
        first: figures.first,
        last: figures.last,
        packets: figures.packets,
        sources: figures.sources,
        destinations: figures.destinations,
        rates: figures.rates,
        top: figures.top,
        top_by: value.top_field().name().to_owned(),
        attacks: Vec::new(),
        campaigns: Vec::new(),
        scans: Vec::new(),
    };
    gather_findings(state, scope, value, &mut known);
    judge(&mut known);
    known
}

/// Figures from the packets in memory.
pub fn figures(state: &State, now: Nanos, value: &Value) -> Figures {
    let Some(filter) = value.expr() else { return Figures::default() };
    let matching = || state.rows.iter().filter(|row| filter.holds(*row));
    let oldest = matching().map(|row| row.packet.ts).min();
    let from = oldest.unwrap_or(now).max(Nanos(now.0 - BACK_SECONDS * SECOND));
    let slot = ((now.0 - from.0) / SECOND / POINTS).max(10);
    let query = |by: Field, groups: usize| Query {
        by: vec![by],
        filter: Some(filter.clone()),
        measure: Measure::Packets,
        from,
        to: Nanos(now.0 + SECOND),
        slot_seconds: slot as u64,
        groups,
        series: 8,
    };
    let kinds = answer(&query(Field::Kind, 8), state.rows.iter(), &state.sensor_names);
    let tops = answer(&query(value.top_field(), 12), state.rows.iter(), &state.sensor_names);
    let named = kinds.series.into_iter().filter_map(|series| Some((series.key.into_iter().next()?, series.values)));
    let mut found = Figures {
        packets: kinds.packets,
        first: kinds.groups.iter().map(|group| group.first).min(),
        last: kinds.groups.iter().map(|group| group.last).max(),
        rates: Rates { start: kinds.start, slot_seconds: kinds.slot_seconds, series: named.collect() },
        top: tops.groups.into_iter().map(super::count_of).collect(),
        ..Figures::default()
    };
    let (mut sources, mut destinations) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    for row in matching() {
        sources.insert(row.packet.src);
        destinations.insert(row.packet.dst);
        if found.country.is_none() && Some(row.packet.src) == value.address() {
            found.country = row.country.map(super::row::country_text);
        }
        if let Some(tool) = crate::filter::Row::word(row, Field::Tool)
            && !found.tools.iter().any(|label| label == tool)
        {
            found.tools.push(tool.to_owned());
        }
    }
    (found.sources, found.destinations) = (sources.len() as u64, destinations.len() as u64);
    found
}

fn inside(value: &Value, text: &str) -> bool {
    let Some(prefix) = value.prefix else { return false };
    match text.parse::<Prefix>() {
        Ok(other) => prefix.contains(other.first()) || other.contains(prefix.first()),
        Err(_) => false,
    }
}

fn gather_findings(state: &State, scope: &Scope, value: &Value, known: &mut Known) {
    let port = |have: Option<u16>| value.port.is_some() && have == value.port;
    let seen = super::seen::visible_attacks(state, scope);
    known.attacks =
        seen.filter(|attack| inside(value, &attack.victim) || port(attack.victim_port)).take(50).cloned().collect();
    known.campaigns = super::seen::visible_campaigns(state, scope)
        .filter(|campaign| {
            campaign.members.iter().any(|member| inside(value, member))
                || value.port.is_some_and(|port| campaign.ports.contains(&port))
        })
        .take(20)
        .map(super::cut_members)
        .collect();
    let about = |scan: &&ScanView| inside(value, &scan.source) || port(scan.port);
    known.scans = super::seen::visible_scans(state, scope).filter(about).take(50).cloned().collect();
    if let (ValueKind::Address, Some(prefix)) = (value.kind, value.prefix) {
        let labels = state.labels.get(&prefix.first()).cloned().unwrap_or_default();
        known.labels.extend(labels.into_iter().filter(|label| !known.labels.contains(label)).collect::<Vec<_>>());
    }
}

fn judge(known: &mut Known) {
    let has = |label: &str| known.labels.iter().any(|have| have == label);
    let attack = known.attacks.iter().map(|attack| attack.confidence).fold(0.0, f64::max);
    let scan = known.scans.iter().map(|scan| scan.confidence).fold(0.0, f64::max);
    (known.verdict, known.confidence) = match known.kind {
        ValueKind::Address | ValueKind::Prefix if !known.attacks.is_empty() => (Verdict::Victim, attack),
        ValueKind::Address if has("research-scanner") || has("known-benign") => (Verdict::Benign, 0.9),
        ValueKind::Address if has("infected") || has("mirai") => (Verdict::Infected, scan.max(0.6)),
        ValueKind::Address | ValueKind::Prefix if !known.scans.is_empty() => (Verdict::Scanner, scan),
        ValueKind::Port if known.packets > 0 => (Verdict::Targeted, scan.max(attack)),
        _ if known.packets > 0 => (Verdict::Noise, 0.0),
        _ => (Verdict::Unseen, 0.0),
    };
    let attacks = known.attacks.iter().map(|attack| attack.reason.clone());
    let campaigns = known.campaigns.iter().map(|campaign| campaign.reason.clone());
    let scans = known.scans.iter().map(|scan| scan.reason.clone());
    known.reasons = attacks.chain(scans).chain(campaigns).take(6).collect();
}

/// The address that a finding is about, when it is one.
pub fn about(text: &str) -> Option<Addr> {
    text.parse::<Prefix>().ok().map(Prefix::first)
}
