//! Firewall log of a DShield sensor: netfilter's `LOG` lines, one packet each.

use crate::fields::{self, Refusal};
use crate::record::{Header, Record};
use noroshi_model::packet::{proto, tcp};

const FLAGS: [(&str, u8); 8] = [
    ("FIN", tcp::FIN),
    ("SYN", tcp::SYN),
    ("RST", tcp::RST),
    ("PSH", tcp::PSH),
    ("ACK", tcp::ACK),
    ("URG", tcp::URG),
    ("ECE", tcp::ECE),
    ("CWR", tcp::CWR),
];

/// One packet. `TIME HOST kernel:[uptime] PREFIX IN=… SRC=… DST=… PROTO=…`; what an ICMP error quotes stays in `extra`.
pub fn record(line: &str) -> Result<Record, Refusal> {
    let at = line.find("IN=").ok_or("no \"IN=\" as netfilter writes")?;
    let (before, packet) = line.split_at(at);
    let mut words = before.split_whitespace();
    let ts = words.next().and_then(fields::parse_time);
    let mut row = Record { ts, kind: "packet".into(), ..Record::default() };
    if ts.is_some() {
        row.sensor = words.next().unwrap_or_default().to_owned();
    }
    // Times of classic syslog name no year: the words stay, the column is empty.
    row.extra.insert("prefix".into(), before.trim().into());
    let (packet, quoted) = packet.split_once(" [").map_or((packet, None), |(packet, quoted)| (packet, Some(quoted)));
    let (mut header, mut flags) = (Header::default(), 0);
    for word in packet.split_whitespace() {
        match word.split_once('=') {
            Some((key, value)) => field(&mut row, &mut header, key, value)?,
            None => match FLAGS.iter().find(|(name, _)| *name == word) {
                Some((_, bit)) => flags |= bit,
                None => drop(row.extra.insert(word.into(), true.into())),
            },
        }
    }
    if row.src.is_none() || row.dst.is_none() {
        return Err("no SRC= or DST=".into());
    }
    if row.proto == Some(proto::TCP) {
        header.tcp_flags = Some(flags);
    }
    if let Some(quoted) = quoted {
        row.extra.insert("quoted".into(), quoted.trim_end_matches([' ', ']']).into());
    }
    row.bytes = header.length.map(u64::from);
    row.packets = Some(1);
    row.header = Some(Box::new(header));
    Ok(row)
}

fn field(row: &mut Record, header: &mut Header, key: &str, value: &str) -> Result<(), Refusal> {
    fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, Refusal> {
        value.parse().map_err(|_| format!("{key}: \"{}\" is not a number in range", fields::shorten(value)))
    }
    match key {
        "SRC" => row.src = Some(fields::parse_address(value)?),
        "DST" => row.dst = Some(fields::parse_address(value)?),
        "SPT" => row.sport = Some(number(key, value)?),
        "DPT" => row.dport = Some(number(key, value)?),
        "TTL" | "HOPLIMIT" => header.ttl = number(key, value)?,
        // An echo request writes its own identifier as a second ID.
        "ID" if header.ip_id.is_none() => header.ip_id = Some(number(key, value)?),
        "WINDOW" => header.window = Some(number(key, value)?),
        // UDP writes its own length as a second LEN.
        "LEN" if header.length.is_none() => header.length = Some(number(key, value)?),
        "TOS" | "TC" => header.tos = u8::from_str_radix(value.trim_start_matches("0x"), 16).unwrap_or(0),
        "PROTO" => row.proto = fields::proto_number(value.trim_end_matches("v6")).or(fields::proto_number(value)),
        _ if !value.is_empty() => drop(row.extra.insert(key.into(), value.into())),
        _ => {}
    }
    if key == "PROTO" && value == "ICMPv6" {
        row.proto = Some(proto::ICMPV6);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_udp_and_icmp() {
        let tcp = record("1701288320 d kernel:[2.6]  DSHIELDINPUT IN=eth0 OUT= MAC=06:a6 SRC=192.0.2.9 DST=198.51.100.8 LEN=60 TOS=0x08 PREC=0x20 TTL=43 ID=37225 DF PROTO=TCP SPT=58186 DPT=5555 WINDOW=64240 RES=0x00 SYN URGP=0 ").unwrap();
        let header = tcp.header.unwrap();
        assert_eq!((header.tcp_flags, header.ip_id, header.ttl), (Some(tcp::SYN), Some(37225), 43));
        assert_eq!((tcp.dport, tcp.sensor.as_str(), &tcp.extra["DF"]), (Some(5555), "d", &true.into()));
        let udp = record("1701288320 d kernel:[2.6] X IN=eth0 OUT= SRC=192.0.2.9 DST=198.51.100.8 LEN=62 TTL=234 ID=54321 PROTO=UDP SPT=1 DPT=161 LEN=42 ").unwrap();
        assert_eq!(udp.header.unwrap().length, Some(62));
        let icmp = record("Jan  5 12:00:00 d kernel: X IN=eth0 OUT= SRC=192.0.2.9 DST=198.51.100.8 LEN=88 TTL=50 ID=1 PROTO=ICMP TYPE=3 CODE=3 [SRC=198.51.100.8 DST=192.0.2.9 LEN=60 PROTO=UDP SPT=1 DPT=2 ]").unwrap();
        assert_eq!((icmp.ts, icmp.sport), (None, None));
        assert!(icmp.extra["quoted"].as_str().unwrap().starts_with("SRC=198.51.100.8"));
        assert!(record("IN=eth0 SRC=192.0.2.9 DST=x PROTO=TCP").is_err());
        assert!(record("1701288320 d x IN=eth0 SRC=192.0.2.9 DST=192.0.2.9 SPT=70000").is_err());
    }
}
