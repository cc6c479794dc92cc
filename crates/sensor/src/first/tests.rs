use super::ja4::client_hello;
use super::responder::{Bounds, Done, Responder};
use super::segment::{ACK, RST, SYN, Segment, read, write};
use super::{guess, segment};
use noroshi_model::time::SECOND;
use noroshi_model::{Addr, Nanos};
use proptest::prelude::*;

const START: i64 = 1_767_225_600;

fn at(seconds: i64) -> Nanos {
    Nanos::from_seconds(START + seconds)
}

fn client<'a>(flags: u8, seq: u32, ack: u32, options: &'a [u8], payload: &'a [u8]) -> Segment<'a> {
    let (src, dst) = ("198.51.100.9".parse().unwrap(), "192.0.2.7".parse().unwrap());
    Segment { src, dst, sport: 40_000, dport: 8_545, seq, ack, flags, ttl: 57, id: 7, options, payload }
}

const OPTIONS: &[u8] = &[2, 4, 5, 180, 1, 1, 4, 2];

fn talk(responder: &mut Responder, payload: &[u8], now: Nanos) -> Done {
    let done = responder.take(&write(&client(SYN, 100, 0, OPTIONS, &[])), now);
    let packet = done.reply.unwrap();
    let reply = read(&packet).unwrap();
    assert_eq!((reply.flags, reply.ack), (SYN | ACK, 101));
    let (seq, ack) = (101, reply.seq.wrapping_add(1));
    assert!(responder.take(&write(&client(ACK, seq, ack, &[], &[])), now).reply.is_none());
    responder.take(&write(&client(ACK | 8, seq, ack, &[], payload)), now)
}

#[test]
fn a_handshake_and_a_payload_are_one_row() {
    let mut responder = Responder::new([1; 32], Bounds::default(), None);
    let done = talk(&mut responder, b"GET /x HTTP/1.1\r\nHost: a.example\r\nUser-Agent: zgrab\r\n\r\n", at(0));
    let packet = done.reply.unwrap();
    let reset = read(&packet).unwrap();
    assert_eq!(reset.flags, RST | ACK);
    let row = done.row.unwrap();
    assert_eq!((row.protocol.as_str(), row.dport), ("http", Some(8_545)));
    assert_eq!(row.commands, ["GET /x HTTP/1.1"]);
    assert_eq!(row.client.as_deref(), Some("zgrab"));
    assert!(row.extra.contains("\"two_phase\":false") && row.extra.contains("a.example"), "{}", row.extra);
}

#[test]
fn nothing_is_kept_or_said_without_the_cookie() {
    let mut responder = Responder::new([1; 32], Bounds::default(), None);
    for ack in [0, 1, 0xdead_beef] {
        let done = responder.take(&write(&client(ACK, 5, ack, &[], b"GET / HTTP/1.0\r\n\r\n")), at(0));
        assert!(done.reply.is_none() && done.row.is_none());
    }
    let packet = responder.take(&write(&client(SYN, 1, 0, OPTIONS, &[])), at(0)).reply.unwrap();
    let ack = read(&packet).unwrap().seq.wrapping_add(1);
    // Two minutes later the cookie has expired.
    assert!(responder.take(&write(&client(ACK, 2, ack, &[], b"x")), at(200)).row.is_none());
}

#[test]
fn two_phases_of_one_source_are_recognised() {
    let mut responder = Responder::new([1; 32], Bounds::default(), None);
    let probe = Segment { ttl: 240, id: 54_321, ..client(SYN, 9, 0, &[], &[]) };
    assert!(responder.take(&write(&probe), at(0)).reply.is_some());
    let row = talk(&mut responder, b"\x16\x03\x01", at(20)).row.unwrap();
    assert!(row.extra.contains("\"two_phase\":true"), "{}", row.extra);
    assert_eq!(row.protocol, "tls");
}

#[test]
fn silence_is_a_row_too() {
    let mut responder = Responder::new([1; 32], Bounds::default(), None);
    let packet = responder.take(&write(&client(SYN, 1, 0, OPTIONS, &[])), at(0)).reply.unwrap();
    let ack = read(&packet).unwrap().seq.wrapping_add(1);
    responder.take(&write(&client(ACK, 2, ack, &[], &[])), at(0));
    assert!(responder.expire(at(5)).is_empty());
    let rows = responder.expire(at(11));
    assert_eq!((rows.len(), rows[0].protocol.as_str(), rows[0].bytes_in), (1, "silent", 0));
    assert!(responder.expire(at(99)).is_empty());
}

#[test]
fn answers_stay_within_their_bounds() {
    let bounds = Bounds { network_second: 3, second: 50, ..Bounds::default() };
    let mut responder = Responder::new([1; 32], bounds, Some(vec!["192.0.2.0/24".parse().unwrap()]));
    let mut sent = |src: u32, dst: &str, now| {
        let segment = Segment { src: Addr::v4(src), dst: dst.parse().unwrap(), ..client(SYN, 1, 0, OPTIONS, &[]) };
        let reply = responder.take(&write(&segment), now).reply;
        assert!(reply.as_ref().is_none_or(|reply| reply.len() <= write(&segment).len()), "never longer than the SYN");
        usize::from(reply.is_some())
    };
    assert_eq!((0..100).map(|n| sent(n, "192.0.2.7", at(0))).sum::<usize>(), 3);
    assert_eq!((0..1_000_000).step_by(997).map(|n| sent(n << 8, "192.0.2.7", at(1))).sum::<usize>(), 50);
    assert_eq!(sent(5, "192.0.3.7", at(2)), 0, "not in a prefix that is answered for");
    assert_eq!(sent(5, "192.0.2.8", Nanos(at(2).0 - SECOND)), 0, "a clock that runs back opens no new second");
}

