//! The library's server, dressed as the device's: keys and lists of algorithms are the sensor's own.

use super::Shared;
use super::handler::Visitor;
use super::tap::{Heard, Tap};
use crate::amplification::Persona;
use crate::iot::device::Dressed;
use crate::iot::dialogue::{Dialogue, Ends, Finished};
use crate::iot::house::{House, now};
use crate::iot::limits::Limits;
use noroshi_model::Nanos;
use rand::{TryCryptoRng, TryRng};
use russh::keys::ssh_key::private::{EcdsaKeypair, Ed25519Keypair, KeypairData};
use russh::keys::{EcdsaCurve, PrivateKey};
use russh::server::Config;
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// The device as an SSH server: banner, host key, algorithms.
pub struct Identity {
    config: Arc<Config>,
}

impl Identity {
    /// Of one sensor: its key comes from its persona, so that it stays the same.
    pub fn new(device: &Dressed, limits: Limits, hasty: bool) -> Self {
        let timing = device.timing();
        let refusal = if hasty { Duration::ZERO } else { Duration::from_millis(u64::from(timing.refusal)) };
        let config = Config {
            server_id: SshId::Standard(Cow::Owned(format!("SSH-2.0-{}", device.device.ssh))),
            methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..]),
            auth_rejection_time: refusal,
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: keys(&device.persona),
            max_auth_attempts: limits.logins,
            inactivity_timeout: Some(Duration::from_millis(
                u64::from(limits.idle_seconds) * 10 * u64::from(timing.idle_percent),
            )),
            window_size: 256 << 10,
            channel_buffer_size: 8,
            preferred: preferred(&device.persona),
            ..Config::default()
        };
        Identity { config: Arc::new(config) }
    }
}

/// Whether a build has what small builds often leave out; each sensor decides for itself, so that the lists of two
/// sensors are no more alike than those of two devices.
fn has(persona: &Persona, what: &str) -> bool {
    persona.number(&format!("ssh.has.{what}")).is_multiple_of(2)
}

/// Thirty-two secret bytes of the sensor.
fn seed(persona: &Persona, what: &str) -> [u8; 32] {
    let mut seed = [0; 32];
    for (at, part) in seed.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&persona.number(&format!("ssh.{what}.{at}")).to_be_bytes());
    }
    seed
}

/// Host keys, the same at every start.
fn keys(persona: &Persona) -> Vec<PrivateKey> {
    let mut pairs = vec![KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed(persona, "key")))];
    if has(persona, "ecdsa") {
        let mut numbers = Numbers { seed: seed(persona, "ecdsa"), drawn: 0 };
        pairs.extend(EcdsaKeypair::random(&mut numbers, EcdsaCurve::NistP256).map(KeypairData::Ecdsa));
    }
    pairs.into_iter().map(|pair| PrivateKey::new(pair, "").expect("a pair is a key")).collect()
}

/// Numbers that follow from a seed alone, in this and every later version: SHA-256 of the seed and a counter.
struct Numbers {
    seed: [u8; 32],
    drawn: u64,
}

impl TryRng for Numbers {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for part in out.chunks_mut(32) {
            self.drawn += 1;
            let block = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_be_bytes()).finalize();
            part.copy_from_slice(&block[..part.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Numbers {}

/// What small devices of the last ten years offer: no extension that only this library has, and always what old bots
/// speak.
fn preferred(persona: &Persona) -> Preferred {
    let mut kex = vec![kex::CURVE25519, kex::CURVE25519_PRE_RFC_8731];
    if has(persona, "curves") {
        kex.extend([kex::ECDH_SHA2_NISTP521, kex::ECDH_SHA2_NISTP384, kex::ECDH_SHA2_NISTP256]);
    }
    kex.extend([kex::DH_G14_SHA256, kex::DH_G14_SHA1]);
    let mut ciphers = vec![cipher::AES_128_CTR, cipher::AES_256_CTR];
    if has(persona, "chacha20") {
        ciphers.insert(0, cipher::CHACHA20_POLY1305);
    }
    let mut macs = vec![mac::HMAC_SHA1, mac::HMAC_SHA256];
    if has(persona, "sha512") {
        macs.push(mac::HMAC_SHA512);
    }
    Preferred {
        kex: Cow::Owned(kex),
        cipher: Cow::Owned(ciphers),
        mac: Cow::Owned(macs),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::default()
    }
}

/// One visitor, until the dialogue is over.
pub(in crate::iot) async fn visit(
    house: &House,
    stream: TcpStream,
    ends: &Ends,
    id: String,
    begun: Nanos,
    shutdown: CancellationToken,
) -> Finished {
    let dialogue = Dialogue::new(house.device.clone(), house.config.limits, ends, id, begun);
    let shared: Shared = Arc::new(Mutex::new(Some(dialogue)));
    let heard = Arc::new(Mutex::new(Heard::default()));
    // Cancelled when this visit is over for whatever reason: the library's task then reads the end of the stream.
    let leave = CancellationToken::new();
    let _leave = leave.clone().drop_guard();
    let tap = Tap::new(stream, heard.clone(), leave);
    let visitor = Visitor::new(shared.clone(), house.config.hasty);
    let config = house.ssh.config.clone();
    let talk = async {
        if let Ok(running) = russh::server::run_stream(config, tap, visitor).await {
            // How it ended is in the dialogue.
            drop(running.await);
        }
    };
    let talked = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        talked = tokio::time::timeout(house.patience(), talk) => talked,
    };
    let dialogue = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    let mut dialogue = dialogue.expect("taken only here");
    if talked.is_err() {
        dialogue.truncate();
    }
    let heard = heard.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(client) = heard.client() {
        dialogue.client(&client, heard.hassh());
    }
    dialogue.finish(now())
}
