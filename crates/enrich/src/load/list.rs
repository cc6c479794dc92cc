//! Lists of addresses: plain ones, `ipset save` output, Maltrail trails.

use noroshi_model::{Addr, Prefix};

use super::{Format, Limits, Parsed, Skipped};
use crate::error::LoadError;
use crate::kinds::Kinds;
use crate::table::{Builder, NO_NAME};

/// `a-b`, both addresses.
pub(super) fn parse_range(text: &str) -> Option<(Addr, Addr)> {
    let (first, last) = text.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

/// The place that a line begins with, and the remark behind it.
fn split_line(line: &str) -> (&str, &str) {
    let end = line.find(|c: char| c.is_whitespace() || c == '#' || c == ';').unwrap_or(line.len());
    let remark = line[end..].trim_start_matches(|c: char| c.is_whitespace() || c == '#' || c == ';');
    (&line[..end], remark.trim())
}

pub(super) fn is_address_line(line: &str) -> bool {
    let place = split_line(line).0;
    place.parse::<Prefix>().is_ok() || parse_range(place).is_some()
}

/// `censys.io,IPv4,IPv6`: an organisation and the families that its sets exist for.
pub(super) fn is_index_line(line: &str) -> bool {
    let mut fields = line.split(',');
    let name = fields.next().unwrap_or_default();
    let mut families = fields.peekable();
    name.contains('.') && families.peek().is_some() && families.all(|f| f == "IPv4" || f == "IPv6")
}

/// Adds what `place` names; false when it names no place.
fn add(builder: &mut Builder, place: &str, fact: u32) -> Result<bool, LoadError> {
    if let Ok(prefix) = place.parse::<Prefix>() {
        builder.prefix(prefix, fact)?;
        return Ok(true);
    }
    match parse_range(place) {
        Some((first, last)) => builder.range(first, last, fact),
        None => Ok(false),
    }
}

struct Finished {
    format: Format,
    kinds: Kinds,
    entries: u64,
    skipped: Skipped,
    builder: Builder,
}

impl Finished {
    fn parsed(self, name: &str) -> Result<Parsed, LoadError> {
        if self.entries == 0 {
            let reason = format!("no address or prefix ({})", self.skipped.problems.join("; "));
            return Err(LoadError::Empty { format: self.format.name(), reason });
        }
        Ok(Parsed {
            format: self.format,
            title: name.to_owned(),
            as_of: super::date_in_name(name),
            kinds: Some(self.kinds),
            entries: self.entries,
            skipped: self.skipped.count,
            problems: self.skipped.problems,
            table: self.builder.build(),
        })
    }
}

/// Reads addresses, prefixes and ranges, one a line; what stands behind them is a remark.
pub fn address_list(bytes: &[u8], name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    let mut builder = Builder::new(limits.entries_max);
    let fact = builder.fact(None, None, NO_NAME);
    let (mut entries, mut skipped) = (0, Skipped::default());
    for line in super::lines(bytes, limits) {
        let (number, line) = line?;
        match add(&mut builder, split_line(&line).0, fact)? {
            true => entries += 1,
            false => skipped.wrong("line", number as u64, &line, "not an address, prefix or range"),
        }
    }
    let kinds = Kinds::from_list_name(name);
    Finished { format: Format::AddressList, kinds, entries, skipped, builder }.parsed(name)
}

/// Reads `ipset save` output: `create SET …`, `add SET PLACE …`. The set's name is the organisation.
pub fn ipset(bytes: &[u8], name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    let mut builder = Builder::new(limits.entries_max);
    let (mut entries, mut skipped) = (0, Skipped::default());
    for line in super::lines(bytes, limits) {
        let (number, line) = line?;
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("create"), _, _) => {}
            // "nomatch" takes a part out of a set; there are none in the published lists.
            (Some("add"), Some(set), Some(place)) if !words.any(|word| word == "nomatch") => {
                let organisation = builder.name(set.strip_suffix("-ipv6").unwrap_or(set));
                let fact = builder.fact(None, None, organisation);
                match add(&mut builder, place, fact)? {
                    true => entries += 1,
                    false => skipped.wrong("line", number as u64, &line, "not an address, prefix or range"),
                }
            }
            _ => skipped.wrong("line", number as u64, &line, "not a line of \"ipset save\""),
        }
    }
    let kinds = Kinds::from_list_name(name);
    Finished { format: Format::Ipset, kinds, entries, skipped, builder }.parsed(name)
}

