//! Loaders: bytes of any known format to a compiled table. Pure: no file, no clock.
//!
//! [`read`] looks at the content, never at the file name, to tell the formats apart; the name only helps to call the
//! result something. Each format also has its own entry point taking bytes, for fuzzing and for callers that know.
//! All input is hostile: every loader is bounded by [`Limits`] and its cost is linear (times log n) in the input.

mod columns;
mod delegated;
mod list;
mod mmdb;
mod mrt;
mod warninglist;

use std::borrow::Cow;
use std::io::Read;

use noroshi_model::Nanos;

use crate::error::LoadError;
use crate::kinds::Kinds;
use crate::table::Table;

pub use columns::csv;
pub use delegated::delegated;
pub use list::{address_list, ipset, maltrail};
pub use mmdb::mmdb;
pub use mrt::{mrt, mrt_stream};
pub use warninglist::warninglist;

/// What a loader may spend. Exceeding one is an error that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file after decompression. A full RIB with all peers of a large collector has 1 to 2 GB.
    pub bytes_max: u64,
    /// Ranges of one table. The global table has about 1.3 million prefixes, a city database some 10 million ranges;
    /// reading costs up to 48 bytes of memory for each.
    pub entries_max: u64,
    /// Bytes of one line of text.
    pub line_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes_max: 4 << 30, entries_max: 16_000_000, line_bytes_max: 64 << 10 }
    }
}

/// The formats that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// MaxMind DB binary, from any publisher.
    Mmdb,
    /// MRT RIB dump (RFC 6396).
    Mrt,
    /// Text columns: prefix-to-AS, ranges with country.
    Csv,
    /// RIR statistics exchange format, delegated or delegated-extended.
    Delegated,
    /// MISP warninglist.
    Warninglist,
    /// Output of `ipset save`.
    Ipset,
    /// Maltrail trail: one address or prefix a line, with a comment.
    Maltrail,
    /// Addresses and prefixes, one a line.
    AddressList,
    /// Names of the organisations of an ipset collection; holds no address.
    IpsetIndex,
}

impl Format {
    /// The name people use.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Mmdb => "MMDB",
            Format::Mrt => "MRT RIB dump",
            Format::Csv => "CSV",
            Format::Delegated => "RIR delegated file",
            Format::Warninglist => "MISP warninglist",
            Format::Ipset => "ipset",
            Format::Maltrail => "Maltrail list",
            Format::AddressList => "address list",
            Format::IpsetIndex => "ipset index",
        }
    }
}

/// What a file told.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// Which loader read it.
    pub format: Format,
    /// What the publisher calls it, or the name given by the caller.
    pub title: String,
    /// The date in the content; none when it bears none.
    pub as_of: Option<Nanos>,
    /// What being in this list means; none for tables of facts (country, network).
    pub kinds: Option<Kinds>,
    /// Entries read that speak of addresses, repeats included.
    pub entries: u64,
    /// Entries that speak of something else (host names, paths, unassigned ranges) or that could not be read.
    pub skipped: u64,
    /// The first skipped entries that look wrong rather than merely foreign, with their place.
    pub problems: Vec<String>,
    /// The compiled content.
    pub table: Table,
}

impl Parsed {
    /// Whether it gives the country of addresses.
    pub fn has_country(&self) -> bool {
        self.kinds.is_none() && self.table.has_country()
    }

    /// Whether it gives the network (AS) of addresses.
    pub fn has_network(&self) -> bool {
        self.kinds.is_none() && self.table.has_asn()
    }
}

/// How many problems of one file are kept for display.
const PROBLEMS_KEPT: usize = 5;

