use super::super::tests_support::{heard, reply};
use super::super::{Answer, Protocol};
use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(0x1234, MessageType::Query, hickory_proto::op::OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

#[test]
fn an_independent_decoder_reads_the_reply() {
    let reply = reply(Protocol::Dns, &query("WwW.eXample.com.", RecordType::A));
    let message = Message::from_vec(&reply).unwrap();
    assert_eq!((message.metadata.id, message.metadata.response_code), (0x1234, ResponseCode::NoError));
    assert!(message.metadata.recursion_available && message.metadata.message_type == MessageType::Response);
    assert_eq!(message.queries[0].name().to_string(), "WwW.eXample.com.");
    let RData::A(address) = &message.answers[0].data else { panic!("{message}") };
    assert_eq!(address.0.to_string(), "198.51.100.7", "the lure's own address and nobody else's");
}

#[test]
fn every_type_has_a_small_reply_that_decodes() {
    for kind in 1..=300u16 {
        let request = query("a.example.", RecordType::from(kind));
        let reply = reply(Protocol::Dns, &request);
        let message = Message::from_vec(&reply).unwrap_or_else(|error| panic!("type {kind}: {error}"));
        assert!(message.answers.len() <= 1 && reply.len() <= request.len() + 32, "type {kind}");
    }
}

#[test]
fn version_bind_differs_between_sensors() {
    let mut asked = Query::query(Name::from_ascii("version.bind.").unwrap(), RecordType::TXT);
    asked.set_query_class(DNSClass::CH);
    let mut message = Message::new(1, MessageType::Query, hickory_proto::op::OpCode::Query);
    message.add_query(asked);
    let wire = message.to_vec().unwrap();
    let said = |seed| super::super::tests_support::reply_of(Protocol::Dns, &wire, seed);
    let all: std::collections::HashSet<_> = (0..50).map(said).collect();
    assert!(all.len() >= 4);
}

#[test]
fn responses_and_pointers_are_no_queries() {
    let good = query("a.example.", RecordType::A);
    let mut response = good.clone();
    response[2] |= 0x80;
    let mut two = good.clone();
    two[5] = 2;
    let mut pointer = good[..12].to_vec();
    pointer.extend([0xc0, 12, 0, 1, 0, 1]);
    for bad in [&response, &two, &pointer, &good[..good.len() - 1].to_vec(), &Vec::new()] {
        assert_eq!(heard(Protocol::Dns, bad).answer, Answer::Malformed);
    }
}

#[test]
fn requests_of_one_attack_hash_alike() {
    let (mut a, b) = (query("a.example.", RecordType::ANY), query("b.example.", RecordType::ANY));
    let first = heard(Protocol::Dns, &a);
    a[0] ^= 0xff;
    assert_eq!(first.hash, heard(Protocol::Dns, &a).hash);
    assert_ne!(first.hash, heard(Protocol::Dns, &b).hash);
    assert_eq!((first.method.as_str(), first.name.as_str()), ("ANY", "a.example."));
}
