//! Whether an unused address looks like a used one with one character wrong.

use noroshi_model::Addr;
use noroshi_model::member::Member;

/// Whether replacing, adding or removing one character of the address's text gives an address in the member's used
/// space. Only IPv4: nobody types IPv6 addresses by heart, and their text has too many neighbours to mean anything.
pub fn is_neighbour_of_live(addr: Addr, member: &Member) -> bool {
    if !addr.is_v4() {
        return false;
    }
    let text = addr.to_string().into_bytes();
    let live = |candidate: &[u8]| {
        std::str::from_utf8(candidate).ok().and_then(|t| t.parse::<Addr>().ok()).is_some_and(|a| is_live(a, member))
    };
    let digits = b"0123456789.";
    for at in 0..=text.len() {
        let mut other = text.clone();
        if at < text.len() {
            other.remove(at);
            if live(&other) {
                return true;
            }
            other.clone_from(&text);
            for digit in digits {
                other[at] = *digit;
                if *digit != text[at] && live(&other) {
                    return true;
                }
            }
        }
        other.clone_from(&text);
        other.insert(at, b'0');
        for digit in digits {
            other[at] = *digit;
            if live(&other) {
                return true;
            }
        }
    }
    false
}

fn is_live(addr: Addr, member: &Member) -> bool {
    member.prefixes.iter().any(|p| p.contains(addr)) && !member.dark.iter().any(|d| d.contains(addr))
}
