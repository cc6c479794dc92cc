//! Text columns: CAIDA pfx2as (`prefix TAB length TAB asn`), `prefix,asn[,name]`, ranges with country (DB-IP, iptoasn,
//! tor-geoipdb with addresses as integers), GeoLite2-ASN blocks, IPinfo, lists of `ip,...,organisation`.
//!
//! A header row names the columns; without one the first rows tell what each column holds.

use noroshi_model::{Addr, Prefix};

use super::{Format, Limits, Parsed, Skipped};
use crate::country::Country;
use crate::error::LoadError;
use crate::kinds::Kinds;
use crate::table::{Builder, NO_NAME};

const NAME: &str = "CSV";
const DELIMITERS: [char; 4] = ['\t', ',', ';', '|'];
/// Rows looked at to tell what a column holds.
const SAMPLE_ROWS: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// A prefix, a range `a-b`, or one address.
    Network,
    /// The first address of a range; a single address when no column has the last one.
    First,
    Last,
    Length,
    Asn,
    Name,
    Country,
    Organisation,
    Other,
}

fn column_by_name(name: &str) -> Column {
    match name.trim().trim_matches('"').to_ascii_lowercase().replace([' ', '-'], "_").as_str() {
        "prefix" | "network" | "cidr" | "range" | "ip_range" | "subnet" | "ip_network" => Column::Network,
        "ip" | "address" | "addr" | "start" | "start_ip" | "range_start" | "first" | "ip_start" | "ip_from"
        | "ip_range_start" => Column::First,
        "end" | "end_ip" | "range_end" | "last" | "ip_end" | "ip_to" | "ip_range_end" => Column::Last,
        "length" | "len" | "prefix_length" | "prefixlen" | "mask" => Column::Length,
        "asn" | "as" | "as_number" | "autonomous_system_number" | "origin" | "origin_asn" | "origin_as" => Column::Asn,
        "name"
        | "as_name"
        | "asn_name"
        | "autonomous_system_organization"
        | "as_organization"
        | "as_org"
        | "as_description"
        | "description"
        | "holder" => Column::Name,
        "country" | "country_code" | "country_iso_code" | "cc" => Column::Country,
        "org" | "organisation" | "organization" | "org_domain" | "owner" | "scanner" => Column::Organisation,
        _ => Column::Other,
    }
}

fn delimiter(line: &str) -> Option<char> {
    DELIMITERS.into_iter().find(|d| line.contains(*d))
}

/// Whether a line looks like a row or a header of such a file.
pub(super) fn is_columns(line: &str) -> bool {
    let Some(delimiter) = delimiter(line) else { return false };
    let first = line.split(delimiter).next().unwrap_or_default().trim().trim_matches('"');
    let named = line.split(delimiter).map(column_by_name).filter(|c| *c != Column::Other).count();
    is_network(first) || first.parse::<u32>().is_ok() || (column_by_name(first) != Column::Other && named >= 2)
}

fn is_network(text: &str) -> bool {
    text.parse::<Prefix>().is_ok() || super::list::parse_range(text).is_some()
}

/// An address as text, or as the integer that IPv4 tables use.
fn parse_addr(text: &str) -> Option<Addr> {
    text.parse().ok().or_else(|| text.parse::<u32>().ok().map(Addr::v4))
}

/// `15169`, `AS15169`, and of several origins (`1_2`, `{1,2}`) the first. 0 is none (RFC 7607).
pub(super) fn parse_asn(text: &str) -> Option<u32> {
    let text = text.trim().trim_start_matches('{');
    let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let stops = digits[end..].chars().next().is_none_or(|c| matches!(c, '_' | ',' | '}' | ' '));
    if stops { digits[..end].parse().ok().filter(|asn| *asn != 0) } else { None }
}

/// Reads a table in text columns.
pub fn csv(bytes: &[u8], name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let first_line = super::lines(bytes, limits).next().transpose()?;
    let Some((_, first_line)) = first_line else {
        return Err(LoadError::Empty { format: NAME, reason: "no row".to_owned() });
    };
    let delimiter = delimiter(&first_line).unwrap_or(',');
    let (columns, header) = columns(bytes, delimiter, &first_line)?;
    let mut rows = Rows { columns: &columns, builder: Builder::new(limits.entries_max), skipped: Skipped::default() };
    let mut entries = 0;
    for (at, row) in reader(bytes, delimiter).byte_records().enumerate() {
        let row = row.map_err(|e| LoadError::malformed(NAME, format!("row {}", at + 1), e))?;
        if at == 0 && header {
            continue;
        }
        let line = row.position().map_or(at + 1, |p| p.line() as usize);
        entries += u64::from(rows.take(&row, line)?);
    }
    if entries == 0 {
        let reason = format!("none of the rows begins with an address ({})", rows.skipped.problems.join("; "));
        return Err(LoadError::Empty { format: NAME, reason });
    }
    let facts = columns.iter().any(|c| matches!(c, Column::Asn | Column::Country));
    Ok(Parsed {
        format: Format::Csv,
        title: name.to_owned(),
        as_of: super::date_in_name(name),
        kinds: (!facts).then(|| Kinds::from_list_name(name)),
        entries,
        skipped: rows.skipped.count,
        problems: rows.skipped.problems,
        table: rows.builder.build(),
    })
}

