//! The filter language against what tcpdump 4.99.3 (libpcap 1.10.3) selects.

use noroshi_packet::capture::LinkType;
use noroshi_packet::filter::{Filter, FilterError};
use proptest::prelude::*;

/// Frames written for this test: TCP, UDP over IPv6, a VLAN, ARP, MPLS, PPPoE, a later fragment, ICMP with IP options, a
/// fragmented IPv6 header, a cut datagram, spanning tree, ICMPv6.
#[rustfmt::skip]
const FRAMES: [(char, &str); 12] = [
    ('A', "0200000000010200000000020800450000280007000040060000c0000201c63364023039005000000001000000025002040000000000"),
    ('B', "02000000000102000000000286dd60000000000d11fffe800000000000000000000000000001ff0200000000000000000000000000fb14e914e9000d000068656c6c6f"),
    ('C', "020000000001020000000002810000070800450000280007000040060000c0000201c633640201bbc35000000001000000025012040000000000"),
    ('D', "ffffffffffff02000000000208060001080006040001020000000002c0000201000000000000c0000209"),
    ('E', "0200000000010200000000028847000101404500001c0007000040110000c0000201c63364020035041d00080000"),
    ('F', "020000000001020000000002886411000005003000214500002c0007000040060000c0000201c6336402000100020000000100000002501004000000000047455420"),
    ('G', "02000000000102000000000208004500002c0007000340060000c0000201c6336402005000500050005000500050005000500050005000500050"),
    ('H', "0200000000010200000000020800460000840007000003010000c0000201c633640201010100080000000001000178787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"),
    ('I', "02000000000102000000000286dd60000000001c2cfffe800000000000000000000000000001ff0200000000000000000000000000fb0600000000000001001608ae00000001000000025018040000000000"),
    ('J', "02000000000102000000000208004500001c0007000040110000c0000201c63364020044"),
    ('K', "0180c200000002000000000200264242030000000000000000000000000000000000000000000000000000000000000000000000"),
    ('L', "02000000000102000000000286dd6000000000183afffe800000000000000000000000000001ff0200000000000000000000000000fb8700000000000000ff0200000000000000000000000000fb"),
];

