//! JA4 of a TLS ClientHello (FoxIO, "JA4: TLS client fingerprinting", technical details, 2023).
//!
//! `a_b_c`: a is transport, version, whether a server is named, numbers of ciphers and extensions, first ALPN value;
//! b is a digest of the sorted ciphers; c one of the sorted extensions and the signature algorithms as sent. GREASE values
//! (RFC 8701) are left out everywhere.

use crate::iot::recording::sha256;

/// What of a ClientHello the fingerprint needs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientHello {
    version: u16,
    ciphers: Vec<u16>,
    extensions: Vec<u16>,
    signatures: Vec<u16>,
    alpn: Option<Vec<u8>>,
    /// Name in the server name extension.
    pub server_name: Option<String>,
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<usize> {
        Some(usize::from(self.take(1)?[0]))
    }

    fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn list(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.word()?);
        self.take(length)
    }
}

fn words(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).filter(|word| !grease(*word)).collect()
}

fn grease(word: u16) -> bool {
    word & 0x0f0f == 0x0a0a && word >> 8 == word & 0xff
}

/// Reads the ClientHello at the start of a TLS stream; it must be whole, or nearly: a cut list of extensions is read as
/// far as it goes when the record says that it continues in another.
pub fn client_hello(stream: &[u8]) -> Option<ClientHello> {
    let mut record = Fields(stream.get(5..)?);
    // Handshake type 1, then a length of three bytes.
    if stream[0] != 22 || record.byte()? != 1 {
        return None;
    }
    record.take(3)?;
    let mut hello = ClientHello { version: record.word()?, ..ClientHello::default() };
    record.take(32)?;
    let session = record.byte()?;
    record.take(session)?;
    hello.ciphers = words(record.list()?);
    let compression = record.byte()?;
    record.take(compression)?;
    let Some(length) = record.word() else { return Some(hello) };
    let mut extensions = Fields(&record.0[..record.0.len().min(usize::from(length))]);
    while let Some(kind) = extensions.word() {
        let Some(body) = extensions.list() else { break };
        if grease(kind) {
            continue;
        }
        hello.extensions.push(kind);
        extension(&mut hello, kind, body);
    }
    Some(hello)
}

fn extension(hello: &mut ClientHello, kind: u16, body: &[u8]) {
    let mut fields = Fields(body);
    match kind {
        0 => {
            // A list of names; type 0 is a host name (RFC 6066, section 3).
            let name = fields.word().and_then(|_| fields.byte()).and_then(|_| fields.list());
            hello.server_name = name.map(|name| String::from_utf8_lossy(name).into_owned());
        }
        13 => hello.signatures = fields.list().map(words).unwrap_or_default(),
        16 => {
            let first = fields.word().and_then(|_| fields.byte()).and_then(|length| fields.take(length));
            hello.alpn = first.map(<[u8]>::to_vec);
        }
        43 => {
            let length = fields.byte().unwrap_or(0);
            let versions = fields.take(length).map(words).unwrap_or_default();
            hello.version = versions.into_iter().max().unwrap_or(hello.version);
        }
        _ => {}
    }
}

impl ClientHello {
    /// The fingerprint; `transport` is `t` for TCP and `q` for QUIC.
    pub fn ja4(&self, transport: char) -> String {
        let version = match self.version {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        };
        let named = if self.extensions.contains(&0) { 'd' } else { 'i' };
        let (ciphers, extensions) = (self.ciphers.len().min(99), self.extensions.len().min(99));
        let digest =
            |text: String| if text.is_empty() { "0".repeat(12) } else { sha256(text.as_bytes())[..12].to_owned() };
        let mut sorted = self.ciphers.clone();
        sorted.sort_unstable();
        let mut others: Vec<u16> = self.extensions.iter().copied().filter(|kind| !matches!(kind, 0 | 16)).collect();
        others.sort_unstable();
        let mut last = join(&others);
        if !self.signatures.is_empty() && !last.is_empty() {
            last = format!("{last}_{}", join(&self.signatures));
        }
        format!(
            "{transport}{version}{named}{ciphers:02}{extensions:02}{}_{}_{}",
            self.alpn_sign(),
            digest(join(&sorted)),
            digest(last)
        )
    }

    /// First and last character of the first ALPN value; of its hexadecimal form where either is not alphanumeric.
    fn alpn_sign(&self) -> String {
        let Some(value) = self.alpn.as_deref().filter(|value| !value.is_empty()) else { return "00".into() };
        let (first, last) = (value[0], value[value.len() - 1]);
        if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
            return format!("{}{}", first as char, last as char);
        }
        let (high, low) = (format!("{first:02x}"), format!("{last:02x}"));
        format!("{}{}", &high[..1], &low[1..])
    }
}

fn join(words: &[u16]) -> String {
    words.iter().map(|word| format!("{word:04x}")).collect::<Vec<_>>().join(",")
}
