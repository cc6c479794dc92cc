//! A probe: SOAP in XML, of which three texts matter. It is searched, not parsed: attackers send fragments of XML that
//! some devices answer with errors larger than the request, and those are worth recording too.

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// `MessageID`, to be related to.
    pub message: String,
    /// Wanted types.
    pub types: String,
    /// Whether it is a whole probe.
    pub complete: bool,
}

/// Reads a probe or a fragment of XML; none for anything else.
pub fn parse(payload: &[u8]) -> Option<Probe> {
    let text = std::str::from_utf8(payload).ok()?.trim_start();
    if !text.starts_with('<') {
        return None;
    }
    let message = content(text, "MessageID").unwrap_or_default();
    let is_probe =
        text.contains("/discovery/Probe") || text.contains("/discovery\">") || content(text, "Probe").is_some();
    // A message that answers is not answered.
    let answers = text.contains("ProbeMatches") || text.contains("RelatesTo");
    let types = content(text, "Types").unwrap_or_default();
    Some(Probe { complete: is_probe && !answers && is_uri(&message), message, types })
}

/// Text of the first element with that local name, whatever its prefix.
fn content(text: &str, name: &str) -> Option<String> {
    let mut from = 0;
    while let Some(at) = text[from..].find(name).map(|at| from + at) {
        from = at + name.len();
        let opens = text[..at].ends_with(['<', ':'])
            && text[..at].rfind('<').is_some_and(|lt| !text[lt..at].contains(['/', '>']));
        let Some(rest) = text.get(from..).filter(|_| opens) else { continue };
        let Some(end_of_tag) = rest.find('>').filter(|_| rest.starts_with(['>', ' ', '\n', '\t', '\r'])) else {
            continue;
        };
        let inside = &rest[end_of_tag + 1..];
        return Some(inside[..inside.find('<')?].trim().to_owned());
    }
    None
}

/// Only what cannot break out of the XML that it is put into.
fn is_uri(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-._/{}".contains(&byte))
}