/// Expressions, and the frames that tcpdump selects with them.
#[rustfmt::skip]
const SELECTED: &[(&str, &str)] = &[
    ("tcp", "AGI"),
    ("udp", "BJ"),
    ("icmp", "H"),
    ("icmp6", "L"),
    ("ip", "AGHJ"),
    ("ip6", "BIL"),
    ("arp", "D"),
    ("stp", "K"),
    ("llc", "K"),
    ("sctp", ""),
    ("vlan", "C"),
    ("vlan 7", "C"),
    ("vlan 8", ""),
    ("mpls", "E"),
    ("mpls 16", "E"),
    ("pppoes", "F"),
    ("pppoes 5", "F"),
    ("ether proto 0x8847", "E"),
    ("ip proto 6", "AG"),
    ("proto 6", "AGI"),
    ("proto 58", "L"),
    ("ip6 proto 6", "I"),
    ("ip proto \\tcp", "AG"),
    ("ether proto \\arp", "D"),
    ("ip6 protochain 6", "I"),
    ("protochain 17", "BJ"),
    ("host 192.0.2.1", "ADGHJ"),
    ("src host 192.0.2.1", "ADGHJ"),
    ("dst host 192.0.2.1", ""),
    ("ip host 192.0.2.1", "AGHJ"),
    ("arp host 192.0.2.9", "D"),
    ("host 192.0.2.1 or 192.0.2.9", "ADGHJ"),
    ("net 192.0.2.0/24", "ADGHJ"),
    ("net 198.51", "AGHJ"),
    ("net 10", ""),
    ("src net 192.0.2.0 mask 255.255.255.0", "ADGHJ"),
    ("src and dst net 192.0.2.0/24", "D"),
    ("dst 198.51.100.2", "AGHJ"),
    ("host fe80::1", "BIL"),
    ("src net fe80::/10", "BIL"),
    ("dst net ff00::/8", "BIL"),
    ("ether host 02:00:00:00:00:02", "ABCDEFGHIJKL"),
    ("ether dst 02:00:00:00:00:01", "ABCEFGHIJL"),
    ("ether broadcast", "D"),
    ("broadcast", "D"),
    ("multicast", "DK"),
    ("ether multicast", "DK"),
    ("ip6 multicast", "BIL"),
    ("ip multicast", ""),
    ("port 80", "A"),
    ("src port 80", ""),
    ("tcp port 80", "A"),
    ("udp port 80", ""),
    ("port 80 or 443", "A"),
    ("port (80 or 5353)", "AB"),
    ("port http", "A"),
    ("port domain or http", "A"),
    ("portrange 1-100", "AJ"),
    ("src portrange 5000-6000", "B"),
    ("dst portrange 50000-60000", ""),
    ("not port 80", "BCDEFGHIKL"),
    ("tcp and not port 80", "GI"),
    ("src or dst port 2222", ""),
    ("port 53", ""),
    ("port 67", ""),
    ("vlan and tcp", "C"),
    ("vlan and port 443", "C"),
    ("vlan and host 192.0.2.1", "C"),
    ("mpls and udp", "E"),
    ("mpls and port 53", "E"),
    ("mpls and host 192.0.2.1", "E"),
    ("pppoes and tcp", "F"),
    ("pppoes and tcp port 2", "F"),
    ("tcp or vlan and tcp", "C"),
    ("vlan or tcp", "C"),
    ("not vlan and tcp", ""),
    ("(vlan and tcp) or udp", "C"),
    ("tcp[13] & 2 != 0", "A"),
    ("tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", "A"),
    ("tcp[tcpflags] == tcp-syn", "A"),
    ("tcp[2:2] > 79", "A"),
    ("tcp[0:2] < 1024", ""),
    ("not tcp[13] = 2", "BCDEFGHIJKL"),
    ("ip[8] < 64", "H"),
    ("ip[0] & 0xf != 5", "H"),
    ("ip[6:2] & 0x1fff != 0", "G"),
    ("icmp[icmptype] == icmp-echo", "H"),
    ("icmp[icmptype] != icmp-echo", ""),
    ("icmp6[icmp6type] = icmp6-neighborsolicit", "L"),
    ("udp[4:2] > 8", ""),
    ("udp[8:2] = 0x6865", ""),
    ("ether[0] & 1 = 1", "DK"),
    ("ip[2:2] - ((ip[0] & 0xf) << 2) > 50", "H"),
    ("tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420", ""),
    ("len > 100", "H"),
    ("len - 14 > 60", "HIL"),
    ("less 60", "ACDEGJK"),
    ("greater 100", "H"),
    ("greater 60 and less 90", "BFIL"),
    ("1 = 1", "ABCDEFGHIJKL"),
    ("ip6[6] = 58", "L"),
    ("ip6[40] = 135", "L"),
    ("arp[6:2] = 1", "D"),
    ("ip[12:4] = 0xc0000201", "AGHJ"),
    ("5 - 3 * 1 = 2", "ABCDEFGHIJKL"),
    ("8 >> 2 + 1 = 1", "ABCDEFGHIJKL"),
    ("(len) > 100", "H"),
    ("ip[16] >= 224 or ip6[24] == 255", "BIL"),
    ("vlan and ip[8] = 64", "C"),
    ("pppoes and ip[0] = 0x45", "F"),
    ("tcp or udp and port 80", "A"),
    ("tcp and port 80 or udp", "ABJ"),
    ("!tcp", "BCDEFHJKL"),
    ("not not tcp", "AGI"),
    ("tcp && !port 80", "GI"),
    ("udp || icmp", "BHJ"),
    ("not (arp or icmp)", "ABCEFGIJKL"),
    ("ip and (tcp or icmp) and not net 10.0.0.0/8", "AGH"),
    ("src 192.0.2.1 and not tcp", "DHJ"),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

#[test]
fn selects_what_tcpdump_selects() {
    let frames: Vec<(char, Vec<u8>)> = FRAMES.iter().map(|(name, hex)| (*name, bytes(hex))).collect();
    let mut wrong = Vec::new();
    for (expression, expected) in SELECTED {
        let filter = Filter::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let matches = |frame: &[u8]| filter.matches(LinkType::ETHERNET, frame, frame.len() as u32) == Some(true);
        let selected: String = frames.iter().filter(|(_, frame)| matches(frame)).map(|(name, _)| name).collect();
        if selected != *expected {
            wrong.push(format!("{expression}: {selected}, tcpdump {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn refusals_tell_the_place() {
    for (expression, at) in [
        ("tcp prt 80", 4),
        ("tcp port 99999", 9),
        ("port ???", 5),
        ("tcp and and", 8),
        (")", 0),
        ("host 1.2.3", 5),
        ("host 1.2.3.4.5", 5),
        ("tcp[0:3]", 6),
        ("ip host fe80::1", 8),
        ("tcp host 1.2.3.4", 9),
        ("vlan 5000", 5),
        ("net 10.0.0.0/33", 13),
        ("tcp = 1", 4),
    ] {
        assert_eq!(Filter::compile(expression).unwrap_err(), FilterError::Word(at), "{expression}");
    }
    for expression in ["", "tcp and", "(", "tcp[", "not", "port", "src", "len >", "tcp port 80 or (", "ip[0]"] {
        assert_eq!(Filter::compile(expression).unwrap_err(), FilterError::EndsEarly, "{expression}");
    }
    for expression in ["inbound", "host example.org", "ip broadcast", "geneve"] {
        assert!(matches!(Filter::compile(expression), Err(FilterError::NotHere(_))), "{expression}");
    }
}

#[test]
fn deep_and_long_expressions_end() {
    for open in ["(", "not ", "!", "-", "ip[", "port (", "1+("] {
        assert!(Filter::compile(&open.repeat(20_000)).is_err());
    }
    let long = vec!["tcp port 80"; 5_000].join(" or ");
    let filter = Filter::compile(&long).unwrap();
    assert_eq!(filter.matches(LinkType::ETHERNET, &[0; 60], 60), Some(false));
    assert!(Filter::compile(&vec!["1"; 5_000].join("+")).is_err());
}

#[test]
fn arithmetic_of_the_machine() {
    let yes = |expression: &str| Filter::compile(expression).unwrap().matches(LinkType::RAW, &[0x45; 20], 20);
    assert_eq!(yes("-1 = 0xffffffff"), Some(true));
    assert_eq!(yes("1 << 33 = 0"), Some(true));
    assert_eq!(yes("017 = 15"), Some(true));
    assert_eq!(yes("1 / (len - 20) = 1"), Some(false), "division by zero selects nothing");
    assert_eq!(yes("not 1 / (len - 20) = 1"), Some(false), "nor does its opposite");
    assert_eq!(yes("ether[0xffffffff] = 0 or len = 20"), Some(false), "nor a load beyond the packet");
}

#[test]
fn other_link_types_and_unknown_ones() {
    let ip = bytes("4500001c000100004011000000000000c0000201c633640203e807d0000800");
    let behind = |head: &str| [bytes(head), ip.clone()].concat();
    let snap = "aaaa030000000800";
    for (link, frame) in [
        (LinkType::RAW, behind("")),
        (LinkType::NULL, behind("02000000")),
        (LinkType::LINUX_SLL, behind("00000001000600000000000000000800")),
        (LinkType::LINUX_SLL2, behind("0800000000000001000100060000000000000000")),
        (LinkType::PPP, behind("ff030021")),
        (LinkType::PPP, behind("0021")),
        (LinkType::C_HDLC, behind("0f000800")),
        (LinkType::IEEE802_11, behind(&format!("0801{}{snap}", "00".repeat(22)))),
        (LinkType::IEEE802_11_RADIOTAP, behind(&format!("00000800000000008801{}{snap}", "00".repeat(24)))),
    ] {
        for (expression, is) in [("udp", true), ("ip proto 17 and not tcp", true), ("ip6 or arp", false)] {
            let filter = Filter::compile(expression).unwrap();
            assert_eq!(filter.matches(link, &frame, 99), Some(is), "{link:?} {expression}");
        }
    }
    assert_eq!(Filter::compile("ip").unwrap().matches(LinkType(147), &ip, 99), None);
}

proptest! {
    #[test]
    fn any_expression_of_words_ends(words in proptest::collection::vec(0usize..WORDS.len(), 0..40), frame in any::<Vec<u8>>()) {
        let text: Vec<&str> = words.iter().map(|word| WORDS[*word]).collect();
        if let Ok(filter) = Filter::compile(&text.join(" ")) {
            filter.matches(LinkType::ETHERNET, &frame, 60);
        }
    }

    #[test]
    fn any_text_ends(text in "\\PC{0,60}", frame in any::<Vec<u8>>()) {
        if let Ok(filter) = Filter::compile(&text) {
            filter.matches(LinkType::RAW, &frame, 60);
        }
    }
}

const WORDS: [&str; 40] = [
    "tcp",
    "udp",
    "ip",
    "ip6",
    "vlan",
    "mpls",
    "pppoes",
    "not",
    "and",
    "or",
    "(",
    ")",
    "[",
    "]",
    ":",
    "port",
    "host",
    "net",
    "src",
    "dst",
    "80",
    "1-100",
    "10.0.0.1",
    "fe80::1",
    "/",
    "len",
    "=",
    "!=",
    "&",
    "+",
    "-",
    "<<",
    "icmp6",
    "ether",
    "proto",
    "protochain",
    "6",
    "http",
    "tcp[",
    "mask",
];
