//! Organisations that take part: their networks, people and wishes.
//!
//! A [`Registry`] answers whose an address is: the longest prefix wins, and overlaps between members can be shown.

use crate::finding::{Victim, named};
use crate::tlp::Tlp;
use crate::{Addr, Prefix, alert::Severity};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Short name of a member: lower-case letters, digits and hyphens, at most 63.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(pub String);

impl MemberId {
    /// Whether the text can be a member's short name.
    pub fn is_valid(text: &str) -> bool {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=63).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

named! {
    /// Language of screens and messages.
    Language {
        /// English.
        En = "en",
        /// Japanese.
        Ja = "ja",
    }
}

named! {
    /// Shape of a webhook's body.
    WebhookShape {
        /// Our own, signed.
        Noroshi = "noroshi",
        /// Slack incoming webhook.
        Slack = "slack",
        /// Mattermost incoming webhook.
        Mattermost = "mattermost",
        /// Microsoft Teams workflow (adaptive card).
        Teams = "teams",
    }
}

named! {
    /// How syslog lines travel.
    SyslogTransport {
        /// One datagram per line (RFC 5426).
        Udp = "udp",
        /// Octet-counted frames (RFC 6587).
        Tcp = "tcp",
    }
}

/// A person or desk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contact {
    /// Name for people.
    pub name: String,
    /// Mail address.
    pub mail: String,
}

/// Hours in which only what cannot wait is sent, in the member's time zone. `from` may be later than `to`: over
/// midnight.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuietHours {
    /// Minute of the day at which they begin, 0 to 1439.
    pub from_minute: u16,
    /// Minute of the day at which they end.
    pub to_minute: u16,
    /// What is sent nevertheless.
    pub except: Severity,
}

/// Where messages go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Target {
    /// Mail.
    Mail {
        /// Addresses.
        to: Vec<String>,
    },
    /// HTTPS POST.
    Webhook {
        /// Where to.
        url: String,
        /// Key of the signature; none leaves the body unsigned.
        secret: Option<String>,
        /// Shape of the body.
        shape: WebhookShape,
    },
    /// Syslog lines in CEF.
    Syslog {
        /// `host:port`.
        address: String,
        /// How they travel.
        transport: SyslogTransport,
    },
}

/// A named way to reach a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Channel {
    /// Unique within the member.
    pub name: String,
    /// What is sent at least.
    pub severity_min: Severity,
    /// Where messages go.
    pub target: Target,
}

/// An organisation that takes part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Short name.
    pub id: MemberId,
    /// Name for people.
    pub name: String,
    /// Networks it answers for.
    pub prefixes: Vec<Prefix>,
    /// Unused parts of them that are observed.
    pub dark: Vec<Prefix>,
    /// Autonomous systems it answers for.
    pub asns: Vec<u32>,
    /// Own hosts that scan on purpose.
    pub scanners: Vec<Prefix>,
    /// People.
    pub contacts: Vec<Contact>,
    /// Language of its messages.
    pub language: Language,
    /// IANA time zone.
    pub time_zone: String,
    /// When not to wake anybody.
    pub quiet_hours: Option<QuietHours>,
    /// Nothing stricter is sent to it.
    pub tlp_ceiling: Tlp,
    /// Ways to reach it.
    pub channels: Vec<Channel>,
}

/// Two members that claim the same addresses; the longer prefix wins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Overlap {
    /// Who wins.
    pub winner: MemberId,
    /// With which prefix.
    pub winning: Prefix,
    /// Who loses these addresses.
    pub loser: MemberId,
    /// Out of which prefix.
    pub losing: Prefix,
}

/// Members that cannot be told apart.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegistryError {
    /// One short name twice.
    #[error("member \"{0}\" stands there twice; give each organisation its own id")]
    Twice(MemberId),
    /// One prefix, two owners.
    #[error(
        "{prefix} belongs to both \"{first}\" and \"{second}\"; the longest prefix decides, so one of them must be longer"
    )]
    SamePrefix {
        /// The prefix.
        prefix: Prefix,
        /// One owner.
        first: MemberId,
        /// The other.
        second: MemberId,
    },
}

