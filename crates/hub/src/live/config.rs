//! Who is warned, and how messages leave: the section `[warning]` of the hub's configuration.
//!
//! ```
//! let text = r#"
//! [warning]
//! members = "members.toml"
//! smtp = "localhost:25"
//! from = "Noroshi <noroshi@example.org>"
//! "#;
//! let table: toml::Table = toml::from_str(text).unwrap();
//! let settings: noroshi_hub::live::Settings = table["warning"].clone().try_into().unwrap();
//! assert!(settings.mailbox.is_none());
//! ```

use crate::HubError;
use noroshi_alert::config::{self, Config as Members};
use noroshi_model::Prefix;
use noroshi_share::delivery::{SmtpSecurity, SmtpServer};
use noroshi_share::ticket::{Links, Tickets};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Members' file in the data folder, read when no other is named.
pub const MEMBERS: &str = "members.toml";
/// Journal bytes after which the detectors start anew, so that what they need after a crash stays bounded. About ten
/// million packets; larger: attacks are cut less often, a start after a crash takes longer.
const ERA_BYTES: u64 = 1 << 30;

/// A finding that has grown at all is told again after so many seconds. Larger: fewer rows in the lake.
const AGAIN_SECONDS: u32 = 60;

/// How the mail server is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// No protection: for a server on this machine.
    #[default]
    Plain,
    /// STARTTLS, required.
    Starttls,
    /// TLS from the first byte.
    Tls,
}

/// The section `[warning]`. Nothing in it is needed: without members nobody is told, without a mail server mails are
/// kept and not sent.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The members' file, relative to the configuration [default: members.toml in the data folder, when it is there].
    pub members: Option<PathBuf>,
    /// Mail server as host:port. User and password come from NOROSHI_SMTP_USER and NOROSHI_SMTP_PASSWORD.
    pub smtp: Option<String>,
    /// How it is reached: plain, starttls, tls.
    pub smtp_security: Security,
    /// Sender of mails.
    pub from: String,
    /// Folder that gets each mail as a file, instead of a mail server.
    pub mailbox: Option<PathBuf>,
    /// Public address of the portal, for links in messages.
    pub base: Option<String>,
    /// Name of the organisation that publishes.
    pub producer: String,
    /// Webhook receivers on this machine that may be reached without TLS.
    pub allow_webhooks: Vec<SocketAddr>,
    /// Observed space; also what no message may name [default: as the sensors' policies and the packets show].
    pub observed: Vec<Prefix>,
    /// Journal bytes after which the detectors start anew.
    pub era_bytes: u64,
    /// Seconds after which a finding that has grown a little is told to the lake again; one that doubled is at once.
    pub again_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            members: None,
            smtp: None,
            smtp_security: Security::Plain,
            from: "Noroshi <noroshi@localhost>".into(),
            mailbox: None,
            base: None,
            producer: "Noroshi".into(),
            allow_webhooks: Vec::new(),
            observed: Vec::new(),
            era_bytes: ERA_BYTES,
            again_seconds: AGAIN_SECONDS,
        }
    }
}

impl Settings {
    /// Paths that are relative to the configuration's folder, as they are.
    pub fn beside(mut self, folder: &Path) -> Self {
        self.members = self.members.map(|path| folder.join(path));
        self.mailbox = self.mailbox.map(|path| folder.join(path));
        self
    }

    /// The members; nobody when there is no file. `data` is the hub's data folder.
    pub fn read_members(&self, data: &Path) -> Result<Members, HubError> {
        let path = self.members.clone().unwrap_or_else(|| data.join(MEMBERS));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if self.members.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(HubError::io(&path, "read")(error)),
        };
        config::parse(&text).map_err(|error| HubError::Config { path, text: error.to_string() })
    }

    /// Where messages lead.
    pub fn links(&self, tickets: Tickets) -> Option<Links> {
        let base = self.base.as_deref()?.trim_end_matches('/').to_owned();
        Some(Links { base, tickets: Some(tickets) })
    }

    /// How people reach the portal: by its public name as well, and over https when that says so.
    pub fn door(&self) -> Result<noroshi_api::Settings, String> {
        let mut door = noroshi_api::Settings::default();
        if let Some(text) = &self.base {
            let wrong = || format!("warning.base: \"{text}\" is not an address such as https://noroshi.example.org");
            let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
            let authority = rest.split('/').next().unwrap_or_default();
            let host = match authority.rfind(':') {
                Some(at) if !authority.ends_with(']') => &authority[..at],
                _ => authority,
            };
            if host.is_empty() || !matches!(scheme, "http" | "https") {
                return Err(wrong());
            }
            door.https = scheme == "https";
            door.hosts.push(host.to_owned());
        }
        Ok(door)
    }

    /// The mail server.
    pub fn smtp_server(&self) -> Result<Option<SmtpServer>, String> {
        let Some(text) = &self.smtp else { return Ok(None) };
        let wrong = || format!("warning.smtp: \"{text}\" is not host:port, such as localhost:25");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let security = match self.smtp_security {
            Security::Plain => SmtpSecurity::Plain,
            Security::Starttls => SmtpSecurity::StartTls,
            Security::Tls => SmtpSecurity::Tls,
        };
        let login = match (std::env::var("NOROSHI_SMTP_USER"), std::env::var("NOROSHI_SMTP_PASSWORD")) {
            (Ok(user), Ok(password)) => Some((user, password)),
            _ => None,
        };
        Ok(Some(SmtpServer { host: host.to_owned(), port: port.parse().map_err(|_| wrong())?, security, login }))
    }
}