/// Tells which format the bytes have and reads them. gzip, bzip2 and zstd are undone first. `name` is the file's name
/// without folders; it becomes the title when the content bears none.
pub fn read(bytes: &[u8], name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    if let Some(mut plain) = unpacker(bytes)? {
        let mut head = [0; mrt::HEADER_BYTES];
        if plain.read_exact(&mut head).is_ok() && mrt::is_mrt(&head) {
            return mrt_stream(head.chain(plain), name, limits);
        }
    }
    let plain = decompress(bytes, limits)?;
    match detect(&plain)? {
        Format::Mmdb => mmdb(&plain, name, limits),
        Format::Mrt => mrt(&plain, name, limits),
        Format::Csv => csv(&plain, name, limits),
        Format::Delegated => delegated(&plain, name, limits),
        Format::Warninglist => warninglist(&plain, name, limits),
        Format::Ipset => ipset(&plain, name, limits),
        Format::Maltrail => maltrail(&plain, name, limits),
        Format::AddressList => address_list(&plain, name, limits),
        Format::IpsetIndex => list::ipset_index(&plain, name, limits),
    }
}

/// Undoes gzip, bzip2 and zstd, up to the byte limit.
pub fn decompress<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, LoadError> {
    let over = || LoadError::OverLimit { what: "decompressed bytes", limit: limits.bytes_max };
    let Some(reader) = unpacker(bytes)? else {
        return if bytes.len() as u64 > limits.bytes_max { Err(over()) } else { Ok(Cow::Borrowed(bytes)) };
    };
    let mut plain = Vec::new();
    let read = reader.take(limits.bytes_max.saturating_add(1)).read_to_end(&mut plain);
    read.map_err(|e| LoadError::malformed("compressed file", format!("plain byte {}", plain.len()), e))?;
    if plain.len() as u64 > limits.bytes_max { Err(over()) } else { Ok(Cow::Owned(plain)) }
}

/// A reader of the content, when the bytes are compressed.
fn unpacker<'a>(bytes: &'a [u8]) -> Result<Option<Box<dyn Read + 'a>>, LoadError> {
    Ok(Some(match bytes {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Box::new(bzip2::read::MultiBzDecoder::new(bytes)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::Decoder::new(bytes).map_err(|e| LoadError::malformed("zstd", "start", e))?)
        }
        _ => return Ok(None),
    }))
}

/// Tells the format from the content.
pub fn detect(bytes: &[u8]) -> Result<Format, LoadError> {
    if mmdb::is_mmdb(bytes) {
        return Ok(Format::Mmdb);
    }
    if mrt::is_mrt(bytes) {
        return Ok(Format::Mrt);
    }
    let unrecognised = |found: &str| Err(LoadError::Unrecognised { found: found.to_owned() });
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return unrecognised("an empty file");
    }
    let head = &bytes[..bytes.len().min(64 << 10)];
    if head.contains(&0) {
        return unrecognised("binary data");
    }
    let text = String::from_utf8_lossy(head);
    if text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
        return Ok(Format::Warninglist);
    }
    if text.trim_start().starts_with('<') {
        return unrecognised("a web page; was the download refused?");
    }
    let Some(line) = text.lines().map(str::trim).find(|line| is_content(line)) else {
        return unrecognised("only comments");
    };
    if line.starts_with("create ") || line.starts_with("add ") {
        return Ok(Format::Ipset);
    }
    if delegated::is_header(line) {
        return Ok(Format::Delegated);
    }
    if list::is_index_line(line) {
        return Ok(Format::IpsetIndex);
    }
    if columns::is_columns(line) {
        return Ok(Format::Csv);
    }
    if text.contains("Maltrail developers") {
        return Ok(Format::Maltrail);
    }
    match list::is_address_line(line) {
        true => Ok(Format::AddressList),
        false => unrecognised(&format!("text that begins with \"{}\"", crate::error::printable(&cut(line, 60)))),
    }
}

