//! Filters and paging (TAXII 2.1, sections 3.4 and 3.5).

use noroshi_model::Nanos;

/// Objects on a page unless the reader wants fewer.
pub const LIMIT_MAX: u32 = 5_000;
/// Values in one filter.
const VALUES_MAX: usize = 100;

/// Which versions of an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Versions {
    /// The newest.
    #[default]
    Last,
    /// The oldest.
    First,
    /// All.
    All,
    /// Exactly these.
    At(Vec<String>),
}

/// What a reader wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// Added after this.
    pub added_after: Option<Nanos>,
    /// Objects on the page.
    pub limit: u32,
    /// After this date added and sequence.
    pub after: Option<(i64, i64)>,
    /// Only these ids; empty for all.
    pub ids: Vec<String>,
    /// Only these types.
    pub types: Vec<String>,
    /// Only these spec versions.
    pub spec_versions: Vec<String>,
    /// Which versions.
    pub versions: Versions,
}

impl Default for Query {
    fn default() -> Self {
        Query {
            added_after: None,
            limit: LIMIT_MAX,
            after: None,
            ids: Vec::new(),
            types: Vec::new(),
            spec_versions: Vec::new(),
            versions: Versions::default(),
        }
    }
}

/// The text after the question mark, read; an error says which parameter is wrong.
pub fn parse(text: &str) -> Result<Query, String> {
    let mut query = Query::default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        let list = || -> Result<Vec<String>, String> {
            let values: Vec<String> = value.split(',').filter(|v| !v.is_empty()).map(str::to_owned).collect();
            if values.is_empty() || values.len() > VALUES_MAX {
                Err(format!("{name} needs 1 to {VALUES_MAX} values"))
            } else {
                Ok(values)
            }
        };
        match name.as_str() {
            "added_after" => {
                query.added_after = Some(value.parse().map_err(|e| format!("added_after: {e}"))?);
            }
            "limit" => {
                let limit: u32 = value.parse().map_err(|_| "limit is not a number".to_owned())?;
                if limit == 0 {
                    return Err("limit must be larger than 0".into());
                }
                query.limit = limit.min(LIMIT_MAX);
            }
            "next" => query.after = Some(parse_cursor(&value).ok_or("next was not issued by this server")?),
            "match[id]" => query.ids = list()?,
            "match[type]" => query.types = list()?,
            "match[spec_version]" => query.spec_versions = list()?,
            "match[version]" => {
                query.versions = match value.as_str() {
                    "last" => Versions::Last,
                    "first" => Versions::First,
                    "all" => Versions::All,
                    _ => Versions::At(list()?),
                };
            }
            // Unknown filters of extensions are to be ignored by servers that do not know them.
            other if other.starts_with("match[") => {}
            _ => {}
        }
    }
    if query.after.is_some() {
        query.added_after = None;
    }
    Ok(query)
}

/// The cursor after a record, as text.
pub fn cursor(added: Nanos, sequence: i64) -> String {
    format!("{}-{sequence}", added.0)
}

fn parse_cursor(text: &str) -> Option<(i64, i64)> {
    let (added, sequence) = text.split_once('-')?;
    Some((added.parse().ok()?, sequence.parse().ok()?))
}

/// Percent-decoding (RFC 3986), with `+` left as it is: times carry it.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| (b as char).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err("the query holds a broken percent escape".into()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "the query is not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused_with_a_reason() {
        let query = parse("match%5Btype%5D=indicator,malware&limit=3&added_after=2026-01-01T00:00:00.000001Z").unwrap();
        assert_eq!((query.types.len(), query.limit), (2, 3));
        assert_eq!(query.added_after, Some(Nanos(1_767_225_600_000_001_000)));
        let both = parse("next=5-7&added_after=2026-01-01T00:00:00Z").unwrap();
        assert_eq!((both.after, both.added_after), (Some((5, 7)), None));
        assert_eq!(parse("limit=99999999").unwrap().limit, LIMIT_MAX);
        for bad in ["limit=0", "limit=-1", "limit=x", "added_after=yesterday", "next=x", "match[id]=", "a=%G1", "a=%ff"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("match[tlp]=red&x=y").unwrap(), Query::default());
    }
}
