//! How `noroshi fleet` and `noroshi doctor` speak to the running hub: one JSON line there, one back, over a socket in
//! the data folder that only its owner can open.

use crate::fleet::{Changed, SensorDetail, SensorView};
use crate::rollout::RollOut;
use crate::state::Silence;
use crate::{Context, HubError};
use noroshi_store::journal::StreamAccount;
use noroshi_wire::SensorName;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Longest line.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// An invitation.
    Token {
        /// For this sensor.
        name: SensorName,
        /// HOST:PORT in it, where the hub's own is not right.
        hub: Option<String>,
    },
    /// Every sensor.
    List,
    /// One sensor.
    Show {
        /// Its name.
        name: String,
    },
    /// Change a policy.
    Set {
        /// The sensor.
        name: String,
        /// `key=value`, at least one.
        assignments: Vec<String>,
    },
    /// Change the policy of a group, a few sensors first.
    RollOut {
        /// `@TAG` or `@all`.
        target: String,
        /// `key=value`, at least one.
        assignments: Vec<String>,
        /// How many first.
        canaries: usize,
    },
    /// Put a sensor into a group, or take it out.
    Tag {
        /// The sensor.
        name: String,
        /// The group.
        tag: String,
        /// In or out.
        on: bool,
    },
    /// Request an earlier policy again.
    Rollback {
        /// The sensor.
        name: String,
        /// Which; the one before the newest when not given.
        revision: Option<u64>,
    },
    /// Cut a sensor off for good.
    Revoke {
        /// The sensor.
        name: String,
    },
    /// Cut a sensor off and remove everything that came from it.
    Forget {
        /// The sensor.
        name: String,
    },
    /// Is all well?
    Doctor,
}

/// The answer to [`Ask::Token`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The line to paste, without the program's name.
    pub line: String,
    /// Seconds it is good for.
    pub lifetime_seconds: u64,
}

/// The answer to [`Ask::Doctor`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    /// Where sensors connect.
    pub sensor_address: String,
    /// The account of each stream.
    pub streams: Vec<Account>,
    /// Batches waiting to be moved into the lake.
    pub backlog_batches: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
    /// Every sensor.
    pub sensors: Vec<SensorView>,
    /// Sensors that fell silent, open ones first, the latest hundred.
    #[serde(default)]
    pub silences: Vec<Silence>,
}

/// Conservation of one stream: produced = stored + declared lost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The sensor.
    pub sensor: String,
    /// Its spool.
    pub epoch: String,
    /// Records numbered.
    pub produced: u64,
    /// Records stored.
    pub stored: u64,
    /// Records declared lost.
    pub lost: u64,
    /// Whether it balances.
    pub balances: bool,
}

impl From<StreamAccount> for Account {
    fn from(account: StreamAccount) -> Self {
        let balances = account.balances();
        let StreamAccount { sensor, epoch, produced, stored, lost } = account;
        Account { sensor, epoch, produced, stored, lost, balances }
    }
}

/// Answers until the hub stops.
pub(crate) async fn serve(context: Context, path: &Path) -> Result<(), HubError> {
    drop(std::fs::remove_file(path));
    let listener =
        UnixListener::bind(path).map_err(HubError::io(path, "listen (a socket path has at most 107 bytes)"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(HubError::io(path, "protect"))?;
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = context.stop.cancelled() => return,
            };
            if let Ok((stream, _)) = accepted {
                let context = context.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &context).await {
                        tracing::debug!(%error, "admin connection ended");
                    }
                });
            }
        }
    });
    Ok(())
}

