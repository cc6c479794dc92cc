//! From a sensor's packets to the right people, and to rows of the lake: the hub as it is started by default.

use super::sinks::{WebSink, mails};
use super::support::Lab;
use noroshi_hub::services::standard;
use noroshi_hub::{Config, Hub, live};
use noroshi_simulate::{Scenario, World, write_day};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Long enough for a busy machine; nothing is measured.
const PATIENCE: Duration = Duration::from_secs(180);

pub fn members(web: &WebSink) -> String {
    format!(
        r#"
[[member]]
id = "university"
name = "Example University"
prefixes = ["203.0.113.0/25"]
contacts = [{{ name = "CSIRT", mail = "csirt@university.example" }}]

[[member]]
id = "shop"
name = "Example Shop"
prefixes = ["203.0.113.128/26"]
language = "ja"
[[member.mail]]
to = ["noc@shop.example"]
[[member.webhook]]
url = "http://{}/hook"
secret = "s3cret"
"#,
        web.address
    )
}

/// Starts the hub of the lab anew, with its usual services.
pub async fn start(lab: &mut Lab, settings: live::Settings, lake: bool) {
    if let Some(hub) = lab.hub.take() {
        hub.stop().await;
    }
    let any = "127.0.0.1:0".parse().unwrap();
    let folder = lab.folder.path().join("hub");
    let config = Config { listen: any, portal: any, lake, workers: 0, warning: settings, ..Config::in_folder(folder) };
    lab.hub = Some(Hub::start(config, standard()).await.unwrap());
}

/// Asks again until the answer fits.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what}: never"))
}

pub fn day(folder: &Path, scenario: &str, packets: u64) -> PathBuf {
    let world = World::new(&Scenario::load(scenario).unwrap(), 7, packets);
    write_day(&world, folder, &mut |_| {}).unwrap().capture
}

#[tokio::test(flavor = "multi_thread")]
async fn who_attacks_and_who_is_attacked_are_told_while_packets_arrive() {
    let mut lab = Lab::start().await;
    let web = WebSink::start();
    let (file, mailbox) = (lab.state("members.toml"), lab.state("mailbox"));
    std::fs::write(&file, members(&web)).unwrap();
    let settings = live::Settings {
        members: Some(file),
        mailbox: Some(mailbox.clone()),
        allow_webhooks: vec![web.address],
        observed: vec!["198.18.0.0/16".parse().unwrap()],
        ..live::Settings::default()
    };
    start(&mut lab, settings.clone(), false).await;
    let capture = day(&lab.state("day"), "member-attacks", 60_000);
    lab.enrol("kyoto").await.unwrap();
    lab.replay("kyoto", &capture).await.unwrap();
    until("two mails and a post", async || (mails(&mailbox).len() >= 2 && !web.posts().is_empty()).then_some(())).await;

    let outbox = lab.hub().context().desk.outbox().unwrap().clone();
    until("everything delivered", async || (outbox.counts().await.unwrap().queued == 0).then_some(())).await;
    let got = mails(&mailbox);
    let to = |address: &str| got.iter().filter(|mail| mail.contains(&format!("To: {address}"))).count();
    assert_eq!((to("csirt@university.example"), to("noc@shop.example"), got.len()), (1, 1, 2), "{got:#?}");
    assert!(got.iter().all(|mail| !mail.contains("198.18.") && !mail.contains("kyoto")), "a sensor is named");
    let posts = web.posts();
    assert_eq!(posts.len(), 1);
    let (time, _) = posts[0].header("x-noroshi-signature").split_once(',').unwrap();
    let seconds = time.strip_prefix("t=").unwrap().parse().unwrap();
    let expected = noroshi_share::webhook::signature("s3cret", seconds, posts[0].body.as_bytes());
    assert_eq!(posts[0].header("x-noroshi-signature"), expected);

    // The same hub started again tells nobody anything new, and neither does the same day sent by another sensor.
    start(&mut lab, settings, false).await;
    lab.enrol("osaka").await.unwrap();
    lab.replay("osaka", &capture).await.unwrap();
    let journal = lab.hub().context().journal.clone();
    let last = *journal.subscribe().borrow();
    let outbox = until("the desk", async || lab.hub().context().desk.outbox().cloned()).await;
    let decided = async || {
        let position = outbox.cursor("journal").await.unwrap().unwrap();
        (position.split_once(':').unwrap().1.parse::<i64>().unwrap() >= last).then_some(())
    };
    until("everything decided", decided).await;
    until("everything delivered", async || (outbox.counts().await.unwrap().queued == 0).then_some(())).await;
    assert_eq!((mails(&mailbox).len(), web.posts().len()), (2, 1));
}