fn is_content(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(['#', ';']) && !line.starts_with("//")
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// Lines with their numbers, comments and blanks left out; foreign bytes become U+FFFD; too long a line is an error.
fn lines<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> impl Iterator<Item = Result<(usize, Cow<'a, str>), LoadError>> + use<'a> {
    let line_bytes_max = limits.line_bytes_max;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.split(|b| *b == b'\n').enumerate().filter_map(move |(at, line)| {
        if line.len() > line_bytes_max {
            return Some(Err(LoadError::OverLimit { what: "bytes of a line", limit: line_bytes_max as u64 }));
        }
        let text = String::from_utf8_lossy(line.trim_ascii());
        is_content(&text).then_some(Ok((at + 1, text)))
    })
}

/// Counts what a loader could not use and keeps the first cases for people.
#[derive(Debug, Default)]
struct Skipped {
    count: u64,
    problems: Vec<String>,
}

impl Skipped {
    /// Something that is not an address and need not be.
    fn foreign(&mut self) {
        self.count += 1;
    }

    /// Something that should have been readable.
    fn wrong(&mut self, unit: &str, number: u64, text: &str, reason: &str) {
        self.count += 1;
        if self.problems.len() < PROBLEMS_KEPT {
            self.problems.push(format!("{unit} {number}: {reason}: \"{}\"", crate::error::printable(&cut(text, 60))));
        }
    }
}

/// A date written in a file name as `20260131`, `2026-01-31` or `2026_01_31`.
pub fn date_in_name(name: &str) -> Option<Nanos> {
    let digits: Vec<(usize, char)> = name.char_indices().filter(|(_, c)| c.is_ascii_digit()).collect();
    digits.windows(8).find_map(|window| {
        let text: String = window.iter().map(|(_, c)| c).collect();
        let (first, last) = (window[0].0, window[7].0);
        let between = &name[first..=last];
        let plain = between.len() == 8;
        let dashed = between.len() == 10 && between[4..5] == between[7..8] && ["-", "_"].contains(&&between[4..5]);
        let begins = !name[..first].ends_with(|c: char| c.is_ascii_digit());
        if begins && (plain || dashed) { day(&text) } else { None }
    })
}

/// `YYYYMMDD` of this century.
fn day(text: &str) -> Option<Nanos> {
    if text.len() != 8 || !text.starts_with("20") || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_names() {
        let expect = Some("2026-01-31".parse().unwrap());
        for name in ["rib.20260131.0000.gz", "rv-20260131-1200.pfx2as", "x_2026-01-31.csv", "20260131"] {
            assert_eq!(date_in_name(name), expect, "{name}");
        }
        for name in ["", "v1.2.3", "20261331", "120260131", "2026-01_31"] {
            assert_eq!(date_in_name(name), None, "{name}");
        }
    }

    #[test]
    fn content_tells_the_format() {
        let is = |text: &str| detect(text.as_bytes()).ok();
        assert_eq!(is("192.0.2.0\t24\t64500\n"), Some(Format::Csv));
        assert_eq!(is("network,autonomous_system_number\n192.0.2.0/24,64500\n"), Some(Format::Csv));
        assert_eq!(is("# hello\n\n192.0.2.0/24 # me\n2001:db8::/32\n"), Some(Format::AddressList));
        assert_eq!(is("create a hash:net family inet\nadd a 192.0.2.0/24\n"), Some(Format::Ipset));
        assert_eq!(is("2|apnic|20260101|3|19830613|20251231|+1000\n"), Some(Format::Delegated));
        assert_eq!(is("censys.io,IPv4,IPv6\n"), Some(Format::IpsetIndex));
        assert_eq!(is("{\"list\":[]}"), Some(Format::Warninglist));
        for bad in ["", "   \n", "# only\n", "<html>", "hello world", "a\0b"] {
            assert_eq!(is(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = zstd::encode_all(&vec![b'#'; 10 << 20][..], 3).unwrap();
        let limits = Limits { bytes_max: 1 << 20, ..Limits::default() };
        let error = read(&bomb, "bomb", &limits).unwrap_err();
        assert_eq!(error, LoadError::OverLimit { what: "decompressed bytes", limit: 1 << 20 });
    }
}
