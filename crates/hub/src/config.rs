//! The hub's configuration. Defaults are safe: loopback only.

use crate::HubError;
use noroshi_ingest::worker::WorkerCommand;
use noroshi_model::policy::{Policy, nearest};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where sensors connect unless told otherwise.
pub const SENSOR_LISTEN: &str = "127.0.0.1:7443";
/// Where people connect unless told otherwise; any free port when this one is taken.
pub const PORTAL_LISTEN: &str = "127.0.0.1:7480";
/// Where programs ask the lake in SQL unless told otherwise; any free port when this one is taken.
pub const FLIGHT_SQL_LISTEN: &str = "127.0.0.1:7481";

/// Configuration of a hub, as read from a file.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder for everything the hub keeps.
    pub data: PathBuf,
    /// Address and port for sensors. Default 127.0.0.1:7443; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Loopback address and port for people. Default 127.0.0.1:7480; port 0 takes any free one.
    pub portal: SocketAddr,
    /// Loopback address and port for Flight SQL. Default 127.0.0.1:7481; port 0 takes any free one.
    pub flight_sql: SocketAddr,
    /// HOST:PORT that goes into invitations, where it differs from `listen` (NAT, another name).
    pub advertise: Option<String>,
    /// Policy requested of sensors that enrol from now on.
    pub default_policy: Policy,
    /// Whether journal rows move into the lake. Off only for tests that read the journal.
    pub lake: bool,
    /// Where the lake is, when not in `data`: `s3://BUCKET/PREFIX`, or a folder.
    pub lake_at: Option<PathBuf>,
    /// Worker processes that look at what sensors send; 0 looks in the hub's own process.
    pub workers: usize,
    /// Who is warned, and how messages leave.
    pub warning: crate::live::Settings,
    /// How to start such a worker; the program itself when not set.
    #[serde(skip)]
    pub worker_command: Option<WorkerCommand>,
}

/// First bytes of payload that new sensors are asked to keep: enough for request lines and protocol greetings.
const DEFAULT_PAYLOAD_BYTES: u16 = 256;
/// Spool that new sensors are asked to keep: a day at about 10,000 packets a second.
const DEFAULT_SPOOL_BYTES: u64 = 4 << 30;

impl Default for Config {
    fn default() -> Self {
        Config {
            data: default_folder(),
            listen: SENSOR_LISTEN.parse().expect("a constant"),
            portal: PORTAL_LISTEN.parse().expect("a constant"),
            flight_sql: FLIGHT_SQL_LISTEN.parse().expect("a constant"),
            advertise: None,
            default_policy: Policy {
                payload_bytes: DEFAULT_PAYLOAD_BYTES,
                spool_bytes: DEFAULT_SPOOL_BYTES,
                ..Policy::default()
            },
            lake: true,
            lake_at: None,
            workers: 2,
            warning: crate::live::Settings::default(),
            worker_command: None,
        }
    }
}

/// `$XDG_DATA_HOME/noroshi`, or `~/.local/share/noroshi`.
pub fn default_folder() -> PathBuf {
    let home = |name: &str, tail: &str| std::env::var_os(name).map(|dir| Path::new(&dir).join(tail));
    home("XDG_DATA_HOME", "noroshi")
        .or_else(|| home("HOME", ".local/share/noroshi"))
        .unwrap_or_else(|| "noroshi-data".into())
}

impl Config {
    /// Defaults, with this folder.
    pub fn in_folder(data: PathBuf) -> Self {
        Config { data, ..Config::default() }
    }

    /// Reads a TOML file; unknown keys are refused with a suggestion.
    pub fn read(path: &Path) -> Result<Self, HubError> {
        let refused = |text: String| HubError::Config { path: path.to_owned(), text };
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(refused("there is no such file; one line is enough: data = \"FOLDER\"".to_owned()));
            }
            read => read.map_err(HubError::io(path, "read"))?,
        };
        let table: toml::Table = toml::from_str(&text).map_err(|error| refused(error.to_string()))?;
        const KEYS: &[&str] = &[
            "data",
            "listen",
            "portal",
            "flight_sql",
            "advertise",
            "default_policy",
            "lake",
            "lake_at",
            "workers",
            "warning",
        ];
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let near = nearest(key, KEYS).map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
            return Err(refused(format!("\"{key}\" is not a setting{near} (settings: {})", KEYS.join(", "))));
        }
        let mut config: Config = toml::from_str(&text).map_err(|error| refused(error.to_string()))?;
        config.warning = config.warning.beside(path.parent().unwrap_or(Path::new(".")));
        config.default_policy.check()?;
        Ok(config)
    }

    /// Socket over which `noroshi fleet` speaks to the running hub.
    pub fn admin_socket(&self) -> PathBuf {
        self.data.join("admin.sock")
    }
}
