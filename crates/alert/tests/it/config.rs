//! Members' files: what is understood, and how mistakes are explained.

use noroshi_alert::config::{ConfigError, parse};
use noroshi_model::alert::Severity;
use noroshi_model::member::{Language, QuietHours, Target};
use noroshi_model::tlp::Tlp;

const FULL: &str = r#"
[[member]]
id = "kaede"
name = "楓ネットワーク"
prefixes = ["198.51.100.0/24", "2001:db8:1::/48"]
dark = ["198.51.100.192/26"]
asns = [64500]
scanners = ["198.51.100.7"]
language = "ja"
time_zone = "Asia/Tokyo"
quiet_hours = { from = "22:00", to = "07:30", except = "high" }
tlp_ceiling = "amber+strict"
contacts = [{ name = "NOC", mail = "noc@kaede.example" }]

[[member.mail]]
to = ["noc@kaede.example", "soc@kaede.example"]

[[member.webhook]]
url = "https://hooks.kaede.example/noroshi"
secret = "s3cret"
shape = "slack"
severity_min = "high"

[[member.syslog]]
address = "192.0.2.9:514"

[[rule]]
name = "only-grave"
severity_min = "high"
kinds = ["attack"]
action = "alert"

[[suppression]]
member = "kaede"
network = "198.51.100.8/32"
until = "2026-02-01T00:00:00Z"
comment = "penetration test until the end of January"

[limits]
immediate_interval_seconds = 30
"#;

#[test]
fn a_full_file_is_understood() {
    let config = parse(FULL).unwrap();
    let member = &config.registry.members()[0];
    assert_eq!((member.language, member.tlp_ceiling), (Language::Ja, Tlp::AmberStrict));
    let hours = QuietHours { from_minute: 1320, to_minute: 450, except: Severity::High };
    assert_eq!(member.quiet_hours, Some(hours));
    assert_eq!(member.channels.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["mail", "webhook", "syslog"]);
    assert!(matches!(&member.channels[1].target, Target::Webhook { secret: Some(s), .. } if s == "s3cret"));
    assert_eq!((config.rules.len(), config.suppressions.len()), (1, 1));
    assert_eq!(config.limits.immediate_interval_seconds, 30);
    assert_eq!(config.limits.critical_per_minute, 10, "what is not given keeps its default");
}

fn problems(text: &str) -> Vec<(usize, String)> {
    let ConfigError { problems } = parse(text).unwrap_err();
    problems.into_iter().map(|p| (p.line, p.text)).collect()
}

#[test]
fn every_mistake_is_named_with_its_line() {
    let found = problems(
        r#"[[member]]
id = "Kaede!"
name = "x"
prefixes = [
  "198.51.100.1/24",
  "198.51.100.0/33",
]
language = "fr"
time_zone = "Mars/Olympus"
quiet_hours = { from = "25:00", to = "7" }
tlp_ceiling = "pink"
contacts = [{ name = "a", mail = "a@b\r\nBcc: all@example.org" }]

[[member.webhook]]
url = "ftp://example.org"
"#,
    );
    let expect = [
        (1, "no prefixes"),
        (2, "lower-case"),
        (5, "host bits"),
        (6, "larger than 32"),
        (8, "en, ja"),
        (9, "IANA"),
        (10, "time of day"),
        (10, "time of day"),
        (11, "TLP"),
        (12, "mail address"),
        (15, "https URL"),
    ];
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    for ((line, text), (expect_line, part)) in found.iter().zip(expect) {
        assert_eq!(*line, expect_line, "{text}");
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn unknown_keys_and_conflicts_are_refused() {
    let found = problems("[[member]]\nid = \"a\"\nname = \"a\"\nprefix = [\"192.0.2.0/24\"]\n");
    assert_eq!(found[0].0, 4);
    assert!(found[0].1.contains("unknown field `prefix`"), "{}", found[0].1);
    let member = |id: &str| {
        format!(
            "[[member]]\nid = \"{id}\"\nname = \"{id}\"\nprefixes = [\"192.0.2.0/24\"]\ncontacts = [{{ name = \"n\", mail = \"n@example.org\" }}]\n"
        )
    };
    let found = problems(&(member("a") + &member("b")));
    assert_eq!(
        found,
        [(
            6,
            "192.0.2.0/24 belongs to both \"a\" and \"b\"; the longest prefix decides, so one of them must be longer"
                .to_owned()
        )]
    );
    let found = problems("[[suppression]]\nuntil = \"2026-01-01\"\ncomment = \" \"\n");
    assert!(found[0].1.contains("says why"));
    assert!(problems("[[member]\n")[0].1.contains("expected"));
}
