//! Scenario files: the shipped ones load and are listed, wrong ones are refused with the place and what is allowed.

use noroshi_simulate::scenario::{BUILTIN, builtin_names};
use noroshi_simulate::{Scenario, ScenarioError};

#[test]
fn every_file_in_scenarios_is_shipped_and_loads() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let mut names = builtin_names();
    names.sort();
    assert_eq!(files, names);
    for (name, text) in BUILTIN {
        let scenario = Scenario::load(name).unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(scenario.name, *name);
        assert!(!scenario.title.is_empty() && !scenario.about.is_empty());
        let by_path = Scenario::load(&format!("{folder}/{name}.toml")).unwrap();
        assert_eq!(by_path.name, *name);
        assert!(text.len() > 100);
    }
}

const HEAD: &str = "title = \"t\"\nabout = \"a\"\nmonitored = [\"198.18.0.0/16\"]\n";

fn refused(rest: &str) -> String {
    Scenario::parse("mine.toml", &format!("{HEAD}{rest}")).unwrap_err().to_string()
}

#[track_caller]
fn check(rest: &str, expected: &[&str]) {
    let text = refused(rest);
    for part in ["mine.toml"].iter().chain(expected) {
        assert!(text.contains(part), "\"{text}\" lacks \"{part}\"");
    }
}

#[test]
fn mistakes_are_refused_with_their_place() {
    check("", &["background", "absent"]);
    check("[[background]]\ncolour = 1", &["line 5", "unknown field `colour`", "sources_per_1000"]);
    check("wether = 1", &["line 4", "unknown field `wether`", "background"]);
    check("minutes = 0\n[[background]]", &["minutes is 0", "between 1 and"]);
    check("[[background]]\ntools = [[\"zmpa\", 1]]", &["line 5", "zmpa", "zmap-old"]);
    check("[[background]]\nmix = { syn = 0, udp = 0, echo = 0, stray = 0, backscatter = 0 }", &["background.mix is 0"]);
    check("[[sweep]]\npercent = 1.0\nvectors = [\"dsn\"]\nminutes = [1, 2]", &["dsn", "dns"]);
    check(
        "[[sweep]]\npercent = 1.0\nvectors = [\"tcp-syn\"]\nminutes = [1, 2]",
        &["tcp-syn", "expected one of dns, ntp"],
    );
    check(
        "[[sweep]]\npercent = 101.0\nvectors = [\"dns\"]\nminutes = [1, 2]",
        &["sweep.percent is 101", "at most 100"],
    );
    check("[[sweep]]\npercent = 1.0\nvectors = [\"dns\"]\nminutes = [2, 1]", &["sweep.minutes is [2, 1]"]);
    check("[[sweep]]\npercent = 1.0\nvectors = []\nminutes = [1, 2]", &["sweep.vectors is empty"]);
    let sweep = "[[sweep]]\npercent = 60.0\nvectors = [\"dns\"]\nminutes = [1, 2]\n";
    check(&format!("{sweep}{sweep}"), &["sum of all percent is 120"]);
    check(
        "[[infection]]\nmember = \"Who\"\npercent = 1.0\ntool = \"mirai\"\nminutes = [1, 2]",
        &["infection.member is \"Who\"", "[[member]]"],
    );
    check("[[background]]\nip = \"ipv6\"", &["monitored is without one", "an IPv6 prefix"]);
    check("[[background]]\nports = [0]", &["background.ports is [0]"]);
}

#[test]
fn monitored_space_is_checked() {
    let with = |monitored: &str| {
        let text = format!("title = \"t\"\nabout = \"a\"\nmonitored = {monitored}\n[[background]]");
        Scenario::parse("mine.toml", &text).unwrap_err().to_string()
    };
    assert!(with("[]").contains("monitored is empty"));
    assert!(with("[\"10.0.0.0/33\"]").contains("larger than 32"), "{}", with("[\"10.0.0.0/33\"]"));
    assert!(with("[\"192.0.2.0/24\", \"192.0.2.128/25\"]").contains("apart from 192.0.2.0/24"));
    assert!(with("[\"2001:db8::/96\"]").contains("/64"));
    assert!(with("[\"0.0.0.0/0\"]").contains("whole Internet"));
}

#[test]
fn unknown_names_list_the_known_ones() {
    let refused = Scenario::load("darknet-night").unwrap_err();
    assert!(matches!(refused, ScenarioError::Unknown { .. }));
    assert!(refused.to_string().contains("darknet-day"), "{refused}");
    let refused = Scenario::load("no/such/file.toml").unwrap_err();
    assert!(matches!(refused, ScenarioError::Read { .. }) && refused.to_string().contains("no/such/file.toml"));
}
