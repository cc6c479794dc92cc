//! One reply to a search that fits the device; real devices send one per service, a lure sends one.

use super::super::{Persona, Question};
use super::parser::Search;

const TARGETS: [&str; 3] = [
    "upnp:rootdevice",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
];

/// What the device calls its software, also at its control endpoint.
pub fn server(persona: &Persona) -> &str {
    persona.pick(
        "ssdp.server",
        &[
            "Linux/2.6.30.9 UPnP/1.0 miniupnpd/1.0",
            "Linux/3.4.11-rt19, UPnP/1.0, Portable SDK for UPnP devices/1.6.6",
            "Linux/2.6.36 UPnP/1.0 MiniUPnPd/1.5",
            "OS 1.0 UPnP/1.0 Realtek/V1.3",
            "Linux/3.10.0, UPnP/1.0, IGD/1.0",
        ],
    )
}

/// The reply; none to announcements and to targets that the device has not.
pub fn reply(search: &Search, question: &Question) -> Option<Vec<u8>> {
    if search.method != "M-SEARCH" {
        return None;
    }
    let target = match &*search.target {
        "ssdp:all" | "" => TARGETS[0],
        wanted => TARGETS.into_iter().find(|target| *target == wanted)?,
    };
    let persona = question.persona;
    let host = if question.dst.is_v4() { question.dst.to_string() } else { format!("[{}]", question.dst) };
    let port = persona.pick("ssdp.port", &[&49152u16, &49153, &5000, &1900, &52869, &37215]);
    let path =
        persona.pick("ssdp.path", &["rootDesc.xml", "gatedesc.xml", "igd.xml", "picsdesc.xml", "wps_device.xml"]);
    let age = persona.pick("ssdp.age", &[&120u16, &1800, &100, &1810]);
    Some(
        format!(
            "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age={age}\r\nST: {target}\r\nUSN: uuid:{}::{target}\r\nEXT:\r\n\
             SERVER: {}\r\nLOCATION: http://{host}:{port}/{path}\r\n\r\n",
            persona.uuid("ssdp"),
            server(persona)
        )
        .into_bytes(),
    )
}
