//! What sensors say about themselves, side by side: nothing that names one device is ever said by another, and what names
//! a model is shared as little as among real devices.

use super::dialogue::Ends;
use super::house::Talking;
use super::{Device, Limits, adb, http, redis, telnet, upnp};
use crate::amplification::{Answer, Persona, Protocol, Question};
use noroshi_model::{Addr, Nanos};
use std::collections::{BTreeMap, HashMap, HashSet};

const NOW: Nanos = Nanos(1_767_225_600_000_000_000);
const SENSORS: u64 = 64;

/// Everything that a stranger can read from one sensor, by what it is.
fn said(model: &str, seed: u64) -> BTreeMap<&'static str, Vec<u8>> {
    let persona = Persona::new(seed);
    let device = Device::shipped(model).unwrap().dress(&persona);
    let own: Addr = "192.0.2.7".parse().unwrap();
    let ends = Ends { sensor: "s".into(), src: own, sport: 4_000, dst: own, dport: 23, protocol: "telnet" };
    let limits = Limits::default();
    let mut found: BTreeMap<&'static str, Vec<u8>> = BTreeMap::new();
    let (mut talk, first) = telnet::Talk::new(device.clone(), limits, &ends, "1".into(), NOW);
    found.insert("telnet", first);
    let (user, password) = (&device.device.credentials[0].0, &device.device.credentials[0].1);
    let mut shell = talk.feed(format!("{user}\r\n{password}\r\n").as_bytes(), NOW).bytes;
    shell.extend(talk.feed(b"uname -a; cat /proc/version; hostname; ifconfig\r\n", NOW).bytes);
    found.insert("shell", shell);
    found.insert("ssh", device.device.ssh.clone().into_bytes());
    let mut ask = |name: &'static str, mut talk: Box<dyn Talking>, bytes: &[u8]| {
        found.insert(name, talk.feed(bytes, NOW).bytes);
    };
    let id = || "1".to_owned();
    ask("http", Box::new(http::Talk::new(device.clone(), limits, &ends, id(), NOW)), b"GET / HTTP/1.1\r\n\r\n");
    ask(
        "upnp",
        Box::new(upnp::Talk::new(device.clone(), limits, &ends, id(), NOW)),
        b"GET /rootDesc.xml HTTP/1.1\r\n\r\n",
    );
    ask("redis", Box::new(redis::Talk::new(device.clone(), limits, &ends, id(), NOW)), b"INFO\r\n");
    // What is no request: scanners send line ends first, and group devices by what comes back.
    ask("http refusal", Box::new(http::Talk::new(device.clone(), limits, &ends, id(), NOW)), b"\r\n\r\n");
    ask("upnp refusal", Box::new(upnp::Talk::new(device.clone(), limits, &ends, id(), NOW)), b"\r\n\r\n");
    let hello = b"CNXN\0\0\0\x01\0\x10\0\0\x07\0\0\0\x32\x02\0\0\xbc\xb1\xa7\xb1host::\0";
    ask("adb", Box::new(adb::Talk::new(device.clone(), limits, &ends, id(), NOW)), hello);
    let search =
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n";
    let snmp = b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x0e\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x05\x00";
    let questions: [(&'static str, Protocol, &[u8]); 4] = [
        ("ssdp", Protocol::Ssdp, search),
        ("ntp", Protocol::Ntp, &[&[0x23][..], &[0; 39], &[1; 8]].concat()),
        ("snmp", Protocol::Snmp, snmp),
        ("memcached", Protocol::Memcached, b"\0\x01\0\0\0\x01\0\0version\r\n"),
    ];
    for (name, protocol, payload) in questions {
        let question = Question { payload, src: own, sport: 40_000, dst: own, dport: 1, now: NOW, persona: &persona };
        match protocol.hear(&question).answer {
            Answer::Reply(reply) => found.insert(name, reply),
            other => panic!("{name} says nothing: {other:?}"),
        };
    }
    let timing = device.timing();
    found.insert("timing", format!("{timing:?}").into_bytes());
    found.insert("host", device.host.clone().into_bytes());
    found.insert("mac", persona.mac().into_bytes());
    found.insert("uuid", persona.uuid("ssdp").into_bytes());
    found.insert("ssh key", (0..4).flat_map(|at| persona.number(&format!("ssh.key.{at}")).to_be_bytes()).collect());
    found
}

#[test]
fn two_sensors_share_no_name_no_key_no_greeting_and_no_timing() {
    for model in Device::names() {
        let mut all: BTreeMap<&'static str, HashMap<Vec<u8>, u64>> = BTreeMap::new();
        let mut whole = HashSet::new();
        for seed in 1..=SENSORS {
            let said = said(model, seed);
            assert_eq!(said, self::said(model, seed), "{model}: one sensor stays the same device");
            assert!(whole.insert(said.clone()), "{model}: two sensors say the same");
            for (what, bytes) in said {
                *all.entry(what).or_default().entry(bytes).or_default() += 1;
            }
        }
        for (what, values) in &all {
            let most = values.values().max().copied().unwrap_or(0);
            match *what {
                // Models and versions of common software, as real devices share them.
                "ssh" | "adb" | "memcached" | "ntp" | "snmp" | "http refusal" | "upnp refusal" => {
                    assert!(values.len() >= 4 && most <= SENSORS / 2, "{model} {what}: {} kinds, {most}", values.len());
                }
                // Host names of factories and times in milliseconds repeat by chance, rarely.
                "host" | "telnet" | "http" | "timing" => {
                    assert!(values.len() >= 40 && most <= 6, "{model} {what}: {} values, {most} alike", values.len());
                }
                _ => assert_eq!(values.len() as u64, SENSORS, "{model} {what} is shared"),
            }
        }
    }
}
