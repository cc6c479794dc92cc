//! How many objects a whole hub gives and takes over TAXII in a second (`cargo xtask bench taxii`): loopback HTTP, a token
//! checked with every request, indicators as partners send them. Clients are threads of this process whose processor time
//! the kernel counts apart; the rest of the process is the hub with all its services.

use super::exchange::House;
use noroshi_model::tlp::Tlp;
use noroshi_share::stix::marking::{Markings, references};
use noroshi_share::taxii::MEDIA_TYPE;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Objects of one POST, and of one page.
const SIZES: [usize; 3] = [100, 1_000, 5_000];
/// One in so many indicators names a host of a member, who is warned of it.
const ABOUT_A_MEMBER: usize = 1_000;
/// Goals of the exchange, objects per second on two cores.
const GOAL_GET: f64 = 50_000.0;
const GOAL_POST: f64 = 20_000.0;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: a whole number")))
}

/// An indicator as partners send it. Ids are spread like random ones (splitmix64), so that indices are written all over.
fn indicator(number: usize) -> Value {
    let mixed = |salt: u64| {
        let mut z = (number as u64 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let (high, low) = (mixed(1), mixed(1 << 40));
    let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xfff);
    let id = format!("indicator--{a:08x}-{b:04x}-4{c:03x}-8{:03x}-{:012x}", low >> 52, low & 0xffff_ffff_ffff);
    let address = match number % ABOUT_A_MEMBER {
        0 => format!("203.0.113.{}", number / ABOUT_A_MEMBER % 60 + 1),
        _ => format!("198.18.{}.{}", low >> 8 & 0xff, low & 0xff),
    };
    let port = [23, 2323, 445, 22, 5555, 37215][number % 6];
    json!({
        "type": "indicator", "spec_version": "2.1", "id": id,
        "created_by_ref": "identity--7b3f1a2c-4d5e-4f60-8a1b-2c3d4e5f6071",
        "created": "2026-01-01T00:00:00.000Z", "modified": format!("2026-01-01T{:02}:{:02}:00.000Z", number / 60 % 24, number % 60),
        "name": format!("{address} scans port {port}"),
        "description": format!("Seen by a darknet of a /16: {} packets to port {port} from {address}.", low >> 40 & 0xffff),
        "indicator_types": ["malicious-activity", "anomalous-activity"],
        "pattern": format!("[ipv4-addr:value = '{address}']"), "pattern_type": "stix", "pattern_version": "2.1",
        "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2099-01-01T00:00:00Z", "confidence": 80,
        "labels": ["scan", "botnet", format!("port:{port}")],
        "kill_chain_phases": [{ "kill_chain_name": "lockheed-martin-cyber-kill-chain", "phase_name": "reconnaissance" }],
        "external_references": [{ "source_name": "darknet", "external_id": format!("obs-{number}") }],
        "object_marking_refs": references(Tlp::Green, Markings::Both),
    })
}

/// Processor time that the calling thread has taken, in seconds, from the scheduler's accounts.
fn thread_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Processor time of the whole process, user and system, its ended threads included; the kernel's tick is 10 ms.
fn process_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// A client that keeps its connection and does no more than it must.
struct Client {
    stream: TcpStream,
    head: String,
    buffer: Vec<u8>,
}

impl Client {
    fn new(place: &str, token: &str) -> Client {
        let stream = TcpStream::connect(place).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
        let head = format!(
            "Host: {place}\r\nAuthorization: Bearer {token}\r\nAccept: {MEDIA_TYPE}\r\nContent-Type: {MEDIA_TYPE}"
        );
        Client { stream, head, buffer: Vec::new() }
    }

    /// Status and body of an answer.
    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, &[u8]) {
        let request = format!("{method} {path} HTTP/1.1\r\n{}\r\nContent-Length: {}\r\n\r\n", self.head, body.len());
        self.stream.write_all(request.as_bytes()).unwrap();
        self.stream.write_all(body).unwrap();
        self.buffer.clear();
        let mut part = vec![0; 1 << 18];
        let (status, start, length) = loop {
            let read = self.stream.read(&mut part).unwrap();
            assert!(read > 0, "the hub has hung up");
            self.buffer.extend_from_slice(&part[..read]);
            let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end]).unwrap().to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).expect("a length").split("\r\n").next().unwrap();
            break (head[9..12].parse().unwrap(), end + 4, length.parse::<usize>().unwrap());
        };
        while self.buffer.len() < start + length {
            let read = self.stream.read(&mut part).unwrap();
            assert!(read > 0, "the hub has hung up");
            self.buffer.extend_from_slice(&part[..read]);
        }
        (status, &self.buffer[start..start + length])
    }

    /// Reads the collection in pages; `each` gets the page. Returns how many pages there were.
    fn read_all(&mut self, size: usize, mut each: impl FnMut(&[u8])) -> usize {
        let (mut pages, mut next) = (0, String::new());
        loop {
            let (status, body) =
                self.ask("GET", &format!("/noroshi/collections/intake/objects/?limit={size}{next}"), b"");
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
            each(body);
            pages += 1;
            // Members of the envelope that stand before its objects; where they do not, the page is read as JSON.
            let start = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            match start.split_once("\"next\":\"") {
                Some((_, rest)) => next = format!("&next={}", rest.split('"').next().unwrap()),
                None => return pages,
            }
        }
    }
}

