//! Targets of the lures: everything that visitors say to them.

use super::NOW;
use noroshi_model::Addr;
use noroshi_sensor::amplification::{Persona, Protocol, Question};
use noroshi_sensor::first::{self, Responder};
use noroshi_sensor::iot::device::Dressed;
use noroshi_sensor::iot::dialogue::Ends;
use noroshi_sensor::iot::files::Files;
use noroshi_sensor::iot::house::Talking;
use noroshi_sensor::iot::ssh::{ScpSink, SftpServer, hassh};
use noroshi_sensor::iot::{Device, Limits, adb, http, redis, telnet, upnp};
use std::sync::{Arc, LazyLock};

static DEVICE: LazyLock<Arc<Dressed>> =
    LazyLock::new(|| Device::shipped("router").expect("it ships").dress(&Persona::new(1)));

fn ends() -> Ends {
    let (src, dst) = (Addr::v4(0xc000_0201), Addr::v4(0xc633_6401));
    Ends { sensor: "fuzz".into(), src, sport: 40_000, dst, dport: 23, protocol: "telnet" }
}

fn talk(mut talk: Box<dyn Talking>, bytes: &[u8]) {
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    if !talk.feed(head, NOW).close {
        std::hint::black_box(talk.feed(tail, NOW));
    }
    std::hint::black_box(talk.finish(NOW));
}

/// A telnet visitor, who is let in at once when the input begins like the seeds.
pub fn telnet(bytes: &[u8]) {
    talk(Box::new(telnet::Talk::new(DEVICE.clone(), Limits::default(), &ends(), "1".into(), NOW).0), bytes);
}

/// A web visitor.
pub fn http(bytes: &[u8]) {
    talk(Box::new(http::Talk::new(DEVICE.clone(), Limits::default(), &ends(), "1".into(), NOW)), bytes);
}

/// A visitor of the debug bridge.
pub fn adb(bytes: &[u8]) {
    talk(Box::new(adb::Talk::new(DEVICE.clone(), Limits::default(), &ends(), "1".into(), NOW)), bytes);
}

/// A visitor of the Redis server.
pub fn redis(bytes: &[u8]) {
    talk(Box::new(redis::Talk::new(DEVICE.clone(), Limits::default(), &ends(), "1".into(), NOW)), bytes);
}

/// A visitor of the UPnP control endpoint.
pub fn upnp(bytes: &[u8]) {
    talk(Box::new(upnp::Talk::new(DEVICE.clone(), Limits::default(), &ends(), "1".into(), NOW)), bytes);
}

/// First bytes of an SSH client, then its bytes as SFTP and as scp.
pub fn ssh(bytes: &[u8]) {
    std::hint::black_box(hassh(bytes));
    let mut files = Files::new(DEVICE.base.clone(), Limits::default());
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    let (mut sftp, mut scp) = (SftpServer::default(), ScpSink::new("/tmp"));
    for piece in [head, tail] {
        std::hint::black_box((sftp.take(piece, &mut files), scp.take(piece, &mut files)));
    }
}

/// A datagram; its first byte chooses the service.
pub fn datagram(bytes: &[u8]) {
    let Some((choice, payload)) = bytes.split_first() else { return };
    let protocol = Protocol::ALL[usize::from(*choice) % Protocol::ALL.len()];
    let (src, dst, persona) = (Addr::v4(0xc000_0201), Addr::v4(0xc633_6401), Persona::new(1));
    let dport = protocol.port().unwrap_or(4_000);
    let question = Question { payload, src, sport: 40_000, dst, dport, now: NOW, persona: &persona };
    std::hint::black_box(protocol.hear(&question));
}

/// A packet with its IP header, then the same bytes as a first payload.
pub fn segment(bytes: &[u8]) {
    let mut responder = Responder::new([1; 32], first::Bounds::default(), None);
    let done = responder.take(bytes, NOW);
    std::hint::black_box((done.reply, done.row, first::guess(bytes)));
}