#[derive(Clone, Copy, Debug)]
struct Range {
    first: Addr,
    last: Addr,
    member: u32,
    prefix: Prefix,
}

/// All members, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    members: Vec<Member>,
    /// Disjoint, ascending.
    ranges: Vec<Range>,
    overlaps: Vec<Overlap>,
}

impl Registry {
    /// Indexes the members.
    pub fn new(members: Vec<Member>) -> Result<Self, RegistryError> {
        for (at, member) in members.iter().enumerate() {
            if members[..at].iter().any(|other| other.id == member.id) {
                return Err(RegistryError::Twice(member.id.clone()));
            }
        }
        let mut claims: Vec<(Prefix, u32)> = Vec::new();
        for (at, member) in members.iter().enumerate() {
            claims.extend(member.prefixes.iter().chain(&member.dark).map(|prefix| (*prefix, at as u32)));
        }
        // Wider first at one place, so that the stack below always holds the enclosing prefixes.
        claims.sort_by_key(|(prefix, member)| (prefix.first(), prefix.mapped_length(), *member));
        claims.dedup();
        for pair in claims.windows(2) {
            if pair[0].0 == pair[1].0 {
                let name = |at: u32| members[at as usize].id.clone();
                return Err(RegistryError::SamePrefix {
                    prefix: pair[0].0,
                    first: name(pair[0].1),
                    second: name(pair[1].1),
                });
            }
        }
        let overlaps = overlaps_of(&members, &claims);
        Ok(Registry { ranges: flatten(&claims), members, overlaps })
    }

    /// All members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of that name.
    pub fn get(&self, id: &MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    /// Whose an address is, and by which prefix.
    pub fn owner(&self, addr: Addr) -> Option<(&Member, Prefix)> {
        let at = self.ranges.partition_point(|range| range.last < addr);
        let range = self.ranges.get(at).filter(|range| range.first <= addr)?;
        Some((&self.members[range.member as usize], range.prefix))
    }

    /// Whose a victim is: one member for an address, every member with a part of it for a network.
    pub fn owners(&self, victim: Victim) -> Vec<&Member> {
        let prefix = match victim {
            Victim::Address(addr) => return self.owner(addr).map(|(member, _)| member).into_iter().collect(),
            Victim::Network(prefix) => prefix,
        };
        let from = self.ranges.partition_point(|range| range.last < prefix.first());
        let mut found: Vec<u32> =
            self.ranges[from..].iter().take_while(|r| r.first <= prefix.last()).map(|r| r.member).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|at| &self.members[at as usize]).collect()
    }

    /// Where members claim the same addresses.
    pub fn overlaps(&self) -> &[Overlap] {
        &self.overlaps
    }
}

/// Nested prefixes of different members, each with the nearest enclosing one.
fn overlaps_of(members: &[Member], claims: &[(Prefix, u32)]) -> Vec<Overlap> {
    let (mut found, mut stack): (Vec<Overlap>, Vec<(Prefix, u32)>) = (Vec::new(), Vec::new());
    for &(prefix, member) in claims {
        while stack.last().is_some_and(|(outer, _)| outer.last() < prefix.first()) {
            stack.pop();
        }
        if let Some(&(outer, other)) = stack.last()
            && other != member
        {
            let name = |at: u32| members[at as usize].id.clone();
            found.push(Overlap { winner: name(member), winning: prefix, loser: name(other), losing: outer });
        }
        stack.push((prefix, member));
    }
    found
}

