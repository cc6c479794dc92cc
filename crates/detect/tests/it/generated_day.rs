//! Days of darknet traffic with planted campaigns, coordinated groups, attacks and tools, against their ground truth.
//!
//! The generator is shared with other projects and knows nothing of this one. Figures on generated data say that the
//! definitions are computed right, not how well they describe the Internet.
//!
//! `NOROSHI_DAY_PACKETS` (300000) and `NOROSHI_DAY_SEEDS` (1,2) choose larger days.

use noroshi_detect::engine::Findings;
use noroshi_model::finding::{AttackKind, Tool, Victim};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Planted attacks that must be found: Corsaro's documented threshold (packets, minutes, packets per minute).
const ATTACK_PACKETS_MIN: u64 = 25;
const ATTACK_MINUTES_MIN: u64 = 2;
const ATTACK_PPM_MIN: u64 = 30;
/// SYN packets from which on a source must carry its tool's name.
const TOOL_SYNS_MIN: u64 = 3;

/// Right, wrong and missed.
#[derive(Default, Clone, Copy)]
struct Score {
    right: u64,
    found: u64,
    sought: u64,
    met: u64,
}

impl Score {
    fn precision(self) -> f64 {
        self.right as f64 / self.found.max(1) as f64
    }
    fn recall(self) -> f64 {
        self.met as f64 / self.sought.max(1) as f64
    }
}

/// What was planted in one day.
struct Truth {
    /// Victims, and whether the attack is above the threshold.
    victims: BTreeMap<String, bool>,
    /// Port of each planted campaign or group, and its members that sent.
    campaigns: BTreeMap<String, (u16, BTreeSet<String>)>,
    /// Tool to source to SYN packets.
    tools: BTreeMap<String, BTreeMap<String, u64>>,
}

#[test]
fn generated_days_are_read_as_planted() {
    let Some(source) = crate::shared("bench/gen_darknet.rs") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let generator = folder.path().join("gen_darknet");
    run(Command::new("rustc").args(["--edition", "2021", "-C", "opt-level=2", "-o"]).arg(&generator).arg(&source));
    let packets = std::env::var("NOROSHI_DAY_PACKETS").unwrap_or_else(|_| "300000".to_owned());
    let seeds = std::env::var("NOROSHI_DAY_SEEDS").unwrap_or_else(|_| "1,2".to_owned());
    for seed in seeds.split(',') {
        let place = |ending: &str| folder.path().join(format!("day.{ending}"));
        let mut generate = Command::new(&generator);
        generate.args(["--packets", &packets, "--seed", seed, "--pcap"]).arg(place("pcap"));
        run(generate.arg("--truth").arg(place("json")).arg("--sources-truth").arg(place("csv")));
        let truth = truth(&place("json"), &place("csv"));
        let (found, again) = (with_threads(1, &place("pcap")), with_threads(2, &place("pcap")));
        assert!(format!("{found:?}") == format!("{again:?}"), "seed {seed}: two threads find something else than one");
        judge(&format!("{packets} packets, seed {seed}"), &found, &truth);
    }
}

fn with_threads(threads: usize, day: &Path) -> Findings {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
    pool.install(|| crate::findings(day))
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|e| panic!("{command:?} did not start: {e}"));
    assert!(status.success(), "{command:?}: {status}");
}

fn truth(json: &Path, csv: &Path) -> Truth {
    let json: Value = serde_json::from_slice(&std::fs::read(json).expect("truth")).expect("truth is JSON");
    let list = |name: &str| json[name].as_array().cloned().unwrap_or_default();
    let number = |value: &Value, name: &str| value[name].as_u64().unwrap_or(0);
    let mut victims = BTreeMap::new();
    for attack in list("rsdos") {
        let (packets, minutes) = (number(&attack, "packets"), number(&attack, "minutes"));
        let above =
            packets >= ATTACK_PACKETS_MIN && minutes >= ATTACK_MINUTES_MIN && packets / minutes >= ATTACK_PPM_MIN;
        *victims.entry(attack["victim"].as_str().expect("victim").to_owned()).or_default() |= above;
    }
    let mut campaigns = BTreeMap::new();
    for (kind, name) in [("campaigns", "campaign"), ("groups", "group")] {
        for (i, planted) in list(kind).iter().enumerate() {
            let port = u16::try_from(number(planted, "dport")).expect("port");
            campaigns.insert(format!("{name}-{i}"), (port, BTreeSet::new()));
        }
    }
    let mut tools: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for line in std::fs::read_to_string(csv).expect("sources").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [address, tool, planted, syns] = fields[..] else { panic!("{line}") };
        let of_tool = tools.entry(tool.to_owned()).or_default();
        *of_tool.entry(address.to_owned()).or_default() += syns.parse::<u64>().expect("count");
        if let Some((_, members)) = campaigns.get_mut(planted) {
            members.insert(address.to_owned());
        }
    }
    Truth { victims, campaigns, tools }
}

