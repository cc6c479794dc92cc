//! The library's server, dressed as the device's.

use super::Shared;
use super::handler::Visitor;
use super::tap::{Heard, Tap};
use crate::iot::device::Dressed;
use crate::iot::dialogue::{Dialogue, Ends, Finished};
use crate::iot::house::{House, now};
use crate::iot::limits::Limits;
use noroshi_model::Nanos;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::server::Config;
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};
use std::borrow::Cow;
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
        let mut seed = [0u8; 32];
        for (at, part) in seed.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&device.persona.number(&format!("ssh.key.{at}")).to_be_bytes());
        }
        let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
        let key = PrivateKey::new(pair, "").expect("an Ed25519 pair is a key");
        let timing = device.timing();
        let refusal = if hasty { Duration::ZERO } else { Duration::from_millis(u64::from(timing.refusal)) };
        let config = Config {
            server_id: SshId::Standard(Cow::Owned(format!("SSH-2.0-{}", device.device.ssh))),
            methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..]),
            auth_rejection_time: refusal,
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: vec![key],
            max_auth_attempts: limits.logins,
            inactivity_timeout: Some(Duration::from_millis(
                u64::from(limits.idle_seconds) * 10 * u64::from(timing.idle_percent),
            )),
            window_size: 256 << 10,
            channel_buffer_size: 8,
            preferred: preferred(),
            ..Config::default()
        };
        Identity { config: Arc::new(config) }
    }
}

/// What small devices of the last ten years offer: no extension that only this library has.
fn preferred() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(&[
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::ECDH_SHA2_NISTP521,
            kex::ECDH_SHA2_NISTP384,
            kex::ECDH_SHA2_NISTP256,
            kex::DH_G14_SHA256,
            kex::DH_G14_SHA1,
        ]),
        cipher: Cow::Borrowed(&[cipher::AES_128_CTR, cipher::AES_256_CTR]),
        mac: Cow::Borrowed(&[mac::HMAC_SHA1, mac::HMAC_SHA256]),
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
