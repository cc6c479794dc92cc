//! Requests at a reflector lure as fast as it takes them: parsed, judged by the budget, made into rows.
//!
//! `flood [SECONDS]` serves DNS on loopback in one thread, sends it queries from 60,000 forged-looking sources in another,
//! and prints the requests per second of the serving thread's processor time. Beside it stands the bare
//! `recvmmsg`/`sendmmsg` loop of the shared `udp_floor.c`.

use noroshi_sensor::amplification::{Bounds, Config, Protocol, Service, bind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Sockets of the sender, each with a source address of its own.
const SOURCES: usize = 240;

/// What this thread spent so far: nanoseconds, the first number of schedstat (proc(5)).
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel keeps account");
    text.split(' ').next().and_then(|spent| spent.parse::<f64>().ok()).expect("a number") / 1e9
}

/// A query for `example.com`, ANY, with EDNS, as in attacks.
fn query(id: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend(b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x07example\x03com\x00\x00\xff\x00\x01");
    bytes.extend(b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00");
    bytes
}

fn main() {
    let seconds = std::env::args().nth(1).map_or(3, |text| text.parse().expect("seconds"));
    let service = Service { protocol: Protocol::Dns, listen: "127.0.0.1:0".parse().expect("an address") };
    let config = Config {
        sensor: "bench".into(),
        seed: 1,
        services: vec![service],
        bounds: Bounds { warm_up: 0, ..Bounds::default() },
        payload_bytes: 256,
        selection_secret: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    let bound = bind(&config).expect("a port");
    let to: SocketAddr = bound.addresses()[0].1;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sockets: Vec<UdpSocket> = (0..SOURCES)
                .map(|n| {
                    let socket = UdpSocket::bind((Ipv4Addr::new(127, 1, (n % 240) as u8, 1), 0))
                        .expect("loopback has all of 127/8");
                    socket.connect(to).expect("loopback");
                    socket
                })
                .collect();
            let mut n = 0u64;
            while !stop.load(Ordering::Relaxed) {
                // A full buffer at the other end is the other end's business.
                let _ = sockets[n as usize % SOURCES].send(&query(n as u16));
                n += 1;
            }
        });
        let (rows, mut taken) = mpsc::channel(1_024);
        let shutdown = CancellationToken::new();
        let ended = shutdown.clone();
        let begun = processor_seconds();
        let requests = runtime.block_on(async move {
            let served = tokio::spawn(bound.run(rows, shutdown));
            let mut requests = 0u64;
            let counting = async {
                while let Some(batch) = taken.recv().await {
                    requests += batch.len() as u64;
                }
            };
            tokio::select! {
                () = counting => {}
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            }
            ended.cancel();
            drop(taken);
            served.await.expect("no panic").expect("served");
            requests
        });
        let spent = processor_seconds() - begun;
        stop.store(true, Ordering::Relaxed);
        println!(
            "{{\"label\":\"requests at a lure\",\"requests\":{requests},\"cpu_s\":{spent:.2},\"requests_per_cpu_s\":{:.0}}}",
            requests as f64 / spent.max(0.001)
        );
    });
}
