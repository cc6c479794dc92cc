//! What survives a crash, and what is refused twice.

use crate::scene::{MEMBERS, at, commit, config, desk, infection};
use noroshi_alert::desk::{Desk, Mailbox, Tracked};
use noroshi_model::alert::RecipientId;
use noroshi_share::outbox::{Counts, Outbox};

async fn restored(desk: &mut Desk, outbox: &Outbox) {
    let stored = outbox.stored().await.unwrap();
    let incidents: Vec<Tracked> = stored.incidents.iter().map(|t| serde_json::from_str(t).unwrap()).collect();
    let mailboxes: Vec<(RecipientId, Mailbox)> =
        stored.mailboxes.iter().map(|(r, t)| (RecipientId(r.clone()), serde_json::from_str(t).unwrap())).collect();
    desk.restore(incidents, mailboxes);
}

#[tokio::test]
async fn a_crash_between_deciding_and_storing_repeats_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox.sqlite");
    let config = config(MEMBERS);
    let hosts: Vec<String> = (1..=60).map(|i| format!("203.0.113.{i}")).collect();
    let mut told = 0;
    for (number, host) in hosts.iter().enumerate() {
        let second = number as i64;
        // Every statement is made by a program of its own; every third one dies before it has stored anything and is
        // started again.
        let attempts = if number % 3 == 0 { 2 } else { 1 };
        for attempt in 0..attempts {
            let outbox = Outbox::open(&path).await.unwrap();
            let mut desk = desk(&config);
            restored(&mut desk, &outbox).await;
            let mut alerts = desk.tick(at(second));
            alerts.extend(desk.hear(&infection("university", host, "x", second), at(second)));
            if attempts == 2 && attempt == 0 {
                continue;
            }
            told += alerts.iter().map(|a| a.incidents.len()).sum::<usize>();
            outbox.commit(&commit(&mut desk, &alerts, at(second))).await.unwrap();
        }
    }
    let outbox = Outbox::open(&path).await.unwrap();
    let mut desk = desk(&config);
    restored(&mut desk, &outbox).await;
    for minute in 1..5 {
        let now = at(60 + minute * 60);
        let alerts = desk.tick(now);
        told += alerts.iter().map(|a| a.incidents.len()).sum::<usize>();
        outbox.commit(&commit(&mut desk, &alerts, now)).await.unwrap();
    }
    assert_eq!(told, hosts.len());
    let letters = outbox.due(at(100_000), 1_000).await.unwrap();
    let mut ids: Vec<&str> = letters.iter().flat_map(|l| l.alert.incidents.iter().map(|i| i.id.as_str())).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), hosts.len(), "every incident in exactly one message");
}

#[tokio::test]
async fn a_message_is_taken_in_once() {
    let config = config(MEMBERS);
    let outbox = Outbox::in_memory().await.unwrap();
    let mut desk = desk(&config);
    let alerts = desk.hear(&infection("university", "203.0.113.9", "x", 0), at(0));
    let batch = commit(&mut desk, &alerts, at(0));
    outbox.commit(&batch).await.unwrap();
    outbox.commit(&batch).await.unwrap();
    assert_eq!(outbox.counts().await.unwrap(), Counts { queued: 1, delivered: 0, failed: 0 });
    outbox.delivered(&alerts[0].id, at(1)).await.unwrap();
    outbox.commit(&batch).await.unwrap();
    assert_eq!(outbox.counts().await.unwrap(), Counts { queued: 0, delivered: 1, failed: 0 });
}

#[tokio::test]
async fn the_last_word_of_each_person_counts_for_the_rule() {
    let config = config(MEMBERS);
    let outbox = Outbox::in_memory().await.unwrap();
    let mut desk = desk(&config);
    let mut alerts = Vec::new();
    for host in ["203.0.113.9", "203.0.113.10", "203.0.113.11", "203.0.113.12"] {
        alerts.extend(desk.hear(&infection("university", host, "x", 0), at(0)));
    }
    outbox.commit(&commit(&mut desk, &alerts, at(0))).await.unwrap();
    let incident = |n: usize| alerts[n].incidents[0].id.clone();
    let say = async |n: usize, by: &str, verdict: &str, since: i64, said_at: i64| {
        assert!(outbox.answer(&incident(n), None, verdict, at(since), at(said_at), by).await.unwrap());
    };
    // One changes its mind; another finds it true although a colleague did not, earlier or later; the third deals with it.
    say(0, "ana", "true", 60, 60).await;
    say(0, "ana", "false", 120, 120).await;
    say(1, "ana", "true", 60, 60).await;
    say(1, "ben", "false", 120, 120).await;
    say(2, "ana", "already-known", 50, 60).await;
    say(2, "ben", "mitigated", 600, 700).await;
    assert!(!outbox.answer("none", None, "true", at(1), at(1), "ana").await.unwrap(), "nobody was told of it");
    assert!(!outbox.answer(&incident(0), Some("shop"), "true", at(1), at(1), "eve").await.unwrap(), "not its own");
    let counts = outbox.precision().await.unwrap();
    assert_eq!(counts.len(), 1, "{counts:?}");
    let rule = &counts[0];
    assert_eq!((rule.told, rule.answered, rule.right, rule.wrong, rule.known), (4, 3, 2, 1, 1));
    assert_eq!(rule.mitigated_seconds, Some(600.0));
    assert_eq!(outbox.last_answer(&incident(0), "ana").await.unwrap().unwrap().verdict, "false");
    assert_eq!(outbox.message(&alerts[0].id).await.unwrap().as_ref(), Some(&alerts[0]));
}
