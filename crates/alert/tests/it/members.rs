//! A member receives only what is about its own addresses, whatever memberships look like.

use noroshi_alert::desk::{Desk, Limits};
use noroshi_alert::{Config, config, statement};
use noroshi_model::alert::Alert;
use noroshi_model::finding::{Attack, AttackKind, Vector, Victim};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, Prefix};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Prefixes inside 10.0.0.0/12, so that nesting and gaps are common: which member, where, how long.
type Claim = (usize, u32, u8);

fn prefix((_, place, length): &Claim) -> Prefix {
    let mask = u32::MAX << (32 - u32::from(*length));
    format!("{}/{length}", Addr::v4(0x0a00_0000 | (place & 0x000f_ffff & mask))).parse().unwrap()
}

/// Whose an address is, the slow way: the longest of all prefixes that hold it.
fn owner(claims: &[Claim], addr: Addr) -> Option<usize> {
    let holds = claims.iter().filter(|claim| prefix(claim).contains(addr));
    holds.max_by_key(|(_, _, length)| *length).map(|(member, _, _)| *member)
}

/// Claims of the same prefix by two members are refused by the configuration; the first one stands here.
fn distinct(claims: Vec<Claim>) -> Vec<Claim> {
    let mut seen = BTreeSet::new();
    claims.into_iter().filter(|claim| seen.insert(prefix(claim).to_string())).collect()
}

fn configuration(claims: &[Claim]) -> Option<Config> {
    let mut members: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for claim in claims {
        members.entry(claim.0).or_default().push(format!("\"{}\"", prefix(claim)));
    }
    let rule = "[[rule]]\nname = \"all\"\naction = \"alert\"\n";
    let members: String = members
        .iter()
        .map(|(member, prefixes)| {
            format!(
                "[[member]]\nid = \"m{member}\"\nname = \"Member {member}\"\nprefixes = [{}]\n[[member.mail]]\nto = \
                 [\"noc@m{member}.example\"]\n",
                prefixes.join(", ")
            )
        })
        .collect();
    config::parse(&format!("{members}{rule}")).ok()
}

fn attack(victim: Victim, second: i64) -> Attack {
    let at = Nanos(second * SECOND);
    Attack {
        kind: AttackKind::Backscatter,
        vector: Vector::TcpSyn,
        victim,
        victim_port: None,
        packets: 100,
        bytes: 6_000,
        sources: 1,
        first: at,
        last: at,
        peak_pps: 10.0,
        estimated_pps: None,
        confidence: 0.9,
        thresholds: BTreeMap::new(),
        detector: "test/1".into(),
        evidence: Vec::new(),
        reason: "replies".into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn nobody_hears_of_others(
        claims in proptest::collection::vec((0usize..8, any::<u32>(), 12u8..=32), 1..24),
        victims in proptest::collection::vec((any::<u32>(), 8u8..=32, any::<prop::sample::Index>(), any::<bool>()), 1..60),
    ) {
        let claims = distinct(claims);
        let config = configuration(&claims).expect("distinct prefixes are accepted");
        let registry = Arc::new(config.registry);
        let mut desk = Desk::new(registry.clone(), config.rules, Vec::new(), Limits::default());
        let (mut alerts, mut expected): (Vec<Alert>, BTreeSet<(String, Victim)>) = Default::default();
        for (second, (place, length, near, network)) in victims.into_iter().enumerate() {
            // Half of the victims lie in a claimed prefix, at its edge or inside.
            let claim = &claims[near.index(claims.len())];
            let base = if place % 2 == 0 { prefix(claim).first().0 as u32 } else { 0x0a00_0000 | (place & 0x001f_ffff) };
            let addr = Addr::v4(base.wrapping_add(place % 5).wrapping_sub(1));
            let victim = match network {
                true => Victim::Network(prefix(&(0, addr.0 as u32, length.max(12)))),
                false => Victim::Address(addr),
            };
            for said in statement::of_attack(&attack(victim, second as i64), &registry) {
                alerts.extend(desk.hear(&said, Nanos(second as i64 * SECOND)));
            }
            if let (Victim::Address(addr), Some(member)) = (victim, owner(&claims, addr)) {
                expected.insert((format!("m{member}"), Victim::Address(addr)));
            }
        }
        for minute in 1..200 {
            alerts.extend(desk.tick(Nanos((100 + minute * 60) * SECOND)));
        }
        let mut told = BTreeSet::new();
        for alert in &alerts {
            prop_assert_eq!(&alert.recipient.0, &format!("{}/mail", alert.member));
            for incident in &alert.incidents {
                prop_assert_eq!(&incident.member, &alert.member);
                let member: usize = alert.member.0[1..].parse().unwrap();
                match incident.subject {
                    Victim::Address(addr) => {
                        prop_assert_eq!(owner(&claims, addr), Some(member), "{} is not theirs", addr);
                        told.insert((alert.member.0.clone(), incident.subject));
                    }
                    // Of a network they own a part, by a prefix of theirs inside it or around it.
                    Victim::Network(network) => prop_assert!(
                        claims.iter().filter(|claim| claim.0 == member).any(|claim| {
                            let own = prefix(claim);
                            own.contains(network.first()) || network.contains(own.first())
                        }),
                        "{} is not theirs", network
                    ),
                }
            }
        }
        // And everybody heard of what is theirs.
        prop_assert_eq!(told, expected);
    }
}
