//! Requests of real captures, handed to the reflector as if they had come to it: the right protocol, the right victim, and
//! no answer to an answer. Files, ports and counts were taken with tshark:
//! `tshark -r FILE -Y "udp.dstport==PORT && udp.srcport!=PORT" -T fields -e ip.src -e ipv6.src | sort | uniq -c`.

use noroshi_model::finding::Vector;
use noroshi_model::request::Withheld;
use noroshi_model::{Addr, Nanos};
use noroshi_packet::capture::Reader;
use noroshi_packet::decode::decode;
use noroshi_sensor::amplification::{Arrival, Bounds, Honeypot, Persona, Protocol};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// UDP (RFC 768).
const UDP: u8 = 17;

/// The captures; none (and a note) where they are absent, which CI does not accept.
fn captures() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = PathBuf::from(std::env::var("NOROSHI_SHARED").unwrap_or_else(|_| default.into()));
    let folder = root.join("data/captures/amplification_ddos");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", folder.display());
    println!("skipped: no captures at {}", folder.display());
    None
}

type Sources = &'static [(&'static str, usize)];

/// File, protocol, vector, who asks how often, answers of the other side.
const REPLAYED: [(&str, Protocol, Vector, Sources, usize); 10] = [
    ("ndpi__bad_dns_traffic.pcap", Protocol::Dns, Vector::Dns, &[("192.168.43.91", 220)], 162),
    (
        "ndpi__dns_google_nsid.pcapng",
        Protocol::Dns,
        Vector::Dns,
        &[("2001:b07:a3d:c112:b332:20d:89ab:105e", 1), ("2a03:b0c0:2:d0::360:4001", 3), ("192.168.1.29", 3)],
        7,
    ),
    (
        "ndpi__coap_mqtt.pcap",
        Protocol::Coap,
        Vector::Coap,
        &[("2001:da8:215:1171:a10b:cb48:8f83:57f6", 5), ("bbbb::1", 7)],
        7,
    ),
    (
        "ndpi__upnp.pcap",
        Protocol::WsDiscovery,
        Vector::WsDiscovery,
        &[("fe80::3441:3d24:6d30:a807", 7), ("192.168.61.66", 7)],
        0,
    ),
    ("suricata__bug_8619_cldap_leak.pcap", Protocol::Cldap, Vector::Cldap, &[("192.168.122.145", 7)], 4),
    ("suricata__ldap_udp_cldap.pcap", Protocol::Cldap, Vector::Cldap, &[("192.168.122.145", 1)], 1),
    ("tcpdump__ntp_control.pcap", Protocol::Ntp, Vector::Ntp, &[("::1", 8)], 13),
    ("tcpdump__ntp_mode7.pcap", Protocol::Ntp, Vector::Ntp, &[("127.0.0.1", 4)], 4),
    ("zeek__ntp_ntpmode67.pcap", Protocol::Ntp, Vector::Ntp, &[("127.0.0.1", 9)], 0),
    ("zeek__snmp_snmpv2_get_bulk.pcap", Protocol::Snmp, Vector::Snmp, &[("127.0.0.1", 1)], 1),
];

/// A honeypot that answers whatever it may, so that its budget hides nothing.
fn honeypot() -> Honeypot {
    let bounds = Bounds {
        warm_up: 0,
        replies: usize::MAX,
        bytes: u64::MAX,
        second_bytes: u64::MAX,
        mute_requests: usize::MAX,
        ..Bounds::default()
    };
    Honeypot::new("s", Persona::new(1), bounds, Nanos(0), 256)
}

#[test]
fn requests_of_real_captures_have_their_protocol_and_victim() {
    let Some(folder) = captures() else { return };
    for (file, protocol, vector, sources, answers) in REPLAYED {
        let port = protocol.port().unwrap();
        let mut honeypot = honeypot();
        let (mut asked, mut answered, mut malformed) = (BTreeMap::<Addr, usize>::new(), 0, 0);
        let mut reader = Reader::open(&folder.join(file)).unwrap();
        while let Some(raw) = reader.next_batch() {
            let batch = decode(raw, 0);
            for row in batch.rows.iter().filter(|row| row.proto == UDP) {
                let (question, answer) =
                    (row.dport == port && row.sport != port, row.sport == port && row.dport != port);
                if !question && !answer {
                    continue;
                }
                let arrival = Arrival {
                    clock: Nanos(0),
                    now: row.ts,
                    src: row.src,
                    sport: row.sport.max(1_024),
                    dst: row.dst,
                    dport: port,
                    ttl: None,
                    payload: batch.payload(row),
                };
                let (request, reply) = honeypot.receive(protocol, &arrival);
                assert_eq!((request.vector, request.src), (vector, row.src), "{file}");
                if answer {
                    assert!(reply.is_none(), "{file}: an answer is answered");
                    answered += 1;
                } else {
                    *asked.entry(request.src).or_default() += 1;
                    malformed += usize::from(request.withheld == Withheld::Malformed);
                }
            }
        }
        let expected: BTreeMap<Addr, usize> =
            sources.iter().map(|(source, count)| (source.parse().unwrap(), *count)).collect();
        assert_eq!((asked, answered), (expected, answers), "{file}");
        println!("{file}: {sources:?}, {malformed} malformed");
    }
}
