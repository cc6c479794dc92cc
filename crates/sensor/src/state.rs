//! The state folder: identity, pseudonym key, spool, replay progress. Readable by its owner only.

use crate::SensorError;
use crate::source::{Progress, ReplayPlan};
use noroshi_wire::{CaPin, SensorKey, SensorName};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Who this sensor is.
pub struct Identity {
    /// Its name.
    pub name: SensorName,
    /// Host and port of its hub.
    pub hub: String,
    /// What it recognises the hub by.
    pub pin: CaPin,
    /// Its key.
    pub key: SensorKey,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// End of the certificate's validity, seconds since 1970.
    pub not_after: i64,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct IdentityFile {
    name: SensorName,
    hub: String,
    pin: String,
    key: Vec<u8>,
    certificate: Vec<u8>,
    not_after: i64,
}

/// The state folder of one sensor.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Opens or makes the folder, for its owner only.
    pub fn open(path: &Path) -> Result<StateDir, SensorError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| SensorError::State { path: path.to_owned(), doing: "make the state folder", source })?;
        Ok(StateDir(path.to_owned()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the spool lies.
    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SensorError> {
        let (temporary, path) = (self.0.join(format!("{name}.new")), self.0.join(name));
        let write = || -> std::io::Result<()> {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            std::fs::File::open(&self.0)?.sync_all()
        };
        write().map_err(|source| SensorError::State { path: path.clone(), doing: "write", source })
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, SensorError> {
        let path = self.0.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SensorError::State { path, doing: "read", source }),
        }
    }

    fn damaged(&self, name: &str, what: &'static str) -> SensorError {
        SensorError::Damaged { path: self.0.join(name), what }
    }

    /// The identity, when enrolled.
    pub fn identity(&self) -> Result<Option<Identity>, SensorError> {
        const FILE: &str = "identity.json";
        let Some(bytes) = self.read(FILE)? else { return Ok(None) };
        let file: IdentityFile = serde_json::from_slice(&bytes).map_err(|_| self.damaged(FILE, "not an identity"))?;
        Ok(Some(Identity {
            name: file.name,
            hub: file.hub,
            pin: file.pin.parse()?,
            key: SensorKey::load(&file.key)?,
            certificate: file.certificate,
            not_after: file.not_after,
        }))
    }

    /// Keeps an identity.
    pub fn set_identity(&self, identity: &Identity) -> Result<(), SensorError> {
        let file = IdentityFile {
            name: identity.name.clone(),
            hub: identity.hub.clone(),
            pin: identity.pin.to_string(),
            key: identity.key.der(),
            certificate: identity.certificate.clone(),
            not_after: identity.not_after,
        };
        self.write("identity.json", &serde_json::to_vec(&file).expect("text and bytes"))
    }

    /// The key of an enrolment under way. It is kept before the hub is asked: when the answer is lost, asking again
    /// with the same key yields the same certificate instead of a used token.
    pub fn enrolment_key(&self) -> Result<SensorKey, SensorError> {
        const FILE: &str = "enrolment.key";
        if let Some(bytes) = self.read(FILE)? {
            return Ok(SensorKey::load(&bytes)?);
        }
        let key = SensorKey::generate()?;
        self.write(FILE, &key.der())?;
        Ok(key)
    }

    /// Ends an enrolment.
    pub fn forget_enrolment_key(&self) {
        drop(std::fs::remove_file(self.0.join("enrolment.key")));
    }

    /// Key for prefix-preserving pseudonyms, made on first use.
    pub fn pseudonym_key(&self) -> Result<[u8; 32], SensorError> {
        const FILE: &str = "pseudonym.key";
        if let Some(bytes) = self.read(FILE)? {
            return bytes.try_into().map_err(|_| self.damaged(FILE, "not 32 bytes"));
        }
        let mut key: [u8; 32] = rand::random();
        key[0] = !key[16]; // both halves must differ
        self.write(FILE, &key)?;
        Ok(key)
    }

    /// Seed of what lures pretend, made on first use and kept, so that the sensor stays the same device.
    pub fn lure_seed(&self) -> Result<u64, SensorError> {
        const FILE: &str = "lure.seed";
        if let Some(bytes) = self.read(FILE)? {
            return Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| self.damaged(FILE, "not 8 bytes"))?));
        }
        let seed: u64 = rand::random();
        self.write(FILE, &seed.to_be_bytes())?;
        Ok(seed)
    }

    /// Where recordings lie, and files that visitors of lures left.
    pub fn vault(&self) -> PathBuf {
        self.0.join("vault")
    }

    /// Records of lures are numbered in the same stream: where a replay began says no more how far it came.
    pub fn forget_replay(&self) {
        drop(std::fs::remove_file(self.0.join("replay.json")));
    }

    /// The hub's last request, so that a restart without the hub obeys it.
    pub fn request(&self) -> Result<Option<(u64, noroshi_model::policy::Policy)>, SensorError> {
        const FILE: &str = "request.json";
        let Some(bytes) = self.read(FILE)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| self.damaged(FILE, "not a policy"))
    }

    /// Keeps the hub's request.
    pub fn set_request(&self, revision: u64, request: &noroshi_model::policy::Policy) -> Result<(), SensorError> {
        self.write("request.json", &serde_json::to_vec(&(revision, request)).expect("numbers and text"))
    }

    /// Where a replay of `plan` begins in this epoch's numbering: where an earlier run of it began, or here. It is kept
    /// before the first packet is read.
    pub fn replay_base(
        &self,
        plan: &ReplayPlan,
        epoch: &str,
        last_seq: u64,
        again: bool,
    ) -> Result<Progress, SensorError> {
        const FILE: &str = "replay.json";
        let before: Option<Progress> = self.read(FILE)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let same = |p: &Progress| p.epoch == epoch && p.plan.paths == plan.paths && !again && p.base <= last_seq;
        if let Some(before) = before.filter(same) {
            return Ok(before);
        }
        let progress = Progress { plan: plan.clone(), epoch: epoch.to_owned(), base: last_seq };
        self.write(FILE, &serde_json::to_vec(&progress).expect("numbers and text"))?;
        Ok(progress)
    }
}