fn judge(day: &str, found: &Findings, truth: &Truth) {
    let attacks = attacks(found, truth);
    let (campaigns, purity) = campaigns(found, truth);
    println!("{day}: backscatter recall {:.3}, precision {:.3}", attacks.recall(), attacks.precision());
    println!("{day}: campaigns found {:.3} of {}, member purity {purity:.4}", campaigns.recall(), campaigns.sought);
    assert!(attacks.sought >= 5, "{day}: too few planted attacks to say anything");
    assert!(attacks.recall() >= 0.95, "{day}: recall of backscatter attacks is {:.3}", attacks.recall());
    assert!(attacks.precision() >= 0.95, "{day}: precision of backscatter attacks is {:.3}", attacks.precision());
    assert!(campaigns.recall() >= 0.95, "{day}: {:.3} of the planted campaigns were found", campaigns.recall());
    assert!(purity >= 0.95, "{day}: purity of campaigns is {purity:.3}");
    for (tool, name, least) in [
        (Tool::Zmap, "zmap", 0.99),
        (Tool::Masscan, "masscan", 0.99),
        (Tool::Mirai, "mirai", 0.99),
        (Tool::Nmap, "nmap", 0.9),
    ] {
        let score = tools(found, truth, tool, name);
        println!(
            "{day}: {name} recall {:.4}, precision {:.4}, {} sources",
            score.recall(),
            score.precision(),
            score.sought
        );
        assert!(score.recall() >= least, "{day}: recall of {name} is {:.4}", score.recall());
        assert!(score.precision() >= least, "{day}: precision of {name} is {:.4}", score.precision());
    }
}

/// Each finding must be a planted attack; each planted attack above the threshold must be a finding.
fn attacks(found: &Findings, truth: &Truth) -> Score {
    let named = found.attacks.iter().filter(|attack| attack.kind == AttackKind::Backscatter);
    let victims: Vec<String> = named
        .map(|attack| match attack.victim {
            Victim::Address(addr) => addr.to_string(),
            Victim::Network(prefix) => prefix.to_string(),
        })
        .collect();
    Score {
        right: victims.iter().filter(|victim| truth.victims.contains_key(*victim)).count() as u64,
        found: victims.len() as u64,
        sought: truth.victims.values().filter(|above| **above).count() as u64,
        met: truth.victims.iter().filter(|(victim, above)| **above && victims.contains(victim)).count() as u64,
    }
}

/// A planted campaign counts as found when one campaign on its port names at least half of its members. Purity is the
/// share of all named members that were planted on that port; campaigns that nobody planted have none.
fn campaigns(found: &Findings, truth: &Truth) -> (Score, f64) {
    let mut score = Score { sought: truth.campaigns.len() as u64, ..Score::default() };
    for (port, planted) in truth.campaigns.values() {
        let hit = found.campaigns.iter().filter(|campaign| campaign.ports.contains(port)).any(|campaign| {
            let members = campaign.members.iter().filter(|addr| planted.contains(&addr.to_string())).count();
            members * 2 >= planted.len()
        });
        score.met += u64::from(hit);
    }
    for campaign in &found.campaigns {
        let planted: Vec<_> = truth.campaigns.values().filter(|(port, _)| campaign.ports.contains(port)).collect();
        let pure = |addr: &str| planted.iter().any(|(_, members)| members.contains(addr));
        score.right += campaign.members.iter().filter(|addr| pure(&addr.to_string())).count() as u64;
        score.found += campaign.members.len() as u64;
    }
    (score, score.precision())
}

fn tools(found: &Findings, truth: &Truth, tool: Tool, name: &str) -> Score {
    let planted = truth.tools.get(name).cloned().unwrap_or_default();
    let named: BTreeSet<String> =
        found.sources.iter().filter(|s| s.tools.contains(&tool)).map(|s| s.address.to_string()).collect();
    let sought: Vec<&String> =
        planted.iter().filter(|(_, syns)| **syns >= TOOL_SYNS_MIN).map(|(addr, _)| addr).collect();
    Score {
        right: named.iter().filter(|addr| planted.contains_key(*addr)).count() as u64,
        found: named.len() as u64,
        sought: sought.len() as u64,
        met: sought.iter().filter(|addr| named.contains(**addr)).count() as u64,
    }
}
