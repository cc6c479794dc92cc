//! A search: request line and two headers.

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search {
    /// `M-SEARCH` or `NOTIFY`.
    pub method: String,
    /// Search target (`ST`).
    pub target: String,
}

/// Reads a request; none for anything else, replies included.
pub fn parse(payload: &[u8]) -> Option<Search> {
    let text = std::str::from_utf8(payload).ok()?;
    let mut lines = text.split("\r\n").flat_map(|line| line.split('\n'));
    let method = lines.next()?.split(' ').next()?.to_owned();
    if method != "M-SEARCH" && method != "NOTIFY" {
        return None;
    }
    let header = |line: &str, name: &str| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    };
    let target = lines.take(32).find_map(|line| header(line, "ST").or_else(|| header(line, "NT"))).unwrap_or_default();
    Some(Search { method, target })
}
