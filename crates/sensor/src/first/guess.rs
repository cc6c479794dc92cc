//! Which protocol a first payload belongs to, and what it says about its sender.

use super::ja4;

/// What was recognised.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Guess {
    /// `http`, `tls`, `ssh`, `rdp`, …; `unknown`, or `silent` without payload.
    pub protocol: &'static str,
    /// What the client calls itself.
    pub client: Option<String>,
    /// JA4 for TLS.
    pub fingerprint: Option<String>,
    /// The first line, where the protocol has lines.
    pub line: Option<String>,
    /// A name that it asks for: server name, host, cookie.
    pub name: Option<String>,
}

/// Longest text kept.
const TEXT: usize = 255;

/// Beginnings that name their protocol, most specific first.
const MARKS: &[(&[u8], &str)] = &[
    (b"SSH-", "ssh"),
    (b"CNXN", "adb"),
    (b"JRMI", "java-rmi"),
    (b"GIOP", "corba"),
    (b"RFB ", "vnc"),
    (b"t3 ", "weblogic-t3"),
    (b"HELP\r\n", "smtp"),
    (b"HELO ", "smtp"),
    (b"EHLO ", "smtp"),
    (b"*1\r\n$", "redis"),
    (b"*2\r\n$", "redis"),
    (b"*3\r\n$", "redis"),
    (b"INFO\r\n", "redis"),
    (b"PING\r\n", "redis"),
    (b"stats\r\n", "memcached"),
    (b"version\r\n", "memcached"),
    (b"\x12\x01\x00", "mssql"),
    (b"\x05\x01\x00", "socks5"),
    (b"\x05\x02\x00", "socks5"),
    (b"\x04\x01", "socks4"),
    (b"\xff\xfb", "telnet"),
    (b"\xff\xfd", "telnet"),
    (b"\x00\x00\x00\x00\x00", "zeros"),
    (b"<?xml", "xml"),
    (b"{\"", "json"),
    (b"HELLO", "text"),
    (b"\x02\x00\x00\x00", "siemens"),
    (b"AMQP", "amqp"),
    (b"\x47\x45\x54\x20", "http"),
];

/// Methods of requests that HTTP and its relatives begin with.
const METHODS: [&str; 12] = [
    "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PROPFIND", "DESCRIBE", "REGISTER",
];

fn short(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(TEXT).collect()
}

fn line(payload: &[u8]) -> &[u8] {
    let end = payload.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(payload.len());
    &payload[..end]
}

/// Looks at a payload.
pub fn guess(payload: &[u8]) -> Guess {
    let named = |protocol| Guess { protocol, ..Guess::default() };
    if payload.is_empty() {
        return named("silent");
    }
    if payload[0] == 0x16 && payload.get(1) == Some(&3) {
        return tls(payload);
    }
    if payload.starts_with(&[3, 0]) {
        return rdp(payload);
    }
    if let Some(found) = lines(payload) {
        return found;
    }
    // SMB: a session header of four bytes, then the mark of version 1, 2 or encrypted 3.
    if let Some([first, b'S', b'M', b'B']) = payload.get(4..8)
        && matches!(first, 0xfd..=0xff)
    {
        return named("smb");
    }
    if payload[0] == 0x10 && payload.windows(4).take(12).any(|word| word == b"MQTT") {
        return named("mqtt");
    }
    // PostgreSQL: a length, then version 3.0 or the request for TLS.
    if payload.len() >= 8 && [[0, 3, 0, 0], [4, 210, 22, 47]].iter().any(|mark| payload[4..8] == *mark) {
        return named("postgresql");
    }
    // MongoDB: length, id, answer, then operation 2004 or 2013 in little endian.
    if [&[212, 7, 0, 0], &[221, 7, 0, 0]].iter().any(|mark| payload.get(12..16) == Some(&mark[..])) {
        return named("mongodb");
    }
    // DNS over TCP: its length in front, one question.
    if payload.len() >= 14
        && usize::from(payload[0]) << 8 | usize::from(payload[1]) == payload.len() - 2
        && payload[6..8] == [0, 1]
    {
        return named("dns");
    }
    named(MARKS.iter().find(|(mark, _)| payload.starts_with(mark)).map_or("unknown", |(_, name)| name))
}

fn lines(payload: &[u8]) -> Option<Guess> {
    let first = short(line(payload));
    let header = |wanted: &str| {
        let text = String::from_utf8_lossy(&payload[..payload.len().min(4_096)]).into_owned();
        text.lines().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| short(value.trim().as_bytes()))
        })
    };
    let word = first.split(' ').next().unwrap_or_default();
    if payload.starts_with(b"SSH-") {
        return Some(Guess { protocol: "ssh", client: Some(first), ..Guess::default() });
    }
    if METHODS.contains(&word) && first.len() > word.len() {
        let protocol = match () {
            () if first.contains("RTSP/") => "rtsp",
            () if first.contains("SIP/") => "sip",
            () => "http",
        };
        return Some(Guess {
            protocol,
            client: header("user-agent"),
            name: header("host"),
            line: Some(first),
            fingerprint: None,
        });
    }
    None
}

fn tls(payload: &[u8]) -> Guess {
    match ja4::client_hello(payload) {
        Some(hello) => Guess {
            protocol: "tls",
            fingerprint: Some(hello.ja4('t')),
            name: hello.server_name.as_deref().map(|name| short(name.as_bytes())),
            ..Guess::default()
        },
        None => Guess { protocol: "tls", ..Guess::default() },
    }
}

/// TPKT, then a connection request of X.224; clients put `Cookie: mstshash=NAME` into it ([MS-RDPBCGR] 2.2.1.1).
fn rdp(payload: &[u8]) -> Guess {
    if payload.get(5) != Some(&0xe0) {
        return Guess { protocol: "tpkt", ..Guess::default() };
    }
    let cookie = payload.windows(17).position(|window| window == b"Cookie: mstshash=");
    let name = cookie.map(|at| short(line(&payload[at + 17..])));
    Guess { protocol: "rdp", name, ..Guess::default() }
}
