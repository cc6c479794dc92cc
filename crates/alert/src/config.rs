//! Members, rules, suppressions and limits from one TOML text.
//!
//! Every problem is reported with its line, all at once, so that a file is repaired in one go. Unknown keys are
//! refused: a misspelt `quiet_hour` must not wake anybody.
//!
//! ```
//! let text = r#"
//! [[member]]
//! id = "example-net"
//! name = "Example Network"
//! prefixes = ["198.51.100.0/24", "2001:db8::/32"]
//! contacts = [{ name = "NOC", mail = "noc@example.net" }]
//! "#;
//! let config = noroshi_alert::config::parse(text).unwrap();
//! assert_eq!(config.registry.members()[0].channels.len(), 1, "contacts get mail unless channels are given");
//! ```

use crate::desk::Limits;
use crate::quiet;
use crate::rules::{Rule, Suppression};
use noroshi_model::alert::Severity;
use noroshi_model::member::{
    Channel, Contact, Language, Member, MemberId, QuietHours, Registry, RegistryError, SyslogTransport, Target,
    WebhookShape,
};
use noroshi_model::tlp::Tlp;
use noroshi_model::{Prefix, addr::ParseAddrError};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use toml::Spanned;

/// Everything the desk needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The members.
    pub registry: Registry,
    /// Rules; empty for the defaults.
    pub rules: Vec<Rule>,
    /// Suppressions.
    pub suppressions: Vec<Suppression>,
    /// Limits.
    pub limits: Limits,
}

/// One problem of the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub text: String,
}

