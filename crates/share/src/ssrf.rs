//! Where a webhook may go (faults A3): only to public addresses, over TLS, to the address that was judged.
//!
//! The host is looked up once; if any of its addresses is not public, nothing is sent, since an answer that mixes public
//! and private addresses has no honest use. The connection is pinned to a judged address, so a name that changes between
//! judging and connecting gains nothing.

use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which targets are refused.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Exact sockets that are allowed although they are not public or not TLS: for receivers on this machine.
    pub allowed: Vec<SocketAddr>,
}

/// A judged target.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where to post.
    pub url: Url,
    /// Host as it stands in the URL.
    pub host: String,
    /// The one address to connect to.
    pub address: SocketAddr,
}

/// A target that is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Not a URL.
    #[error("the webhook's address is not a URL")]
    Url,
    /// Not TLS.
    #[error("webhooks need https")]
    Scheme,
    /// Names and passwords in a URL end up in logs.
    #[error("a webhook's URL must not hold a user name or password")]
    Credentials,
    /// The name does not resolve now.
    #[error("the webhook's host does not resolve")]
    Unresolved,
    /// Not a public address.
    #[error("the webhook's host is at {0}, which is not a public address; webhooks go to public addresses only")]
    Address(IpAddr),
}

impl Refused {
    /// Whether trying again is useless.
    pub fn is_final(&self) -> bool {
        !matches!(self, Refused::Unresolved)
    }
}

impl Guard {
    /// Judges a URL and looks its host up.
    pub async fn check(&self, text: &str) -> Result<Target, Refused> {
        let url = Url::parse(text).map_err(|_| Refused::Url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        let host = url.host_str().ok_or(Refused::Url)?.to_owned();
        let port = url.port_or_known_default().ok_or(Refused::Url)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let found: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => tokio::net::lookup_host((bare.as_str(), port)).await.map_err(|_| Refused::Unresolved)?.collect(),
        };
        let address = *found.first().ok_or(Refused::Unresolved)?;
        if found.iter().all(|socket| self.allowed.contains(socket)) {
            return Ok(Target { url, host, address });
        }
        if url.scheme() != "https" {
            return Err(Refused::Scheme);
        }
        match found.iter().find(|socket| !is_public(socket.ip())) {
            Some(socket) => Err(Refused::Address(socket.ip())),
            None => Ok(Target { url, host, address }),
        }
    }
}

/// Whether an address is globally reachable (IANA special-purpose registries for IPv4 and IPv6, 2026). IPv6 forms that
/// wrap IPv4 are judged by what they wrap.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(a == 0
        || a == 10
        || a == 127
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let wrapped = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        // IPv4-mapped and the deprecated IPv4-compatible form (also :: and ::1).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => (s[5] == 0xffff) && is_public_v4(wrapped(high, low)),
        // IPv4-translated (RFC 2765) and NAT64 (RFC 6052, RFC 8215).
        [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 1, ..] => false,
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(wrapped(high, low)),
        // 6to4.
        [0x2002, high, low, ..] => is_public_v4(wrapped(high, low)),
        // Teredo, benchmarking, ORCHID, documentation: all inside 2001::/23 or 2001:db8::/32.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Global unicast is 2000::/3; everything else is local, multicast or reserved.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "100::1",
            "3fff::1",
            "fec0::1",
            "::ffff:0:127.0.0.1",
            "::8.8.8.8",
            "5f00::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in
            ["8.8.8.8", "100.128.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1", "::ffff:8.8.8.8", "2002:808:808::1"]
        {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn tricks_in_urls_are_refused() {
        for url in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.0.0.1/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://169.254.169.254/latest/",
            "https://localhost/",
            "http://8.8.8.8/",
            "ftp://8.8.8.8/",
            "file:///etc/passwd",
            "https://user:pw@8.8.8.8/",
            "https://8.8.8.8@127.0.0.1/",
            "gopher://8.8.8.8/",
            "not a url",
            "https://①②⑦.0.0.1/",
            "https://0/",
            "https://127.0.0.1.:443/",
            "https://[fe80::1%25eth0]/",
            "//127.0.0.1/",
            "https:/127.0.0.1/",
            "https:127.0.0.1",
            "https://127。0。0。1/",
            "https://[64:ff9b::7f00:1]/",
        ] {
            assert!(Guard::default().check(url).await.is_err(), "{url}");
        }
        assert!(Guard::default().check("https://8.8.8.8/hook").await.is_ok());
        let guard = Guard { allowed: vec!["127.0.0.1:8080".parse().unwrap()] };
        assert!(guard.check("http://127.0.0.1:8080/hook").await.is_ok());
        assert!(guard.check("http://127.0.0.1:8081/hook").await.is_err());
    }
}