/// Reads the index of an ipset collection. It holds no address, so the table is empty and `entries` counts names.
pub fn ipset_index(bytes: &[u8], name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    let (mut entries, mut skipped) = (0, Skipped::default());
    for line in super::lines(bytes, limits) {
        let (number, line) = line?;
        match is_index_line(&line) {
            true => entries += 1,
            false => skipped.wrong("line", number as u64, &line, "not a name with IPv4 or IPv6"),
        }
    }
    Ok(Parsed {
        format: Format::IpsetIndex,
        title: name.to_owned(),
        as_of: None,
        kinds: Some(Kinds::NONE),
        entries,
        skipped: skipped.count,
        problems: skipped.problems,
        table: crate::table::Table::default(),
    })
}

/// Reads a Maltrail trail. The lists of mass scanners carry the reverse name of each address as a remark, from which
/// the organisation is taken; the others name hosts of malware, whose domains and paths are counted as skipped.
pub fn maltrail(bytes: &[u8], name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).into_owned();
    let scanners = head.lines().filter(|line| line.starts_with('#')).any(|line| line.contains("mass_scanner"));
    let mut builder = Builder::new(limits.entries_max);
    let (mut entries, mut skipped) = (0, Skipped::default());
    for line in super::lines(bytes, limits) {
        let (_, line) = line?;
        let (place, remark) = split_line(&line);
        let organisation = match scanners {
            true => organisation_of(remark).map_or(NO_NAME, |name| builder.name(&name)),
            false => NO_NAME,
        };
        let fact = builder.fact(None, None, organisation);
        let place = place.strip_prefix("http://").or_else(|| place.strip_prefix("https://")).unwrap_or(place);
        let host = place.parse::<std::net::SocketAddr>().map_or(place.to_owned(), |s| s.ip().to_string());
        match add(&mut builder, &host, fact)? {
            true => entries += 1,
            false => skipped.foreign(),
        }
    }
    let kinds = if scanners { Kinds::MASS_SCANNER } else { Kinds::MALWARE_HOST };
    Finished { format: Format::Maltrail, kinds, entries, skipped, builder }.parsed(name)
}

/// Labels below which registries of two-letter domains sell names (`ac.uk`, `co.jp`): the ones that occur in practice.
const SECOND_LEVEL: [&str; 12] = ["ac", "co", "com", "edu", "gov", "go", "net", "ne", "org", "or", "nic", "mil"];

/// The organisation behind a reverse name: its registrable domain. Other remarks are names as they stand; an address
/// says nothing.
pub(super) fn organisation_of(remark: &str) -> Option<String> {
    let remark = remark.trim().trim_end_matches('.').to_ascii_lowercase();
    if remark.is_empty() || remark.parse::<Prefix>().is_ok() {
        return None;
    }
    let labels: Vec<&str> = remark.split('.').collect();
    let is_name = labels.len() >= 2 && labels.iter().all(|label| !label.is_empty() && !label.contains(' '));
    if !is_name {
        return Some(remark);
    }
    let (top, second) = (labels[labels.len() - 1], labels[labels.len() - 2]);
    let depth = if top.len() == 2 && SECOND_LEVEL.contains(&second) { 3 } else { 2 };
    Some(labels[labels.len().saturating_sub(depth)..].join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organisations_behind_reverse_names() {
        for (remark, expect) in [
            ("pinger1a.netsec.colostate.edu", Some("colostate.edu")),
            ("scan-1.cs.ox.ac.uk", Some("ox.ac.uk")),
            ("censys.io", Some("censys.io")),
            ("cortex xpanse", Some("cortex xpanse")),
            ("13.249.87.125", None),
            ("", None),
        ] {
            assert_eq!(organisation_of(remark).as_deref(), expect, "{remark}");
        }
    }

    #[test]
    fn ipset_sets_become_organisations() {
        let text =
            "create a.org-ipv6 hash:net family inet6\nadd a.org-ipv6 2001:db8::/32\nadd b.org 192.0.2.1\nadd b.org x\n";
        let parsed = ipset(text.as_bytes(), "nethash.a.org.ipset", &Limits::default()).unwrap();
        let name = |addr: &str| parsed.table.find(addr.parse().unwrap()).and_then(|hit| hit.name);
        assert_eq!((name("2001:db8::1"), name("192.0.2.1"), name("192.0.2.2")), (Some("a.org"), Some("b.org"), None));
        assert_eq!((parsed.entries, parsed.skipped), (2, 1));
        assert_eq!(parsed.kinds, Some(Kinds::RESEARCH_SCANNER));
    }

    #[test]
    fn plain_lines() {
        let text =
            "# list\r\n192.0.2.1\r\n198.51.100.0/24 ; note\n203.0.113.5-203.0.113.9\nnonsense\n2001:db8::/32#x\n";
        let parsed = address_list(text.as_bytes(), "mine.txt", &Limits::default()).unwrap();
        assert_eq!((parsed.entries, parsed.skipped), (4, 1));
        assert!(parsed.table.find("203.0.113.9".parse().unwrap()).is_some());
        assert!(parsed.table.find("203.0.113.10".parse().unwrap()).is_none());
    }
}
