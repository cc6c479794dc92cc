//! First payloads, clustered by normalised content; never executed, only looked at.
//!
//! Addresses, numbers and long random-looking runs are replaced before hashing, so that the same request sent with other
//! parameters falls into the same cluster (Hiesgen et al., "Spoki", USENIX Security 2022, cluster alike).

use crate::set::PortCounter;
use foldhash::fast::{FixedState, RandomState};
use hashbrown::HashMap;
use noroshi_model::packet::{Packet, PacketBatch, Transport};
use noroshi_model::report::{PayloadCluster, PortProtocol};
use std::hash::BuildHasher;

/// Bytes of a payload that are looked at; requests differ early.
const BYTES_MAX: usize = 128;
/// Leading bytes of a binary payload that tell requests apart.
const OPCODE_BYTES: usize = 4;
/// Clusters of one shard. When a payload would open one more, the smallest make room: nearly all that random payloads open
/// are of one packet, and what comes again and again must not find the table full of them.
const CLUSTERS_MAX: usize = 2_048;
/// Bytes of a sample that the report shows.
const SAMPLE_BYTES: usize = 96;

/// Clusters of one shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payloads {
    clusters: HashMap<(u64, bool), Cluster, RandomState>,
    pub(crate) dropped: u64,
}

#[derive(Clone, Debug)]
struct Cluster {
    packets: u64,
    sources: u64,
    last_source: noroshi_model::Addr,
    ports: PortCounter,
    sample: Vec<u8>,
}

/// What each byte becomes: digits, white space and binary bytes each become one sign, letters lose their case.
const CLASSES: [u8; 256] = classes();
/// Signs whose runs collapse into one.
const RUNS: [bool; 256] = {
    let mut runs = [false; 256];
    runs[0] = true;
    runs[b'0' as usize] = true;
    runs[b' ' as usize] = true;
    runs[0x80] = true;
    runs
};

const fn classes() -> [u8; 256] {
    let mut table = [0x80u8; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => b'0',
            letter @ b'A'..=b'Z' => letter | 0x20,
            printable @ 0x21..=0x7e => printable,
            b'\r' | b'\n' | b'\t' | b' ' => b' ',
            0 => 0,
            _ => 0x80,
        };
        byte += 1;
    }
    table
}

/// Hash of a payload with its changing parts taken out.
fn normalised(payload: &[u8]) -> u64 {
    let mut shape = [0u8; BYTES_MAX];
    let (mut used, mut last) = (0, 1u8);
    // The first bytes of a binary request are its opcode: they are kept as they are.
    if let Some(opcode) = payload.get(..OPCODE_BYTES).filter(|head| !head.iter().all(u8::is_ascii_graphic)) {
        shape[..OPCODE_BYTES].copy_from_slice(opcode);
        used = OPCODE_BYTES;
    }
    for byte in &payload[used..payload.len().min(BYTES_MAX)] {
        let class = CLASSES[usize::from(*byte)];
        // Written always, kept only when no run goes on: cheaper than to branch.
        shape[used] = class;
        used += usize::from(class != last || !RUNS[usize::from(class)]);
        last = class;
    }
    FixedState::with_seed(0x7061_796c).hash_one(&shape[..used])
}

/// One payload, looked at while it was at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    src: noroshi_model::Addr,
    /// Hash of the payload with its changing parts taken out.
    shape: u64,
    /// Place of its first bytes in [`Samples`].
    sample: u32,
    dport: u16,
    udp: bool,
}

/// First bytes of payloads, one for each cluster of each shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    known: HashMap<(u64, u8, bool), u32, RandomState>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
    recent: Recent,
}

/// Shapes of payloads that came lately, by a hash of their bytes with a key that nobody knows: the same request comes again
/// and again, and to hash it costs a tenth of what it costs to normalise it.
#[derive(Clone, Debug)]
struct Recent {
    state: RandomState,
    shapes: Vec<(u64, u64)>,
}

/// Shapes that are remembered.
const RECENT: usize = 256;

impl Default for Recent {
    fn default() -> Self {
        Recent { state: RandomState::default(), shapes: vec![(0, 0); RECENT] }
    }
}

impl Recent {
    #[inline]
    fn shape(&mut self, payload: &[u8]) -> u64 {
        let hash = self.state.hash_one(&payload[..payload.len().min(BYTES_MAX)]);
        let slot = &mut self.shapes[hash as usize % RECENT];
        if slot.0 != hash {
            *slot = (hash, normalised(payload));
        }
        slot.1
    }
}

