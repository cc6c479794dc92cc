//! The profile of a honeypot session: what it named, fetched and tried. A session alone shows no scanning; its source's
//! packets do, and [`with_session`] puts both together.

use crate::feature::{Dimension, TRANSPORTS, Token};
use crate::profile::{EXACT_MAX, Origin, Profile};
use noroshi_model::session::Session;

/// The profile of one session.
pub fn profile(session: &Session) -> Profile {
    let mut profile = Profile {
        name: session.id.clone(),
        origin: Origin::Session,
        sources: 1,
        first: session.ts,
        last: session.end,
        ..Profile::default()
    };
    if let Some(port) = session.dport {
        debug_assert_eq!(TRANSPORTS[0], "tcp");
        profile.features.push((Token::new(Dimension::Port, u32::from(port)), 1.0));
    }
    add_exact(&mut profile, session);
    profile
}

/// The profile of a source's packets with what one of its sessions named.
pub fn with_session(mut packets: Profile, session: &Session) -> Profile {
    add_exact(&mut packets, session);
    packets
}

fn add_exact(profile: &mut Profile, session: &Session) {
    let exact = &mut profile.exact;
    let add = |list: &mut Vec<String>, values: &mut dyn Iterator<Item = String>| {
        for value in values {
            if list.len() < EXACT_MAX && !list.contains(&value) {
                list.push(value);
            }
        }
    };
    add(&mut exact.hashes, &mut session.hashes.iter().cloned());
    add(&mut exact.urls, &mut session.urls.iter().cloned());
    add(&mut exact.hosts, &mut session.urls.iter().filter_map(|url| host_of(url)));
    add(&mut exact.credentials, &mut session.credentials.iter().cloned());
}

fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    (!host.is_empty()).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_tells_what_it_named() {
        let session = Session {
            id: "s1".into(),
            dport: Some(23),
            credentials: vec!["root:vizxv".into(), "root:vizxv".into()],
            urls: vec!["http://203.0.113.5:8080/a.sh".into()],
            hashes: vec!["ab".repeat(32)],
            ..Session::default()
        };
        let profile = profile(&session);
        assert_eq!(profile.exact.hosts, ["203.0.113.5:8080"]);
        assert_eq!(profile.exact.credentials.len(), 1);
        assert_eq!(profile.values(Dimension::Port).len(), 1);
    }
}
