//! The desk's promises.

use noroshi_alert::desk::{Desk, Limits};
use noroshi_alert::rules::{self, Action, Suppression};
use noroshi_alert::{Statement, statement};
use noroshi_model::alert::{Alert, AlertKind, RecipientId, Severity};
use noroshi_model::finding::{Tool, Victim};
use noroshi_model::incident::{IncidentKind, Testimony, Witness};
use noroshi_model::member::{MemberId, Registry};
use noroshi_model::packet::Evidence;
use noroshi_model::time::SECOND;
use noroshi_model::tlp::Tlp;
use noroshi_model::{Addr, Nanos};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn registry(members: usize, quiet: &str) -> Arc<Registry> {
    let text: String = (0..members)
        .map(|i| {
            format!(
                "[[member]]\nid = \"m{i}\"\nname = \"Member {i}\"\nprefixes = [\"10.{i}.0.0/16\"]\n{quiet}\n\
                 [[member.mail]]\nto = [\"noc@m{i}.example\"]\n[[member.webhook]]\nurl = \"https://m{i}.example/\"\nseverity_min = \"high\"\n"
            )
        })
        .collect();
    Arc::new(noroshi_alert::config::parse(&text).unwrap().registry)
}

fn say(member: usize, host: u32, severity: Severity, second: i64) -> Statement {
    let at = Nanos(second * SECOND);
    Statement {
        member: MemberId(format!("m{member}")),
        kind: IncidentKind::Infection,
        subject: Victim::Address(Addr::v4(0x0a00_0000 | (member as u32) << 16 | host)),
        severity,
        tlp: statement::TLP_DEFAULT,
        over: false,
        peers: 2,
        ports: BTreeSet::from([23]),
        attack: None,
        tool: Some(Tool::Mirai),
        class: None,
        peak_pps: 0.0,
        estimated_pps: None,
        probability: None,
        testimony: Testimony {
            witness: Witness::Darknet,
            by: "test/1".into(),
            first: at,
            last: at,
            count: 3,
            confidence: 0.9,
            proof: Evidence::Spoofable,
            text: "three packets".into(),
        },
    }
}

fn desk(members: usize) -> Desk {
    Desk::new(registry(members, ""), Vec::new(), Vec::new(), Limits::default())
}

fn at(second: i64) -> Nanos {
    Nanos(second * SECOND)
}

fn kinds(alerts: &[Alert]) -> Vec<(AlertKind, usize)> {
    alerts.iter().map(|a| (a.kind, a.incidents.len())).collect()
}

#[test]
fn the_first_goes_at_once_and_the_next_wait_for_a_digest() {
    let mut desk = desk(1);
    let first = desk.hear(&say(0, 1, Severity::Medium, 0), at(0));
    assert_eq!(kinds(&first), [(AlertKind::Immediate, 1)]);
    assert_eq!(first[0].recipient, RecipientId("m0/mail".into()), "the webhook wants grave ones only");
    assert!(desk.hear(&say(0, 1, Severity::Medium, 1), at(1)).is_empty(), "the same incident again");
    for host in 2..=4 {
        assert!(desk.hear(&say(0, host, Severity::Medium, 2), at(2)).is_empty());
    }
    assert_eq!(desk.due(), Some(at(12)));
    assert!(desk.tick(at(11)).is_empty());
    assert_eq!(kinds(&desk.tick(at(12))), [(AlertKind::Digest, 3)]);
    assert!(desk.tick(at(13)).is_empty());
    assert_eq!(kinds(&desk.hear(&say(0, 9, Severity::Medium, 61), at(61))), [(AlertKind::Immediate, 1)]);
}

#[test]
fn a_flood_of_small_incidents_does_not_delay_a_grave_one() {
    let mut desk = desk(1);
    for host in 0..1_000 {
        desk.hear(&say(0, host, Severity::Low, 0), at(0));
    }
    let grave = desk.hear(&say(0, 5_000, Severity::Critical, 1), at(1));
    assert_eq!(kinds(&grave), [(AlertKind::Immediate, 1), (AlertKind::Immediate, 1)], "mail and webhook");
}

