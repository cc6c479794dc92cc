//! Start and stop of a hub.

use crate::endpoint::Endpoint;
use crate::services::{Context, Service};
use crate::state::State;
use crate::{Config, Fleet, HubError, admin, fleet};
use noroshi_ingest::Ingest;
use noroshi_ingest::worker::{WorkerCommand, Workers};
use noroshi_store::{Enrich, Journal, Lake, Origin};
use noroshi_wire::Authority;
use noroshi_wire::server::Connections;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Services and calls under way get this long to finish after a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Argument with which the program starts itself as a worker.
pub const WORKER_ARGUMENT: &str = "--check-worker";

/// A running hub.
pub struct Hub {
    context: Context,
    notices: mpsc::UnboundedReceiver<String>,
    tasks: JoinSet<&'static str>,
    _lock: File,
}

impl Hub {
    /// Opens everything in the data folder and starts serving.
    pub async fn start(config: Config, services: Vec<Service>) -> Result<Hub, HubError> {
        noroshi_wire::raise_descriptors();
        let data = config.data.clone();
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&data);
        made.map_err(HubError::io(&data, "make the data folder"))?;
        let lock = lock(&data)?;
        let authority = authority(&data)?;
        let connections = Arc::new(Connections::default());
        let state = State::open(&data.join("hub.db")).await?;
        let fleet = Fleet::open(state, authority, connections.clone(), config.default_policy.clone()).await?;
        let fleet = Arc::new(fleet);
        let journal = Journal::open(data.join("journal.db")).await?;
        let lake = match config.lake {
            true => {
                let place = config.lake_at.clone().unwrap_or_else(|| data.join("lake"));
                Some(Lake::open_with(place, knowledge(&data.join("knowledge"))).await?)
            }
            false => None,
        };
        let listen = config.listen;
        let refused = |source| HubError::Listen { address: listen.to_string(), source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let sensor_address = listener.local_addr().map_err(refused)?;
        let (sender, notices) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let workers = match config.workers {
            0 => Workers::in_process(),
            count => Workers::new(worker_command(&config)?, count),
        };
        let endpoint = Endpoint {
            fleet: fleet.clone(),
            ingest: Arc::new(Ingest::new(journal.clone(), workers)),
            stop: stop.clone(),
        };
        let tls = noroshi_wire::tls::server(fleet.authority(), fleet::now())?;
        let config = Arc::new(config);
        let socket = config.admin_socket();
        let desk = crate::live::DeskDoor::new();
        let known = Arc::new(tokio::sync::Mutex::new(crate::cause::Known::new(&config.data)));
        let context = Context {
            config,
            fleet,
            journal,
            lake,
            desk,
            found: tokio::sync::watch::Sender::new(None),
            known,
            sensor_address,
            notices: sender,
            stop: stop.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            if let Err(error) = noroshi_wire::server::serve(listener, tls, Arc::new(endpoint), connections, stop).await
            {
                tracing::error!(%error, "the sensor endpoint failed");
            }
            "sensor endpoint"
        });
        for Service { name, start } in services {
            let running = start(context.clone());
            tasks.spawn(async move {
                if let Err(error) = running.await {
                    tracing::error!(service = name, %error, "a service failed");
                }
                name
            });
        }
        admin::serve(context.clone(), &socket).await?;
        Ok(Hub { context, notices, tasks, _lock: lock })
    }

    /// What services use.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The next line for the person who started the hub.
    pub async fn notice(&mut self) -> Option<String> {
        self.notices.recv().await
    }

    /// Stops: sensors are told to come back, what came in is finished, services end.
    pub async fn stop(mut self) {
        self.context.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
            tracing::warn!("not everything finished in time; nothing acknowledged is lost");
        }
        if let Err(error) = self.context.fleet.save_reports().await {
            tracing::warn!(%error, "the last reports are not saved");
        }
        drop(std::fs::remove_file(self.context.config.admin_socket()));
    }
}

/// What the tables in the data folder tell of addresses. A table that does not read is told of, and missed.
fn knowledge(folder: &Path) -> Enrich {
    if !folder.is_dir() {
        return Enrich::none();
    }
    match noroshi_enrich::Knowledge::open(folder) {
        Ok(knowledge) => Enrich::new(move |addr| {
            let (country, asn) = knowledge.country_and_asn(addr, noroshi_model::Nanos(fleet::nanos(fleet::now())));
            Origin { country: country.map(noroshi_enrich::Country::bytes), asn }
        }),
        Err(error) => {
            tracing::warn!(%error, "countries and networks are not known");
            Enrich::none()
        }
    }
}

fn lock(data: &Path) -> Result<File, HubError> {
    let path = data.join("lock");
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(HubError::io(&path, "open"))?;
    file.try_lock().map_err(|_| HubError::InUse(data.to_owned()))?;
    Ok(file)
}

fn worker_command(config: &Config) -> Result<WorkerCommand, HubError> {
    if let Some(command) = &config.worker_command {
        return Ok(command.clone());
    }
    let program = std::env::current_exe().map_err(HubError::io("noroshi", "find this program"))?;
    Ok(WorkerCommand { program, arguments: vec!["hub".into(), WORKER_ARGUMENT.into()] })
}

/// The hub's authority, made on first start. Key first, then certificate: a certificate without its key would be
/// useless, a key without a certificate is made anew.
fn authority(data: &Path) -> Result<Authority, HubError> {
    let (key_path, certificate_path) = (data.join("authority.key"), data.join("authority.der"));
    match std::fs::read(&certificate_path) {
        Ok(certificate) => {
            let key = std::fs::read(&key_path).map_err(HubError::io(&key_path, "read"))?;
            Ok(Authority::load(certificate, &key)?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let authority = Authority::create(fleet::now())?;
            write_private(&key_path, &authority.key_der())?;
            write_private(&certificate_path, authority.certificate())?;
            Ok(authority)
        }
        Err(error) => Err(HubError::io(&certificate_path, "read")(error)),
    }
}

pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), HubError> {
    let temporary = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(HubError::io(path, "write"))
}
