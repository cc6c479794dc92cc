use super::super::tests_support::{heard, reply};
use super::super::{Answer, Protocol};

fn probe(message: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:w=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><e:Header><w:MessageID>{message}</w:MessageID>\
         <w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>\
         <w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>\
         <e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"
    )
    .into_bytes()
}

#[test]
fn a_probe_is_matched() {
    let request = probe("uuid:1234-5678");
    let said = String::from_utf8(reply(Protocol::WsDiscovery, &request)).unwrap();
    assert!(said.contains("<a:RelatesTo>uuid:1234-5678</a:RelatesTo>"));
    assert!(said.contains("http://198.51.100.7:"));
    assert!(said.len() <= 2 * request.len(), "{} for {}", said.len(), request.len());
    assert_eq!(said.matches('<').count(), said.matches('>').count());
    assert_eq!(heard(Protocol::WsDiscovery, &request).name, "dn:NetworkVideoTransmitter");
    assert_eq!(heard(Protocol::WsDiscovery, &request).hash, heard(Protocol::WsDiscovery, &probe("uuid:99")).hash);
}

#[test]
fn fragments_and_injections_are_recorded_but_not_answered() {
    for quiet in [&b"<:/>"[..], b"<:/o>", &probe("a\"&b"), &probe(""), &probe(&"x".repeat(200))] {
        assert_eq!(heard(Protocol::WsDiscovery, quiet).answer, Answer::Nothing);
    }
    let own = reply(Protocol::WsDiscovery, &probe("uuid:1"));
    assert_eq!(heard(Protocol::WsDiscovery, &own).answer, Answer::Nothing, "a match is not answered");
    assert_eq!(heard(Protocol::WsDiscovery, b"hello").answer, Answer::Malformed);
}