fn reader(bytes: &[u8], delimiter: char) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter as u8)
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(bytes)
}

/// The columns, and whether the first row names them.
fn columns(bytes: &[u8], delimiter: char, first_line: &str) -> Result<(Vec<Column>, bool), LoadError> {
    let cell = first_line.split(delimiter).next().unwrap_or_default().trim().trim_matches('"');
    if !is_network(cell) && cell.parse::<u32>().is_err() {
        let named: Vec<_> = first_line.split(delimiter).map(column_by_name).collect();
        let tells = |column: &Column| matches!(column, Column::Asn | Column::Country | Column::Organisation);
        let place = |column: &Column| matches!(column, Column::Network | Column::First);
        if named.iter().any(place) && named.iter().any(tells) {
            return Ok((named, true));
        }
        let reason = format!(
            "its columns are {}; needed are one of prefix, network, ip, start_ip and one of asn, country, organisation",
            crate::error::printable(first_line)
        );
        return Err(LoadError::Empty { format: NAME, reason });
    }
    let sample: Vec<Vec<String>> = reader(bytes, delimiter)
        .byte_records()
        .take(SAMPLE_ROWS)
        .filter_map(Result::ok)
        .map(|row| row.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect())
        .collect();
    Ok((infer(&sample), false))
}

/// What each column holds, judged by the rows: places first, then the first that is all AS numbers, the first that is
/// mostly two letters, the first other text.
fn infer(sample: &[Vec<String>]) -> Vec<Column> {
    let width = sample.iter().map(Vec::len).max().unwrap_or(0);
    let mut columns = vec![Column::Other; width];
    let share = |at: usize, test: &dyn Fn(&str) -> bool| {
        let cells = sample.iter().filter_map(|row| row.get(at)).filter(|cell| !cell.is_empty());
        let (hits, all) = cells.fold((0usize, 0usize), |(hits, all), cell| (hits + usize::from(test(cell)), all + 1));
        if all == 0 { 0.0 } else { hits as f64 / all as f64 }
    };
    let is_addr = |cell: &str| cell.parse::<Addr>().is_ok();
    let is_number = |cell: &str| cell.parse::<u32>().is_ok();
    columns[0] = if share(0, &is_addr) == 1.0 || share(0, &is_number) == 1.0 { Column::First } else { Column::Network };
    let mut next = 1;
    if width > 1 && columns[0] == Column::First {
        let numbers = share(0, &is_number) == 1.0;
        if share(1, &is_addr) == 1.0 || (numbers && share(1, &is_number) == 1.0) {
            (columns[1], next) = (Column::Last, 2);
        } else if width > 2 && share(1, &|cell| cell.parse::<u8>().is_ok_and(|n| n <= 128)) == 1.0 {
            (columns[1], next) = (Column::Length, 2);
        }
    }
    let is_asn = |cell: &str| cell == "0" || parse_asn(cell).is_some();
    type Test<'a> = &'a dyn Fn(&str) -> bool;
    let tests: [(Column, Test<'_>, f64); 3] = [
        (Column::Asn, &is_asn, 0.99),
        (Column::Country, &|cell| cell.len() == 2 && cell.bytes().all(|b| b.is_ascii_uppercase()), 0.5),
        (Column::Name, &|_| true, 0.01),
    ];
    for (column, test, enough) in tests {
        let free = (next..width).find(|at| columns[*at] == Column::Other && share(*at, test) >= enough);
        if let Some(at) = free {
            columns[at] = column;
        }
    }
    if !columns.contains(&Column::Asn) {
        columns.iter_mut().filter(|c| **c == Column::Name).for_each(|c| *c = Column::Organisation);
    }
    columns
}

struct Rows<'a> {
    columns: &'a [Column],
    builder: Builder,
    skipped: Skipped,
}

