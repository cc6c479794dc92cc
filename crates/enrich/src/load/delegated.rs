//! RIR statistics exchange format: which country a registry gave a range to ("delegated" and "delegated-extended",
//! version 2, <https://www.apnic.net/about-apnic/corporate-documents/documents/resource-guidelines/rir-statistics-exchange-format/>).
//!
//! The country is that of the holder, not of the machine; an MMDB, when there is one, is asked first.

use noroshi_model::{Addr, Nanos};

use super::{Format, Limits, Parsed, Skipped};
use crate::country::Country;
use crate::error::LoadError;
use crate::table::{Builder, NO_NAME};

const NAME: &str = "RIR delegated file";
const REGISTRIES: [&str; 6] = ["afrinic", "apnic", "arin", "lacnic", "ripencc", "iana"];

/// `version|registry|serial|records|startdate|enddate|UTCoffset`, or a record when the header was cut off.
pub(super) fn is_header(line: &str) -> bool {
    let mut fields = line.split('|');
    let (first, second) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let version = first.starts_with('2') && first.len() <= 3;
    fields.count() >= 4
        && (REGISTRIES.contains(&first) || (version && (REGISTRIES.contains(&second) || second == "nro")))
}

/// Reads an RIR delegated file.
pub fn delegated(bytes: &[u8], name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    let mut builder = Builder::new(limits.entries_max);
    let mut skipped = Skipped::default();
    let (mut entries, mut as_of, mut title) = (0u64, None, name.to_owned());
    for line in super::lines(bytes, limits) {
        let (number, line) = line?;
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        if fields.len() < 6 || fields[5] == "summary" {
            continue;
        }
        if fields[0].starts_with('2') {
            (as_of, title) = (end_date(&fields), format!("delegated-{}", crate::error::printable(fields[1])));
            continue;
        }
        match record(&fields) {
            Record::Given(country, first, last) => {
                let fact = builder.fact(Some(country), None, NO_NAME);
                match builder.range(first, last, fact)? {
                    true => entries += 1,
                    false => skipped.wrong("line", number as u64, &line, "the range leaves its family"),
                }
            }
            Record::Foreign => skipped.foreign(),
            Record::Wrong(reason) => skipped.wrong("line", number as u64, &line, reason),
        }
    }
    if entries == 0 {
        let reason = format!("no allocated range with a country ({})", skipped.problems.join("; "));
        return Err(LoadError::Empty { format: NAME, reason });
    }
    Ok(Parsed {
        format: Format::Delegated,
        title,
        as_of: as_of.or_else(|| super::date_in_name(name)),
        kinds: None,
        entries,
        skipped: skipped.count,
        problems: skipped.problems,
        table: builder.build(),
    })
}

fn end_date(header: &[&str]) -> Option<Nanos> {
    // The serial is a date with most registries; the end date always is.
    [5, 2].into_iter().find_map(|at| super::day(header.get(at)?))
}

enum Record {
    Given(Country, Addr, Addr),
    /// AS numbers, and ranges that nobody holds.
    Foreign,
    Wrong(&'static str),
}

/// `registry|cc|type|start|value|date|status[|…]`; value counts addresses for IPv4 and bits for IPv6.
fn record(fields: &[&str]) -> Record {
    let held = matches!(fields.get(6), Some(&"allocated" | &"assigned"));
    let (Some(country), true) = (Country::new(fields[1]), held) else { return Record::Foreign };
    let start = fields[3].parse::<Addr>();
    match fields[2] {
        "ipv4" => match (start.map(Addr::as_v4), fields[4].parse::<u32>()) {
            (Ok(Some(first)), Ok(count @ 1..)) => match first.checked_add(count - 1) {
                Some(last) => Record::Given(country, Addr::v4(first), Addr::v4(last)),
                None => Record::Wrong("more addresses than are left"),
            },
            _ => Record::Wrong("not an IPv4 address with a count"),
        },
        "ipv6" => match (start, fields[4].parse::<u8>()) {
            (Ok(first), Ok(length @ 1..=128)) if !first.is_v4() => {
                let prefix = noroshi_model::Prefix::new(first, length);
                Record::Given(country, prefix.first(), prefix.last())
            }
            _ => Record::Wrong("not an IPv6 address with a length"),
        },
        _ => Record::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_each_kind() {
        let text = "2|apnic|20260101|6|19830613|20251231|+1000\n\
            apnic|*|ipv4|*|3|summary\n\
            apnic|JP|asn|173|1|20020801|allocated|A\n\
            apnic|JP|ipv4|203.0.113.0|768|20110412|assigned|B\n\
            apnic|CN|ipv6|2001:db8::|32|20110412|allocated|C\n\
            apnic||ipv4|198.51.100.0|256|20110412|available|\n\
            apnic|AU|ipv4|255.255.255.0|512|20110412|allocated|D\n";
        let parsed = delegated(text.as_bytes(), "x", &Limits::default()).unwrap();
        let country = |addr: &str| parsed.table.find(addr.parse().unwrap()).and_then(|hit| hit.country);
        assert_eq!(country("203.0.115.255"), Country::new("JP"), "768 addresses are three /24");
        assert_eq!(country("203.0.116.0"), None);
        assert_eq!(country("2001:db8:ffff::"), Country::new("CN"));
        assert_eq!((parsed.entries, parsed.skipped, parsed.problems.len()), (2, 3, 1));
        assert_eq!(parsed.as_of, Some("2025-12-31".parse().unwrap()));
        assert_eq!(parsed.title, "delegated-apnic");
    }
}