async fn answer(mut stream: UnixStream, context: &Context) -> std::io::Result<()> {
    let mut line = String::new();
    let (read, mut write) = stream.split();
    BufReader::new(read.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    let outcome: Result<serde_json::Value, String> = match serde_json::from_str(&line) {
        Ok(ask) => decide(ask, context).await.map_err(|error| error.to_string()),
        Err(error) => Err(format!("the running hub does not understand this ({error}); is it another version?")),
    };
    let mut reply = serde_json::to_vec(&outcome)?;
    reply.push(b'\n');
    write.write_all(&reply).await
}

async fn decide(ask: Ask, context: &Context) -> Result<serde_json::Value, HubError> {
    let fleet = &context.fleet;
    Ok(match ask {
        Ask::Token { name, hub } => {
            let hub = hub.or_else(|| context.config.advertise.clone());
            let hub = hub.unwrap_or_else(|| context.sensor_address.to_string());
            let line = fleet.token(&name, &hub).await?.to_string();
            json(TokenAnswer { line, lifetime_seconds: crate::fleet::TOKEN_LIFETIME.as_secs() })
        }
        Ask::List => json(fleet.list().await?),
        Ask::Show { name } => json(fleet.show(&name).await?),
        Ask::Set { name, assignments } => json(fleet.set(&name, &assignments).await?),
        Ask::RollOut { target, assignments, canaries } => json(fleet.roll_out(&target, &assignments, canaries).await?),
        Ask::Tag { name, tag, on } => json(fleet.tag(&name, &tag, on).await?),
        Ask::Rollback { name, revision } => json(fleet.rollback(&name, revision).await?),
        Ask::Revoke { name } => json(fleet.revoke(&name).await?),
        Ask::Forget { name } => json(crate::portal::forget(context, &name).await?),
        Ask::Doctor => {
            let (backlog_batches, backlog_bytes) = context.journal.backlog().await?;
            json(Health {
                sensor_address: context.sensor_address.to_string(),
                streams: context.journal.conservation().await?.into_iter().map(Account::from).collect(),
                backlog_batches,
                backlog_bytes,
                sensors: fleet.list().await?,
                silences: fleet.silences(100).await?,
            })
        }
    })
}

fn json(value: impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("plain data")
}

/// The other end: asks the hub that runs on a data folder.
pub struct Client<'a>(
    /// The data folder.
    pub &'a Path,
);

impl Client<'_> {
    async fn ask<T: serde::de::DeserializeOwned>(&self, ask: Ask) -> Result<T, HubError> {
        let path = self.0.join("admin.sock");
        let not_running = |_| HubError::NotRunning(self.0.to_owned());
        let mut stream = UnixStream::connect(&path).await.map_err(not_running)?;
        let mut line = serde_json::to_vec(&ask).expect("plain data");
        line.push(b'\n');
        stream.write_all(&line).await.map_err(HubError::io(&path, "ask"))?;
        let mut reply = Vec::new();
        stream.take(LINE_BYTES_MAX).read_to_end(&mut reply).await.map_err(HubError::io(&path, "read the answer"))?;
        let malformed = |_| HubError::Answer("the running hub answers in another version's form".into());
        let reply: Result<serde_json::Value, String> = serde_json::from_slice(&reply).map_err(malformed)?;
        serde_json::from_value(reply.map_err(HubError::Answer)?).map_err(malformed)
    }

    /// An invitation.
    pub async fn token(&self, name: SensorName, hub: Option<String>) -> Result<TokenAnswer, HubError> {
        self.ask(Ask::Token { name, hub }).await
    }

    /// Every sensor.
    pub async fn list(&self) -> Result<Vec<SensorView>, HubError> {
        self.ask(Ask::List).await
    }

    /// One sensor.
    pub async fn show(&self, name: String) -> Result<SensorDetail, HubError> {
        self.ask(Ask::Show { name }).await
    }

    /// Changes a policy.
    pub async fn set(&self, name: String, assignments: Vec<String>) -> Result<Changed, HubError> {
        self.ask(Ask::Set { name, assignments }).await
    }

    /// Changes the policy of a group, a few sensors first.
    pub async fn roll_out(
        &self,
        target: String,
        assignments: Vec<String>,
        canaries: usize,
    ) -> Result<RollOut, HubError> {
        self.ask(Ask::RollOut { target, assignments, canaries }).await
    }

    /// Puts a sensor into a group, or takes it out.
    pub async fn tag(&self, name: String, tag: String, on: bool) -> Result<(), HubError> {
        self.ask(Ask::Tag { name, tag, on }).await
    }

    /// Requests an earlier policy again.
    pub async fn rollback(&self, name: String, revision: Option<u64>) -> Result<Changed, HubError> {
        self.ask(Ask::Rollback { name, revision }).await
    }

    /// Cuts a sensor off; the answer is how many connections were cut.
    pub async fn revoke(&self, name: String) -> Result<usize, HubError> {
        self.ask(Ask::Revoke { name }).await
    }

    /// Cuts a sensor off and removes everything that came from it.
    pub async fn forget(&self, name: String) -> Result<(), HubError> {
        self.ask(Ask::Forget { name }).await
    }

    /// Is all well?
    pub async fn doctor(&self) -> Result<Health, HubError> {
        self.ask(Ask::Doctor).await
    }
}