#[test]
fn headers_survive_and_checksums_are_right() {
    for (src, dst) in [("198.51.100.9", "192.0.2.7"), ("2001:db8::1", "2001:db8::2")] {
        let sent = Segment { src: src.parse().unwrap(), dst: dst.parse().unwrap(), ..client(ACK, 1, 2, &[], b"odd") };
        let sent = Segment { id: if sent.src.is_v4() { 7 } else { 0 }, ..sent };
        let packet = write(&sent);
        assert_eq!(read(&packet).unwrap(), sent);
        // The sum over pseudo header and segment, the checksum included, is all ones (RFC 1071).
        let v4 = sent.src.is_v4();
        let (addresses, tcp) = if v4 { (&packet[12..20], &packet[20..]) } else { (&packet[8..40], &packet[40..]) };
        let whole = [addresses, &[0, 6], &(tcp.len() as u16).to_be_bytes(), tcp, &[0]].concat();
        let total: u32 = whole.chunks_exact(2).map(|p| u32::from(u16::from_be_bytes([p[0], p[1]]))).sum();
        assert_eq!((total & 0xffff) + (total >> 16), 0xffff);
    }
}

fn hello(ciphers: &[u16], extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let list = |bytes: Vec<u8>| [(bytes.len() as u16).to_be_bytes().to_vec(), bytes].concat();
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let mut body = vec![3, 3];
    body.extend([0; 32]);
    body.push(0);
    body.extend(list(words(ciphers)));
    body.extend([1, 0]);
    let all = extensions.iter().flat_map(|(kind, body)| [kind.to_be_bytes().to_vec(), list(body.clone())].concat());
    body.extend(list(all.collect()));
    let mut handshake = vec![1, 0];
    handshake.extend((body.len() as u16).to_be_bytes());
    handshake.extend(body);
    [vec![22, 3, 1], list(handshake)].concat()
}

#[test]
fn ja4_of_the_published_example() {
    // The example of the publication: Chrome, fifteen ciphers, sixteen extensions, h2.
    let ciphers = [
        0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
        0x002f, 0x0035,
    ];
    let signatures: Vec<u8> = [16u16, 0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .collect();
    let name = [&[0, 14, 0, 0, 11][..], b"example.com"].concat();
    let mut extensions: Vec<(u16, Vec<u8>)> =
        [0x3a3a, 0x0017, 0xff01, 0x000a, 0x000b, 0x0023, 0x0005, 0x0012, 0x0033, 0x002d, 0x001b, 0x4469, 0x0015]
            .map(|kind| (kind, vec![]))
            .to_vec();
    extensions.push((0, name));
    extensions.push((16, [&[0, 12, 2][..], b"h2", &[8], b"http/1.1"].concat()));
    extensions.push((13, signatures));
    extensions.push((43, vec![6, 0x2a, 0x2a, 3, 4, 3, 3]));
    let bytes = hello(&ciphers, &extensions);
    let guess = guess::guess(&bytes);
    assert_eq!(guess.fingerprint.as_deref(), Some("t13d1516h2_8daaf6152771_e5627efa2ab1"));
    assert_eq!(guess.name.as_deref(), Some("example.com"));
}

#[test]
fn payloads_are_named() {
    let rdp = b"\x03\x00\x00\x2b\x26\xe0\x00\x00\x00\x00\x00Cookie: mstshash=hello\r\n\x01\x00\x08\x00\x03\x00\x00\x00";
    let named = |bytes: &[u8]| guess::guess(bytes).protocol;
    assert_eq!(guess::guess(rdp).name.as_deref(), Some("hello"));
    assert_eq!(guess::guess(b"SSH-2.0-Go\r\n").client.as_deref(), Some("SSH-2.0-Go"));
    for (bytes, name) in [
        (&rdp[..], "rdp"),
        (b"", "silent"),
        (b"\0\0\0\x2f\xffSMBr", "smb"),
        (b"*1\r\n$4\r\nINFO\r\n", "redis"),
        (b"CNXN\0\0\0\x01", "adb"),
        (b"OPTIONS rtsp://1.2.3.4/ RTSP/1.0\r\n\r\n", "rtsp"),
        (b"\x10\x1a\0\x04MQTT\x04", "mqtt"),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", "postgresql"),
        (b"\x7f\x7f\x7f", "unknown"),
    ] {
        assert_eq!(named(bytes), name);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..300), flags in any::<u8>()) {
        let mut responder = Responder::new([1; 32], Bounds::default(), None);
        responder.take(&bytes, at(0));
        responder.take(&write(&client(flags, 1, 2, &[], &bytes)), at(0));
        guess::guess(&bytes);
        client_hello(&[&[22, 3, 1, 0, 9, 1, 0, 0, 5][..], &bytes].concat());
        if let Some(found) = segment::read(&bytes) {
            prop_assert!(found.payload.len() <= bytes.len());
        }
    }
}