impl Rows<'_> {
    /// Takes one row; true when it named a place.
    fn take(&mut self, row: &csv::ByteRecord, line: usize) -> Result<bool, LoadError> {
        let cell = |wanted: Column| {
            let at = self.columns.iter().position(|column| *column == wanted)?;
            row.get(at).map(String::from_utf8_lossy).filter(|text| !text.is_empty())
        };
        let asn = cell(Column::Asn).and_then(|text| parse_asn(&text));
        let country = cell(Column::Country).and_then(|text| Country::new(&text));
        let name = if asn.is_some() { cell(Column::Name) } else { cell(Column::Organisation) };
        let place = match (cell(Column::Network), cell(Column::First)) {
            (Some(network), _) => super::list::parse_range(&network)
                .or_else(|| network.parse::<Prefix>().ok().map(|p| (p.first(), p.last()))),
            (None, Some(first)) => place(&first, cell(Column::Length).as_deref(), cell(Column::Last).as_deref()),
            _ => None,
        };
        let Some((first, last)) = place else {
            self.skipped.wrong(
                "line",
                line as u64,
                &String::from_utf8_lossy(row.as_slice()),
                "no address, prefix or range",
            );
            return Ok(false);
        };
        let is_list = !self.columns.iter().any(|c| matches!(c, Column::Asn | Column::Country));
        if !is_list && asn.is_none() && country.is_none() {
            self.skipped.foreign();
            return Ok(false);
        }
        let name = name.map_or(NO_NAME, |name| self.builder.name(&name));
        let fact = self.builder.fact(country, asn, name);
        let fits = self.builder.range(first, last, fact)?;
        if !fits {
            self.skipped.wrong(
                "line",
                line as u64,
                &String::from_utf8_lossy(row.as_slice()),
                "the range ends before it begins",
            );
        }
        Ok(fits)
    }
}

fn place(first: &str, length: Option<&str>, last: Option<&str>) -> Option<(Addr, Addr)> {
    if let Some(length) = length {
        let prefix: Prefix = format!("{first}/{length}").parse().ok()?;
        return Some((prefix.first(), prefix.last()));
    }
    match (parse_addr(first), last) {
        (Some(first), Some(last)) => Some((first, parse_addr(last)?)),
        (Some(first), None) => Some((first, first)),
        (None, _) => first.parse::<Prefix>().ok().map(|p| (p.first(), p.last())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(parsed: &'a Parsed, addr: &str) -> Option<crate::table::Hit<'a>> {
        parsed.table.find(addr.parse().unwrap())
    }

    fn load(text: &str) -> Parsed {
        csv(text.as_bytes(), "test.csv", &Limits::default()).unwrap()
    }

    #[test]
    fn pfx2as() {
        let parsed =
            load("1.0.0.0\t24\t13335\n1.0.4.0\t22\t38803_56203\n1.0.0.0\t8\t{64500,64501}\n2001:db8::\t32\t7\n");
        let asn = |addr| find(&parsed, addr).and_then(|hit| hit.asn);
        assert_eq!(asn("1.0.0.9"), Some(13335));
        assert_eq!(asn("1.0.5.9"), Some(38803));
        assert_eq!(asn("1.9.0.0"), Some(64500));
        assert_eq!(asn("2001:db8::1"), Some(7));
        assert_eq!(find(&parsed, "1.0.5.9").unwrap().prefix.unwrap().to_string(), "1.0.4.0/22");
        assert_eq!((parsed.entries, parsed.kinds), (4, None));
    }

    #[test]
    fn prefix_asn_name_with_quotes() {
        let parsed = load("192.0.2.0/24,AS64500,\"Example, Ltd\"\n198.51.100.0/25,64501\n");
        let hit = find(&parsed, "192.0.2.1").unwrap();
        assert_eq!((hit.asn, hit.name), (Some(64500), Some("Example, Ltd")));
        assert_eq!(find(&parsed, "198.51.100.128"), None);
    }

    #[test]
    fn headers_ranges_and_integers() {
        let ranges =
            load("0.0.0.0\t0.255.255.255\t0\tNone\tNot routed\n1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET\n");
        let hit = find(&ranges, "1.0.0.1").unwrap();
        assert_eq!((hit.asn, hit.country, hit.name), (Some(13335), Country::new("US"), Some("CLOUDFLARENET")));
        assert_eq!((find(&ranges, "0.0.0.1"), ranges.skipped), (None, 1));
        let integers = load("16777216,16777471,AU\n");
        assert_eq!(find(&integers, "1.0.0.255").unwrap().country, Country::new("AU"));
        let header = load("network,autonomous_system_number,autonomous_system_organization\n1.0.0.0/24,13335,CF\n");
        assert_eq!(find(&header, "1.0.0.1").unwrap().name, Some("CF"));
    }

    #[test]
    fn a_table_without_codes_is_refused_with_its_columns() {
        let error = csv(b"network,geoname_id\n1.0.0.0/24,2077456\n", "x", &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("geoname_id"), "{error}");
    }

    #[test]
    fn wrong_rows_are_counted_and_named() {
        let parsed = load("192.0.2.0/24,64500\n192.0.2.0/33,64500\n\n");
        assert_eq!((parsed.entries, parsed.skipped), (1, 1));
        assert!(parsed.problems[0].starts_with("line 2: "), "{:?}", parsed.problems);
    }

    #[test]
    fn as_numbers() {
        for (text, asn) in
            [("AS1", Some(1)), ("1_2", Some(1)), ("{3,4}", Some(3)), ("0", None), ("1a", None), ("", None)]
        {
            assert_eq!(parse_asn(text), asn, "{text}");
        }
        assert_eq!(parse_asn("4294967296"), None);
    }
}
