//! A lure process as in service: the program itself, confined, with an order on its input and frames on its output.

use noroshi_model::lure::Lure;
use noroshi_model::request::Request;
use noroshi_sensor::amplification::Bounds;
use noroshi_sensor::lure::message::{Kept, Order, Place, Said};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The process, until the test is done with it.
pub struct Process {
    child: Child,
    said: Receiver<Said>,
    _input: ChildStdin,
    /// What it gave up.
    pub confined: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The port on which such a service is usually found.
fn port(lure: Lure) -> u16 {
    match lure {
        Lure::Telnet => 23,
        Lure::Ssh => 22,
        Lure::Http => 80,
        Lure::Adb => 5_555,
        Lure::Redis => 6_379,
        Lure::Upnp => 5_000,
        Lure::Dns => 53,
        Lure::Ntp => 123,
        Lure::Ssdp => 1_900,
        Lure::Cldap => 389,
        Lure::Memcached => 11_211,
        Lure::Snmp => 161,
        Lure::Coap => 5_683,
        Lure::WsDiscovery => 3_702,
        Lure::Tcp | Lure::Generic => panic!("{lure} has no port of its own"),
    }
}

impl Process {
    /// On the usual ports of loopback, answering from the start; all dialogues or all datagrams.
    pub fn start(seed: u64, persona: &str, lures: &[Lure]) -> Process {
        let place = |lure: &Lure| Place { lure: *lure, listen: SocketAddr::from(([127, 0, 0, 1], port(*lure))) };
        let order = Order {
            seed,
            persona: persona.into(),
            places: lures.iter().map(place).collect(),
            bounds: Bounds { warm_up: 0, ..Bounds::default() },
            payload_bytes: 256,
            ..Order::default()
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_noroshi-sensor"));
        command.arg("lure-process").env_clear().current_dir("/");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&[serde_json::to_vec(&order).unwrap(), b"\n".to_vec()].concat()).unwrap();
        let mut output = child.stdout.take().unwrap();
        let (sender, said) = channel();
        std::thread::spawn(move || {
            let mut length = [0; 4];
            while output.read_exact(&mut length).is_ok() {
                let mut text = vec![0; u32::from_le_bytes(length) as usize];
                let read = output.read_exact(&mut text);
                if read.is_err() || sender.send(serde_json::from_slice(&text).unwrap()).is_err() {
                    return;
                }
            }
        });
        match said.recv_timeout(PATIENCE) {
            Ok(Said::Ready { places, confined }) => {
                assert_eq!(places.len(), lures.len());
                Process { child, said, _input: input, confined }
            }
            other => panic!("it does not serve: {other:?}"),
        }
    }

    /// The next dialogue that is over.
    pub fn dialogue(&self) -> Kept {
        match self.said.recv_timeout(PATIENCE) {
            Ok(Said::Dialogue(kept)) => *kept,
            other => panic!("no dialogue: {other:?}"),
        }
    }

    /// The next requests.
    pub fn requests(&self) -> Vec<Request> {
        match self.said.recv_timeout(PATIENCE) {
            Ok(Said::Requests(rows)) => rows,
            other => panic!("no request: {other:?}"),
        }
    }
}
