//! BGP Flowspec rules as text for ExaBGP (RFC 8955, RFC 8956), with guard rails.
//!
//! A filter in the wrong place is an attack of its own. So: a dry run unless two people approved; never a prefix wider
//! than /24 or /48; never a protected prefix; at most an hour; a bounded number of rules; and every announcement comes
//! with its withdrawal.

use crate::gate::Cleared;
use noroshi_model::finding::{Attack, Vector, Victim};
use noroshi_model::{Addr, Nanos, Prefix};
use std::collections::BTreeSet;

/// Guard rails.
#[derive(Clone, PartialEq, Debug)]
pub struct Guards {
    /// People who approved; a rule is announced when at least two different ones did.
    pub approvals: BTreeSet<String>,
    /// Networks that are never filtered.
    pub protected: Vec<Prefix>,
    /// Rules at most.
    pub rules_max: usize,
    /// Seconds a rule lives, at most [`SECONDS_MAX`].
    pub seconds: i64,
    /// Bytes per second that remain; 0 drops everything.
    pub rate_bytes: u64,
}

/// No rule lives longer (interfaces 4.21).
pub const SECONDS_MAX: i64 = 3_600;
/// No IPv4 prefix is wider.
pub const LENGTH_MIN_V4: u8 = 24;
/// No IPv6 prefix is wider.
pub const LENGTH_MIN_V6: u8 = 48;

impl Default for Guards {
    fn default() -> Self {
        Guards {
            approvals: BTreeSet::new(),
            protected: Vec::new(),
            rules_max: 100,
            seconds: SECONDS_MAX,
            rate_bytes: 0,
        }
    }
}

/// Why there is no rule for an attack.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Too wide.
    #[error("{0} is wider than /{LENGTH_MIN_V4} or /{LENGTH_MIN_V6}")]
    Wide(Prefix),
    /// Protected.
    #[error("{0} lies in the protected network {1}")]
    Protected(Prefix, Prefix),
    /// Nothing tells the attack's packets from others.
    #[error("vector {0} has no filter that would spare ordinary traffic")]
    NoMatch(Vector),
    /// Enough rules.
    #[error("the limit of {0} rules is reached")]
    Limit(usize),
}

/// Rules as text, and what got none.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rules {
    /// For ExaBGP's `api` process or for a person.
    pub text: String,
    /// Rules in the text.
    pub count: usize,
    /// Whether every line is a comment.
    pub dry_run: bool,
    /// Attacks without a rule.
    pub refused: Vec<(Victim, Refused)>,
}

/// What to match for a vector; none where a filter would hit ordinary traffic.
fn matches(vector: Vector) -> Option<&'static str> {
    Some(match vector {
        Vector::Dns => "protocol =udp; source-port =53; packet-length >512;",
        Vector::Ntp => "protocol =udp; source-port =123; packet-length >128;",
        Vector::Ssdp => "protocol =udp; source-port =1900;",
        Vector::Cldap => "protocol =udp; source-port =389;",
        Vector::Memcached => "protocol =udp; source-port =11211;",
        Vector::Snmp => "protocol =udp; source-port =161;",
        Vector::Chargen => "protocol =udp; source-port =19;",
        Vector::Qotd => "protocol =udp; source-port =17;",
        Vector::Coap => "protocol =udp; source-port =5683;",
        Vector::Tftp => "protocol =udp; source-port =69;",
        Vector::Netbios => "protocol =udp; source-port =137;",
        Vector::Portmap => "protocol =udp; source-port =111;",
        Vector::Mdns => "protocol =udp; source-port =5353;",
        Vector::WsDiscovery => "protocol =udp; source-port =3702;",
        Vector::Arms => "protocol =udp; source-port =3283;",
        Vector::Ubiquiti => "protocol =udp; source-port =10001;",
        Vector::Dvr37810 => "protocol =udp; source-port =37810;",
        Vector::Mssql => "protocol =udp; source-port =1434;",
        Vector::Rip => "protocol =udp; source-port =520;",
        Vector::Slp => "protocol =udp; source-port =427;",
        Vector::Ipmi => "protocol =udp; source-port =623;",
        Vector::Plex => "protocol =udp; source-port =32414;",
        Vector::Fragments => "fragment [ is-fragment ];",
        _ => return None,
    })
}

/// Rules for attacks on victims that may be named.
pub fn write<'a>(
    attacks: impl IntoIterator<Item = (&'a Attack, Cleared<Victim>)>,
    guards: &Guards,
    now: Nanos,
) -> Rules {
    let seconds = guards.seconds.clamp(1, SECONDS_MAX);
    let mut rules = Rules { dry_run: guards.approvals.len() < 2, ..Rules::default() };
    let mut seen = BTreeSet::new();
    let mut withdrawals = String::new();
    let mark = if rules.dry_run { "# " } else { "" };
    for (attack, victim) in attacks {
        let made = rule(attack, *victim.get(), guards, rules.count);
        match made {
            Err(reason) => rules.refused.push((*victim.get(), reason)),
            Ok((prefix, body)) => {
                if seen.insert((prefix, body)) {
                    let action = match guards.rate_bytes {
                        0 => "discard;".to_owned(),
                        rate => format!("rate-limit {rate};"),
                    };
                    let what = format!("flow route {{ match {{ destination {prefix}; {body} }} then {{ {action} }} }}");
                    rules.text.push_str(&format!("{mark}announce {what}\n"));
                    withdrawals.push_str(&format!("{mark}withdraw {what}\n"));
                    rules.count += 1;
                }
            }
        }
    }
    let until = Nanos::from_seconds(now.seconds() + seconds).rfc3339();
    let head = match rules.dry_run {
        true => "# dry run: nothing is announced without the approval of two people\n".to_owned(),
        false => {
            let people: Vec<String> = guards.approvals.iter().map(|name| crate::safe::line(name)).collect();
            format!("# approved by {}\n", people.join(", "))
        }
    };
    rules.text = format!("{head}{}# at {until} at the latest:\n{withdrawals}", rules.text);
    rules
}

fn rule(attack: &Attack, victim: Victim, guards: &Guards, count: usize) -> Result<(Prefix, &'static str), Refused> {
    let prefix = match victim {
        Victim::Address(addr) => Prefix::new(addr, if addr.is_v4() { 32 } else { 128 }),
        Victim::Network(prefix) => prefix,
    };
    let min = if prefix.first().is_v4() { LENGTH_MIN_V4 } else { LENGTH_MIN_V6 };
    if prefix.length() < min {
        return Err(Refused::Wide(prefix));
    }
    let overlaps = |other: &&Prefix| other.contains(prefix.first()) || prefix.contains(Addr(other.first().0));
    if let Some(network) = guards.protected.iter().find(overlaps) {
        return Err(Refused::Protected(prefix, *network));
    }
    let body = matches(attack.vector).ok_or(Refused::NoMatch(attack.vector))?;
    if count >= guards.rules_max {
        return Err(Refused::Limit(guards.rules_max));
    }
    Ok((prefix, body))
}