impl Samples {
    /// What a packet says, when it is TCP or UDP.
    pub(crate) fn look_at(&mut self, batch: &PacketBatch, row: &Packet, shard: usize) -> Option<Said> {
        let udp = match row.transport {
            Transport::Tcp => false,
            Transport::Udp => true,
            _ => return None,
        };
        let payload = batch.payload(row);
        let shape = self.recent.shape(payload);
        let sample = *self.known.entry((shape, shard as u8, udp)).or_insert_with(|| {
            self.bytes.extend_from_slice(&payload[..payload.len().min(SAMPLE_BYTES)]);
            self.ends.push(self.bytes.len() as u32);
            (self.ends.len() - 1) as u32
        });
        Some(Said { src: row.src, shape, sample, dport: row.dport, udp })
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.ends.clear();
        self.bytes.clear();
    }

    /// The sample of a payload.
    pub(crate) fn of(&self, said: &Said) -> &[u8] {
        let at = said.sample as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start as usize..self.ends[at] as usize]
    }
}

impl Payloads {
    /// Adds a payload. `sample` is asked for once per cluster.
    #[inline]
    pub(crate) fn add<'a>(&mut self, said: &Said, sample: impl FnOnce() -> &'a [u8]) {
        let key = (said.shape, said.udp);
        if self.clusters.len() >= CLUSTERS_MAX && !self.clusters.contains_key(&key) {
            self.thin();
        }
        let cluster = self.clusters.entry(key).or_insert_with(|| Cluster {
            packets: 0,
            sources: 0,
            last_source: noroshi_model::Addr::NONE,
            ports: PortCounter::default(),
            sample: sample().to_vec(),
        });
        cluster.packets += 1;
        if cluster.last_source != said.src {
            cluster.last_source = said.src;
            cluster.sources += 1;
        }
        cluster.ports.add(said.dport, 1);
    }

    /// Lets go of the smallest clusters until half of the room is free. One that comes again counts anew, short by no more
    /// than what it was let go with (Manku and Motwani, "Approximate frequency counts over data streams", VLDB 2002).
    #[cold]
    fn thin(&mut self) {
        let mut least = 1;
        while self.clusters.len() > CLUSTERS_MAX / 2 {
            let gone = self.clusters.extract_if(|_, cluster| cluster.packets <= least);
            self.dropped += gone.map(|(_, cluster)| cluster.packets).sum::<u64>();
            least *= 2;
        }
    }

    /// Adds the clusters of another shard.
    pub(crate) fn merge(&mut self, other: Payloads) {
        self.dropped += other.dropped;
        for (key, cluster) in other.clusters {
            match self.clusters.get_mut(&key) {
                None => _ = self.clusters.insert(key, cluster),
                Some(known) => {
                    known.packets += cluster.packets;
                    known.sources += cluster.sources;
                    known.sample = known.sample.clone().min(cluster.sample);
                    known.ports.merge(&cluster.ports);
                }
            }
        }
    }

    /// Clusters by packets, then id.
    pub(crate) fn into_clusters(self) -> Vec<PayloadCluster> {
        let mut out: Vec<PayloadCluster> =
            self.clusters.into_iter().map(|((hash, udp), cluster)| cluster.finding(hash, udp)).collect();
        out.sort_by(|a, b| b.packets.cmp(&a.packets).then_with(|| a.id.cmp(&b.id)));
        out
    }
}

impl Cluster {
    fn finding(self, hash: u64, udp: bool) -> PayloadCluster {
        let mut ports = self.ports.ranked();
        ports.truncate(10);
        PayloadCluster {
            id: format!("{hash:016x}"),
            protocol: if udp { PortProtocol::Udp } else { PortProtocol::Tcp },
            packets: self.packets,
            sources: self.sources,
            label: label(&self.sample, ports.first().copied().unwrap_or(0), udp).to_owned(),
            sample: printable(&self.sample),
            ports,
        }
    }
}

fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }).collect()
}

/// Marks of known exploits in first payloads, and what they are called. Facts from public advisories.
const EXPLOITS: &[(&[u8], &str)] = &[
    (b"${jndi:", "exploit: Log4Shell (CVE-2021-44228)"),
    (b"/setup.cgi?next_file=netgear.cfg", "exploit: Netgear DGN setup.cgi"),
    (b"/GponForm/diag_Form", "exploit: GPON router (CVE-2018-10561)"),
    (b"/ctrlt/DeviceUpgrade_1", "exploit: Huawei HG532 (CVE-2017-17215)"),
    (b"/picsdesc.xml", "exploit: Realtek SDK (CVE-2014-8361)"),
    (b"/cgi-bin/luci/;stok=", "exploit: TP-Link Archer (CVE-2023-1389)"),
    (b"allow_url_include", "exploit: PHP-CGI argument injection"),
    (b"/boaform/admin/formLogin", "exploit: GPON formLogin"),
    (b"/shell?cd+/tmp", "exploit: MVPower DVR shell"),
    (b"/.env", "probe: environment file"),
    (b"invokefunction&function=call_user_func_array", "exploit: ThinkPHP"),
    (b"/wp-login.php", "probe: WordPress login"),
    (b"/cgi-bin/../../../../", "exploit: Apache path traversal"),
    (b"() { :", "exploit: Shellshock (CVE-2014-6271)"),
    (b"union select", "exploit: SQL injection"),
    (b"UNION SELECT", "exploit: SQL injection"),
    (b"/bin/busybox", "shell: busybox command"),
    (b"wget http", "shell: download command"),
];