#[test]
fn quiet_hours_hold_back_all_but_the_exception() {
    let quiet = "time_zone = \"Asia/Tokyo\"\nquiet_hours = { from = \"22:00\", to = \"07:00\" }";
    let mut desk = Desk::new(registry(1, quiet), Vec::new(), Vec::new(), Limits::default());
    let night = "2026-03-01T03:00:00+09:00".parse::<Nanos>().unwrap().seconds();
    assert!(desk.hear(&say(0, 1, Severity::High, night), at(night)).is_empty());
    assert_eq!(desk.hear(&say(0, 2, Severity::Critical, night), at(night)).len(), 2);
    assert!(desk.tick(at(night + 3_600)).is_empty());
    let morning = "2026-03-01T07:00:00+09:00".parse::<Nanos>().unwrap();
    assert_eq!(kinds(&desk.tick(morning)), [(AlertKind::Digest, 1), (AlertKind::Digest, 1)]);
}

#[test]
fn a_suppression_is_silent_until_it_ends() {
    let until = Suppression {
        member: None,
        kind: None,
        network: Some("10.0.0.0/24".parse().unwrap()),
        until: at(100),
        comment: "maintenance".into(),
    };
    let mut desk = Desk::new(registry(1, ""), Vec::new(), vec![until], Limits::default());
    assert!(desk.hear(&say(0, 1, Severity::Critical, 0), at(0)).is_empty());
    assert_eq!(desk.hear(&say(0, 0x100, Severity::Low, 0), at(0)).len(), 1, "outside the network");
    assert!(desk.tick(at(99)).is_empty());
    assert_eq!(desk.tick(at(100)).len(), 2, "both channels, once it has ended");
}

#[test]
fn what_goes_on_is_mentioned_daily_until_it_is_over() {
    let mut desk = desk(1);
    desk.hear(&say(0, 1, Severity::Medium, 0), at(0));
    desk.hear(&say(0, 1, Severity::Medium, 80_000), at(80_000));
    assert_eq!(kinds(&desk.tick(at(86_400))), [(AlertKind::Continuing, 1)]);
    assert!(desk.tick(at(86_401)).is_empty());
    desk.tick(at(80_000 + 86_400 + 61));
    assert_eq!(desk.incidents().count(), 0, "a day of silence");
    assert_eq!(desk.changes().closed.len(), 1);
    assert!(desk.tick(at(3 * 86_400)).is_empty());
    let again = desk.hear(&say(0, 1, Severity::Medium, 3 * 86_400), at(3 * 86_400));
    assert_eq!(kinds(&again), [(AlertKind::Immediate, 1)], "a new incident");
}

#[test]
fn nothing_above_the_ceiling_is_told() {
    let mut desk = desk(1);
    let mut red = say(0, 1, Severity::Critical, 0);
    red.tlp = Tlp::Red;
    assert!(desk.hear(&red, at(0)).is_empty());
    let mut amber = say(0, 1, Severity::Critical, 1);
    amber.tlp = Tlp::Amber;
    assert!(desk.hear(&amber, at(1)).is_empty(), "the label only rises");
    assert!(desk.tick(at(100_000)).is_empty());
}

#[test]
fn rules_decide_in_order_and_can_be_previewed() {
    let mut rules = rules::defaults();
    let quieter = rules::Rule {
        name: "quieter".into(),
        severity_min: Severity::Info,
        members: [MemberId("m0".into())].into(),
        action: Action::Ignore,
        ..rules[0].clone()
    };
    let quieter = rules::Rule { kinds: BTreeSet::new(), ..quieter };
    let mut open = desk(2);
    open.hear(&say(0, 1, Severity::High, 0), at(0));
    open.hear(&say(1, 1, Severity::High, 0), at(0));
    let past: Vec<_> = open.incidents().map(|t| t.incident.clone()).collect();
    let seen = rules::preview(&quieter, &past);
    assert_eq!((seen.incidents, seen.decided, seen.at_once), (2, 1, 0));
    rules.insert(0, quieter);
    let mut desk = Desk::new(registry(2, ""), rules, Vec::new(), Limits::default());
    assert!(desk.hear(&say(0, 1, Severity::High, 0), at(0)).is_empty());
    assert_eq!(desk.hear(&say(1, 1, Severity::High, 0), at(0)).len(), 2);
}