/// Cuts nested prefixes into disjoint ranges, each owned by the innermost prefix.
fn flatten(claims: &[(Prefix, u32)]) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::with_capacity(claims.len() * 2);
    let mut stack: Vec<(Prefix, u32)> = Vec::new();
    let mut from = 0u128;
    let mut emit = |stack: &[(Prefix, u32)], from: u128, to: u128| {
        if let Some(&(prefix, member)) = stack.last()
            && from <= to
        {
            ranges.push(Range { first: Addr(from), last: Addr(to), member, prefix });
        }
    };
    for &(prefix, member) in claims {
        while let Some(&(outer, _)) = stack.last()
            && outer.last() < prefix.first()
        {
            emit(&stack, from, outer.last().0);
            from = outer.last().0.saturating_add(1);
            stack.pop();
        }
        if let Some(before) = prefix.first().0.checked_sub(1) {
            emit(&stack, from, before);
        }
        stack.push((prefix, member));
        from = prefix.first().0;
    }
    while let Some(&(outer, _)) = stack.last() {
        emit(&stack, from, outer.last().0);
        // Past the very last address nothing is left to own.
        let Some(next) = outer.last().0.checked_add(1) else { break };
        from = next;
        stack.pop();
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(id: &str, prefixes: &[Prefix]) -> Member {
        Member {
            id: MemberId(id.into()),
            name: id.into(),
            prefixes: prefixes.to_vec(),
            dark: Vec::new(),
            asns: Vec::new(),
            scanners: Vec::new(),
            contacts: Vec::new(),
            language: Language::En,
            time_zone: "UTC".into(),
            quiet_hours: None,
            tlp_ceiling: Tlp::Amber,
            channels: Vec::new(),
        }
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_prefix_wins_and_overlaps_are_shown() {
        let registry = Registry::new(vec![
            member("isp", &[prefix("198.51.100.0/24"), prefix("2001:db8::/32")]),
            member("customer", &[prefix("198.51.100.64/26")]),
        ])
        .unwrap();
        let owner = |text: &str| registry.owner(text.parse().unwrap()).map(|(m, p)| (m.id.0.clone(), p.to_string()));
        assert_eq!(owner("198.51.100.1"), Some(("isp".into(), "198.51.100.0/24".into())));
        assert_eq!(owner("198.51.100.64"), Some(("customer".into(), "198.51.100.64/26".into())));
        assert_eq!(owner("198.51.100.128"), Some(("isp".into(), "198.51.100.0/24".into())));
        assert_eq!(owner("2001:db8::7"), Some(("isp".into(), "2001:db8::/32".into())));
        assert_eq!(owner("198.51.101.0"), None);
        assert_eq!(registry.overlaps().len(), 1);
        assert_eq!(registry.overlaps()[0].winner.0, "customer");
        let both = registry.owners(Victim::Network(prefix("198.51.100.0/25")));
        assert_eq!(both.iter().map(|m| m.id.0.as_str()).collect::<Vec<_>>(), ["isp", "customer"]);
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let twice = Registry::new(vec![member("a", &[]), member("a", &[])]);
        assert!(matches!(twice, Err(RegistryError::Twice(_))));
        let same = Registry::new(vec![member("a", &[prefix("::/0")]), member("b", &[prefix("::/0")])]);
        assert!(matches!(same, Err(RegistryError::SamePrefix { .. })));
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_a_search_of_everything(
            claims in proptest::collection::vec((0u32..64, 26u8..=32, 0usize..4), 0..24),
            probes in proptest::collection::vec(0u32..64, 16),
        ) {
            let mut lists: Vec<Vec<Prefix>> = vec![Vec::new(); 4];
            for (low, length, who) in &claims {
                let claim = Prefix::new(Addr::v4(0xc000_0200 | low), *length);
                if !lists.iter().flatten().any(|p| *p == claim) {
                    lists[*who].push(claim);
                }
            }
            let members: Vec<Member> = lists.iter().enumerate().map(|(i, l)| member(&format!("m{i}"), l)).collect();
            let registry = Registry::new(members).unwrap();
            for probe in probes {
                let addr = Addr::v4(0xc000_0200 | probe);
                let best = registry.members().iter().flat_map(|m| m.prefixes.iter().map(move |p| (p.length(), &m.id)))
                    .zip(registry.members().iter().flat_map(|m| m.prefixes.iter()))
                    .filter(|(_, p)| p.contains(addr)).max_by_key(|((length, _), _)| *length).map(|((_, id), _)| id);
                prop_assert_eq!(registry.owner(addr).map(|(m, _)| &m.id), best);
            }
        }
    }
}