/// What a measurement took.
struct Took {
    objects: usize,
    wall: f64,
    server: f64,
    clients: f64,
}

impl Took {
    fn print(&self, what: &str, goal: f64) {
        let Took { objects, wall, server, clients } = *self;
        let (objects, all) = (objects as f64, (server + clients).max(0.01));
        println!(
            "| {what} | {:.0} | {:.0} | {:.0} | {:.0} % | {:.0} % | {goal:.0} |",
            objects / wall,
            2.0 * objects / all,
            objects / server.max(0.01),
            100.0 * clients / all,
            100.0 * all / wall / 2.0,
        );
    }
}

/// Lets clients work side by side, each with its number; they return how many objects they gave or got, and their own
/// processor time.
fn side_by_side(clients: usize, work: impl Fn(usize) -> usize + Sync) -> Took {
    let (before, begun) = (process_seconds(), Instant::now());
    let shares: Vec<(usize, f64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|n| {
                let work = &work;
                scope.spawn(move || {
                    let before = thread_seconds();
                    (work(n), thread_seconds() - before)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let wall = begun.elapsed().as_secs_f64();
    let own: f64 = shares.iter().map(|(_, seconds)| seconds).sum();
    let objects = shares.iter().map(|(objects, _)| objects).sum();
    Took { objects, wall, server: (process_seconds() - before - own).max(0.0), clients: own }
}

/// Pushes objects of these numbers in bodies that were written before.
fn push(house: &Arc<House>, clients: usize, numbers: std::ops::Range<usize>, size: usize) -> Took {
    let numbers: Vec<usize> = numbers.collect();
    let body = |part: &[usize]| {
        let objects: Vec<Value> = part.iter().map(|number| indicator(*number)).collect();
        json!({ "objects": objects }).to_string().into_bytes()
    };
    let bodies: Vec<Vec<u8>> = numbers.chunks(size).map(body).collect();
    let at = AtomicUsize::new(0);
    side_by_side(clients, |_| {
        let (mut client, mut done) = (Client::new(&house.place, &house.token), 0);
        while let Some(body) = bodies.get(at.fetch_add(1, Ordering::Relaxed)) {
            let (status, said) = client.ask("POST", "/noroshi/collections/intake/objects/", body);
            let text = String::from_utf8_lossy(said);
            assert_eq!(status, 202, "{text}");
            assert!(text.contains("\"failure_count\":0,") && text.contains("\"status\":\"complete\""));
            done +=
                text.split("\"success_count\":").nth(1).unwrap().split(',').next().unwrap().parse::<usize>().unwrap();
        }
        done
    })
}

fn get(house: &Arc<House>, clients: usize, size: usize) -> Took {
    side_by_side(clients, |_| {
        // All pages but the last are full, or the sum would not be that of what was pushed.
        let mut last = Vec::new();
        let pages = Client::new(&house.place, &house.token).read_all(size, |page| last = page.to_vec());
        (pages - 1) * size + String::from_utf8_lossy(&last).matches("\"type\":\"indicator\"").count()
    })
}

/// What is read is what was pushed: each once, with every value as it was.
fn verify(house: &House, count: usize) {
    let mut left: BTreeMap<String, Value> =
        (0..count).map(indicator).map(|object| (object["id"].as_str().unwrap().to_owned(), object)).collect();
    assert_eq!(left.len(), count, "ids differ");
    Client::new(&house.place, &house.token).read_all(5_000, |page| {
        let page: Value = serde_json::from_slice(page).unwrap();
        for object in page["objects"].as_array().unwrap() {
            let pushed = left.remove(object["id"].as_str().unwrap()).expect("pushed, and read once");
            assert_eq!(&pushed, object);
        }
    });
    assert!(left.is_empty(), "{} were not read", left.len());
}

/// Prints the figures; only that every object is taken, kept and given once and unchanged is asserted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: cargo xtask bench taxii"]
async fn throughput() {
    let house = Arc::new(House::new().await);
    let (objects, clients) = (number("NOROSHI_TAXII_OBJECTS", 50_000), number("NOROSHI_TAXII_CLIENTS", 2));
    let measured = house.clone();
    let measure = move || {
        let house = measured;
        let bytes = indicator(7).to_string().len();
        println!("{objects} indicators of {bytes} bytes for each size of POST, {clients} clients");
        println!("| what | objects/s | on two free cores | per second of the hub | clients' share | busy | goal |");
        println!("|---|---|---|---|---|---|---|");
        for (turn, size) in SIZES.into_iter().enumerate() {
            let took = push(&house, clients, turn * objects..(turn + 1) * objects, size);
            assert_eq!(took.objects, objects);
            took.print(&format!("POST, {size} each"), GOAL_POST);
        }
        for size in SIZES {
            let took = get(&house, clients, size);
            assert_eq!(took.objects, clients * SIZES.len() * objects);
            took.print(&format!("GET, pages of {size}"), GOAL_GET);
        }
        let again = push(&house, clients, 0..objects, 1_000);
        again.print("POST again, all known, 1000 each", GOAL_POST);
        verify(&house, SIZES.len() * objects);
    };
    tokio::task::spawn_blocking(measure).await.unwrap();
}
