//! Device personas, from TOML files: banner, prompt, file system, answers, architecture, uptime.
//!
//! A persona file is a template; [`Device::dress`] fills it in for one sensor from its secret seed, so that two sensors
//! of the same model share no host name, address, serial number, build or timing.

use crate::amplification::Persona;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What happens to visitors who fetch a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fetch {
    /// The other side never answers: visitors go on to their next way, so that all of them are seen.
    #[default]
    TimesOut,
    /// The other side refuses.
    Refused,
    /// A file appears whose content is made up.
    Succeeds,
}

/// A user name and password that opens the door.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Credential(pub String, pub String);

/// A device as its TOML file describes it; texts may hold `{host}`, `{mac}`, `{serial}`, `{build}`. What a model is
/// recognised by may be several things, parted by ` | `: each sensor has one of them.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Short name of the persona.
    pub name: String,
    /// Architecture as `uname -m` says it.
    pub machine: String,
    /// ELF: 32 or 64.
    pub bits: u8,
    /// ELF: byte order.
    pub big_endian: bool,
    /// ELF: machine number.
    pub elf_machine: u16,
    /// Kernel release.
    pub release: String,
    /// Kernel version, as in `uname -v`.
    pub version: String,
    /// First line of BusyBox.
    pub busybox: String,
    /// Sent before the login prompt.
    pub banner: String,
    /// Login prompt.
    pub login: String,
    /// Password prompt.
    pub password: String,
    /// Said after a wrong password.
    pub refused: String,
    /// Said after a right one.
    pub welcome: String,
    /// Shell prompt.
    pub prompt: String,
    /// What the shell calls itself in errors.
    pub shell: String,
    /// SSH identification, without `SSH-2.0-`: of software that offers the key and algorithms of our library.
    pub ssh: String,
    /// HTTP `Server` header.
    pub http_server: String,
    /// HTTP page title, and realm of its login.
    pub http_title: String,
    /// Credentials that open the door at once.
    pub credentials: Vec<Credential>,
    /// What happens to fetches.
    #[serde(default)]
    pub fetch: Fetch,
    /// Processes, one line of `ps` each.
    pub processes: Vec<String>,
    /// Applets that are missing on this device.
    #[serde(default)]
    pub without: Vec<String>,
    /// Files and their content; a name that ends in `/` is a directory.
    pub files: BTreeMap<String, String>,
}

/// The personas that come with the program.
const SHIPPED: [(&str, &str); 3] = [
    ("router", include_str!("personas/router.toml")),
    ("camera", include_str!("personas/camera.toml")),
    ("recorder", include_str!("personas/recorder.toml")),
];

/// A persona that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The file is not a persona.
    #[error("persona: {0}")]
    Toml(#[from] toml::de::Error),
    /// No such persona ships.
    #[error("no persona is called \"{0}\"; there are: router, camera, recorder, or give a file")]
    Unknown(String),
}

impl Device {
    /// Reads a persona file.
    pub fn parse(text: &str) -> Result<Self, DeviceError> {
        Ok(toml::from_str(text)?)
    }

    /// A persona that ships with the program.
    pub fn shipped(name: &str) -> Result<Self, DeviceError> {
        let found = SHIPPED.iter().find(|(known, _)| *known == name);
        let (_, text) = found.ok_or_else(|| DeviceError::Unknown(name.to_owned()))?;
        Self::parse(text)
    }

    /// Names of the personas that ship.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// The device of one sensor.
    pub fn dress(mut self, persona: &Persona) -> Arc<Dressed> {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let build = format!(
            "{} {:>2} {:02}:{:02}:{:02} {} {}",
            persona.pick("build.month", &months),
            persona.between("build.day", 1, 29),
            persona.between("build.hour", 8, 21),
            persona.between("build.minute", 0, 60),
            persona.between("build.second", 0, 60),
            persona.pick("build.zone", &["CST", "UTC", "KST", "CST"]),
            persona.between("build.year", 2012, 2020),
        );
        let marks = [
            ("{host}", persona.host()),
            ("{mac}", persona.mac()),
            (
                "{serial}",
                format!("{:08X}{:04}", persona.number("serial") as u32, persona.between("serial.tail", 0, 10_000)),
            ),
            ("{build}", build),
        ];
        let fill = |text: &mut String| {
            for (mark, value) in &marks {
                *text = text.replace(mark, value);
            }
        };
        for (what, text) in
            [("ssh", &mut self.ssh), ("http.server", &mut self.http_server), ("http.title", &mut self.http_title)]
        {
            let choices: Vec<&str> = text.split(" | ").collect();
            *text = persona.pick(what, &choices).to_owned();
        }
        let texts = [
            &mut self.version,
            &mut self.busybox,
            &mut self.banner,
            &mut self.login,
            &mut self.welcome,
            &mut self.prompt,
            &mut self.http_title,
        ];
        texts.into_iter().for_each(fill);
        self.processes.iter_mut().for_each(fill);
        self.files.values_mut().for_each(fill);
        let host = marks[0].1.clone();
        let base = super::files::base(&self, &host);
        Arc::new(Dressed { device: self, host, persona: persona.clone(), base: Arc::new(base) })
    }
}

/// A device of one sensor: the template filled in, and its file system.
#[derive(Debug)]
pub struct Dressed {
    /// The persona.
    pub device: Device,
    /// Host name.
    pub host: String,
    /// Where its numbers come from.
    pub persona: Persona,
    /// Files of a fresh device, shared by all dialogues.
    pub base: Arc<super::files::Tree>,
}

/// Times that a visitor can measure, drawn for each sensor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timing {
    /// Milliseconds until a wrong password is refused.
    pub refusal: u32,
    /// Percent of the limit after which silence ends a dialogue.
    pub idle_percent: u32,
    /// Percent of the limit after which any dialogue ends.
    pub end_percent: u32,
}

impl Dressed {
    /// Its times.
    pub fn timing(&self) -> Timing {
        let number = |what: &str, low, high| self.persona.between(what, low, high) as u32;
        Timing {
            refusal: number("time.refusal", 700, 3_200),
            idle_percent: number("time.idle", 60, 101),
            end_percent: number("time.end", 60, 101),
        }
    }

    /// Whether a login opens the door: its credentials at once, any other from the third or fourth try on, as weak
    /// devices with unknown passwords would seem to a guesser; which of the two is the sensor's own.
    pub fn accepts(&self, user: &str, password: &str, tried: usize) -> bool {
        let known = self.device.credentials.iter().any(|pair| pair.0 == user && pair.1 == password);
        known || tried as u64 > self.persona.between("login.patience", 2, 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_personas_parse_and_differ_per_sensor() {
        for name in Device::names() {
            let hosts: std::collections::HashSet<_> = (0..20)
                .map(|seed| {
                    let dressed = Device::shipped(name).unwrap().dress(&Persona::new(seed));
                    assert!(!format!("{:?}", dressed.device).contains("{host}"), "{name}");
                    (dressed.host.clone(), dressed.device.busybox.clone())
                })
                .collect();
            assert_eq!(hosts.len(), 20, "{name}");
        }
        assert!(Device::shipped("toaster").unwrap_err().to_string().contains("recorder"));
    }
}