fn label(sample: &[u8], port: u16, udp: bool) -> &'static str {
    let holds = |needle: &[u8]| sample.windows(needle.len()).any(|window| window[0] == needle[0] && window == needle);
    if let Some((_, name)) = EXPLOITS.iter().find(|(needle, _)| holds(needle)) {
        return name;
    }
    if udp { label_udp(sample, port) } else { label_tcp(sample) }
}

fn label_tcp(sample: &[u8]) -> &'static str {
    const HTTP: &[&[u8]] = &[b"GET ", b"POST ", b"HEAD ", b"OPTIONS ", b"PUT ", b"CONNECT ", b"PROPFIND "];
    match sample {
        _ if HTTP.iter().any(|verb| sample.starts_with(verb)) => "http request",
        _ if sample.starts_with(b"HTTP/1.") => "http response",
        _ if sample.starts_with(b"SSH-") => "ssh banner",
        _ if sample.starts_with(b"*1\r\n$") || sample.starts_with(b"PING\r\n") => "redis command",
        _ if sample.starts_with(b"CNXN") => "adb connect",
        _ if sample.starts_with(b"RFB ") => "vnc banner",
        [0x16, 3, 0..=4, ..] => "tls hello",
        [3, 0, 0, _, _, 0xe0, ..] => "rdp connection request",
        [0, 0, _, _, 0xff | 0xfe, b'S', b'M', b'B', ..] => "smb negotiation",
        [0xff, 0xfb..=0xfe, ..] => "telnet negotiation",
        [0x10, _, 0, 4, b'M', b'Q', ..] => "mqtt connect",
        _ => "unknown",
    }
}

fn label_udp(sample: &[u8], port: u16) -> &'static str {
    if sample.starts_with(b"M-SEARCH ") || sample.starts_with(b"NOTIFY ") {
        return "ssdp";
    }
    if let Some(vector) = crate::ddos::vectors::amplifier(port) {
        return vector.name();
    }
    const SIP: &[&[u8]] = &[b"OPTIONS sip:", b"REGISTER sip:", b"INVITE sip:"];
    if SIP.iter().any(|verb| sample.starts_with(verb)) { "sip" } else { "unknown" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_do_not_split_a_cluster() {
        let one = normalised(b"GET /x?ip=10.0.0.1&n=77 HTTP/1.1\r\nHost: 192.0.2.9\r\n\r\n");
        let two = normalised(b"GET /x?ip=172.16.3.250&n=1 HTTP/1.1\r\nHost: 198.51.100.77\r\n\r\n");
        let other = normalised(b"GET /y?ip=10.0.0.1&n=77 HTTP/1.1\r\n\r\n");
        assert_eq!(one, two);
        assert_ne!(one, other);
    }

    #[test]
    fn what_comes_again_outlasts_random_payloads() {
        let said = |shape, src: u32| Said { src: noroshi_model::Addr::v4(src), shape, sample: 0, dport: 53, udp: true };
        let (popular, random) = (0, 1..);
        let mut payloads = Payloads::default();
        for (round, shape) in (0..20_000u32).zip(random) {
            payloads.add(&said(shape, round), || b"random");
            if round % 10 == 0 {
                payloads.add(&said(popular, round), || b"popular");
            }
            assert!(payloads.clusters.len() <= CLUSTERS_MAX);
        }
        let known: u64 = payloads.clusters.values().map(|cluster| cluster.packets).sum();
        assert_eq!(known + payloads.dropped, 22_000);
        let clusters = payloads.into_clusters();
        assert_eq!((clusters[0].packets, clusters[0].sources), (2_000, 2_000));
        assert_eq!(clusters[0].sample, "popular");
    }

    #[test]
    fn the_same_payload_has_one_shape_whether_it_is_remembered_or_not() {
        let mut recent = Recent::default();
        let payloads: Vec<Vec<u8>> =
            (0..2_000u32).map(|n| format!("GET /{} x{n:b}", "a".repeat(n as usize % 90)).into()).collect();
        for payload in payloads.iter().chain(&payloads) {
            assert_eq!(recent.shape(payload), normalised(payload));
            assert_eq!(recent.shape(payload), normalised(payload));
        }
        assert_eq!(recent.shape(b""), normalised(b""));
    }

    #[test]
    fn exploits_are_named() {
        assert_eq!(label(b"GET /?x=${jndi:ldap://a/b} HTTP/1.1", 80, false), "exploit: Log4Shell (CVE-2021-44228)");
        assert_eq!(label(b"\x16\x03\x01\x02\x00", 443, false), "tls hello");
        assert_eq!(label(b"\x17\x00\x03\x2a", 123, true), "ntp");
    }
}