/// The text cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ConfigError {
    /// What is wrong, in the order of the text.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}line {}: {}", problem.line, problem.text)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default)]
    member: Vec<Spanned<RawMember>>,
    #[serde(default)]
    rule: Vec<Spanned<Rule>>,
    #[serde(default)]
    suppression: Vec<Spanned<Suppression>>,
    #[serde(default)]
    limits: Limits,
}

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMember {
    id: Text,
    name: String,
    #[serde(default)]
    prefixes: Vec<Text>,
    #[serde(default)]
    dark: Vec<Text>,
    #[serde(default)]
    asns: Vec<u32>,
    #[serde(default)]
    scanners: Vec<Text>,
    #[serde(default)]
    contacts: Vec<RawContact>,
    language: Option<Text>,
    time_zone: Option<Text>,
    quiet_hours: Option<RawQuietHours>,
    tlp_ceiling: Option<Text>,
    #[serde(default)]
    mail: Vec<Spanned<RawMail>>,
    #[serde(default)]
    webhook: Vec<Spanned<RawWebhook>>,
    #[serde(default)]
    syslog: Vec<Spanned<RawSyslog>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawContact {
    name: String,
    mail: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQuietHours {
    from: Text,
    to: Text,
    except: Option<Severity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMail {
    name: Option<String>,
    severity_min: Option<Severity>,
    to: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    name: Option<String>,
    severity_min: Option<Severity>,
    url: Text,
    secret: Option<String>,
    shape: Option<WebhookShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSyslog {
    name: Option<String>,
    severity_min: Option<Severity>,
    address: Text,
    transport: Option<SyslogTransport>,
}

/// Reads the text.
pub fn parse(text: &str) -> Result<Config, ConfigError> {
    let raw: RawConfig = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        ConfigError { problems: vec![Problem { line: line_of(text, at), text: error.message().to_owned() }] }
    })?;
    let mut reader = Reader { text, problems: Vec::new() };
    let lines: Vec<usize> = raw.member.iter().map(|m| m.span().start).collect();
    let members: Vec<Member> = raw.member.into_iter().map(|m| reader.member(m)).collect();
    for suppression in &raw.suppression {
        if suppression.get_ref().comment.trim().is_empty() {
            reader.problem(suppression.span().start, "a suppression needs a comment that says why".into());
        }
    }
    let mut names = BTreeSet::new();
    for rule in &raw.rule {
        if !names.insert(rule.get_ref().name.clone()) {
            let name = &rule.get_ref().name;
            reader.problem(rule.span().start, format!("rule \"{name}\" stands there twice; rules need unique names"));
        }
    }
    let registry = Registry::new(members.clone()).unwrap_or_else(|error| {
        let second = match &error {
            RegistryError::Twice(id) => members.iter().rposition(|m| m.id == *id),
            RegistryError::SamePrefix { second, .. } => members.iter().position(|m| m.id == *second),
        };
        reader.problem(second.and_then(|at| lines.get(at).copied()).unwrap_or(0), error.to_string());
        Registry::default()
    });
    reader.finish(Config {
        registry,
        rules: raw.rule.into_iter().map(Spanned::into_inner).collect(),
        suppressions: raw.suppression.into_iter().map(Spanned::into_inner).collect(),
        limits: raw.limits,
    })
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, at: usize, text: String) {
        self.problems.push(Problem { line: line_of(self.text, at), text });
    }

    fn finish(mut self, config: Config) -> Result<Config, ConfigError> {
        if self.problems.is_empty() {
            return Ok(config);
        }
        self.problems.sort_by_key(|p| p.line);
        Err(ConfigError { problems: self.problems })
    }

    fn parse<T: FromStr>(&mut self, text: &Text) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        text.get_ref().parse().map_err(|e: T::Err| self.problem(text.span().start, e.to_string())).ok()
    }

    fn prefixes(&mut self, texts: &[Text]) -> Vec<Prefix> {
        texts.iter().filter_map(|text| self.prefix(text)).collect()
    }

    /// A prefix with host bits set is a typing mistake that would silently claim a different network.
    fn prefix(&mut self, text: &Text) -> Option<Prefix> {
        let prefix: Prefix =
            text.get_ref().parse().map_err(|e: ParseAddrError| self.problem(text.span().start, e.to_string())).ok()?;
        let given = text.get_ref().split('/').next().unwrap_or_default();
        if given.parse() != Ok(prefix.first()) {
            let hint = format!("\"{}\" has host bits set; the network is {prefix}", text.get_ref());
            self.problem(text.span().start, hint);
            return None;
        }
        Some(prefix)
    }

    fn mail_address(&mut self, text: &Text) -> String {
        let address = text.get_ref();
        let plain =
            |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | ',' | ';' | ':' | '"' | '(' | ')' | '\\');
        let fits = address.len() <= 254
            && address.chars().all(plain)
            && address.split_once('@').is_some_and(|(user, host)| {
                !user.is_empty() && !host.is_empty() && !host.contains('@') && user.len() <= 64
            });
        if !fits {
            let shown: String = address.escape_debug().collect();
            self.problem(text.span().start, format!("\"{shown}\" is not a mail address (expected name@example.org)"));
        }
        address.clone()
    }

    fn minute(&mut self, text: &Text) -> u16 {
        let parsed = text.get_ref().split_once(':').and_then(|(h, m)| {
            let (hour, minute): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
            (h.len() == 2 && m.len() == 2 && hour < 24 && minute < 60).then_some(hour * 60 + minute)
        });
        parsed.unwrap_or_else(|| {
            self.problem(text.span().start, format!("\"{}\" is not a time of day (expected 22:00)", text.get_ref()));
            0
        })
    }

    fn member(&mut self, raw: Spanned<RawMember>) -> Member {
        let at = raw.span().start;
        let raw = raw.into_inner();
        if !MemberId::is_valid(raw.id.get_ref()) {
            let hint = "a member's id has lower-case letters, digits and hyphens, at most 63";
            self.problem(raw.id.span().start, format!("\"{}\": {hint}", raw.id.get_ref().escape_debug()));
        }
        let prefixes = self.prefixes(&raw.prefixes);
        let dark = self.prefixes(&raw.dark);
        if prefixes.is_empty() && dark.is_empty() && raw.asns.is_empty() {
            self.problem(at, format!("member \"{}\" has no prefixes and no asns", raw.id.get_ref().escape_debug()));
        }
        let language = match raw.language.as_ref().map(|l| (l.get_ref().as_str(), l.span().start)) {
            None | Some(("en", _)) => Language::En,
            Some(("ja", _)) => Language::Ja,
            Some((other, at)) => {
                self.problem(at, format!("\"{}\" is not a language of ours (en, ja)", other.escape_debug()));
                Language::En
            }
        };
        let time_zone = raw.time_zone.map_or_else(
            || "UTC".to_owned(),
            |zone| {
                if quiet::zone(zone.get_ref()).is_none() {
                    let hint = "is not a time zone (expected an IANA name such as Asia/Tokyo)";
                    self.problem(zone.span().start, format!("\"{}\" {hint}", zone.get_ref().escape_debug()));
                }
                zone.into_inner()
            },
        );
        let quiet_hours = raw.quiet_hours.map(|hours| QuietHours {
            from_minute: self.minute(&hours.from),
            to_minute: self.minute(&hours.to),
            except: hours.except.unwrap_or(Severity::Critical),
        });
        let tlp_ceiling = raw.tlp_ceiling.as_ref().map_or(Some(Tlp::Amber), |t| self.parse(t)).unwrap_or(Tlp::Clear);
        let scanners = self.prefixes(&raw.scanners);
        let contacts: Vec<Contact> =
            raw.contacts.iter().map(|c| Contact { name: c.name.clone(), mail: self.mail_address(&c.mail) }).collect();
        let mut channels = self.channels(raw.mail, raw.webhook, raw.syslog);
        if channels.is_empty() && !contacts.is_empty() {
            let to = contacts.iter().map(|c| c.mail.clone()).collect();
            channels.push(Channel { name: "mail".into(), severity_min: Severity::Info, target: Target::Mail { to } });
        }
        if channels.is_empty() {
            self.problem(at, format!("member \"{}\" has no contacts and no channels", raw.id.get_ref().escape_debug()));
        }
        Member {
            id: MemberId(raw.id.into_inner()),
            name: raw.name,
            prefixes,
            dark,
            asns: raw.asns,
            scanners,
            contacts,
            language,
            time_zone,
            quiet_hours,
            tlp_ceiling,
            channels,
        }
    }

    fn channels(
        &mut self,
        mails: Vec<Spanned<RawMail>>,
        webhooks: Vec<Spanned<RawWebhook>>,
        syslogs: Vec<Spanned<RawSyslog>>,
    ) -> Vec<Channel> {
        let mut found: Vec<(usize, Channel)> = Vec::new();
        for raw in mails {
            let at = raw.span().start;
            let raw = raw.into_inner();
            if raw.to.is_empty() {
                self.problem(at, "a mail channel needs at least one address in \"to\"".into());
            }
            let target = Target::Mail { to: raw.to.iter().map(|t| self.mail_address(t)).collect() };
            found.push((at, channel(raw.name, "mail", raw.severity_min, target)));
        }
        for raw in webhooks {
            let at = raw.span().start;
            let raw = raw.into_inner();
            let url = raw.url.get_ref();
            let plain = url.len() <= 2_000 && url.chars().all(|c| c.is_ascii_graphic());
            if !(plain && (url.starts_with("https://") || url.starts_with("http://"))) {
                self.problem(raw.url.span().start, format!("\"{}\" is not an https URL", url.escape_debug()));
            }
            let shape = raw.shape.unwrap_or(WebhookShape::Noroshi);
            let target = Target::Webhook { url: raw.url.into_inner(), secret: raw.secret, shape };
            found.push((at, channel(raw.name, "webhook", raw.severity_min, target)));
        }
        for raw in syslogs {
            let at = raw.span().start;
            let raw = raw.into_inner();
            let port = raw.address.get_ref().rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none() {
                let text = raw.address.get_ref().escape_debug().to_string();
                self.problem(raw.address.span().start, format!("\"{text}\" is not host:port"));
            }
            let transport = raw.transport.unwrap_or(SyslogTransport::Udp);
            let target = Target::Syslog { address: raw.address.into_inner(), transport };
            found.push((at, channel(raw.name, "syslog", raw.severity_min, target)));
        }
        found.sort_by_key(|(at, _)| *at);
        let mut names = BTreeSet::new();
        for (at, channel) in &found {
            if !MemberId::is_valid(&channel.name) {
                let hint = "a channel's name has lower-case letters, digits and hyphens, at most 63";
                self.problem(*at, format!("\"{}\": {hint}", channel.name.escape_debug()));
            } else if !names.insert(channel.name.clone()) {
                let name = &channel.name;
                self.problem(*at, format!("channel \"{name}\" stands there twice; give one of them a \"name\""));
            }
        }
        found.into_iter().map(|(_, channel)| channel).collect()
    }
}

fn channel(name: Option<String>, default: &str, severity_min: Option<Severity>, target: Target) -> Channel {
    Channel {
        name: name.unwrap_or_else(|| default.to_owned()),
        severity_min: severity_min.unwrap_or(Severity::Info),
        target,
    }
}
