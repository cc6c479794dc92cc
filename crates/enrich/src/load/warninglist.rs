//! MISP warninglists (`schema.json` of MISP/misp-warninglists): values that are no indicator of attack.
//!
//! Types: `cidr` mixes prefixes and bare addresses; `string` may hold addresses too; `hostname`, `substring` and
//! `regex` speak of names, which say nothing of an address and are counted as skipped.

use noroshi_model::Nanos;

use super::{Format, Limits, Parsed, Skipped};
use crate::error::LoadError;
use crate::kinds::Kinds;
use crate::table::{Builder, NO_NAME, Table};

const NAME: &str = "MISP warninglist";

#[derive(serde::Deserialize)]
struct File {
    name: String,
    #[serde(rename = "type")]
    kind: Type,
    version: serde_json::Value,
    description: String,
    list: Vec<String>,
}

#[derive(serde::Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Type {
    String,
    Substring,
    Hostname,
    Cidr,
    Regex,
}

/// Reads a MISP warninglist. A list of names gives an empty table; its `entries` count the list's values all the same.
pub fn warninglist(bytes: &[u8], name: &str, limits: &Limits) -> Result<Parsed, LoadError> {
    let file: File =
        serde_json::from_slice(bytes).map_err(|e| LoadError::malformed(NAME, format!("line {}", e.line()), e))?;
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let kinds = match Kinds::from_list_name(stem) {
        Kinds::NONE => Kinds::from_list_name(&format!("{} {}", file.name, file.description)),
        kinds => kinds,
    };
    let mut builder = Builder::new(limits.entries_max);
    let organisation = match kinds.has(Kinds::RESEARCH_SCANNER) {
        true => builder.name(organisation(&file.name)),
        false => NO_NAME,
    };
    let fact = builder.fact(None, None, organisation);
    let mut skipped = Skipped::default();
    let holds_addresses = matches!(file.kind, Type::Cidr | Type::String);
    let mut used = 0u64;
    for (at, value) in file.list.iter().enumerate() {
        match value.trim().parse() {
            Ok(prefix) if holds_addresses => {
                builder.prefix(prefix, fact)?;
                used += 1;
            }
            _ if file.kind == Type::Cidr => skipped.wrong("entry", at as u64 + 1, value, "not an address or prefix"),
            _ => skipped.foreign(),
        }
    }
    Ok(Parsed {
        format: Format::Warninglist,
        title: crate::error::printable(&file.name),
        as_of: version_date(&file.version),
        kinds: Some(kinds),
        entries: file.list.len() as u64,
        skipped: skipped.count,
        problems: skipped.problems,
        table: if used == 0 { Table::default() } else { builder.build() },
    })
}

/// Versions are dates by habit, `20260811` or `26081010` (year, month, day, hour), or else a plain counter.
fn version_date(version: &serde_json::Value) -> Option<Nanos> {
    let digits = version.as_u64().map(|n| n.to_string()).or_else(|| version.as_str().map(str::to_owned))?;
    super::day(&digits).or_else(|| {
        let short = digits.len() == 8 && digits[6..].parse::<u8>().is_ok_and(|hour| hour < 24);
        short.then(|| super::day(&format!("20{}", &digits[..6]))).flatten()
    })
}

/// The organisation in the title of a list of scanners.
fn organisation(title: &str) -> &str {
    const BEFORE: [&str; 2] = ["List of published IP address ranges for ", "List of "];
    const AFTER: [&str; 5] = [" IP Ranges", " IP-Ranges", " IP address", " Scanner", " scanner"];
    let title = BEFORE.iter().find_map(|words| title.strip_prefix(words)).unwrap_or(title);
    let end = AFTER.iter().filter_map(|words| title.find(words)).min().unwrap_or(title.len());
    title[..end].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_are_dates() {
        let date = |text: &str| version_date(&serde_json::from_str(text).unwrap()).map(Nanos::rfc3339);
        assert_eq!(date("20260811").as_deref(), Some("2026-08-11T00:00:00Z"));
        assert_eq!(date("26081010").as_deref(), Some("2026-08-10T00:00:00Z"));
        assert_eq!(date("26081401").as_deref(), Some("2026-08-14T00:00:00Z"));
        assert_eq!((date("5"), date("26081099")), (None, None));
    }

    #[test]
    fn organisations_in_titles() {
        assert_eq!(organisation("Alphastrike research IP Ranges Used for Scanning"), "Alphastrike research");
        assert_eq!(organisation("List of published IP address ranges for Modat Scanner"), "Modat");
        assert_eq!(organisation("Shodan IP-Ranges, pot. used for Scanning"), "Shodan");
        assert_eq!(organisation("CIRCL IP address used for SSH scanning"), "CIRCL");
    }

    #[test]
    fn other_types_give_an_empty_table() {
        let text = r#"{"name":"n","type":"regex","version":1,"description":"d","list":["^a","192.0.2.1"]}"#;
        let parsed = warninglist(text.as_bytes(), "n.json", &Limits::default()).unwrap();
        assert_eq!((parsed.entries, parsed.skipped), (2, 2));
        assert_eq!(parsed.table, Table::default());
        let error = warninglist(br#"{"list":[]}"#, "n.json", &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("missing field"), "{error}");
    }
}
