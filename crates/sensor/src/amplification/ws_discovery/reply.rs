//! One match: the camera.

use super::super::{Persona, Question};
use super::parser::Probe;

fn scope(persona: &Persona) -> String {
    let name = persona.pick("wsd.name", &["IPCAM", "NVT", "IPC", "Camera", "Dome"]);
    format!("onvif://www.onvif.org/name/{name}{:02}", persona.between("wsd.number", 1, 99))
}

/// `ProbeMatches` with one match.
pub fn reply(probe: &Probe, question: &Question) -> Vec<u8> {
    let persona = question.persona;
    let host = if question.dst.is_v4() { question.dst.to_string() } else { format!("[{}]", question.dst) };
    let port = persona.pick("wsd.port", &[&80u16, &8080, &8899, &2020]);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\"><s:Header>\
         <a:MessageID>urn:uuid:{}</a:MessageID><a:RelatesTo>{}</a:RelatesTo>\
         <a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</a:Action></s:Header><s:Body>\
         <d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:{}</a:Address></a:EndpointReference>\
         <d:Types xmlns:n=\"http://www.onvif.org/ver10/network/wsdl\">n:NetworkVideoTransmitter</d:Types>\
         <d:Scopes>{}</d:Scopes><d:XAddrs>http://{host}:{port}/onvif/device_service</d:XAddrs>\
         <d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>",
        persona.uuid(&format!("wsd.{}", probe.message)),
        probe.message,
        persona.uuid("wsd"),
        scope(persona)
    )
    .into_bytes()
}
