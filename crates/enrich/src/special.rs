//! Address space that is never a genuine source on the public Internet: the entries "globally reachable: false" of the
//! IANA special-purpose registries (RFC 6890, RFC 8190), multicast and the space still reserved.
//!
//! This is protocol, not data about anyone, so it is built in and known at all times.

use noroshi_model::Nanos;

use crate::kinds::Kinds;
use crate::load::Format;
use crate::manifest::{DatedBy, TableInfo};
use crate::table::{Builder, NO_NAME, Table};

const PREFIXES: [&str; 28] = [
    "0.0.0.0/8",       // this network, RFC 791
    "10.0.0.0/8",      // private, RFC 1918
    "100.64.0.0/10",   // shared, RFC 6598
    "127.0.0.0/8",     // loopback, RFC 1122
    "169.254.0.0/16",  // link local, RFC 3927
    "172.16.0.0/12",   // private, RFC 1918
    "192.0.0.0/24",    // protocol assignments, RFC 6890
    "192.0.2.0/24",    // documentation, RFC 5737
    "192.168.0.0/16",  // private, RFC 1918
    "198.18.0.0/15",   // benchmarking, RFC 2544
    "198.51.100.0/24", // documentation, RFC 5737
    "203.0.113.0/24",  // documentation, RFC 5737
    "224.0.0.0/4",     // multicast, RFC 5771
    "240.0.0.0/4",     // reserved, RFC 1112, and limited broadcast, RFC 8190
    "::/128",          // unspecified, RFC 4291
    "::1/128",         // loopback, RFC 4291
    "64:ff9b:1::/48",  // local translation, RFC 8215
    "100::/64",        // discard only, RFC 6666
    "2001:2::/48",     // benchmarking, RFC 5180
    "2001:10::/28",    // ORCHID, RFC 4843
    "2001:db8::/32",   // documentation, RFC 3849
    "3fff::/20",       // documentation, RFC 9637
    "5f00::/16",       // segment routing identifiers, RFC 9602
    "fc00::/7",        // unique local, RFC 4193
    "fe80::/10",       // link local, RFC 4291
    "fec0::/10",       // site local, RFC 3879
    "ff00::/8",        // multicast, RFC 4291
    "100:0:0:1::/64",  // dummy prefix, RFC 9780
];

pub(crate) fn table() -> Table {
    let mut builder = Builder::new(PREFIXES.len() as u64);
    let fact = builder.fact(None, None, NO_NAME);
    for prefix in PREFIXES {
        // The texts are constants that a test parses one by one.
        _ = prefix.parse().map(|prefix| builder.prefix(prefix, fact));
    }
    builder.build()
}

pub(crate) fn info() -> TableInfo {
    TableInfo {
        name: "special-use".to_owned(),
        title: "Special-purpose address space (RFC 6890)".to_owned(),
        format: Format::AddressList,
        as_of: Nanos(0),
        dated_by: DatedBy::Publisher,
        imported_at: Nanos(0),
        country: false,
        network: false,
        kinds: Some(Kinds::BOGON),
        entries: PREFIXES.len() as u64,
        skipped: 0,
        source_file: "built in".to_owned(),
        file: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noroshi_model::Prefix;

    #[test]
    fn every_prefix_is_written_canonically_and_found() {
        let table = table();
        for text in PREFIXES {
            let prefix: Prefix = text.parse().unwrap();
            assert_eq!(prefix.to_string(), text);
            assert!(table.find(prefix.first()).is_some() && table.find(prefix.last()).is_some(), "{text}");
        }
        for open in
            ["1.1.1.1", "192.0.1.0", "172.32.0.0", "100.128.0.0", "223.255.255.255", "2001:4860::1", "192.88.99.1"]
        {
            assert!(table.find(open.parse().unwrap()).is_none(), "{open}");
        }
    }
}
