//! Values that TOML accepts and a world does not.

use super::*;

/// The longest world: a year. Segments are kept per minute of background.
const MINUTES_MAX: u64 = 366 * 1440;
/// The largest number of things one section may plant, of sources in one thing, of tests.
const COUNT_MAX: u64 = 10_000;
const MEMBERS_MAX: u64 = 1_000_000;
/// IPv6 prefixes longer than this have no subnets to choose hosts in.
const V6_LENGTH_MAX: u8 = 64;

struct Check<'a> {
    file: &'a str,
    scenario: &'a Scenario,
    percent: f64,
}

type Checked = Result<(), ScenarioError>;

pub(super) fn check(file: &str, scenario: &Scenario) -> Checked {
    let mut check = Check { file, scenario, percent: 0.0 };
    check.world()?;
    check.sources()?;
    check.attacks()?;
    if check.percent > 100.0 {
        return check.refuse("sum of all percent", check.percent, "at most 100");
    }
    if scenario.background.is_empty() && check.percent == 0.0 {
        return check.refuse("background", "absent", "there when nothing else sends packets");
    }
    Ok(())
}

impl Check<'_> {
    fn refuse(&self, key: impl ToString, value: impl ToString, allowed: impl ToString) -> Checked {
        Err(ScenarioError::Value {
            file: self.file.to_owned(),
            key: key.to_string(),
            value: value.to_string(),
            allowed: allowed.to_string(),
        })
    }

    fn world(&self) -> Checked {
        let scenario = self.scenario;
        self.number("minutes", scenario.minutes, 1, MINUTES_MAX)?;
        if scenario.start.0 < 0 || scenario.start.seconds() > 4_000_000_000 {
            return self.refuse(
                "start",
                scenario.start.rfc3339(),
                "between 1970 and 2096, the times that a pcap holds",
            );
        }
        if scenario.monitored.is_empty() {
            return self.refuse("monitored", "empty", "a list of prefixes such as [\"198.18.0.0/16\"]");
        }
        for (i, prefix) in scenario.monitored.iter().enumerate() {
            if !prefix.first().is_v4() && prefix.length() > V6_LENGTH_MAX {
                return self.refuse("monitored", prefix, "no IPv6 prefix longer than /64");
            }
            if prefix.first().is_v4() && prefix.length() == 0 {
                return self.refuse("monitored", prefix, "smaller than the whole Internet");
            }
            for other in &scenario.monitored[..i] {
                if other.contains(prefix.first()) || prefix.contains(other.first()) {
                    return self.refuse("monitored", prefix, format!("apart from {other}"));
                }
            }
        }
        for member in &scenario.member {
            if !member.prefix.first().is_v4() || member.prefix.length() > 30 {
                return self.refuse("member.prefix", member.prefix, "an IPv4 prefix of /30 or shorter");
            }
        }
        Ok(())
    }

    fn sources(&mut self) -> Checked {
        let scenario = self.scenario;
        for b in &scenario.background {
            self.ip("background.ip", b.ip, &[])?;
            self.number("background.weight", b.weight, 1, 1_000_000)?;
            self.number("background.sources_per_1000", b.sources_per_1000, 1, 1000)?;
            let parts = b.mix.syn + b.mix.udp + b.mix.echo + b.mix.stray + b.mix.backscatter;
            self.number("sum of background.mix", parts, 1, 1_000_000)?;
            self.number("sum of background.tools", b.tools.iter().map(|(_, part)| *part).sum(), 1, 1_000_000)?;
            self.ports("background.ports", &b.ports)?;
        }
        for c in &scenario.campaign {
            self.planted("campaign", c.count, c.percent)?;
            self.ip("campaign.tools", c.ip, &c.tools)?;
            self.ports("campaign.ports", &c.ports)?;
            self.range("campaign.members", c.members, 2, MEMBERS_MAX)?;
            self.length("campaign.minutes", c.minutes)?;
        }
        for g in &scenario.group {
            self.planted("group", g.count, g.percent)?;
            self.ip("group.tools", g.ip, &g.tools)?;
            self.ports("group.ports", &g.ports)?;
            self.range("group.members", g.members, 2, MEMBERS_MAX)?;
            self.range("group.apart_minutes", g.apart_minutes, 1, MINUTES_MAX)?;
            self.number("group.burst_seconds", g.burst_seconds, 1, 3600)?;
        }
        for s in &scenario.scan {
            self.planted("scan", s.count, s.percent)?;
            self.ip("scan.tools", s.ip, &s.tools)?;
            self.ports("scan.ports", &s.ports)?;
            self.number("scan.ports_each", s.ports_each, 1, 65_535)?;
            self.length("scan.minutes", s.minutes)?;
        }
        for r in &scenario.research {
            self.planted("research", 1, r.percent)?;
            self.ip("research.tool", r.ip, &[r.tool])?;
            self.ports("research.ports", &r.ports)?;
            self.number("research.sources", r.sources, 1, 254)?;
        }
        for i in &scenario.infection {
            self.planted("infection", i.hosts, i.percent)?;
            self.ip("infection.tool", IpVersion::V4, &[i.tool])?;
            self.ports("infection.ports", &i.ports)?;
            self.member("infection.member", Some(&i.member))?;
            self.length("infection.minutes", i.minutes)?;
        }
        Ok(())
    }

    fn attacks(&mut self) -> Checked {
        let scenario = self.scenario;
        for b in &scenario.backscatter {
            self.planted("backscatter", b.count, b.percent)?;
            self.ip("backscatter.ip", b.ip, &[])?;
            self.some("backscatter.floods", b.floods.len())?;
            self.length("backscatter.minutes", b.minutes)?;
            self.member("backscatter.member", b.member.as_deref())?;
            self.tests("backscatter.tests", b.tests.as_ref(), b.minutes)?;
        }
        for a in &scenario.amplification {
            self.planted("amplification", a.count, a.percent)?;
            self.ip("amplification.ip", a.ip, &[])?;
            self.some("amplification.vectors", a.vectors.len())?;
            self.number("amplification.vectors_each", a.vectors_each, 1, a.vectors.len() as u64)?;
            self.range("amplification.reflectors", a.reflectors, 1, MEMBERS_MAX)?;
            self.length("amplification.minutes", a.minutes)?;
            self.member("amplification.member", a.member.as_deref())?;
            self.tests("amplification.tests", a.tests.as_ref(), a.minutes)?;
        }
        for c in &scenario.carpet {
            self.planted("carpet", c.count, c.percent)?;
            self.ip("carpet", IpVersion::V4, &[])?;
            self.some("carpet.vectors or carpet.floods", c.vectors.len() + c.floods.len())?;
            self.number("carpet.prefix_length", c.prefix_length.into(), 22, 24)?;
            self.range("carpet.victims", c.victims, 2, (1 << (32 - c.prefix_length.clamp(22, 24))) - 2)?;
            self.range("carpet.reflectors", c.reflectors, 1, MEMBERS_MAX)?;
            self.length("carpet.minutes", c.minutes)?;
        }
        for s in &scenario.sweep {
            self.planted("sweep", s.count, s.percent)?;
            self.ip("sweep.ip", s.ip, &[])?;
            self.some("sweep.vectors", s.vectors.len())?;
            self.length("sweep.minutes", s.minutes)?;
        }
        Ok(())
    }

    fn number(&self, key: &str, value: u64, low: u64, high: u64) -> Checked {
        if (low..=high).contains(&value) {
            Ok(())
        } else {
            self.refuse(key, value, format!("between {low} and {high}"))
        }
    }

    fn range(&self, key: &str, [low, high]: Range, least: u64, most: u64) -> Checked {
        if least <= low && low <= high && high <= most {
            return Ok(());
        }
        let allowed = format!("[smallest, largest] with {least} <= smallest <= largest <= {most}");
        self.refuse(key, format!("[{low}, {high}]"), allowed)
    }

    fn length(&self, key: &str, range: Range) -> Checked {
        self.range(key, range, 1, self.scenario.minutes)
    }

    fn some(&self, key: &str, count: usize) -> Checked {
        if count > 0 { Ok(()) } else { self.refuse(key, "empty", "a list of at least one") }
    }

    fn planted(&mut self, section: &str, count: u64, percent: f64) -> Checked {
        self.number(&format!("{section}.count"), count, 1, COUNT_MAX)?;
        if !(percent > 0.0 && percent <= 100.0) {
            return self.refuse(format!("{section}.percent"), percent, "above 0 and at most 100");
        }
        self.percent += percent;
        Ok(())
    }

    fn ip(&self, key: &str, ip: IpVersion, tools: &[Variant]) -> Checked {
        let monitored = self.scenario.monitored.iter().any(|prefix| prefix.first().is_v4() != ip.is_v6());
        if !monitored {
            let version = if ip.is_v6() { "an IPv6" } else { "an IPv4" };
            return self.refuse("monitored", "without one", format!("with {version} prefix, because of {key}"));
        }
        if !key.ends_with(".ip") && key.contains(".tool") && tools.is_empty() {
            return self.refuse(key, "empty", "a list of at least one");
        }
        match tools.iter().find(|tool| ip.is_v6() && !tool.speaks_ipv6()) {
            Some(tool) => self.refuse(key, tool.name(), "a tool that scans IPv6"),
            None => Ok(()),
        }
    }

    fn ports(&self, key: &str, ports: &Ports) -> Checked {
        match ports {
            Ports::List(list) if list.is_empty() || list.contains(&0) => self.refuse(
                key,
                format!("{list:?}"),
                "a list of ports from 1 to 65535, \"popular\", \"any\" or \"all\"",
            ),
            _ => Ok(()),
        }
    }

    fn member(&self, key: &str, name: Option<&str>) -> Checked {
        match name {
            Some(name) if !self.scenario.member.iter().any(|member| member.name == name) => {
                let known: Vec<_> = self.scenario.member.iter().map(|member| member.name.as_str()).collect();
                self.refuse(
                    key,
                    format!("\"{name}\""),
                    format!("the name of a [[member]] (there: {})", known.join(", ")),
                )
            }
            _ => Ok(()),
        }
    }

    fn tests(&self, key: &str, tests: Option<&Tests>, minutes: Range) -> Checked {
        let Some(tests) = tests else { return Ok(()) };
        self.number(&format!("{key}.before_percent"), tests.before_percent, 0, 100)?;
        self.range(&format!("{key}.packets"), tests.packets, 1, 10_000)?;
        self.range(&format!("{key}.seconds"), tests.seconds, 1, 3600)?;
        self.number(&format!("{key}.abandoned"), tests.abandoned, 0, COUNT_MAX)?;
        self.number(&format!("{key}.lookalikes"), tests.lookalikes, 0, COUNT_MAX)?;
        let most = self.scenario.minutes.saturating_sub(minutes[1] + tests.seconds[1].div_ceil(60));
        self.range(&format!("{key}.lead_minutes"), tests.lead_minutes, 1, most)
    }
}