/// What each recipient has been told, and the messages by time.
#[derive(Default)]
struct Log {
    told: BTreeMap<(RecipientId, String), u32>,
    sent: Vec<(Nanos, Alert)>,
}

impl Log {
    fn note(&mut self, now: Nanos, alerts: Vec<Alert>) {
        for alert in alerts {
            if alert.kind != AlertKind::Continuing {
                for incident in &alert.incidents {
                    *self.told.entry((alert.recipient.clone(), incident.id.clone())).or_default() += 1;
                }
            }
            self.sent.push((now, alert));
        }
    }
}

fn severity(index: u8) -> Severity {
    Severity::ALL[index as usize % Severity::ALL.len()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each incident reaches each recipient exactly once, nobody hears of others, limits hold; a desk restored from
    /// its stored changes at any moment goes on as if nothing had happened.
    #[test]
    fn the_promises_hold(
        steps in proptest::collection::vec((0i64..30, 0usize..3, 0u32..12, 0u8..5, any::<bool>()), 1..150),
    ) {
        let registry = registry(3, "");
        let fresh = || Desk::new(registry.clone(), Vec::new(), Vec::new(), Limits::default());
        let (mut desk, mut log) = (fresh(), Log::default());
        let (mut incidents, mut mailboxes) = (BTreeMap::new(), BTreeMap::new());
        let mut second = 0;
        let mut told_of: BTreeSet<(RecipientId, Victim)> = BTreeSet::new();
        for (gap, member, host, level, crash) in steps {
            second += gap;
            let statement = say(member, host, severity(level), second);
            log.note(at(second), desk.tick(at(second)));
            log.note(at(second), desk.hear(&statement, at(second)));
            let changes = desk.changes();
            for (slot, tracked) in changes.incidents {
                match tracked {
                    Some(tracked) => incidents.insert(slot, tracked),
                    None => incidents.remove(&slot),
                };
            }
            mailboxes.extend(changes.mailboxes);
            told_of.insert((RecipientId::new(&statement.member, "mail"), statement.subject));
            if crash {
                let stored = serde_json::to_string(&(incidents.values().collect::<Vec<_>>(), &mailboxes)).unwrap();
                let (tracked, boxes): (Vec<_>, BTreeMap<_, _>) = serde_json::from_str(&stored).unwrap();
                desk = fresh();
                desk.restore(tracked, boxes);
            }
        }
        for _ in 0..3_000 {
            second += 60;
            log.note(at(second), desk.tick(at(second)));
        }
        prop_assert!(log.told.values().all(|count| *count == 1), "told twice");
        let told: BTreeSet<_> = log.sent.iter().filter(|(_, a)| a.kind != AlertKind::Continuing)
            .flat_map(|(_, a)| a.incidents.iter().map(|i| (a.recipient.clone(), i.subject)))
            .filter(|(r, _)| r.0.ends_with("/mail")).collect();
        prop_assert_eq!(told, told_of, "told to everyone concerned, and to nobody else");
        for (_, alert) in &log.sent {
            prop_assert!(alert.incidents.iter().all(|i| i.member == alert.member));
            prop_assert_eq!(alert.recipient.parts().0, alert.member.0.as_str());
        }
        let ids: BTreeSet<&str> = log.sent.iter().map(|(_, a)| a.id.as_str()).collect();
        prop_assert_eq!(ids.len(), log.sent.len(), "message ids are unique");
        for (now, alert) in &log.sent {
            let same = |kind: AlertKind, critical: bool| log.sent.iter().filter(|(t, a)| {
                a.recipient == alert.recipient && a.kind == kind && *t <= *now && t.0 > now.0 - 60 * SECOND
                    && (a.severity == Severity::Critical) == critical
            }).count();
            prop_assert!(same(AlertKind::Immediate, false) <= 1);
            prop_assert!(same(AlertKind::Immediate, true) <= 10);
            prop_assert!(same(AlertKind::Digest, true) + same(AlertKind::Digest, false) <= 1);
        }
    }
}
