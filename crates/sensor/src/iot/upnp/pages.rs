//! Descriptions and answers to calls.

use crate::amplification;
use crate::iot::device::Dressed;
use crate::iot::http::{Request, http_date};
use noroshi_model::{Addr, Nanos};

const IGD: &str = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";
const WAN: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";
/// Longest name of an action.
const ACTION_MAX: usize = 64;

/// The action of a call: from its header, else from its body.
pub fn action(request: &Request, body: &str) -> Option<String> {
    if request.method != "POST" {
        return None;
    }
    let named = |text: &str| -> Option<String> {
        let name: String =
            text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').take(ACTION_MAX).collect();
        (!name.is_empty()).then_some(name)
    };
    let header = request.header("soapaction").map(|value| value.trim_matches(['"', ' ', '\'']));
    let from_header = header.and_then(|value| match value.rsplit_once('#') {
        Some((_, name)) => named(name),
        // HNAP writes its actions as paths.
        None => value.split("/HNAP1/").nth(1).and_then(named),
    });
    from_header.or_else(|| body.split_once("<u:").and_then(|(_, rest)| named(rest)))
}

/// The five entities of XML resolved (XML 1.0, section 4.6), once.
pub fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

fn description(device: &Dressed) -> String {
    let persona = &device.persona;
    let maker = persona.pick("upnp.maker", &["Realtek", "D-Link", "TP-LINK", "Huawei", "ASUSTeK", "ZTE"]);
    let model = format!(
        "{}{}",
        persona.pick("upnp.model", &["RTL", "DIR-", "TL-WR", "HG", "RT-N", "ZXHN H"]),
        persona.between("upnp.number", 108, 960)
    );
    let uuid = persona.uuid("ssdp");
    format!(
        "<?xml version=\"1.0\"?>\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\"><specVersion><major>1</major>\
         <minor>0</minor></specVersion><device><deviceType>{IGD}</deviceType><friendlyName>{} {model}</friendlyName>\
         <manufacturer>{maker}</manufacturer><modelDescription>Wireless Router</modelDescription>\
         <modelName>{model}</modelName><modelNumber>{}</modelNumber><serialNumber>{:08x}</serialNumber>\
         <UDN>uuid:{uuid}</UDN><serviceList><service><serviceType>{WAN}</serviceType>\
         <serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><controlURL>/wanipcn.xml</controlURL>\
         <eventSubURL>/WANIPConn1</eventSubURL><SCPDURL>/wanipconn.xml</SCPDURL></service></serviceList></device></root>\n",
        device.host,
        persona.between("upnp.revision", 1, 9),
        persona.number("upnp.serial") as u32,
    )
}

fn called(action: &str, own: Addr) -> String {
    let values = match action {
        "GetExternalIPAddress" => format!("<NewExternalIPAddress>{own}</NewExternalIPAddress>"),
        "GetStatusInfo" => "<NewConnectionStatus>Connected</NewConnectionStatus>\
             <NewLastConnectionError>ERROR_NONE</NewLastConnectionError><NewUptime>86400</NewUptime>"
            .to_owned(),
        _ => String::new(),
    };
    format!(
        "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:{action}Response xmlns:u=\"{WAN}\">\
         {values}</u:{action}Response></s:Body></s:Envelope>\n"
    )
}

/// The bytes of an answer.
pub fn answer(device: &Dressed, request: &Request, action: Option<&str>, own: Addr, now: Nanos) -> Vec<u8> {
    let (status, body) = match (&*request.method, action) {
        ("POST", Some(action)) => ("200 OK", called(action, own)),
        ("POST", None) => ("500 Internal Server Error", String::new()),
        ("GET" | "HEAD", _) if request.path().ends_with(".xml") => ("200 OK", description(device)),
        ("GET" | "HEAD", _) => ("404 Not Found", "<html><body><h1>404 Not Found</h1></body></html>\n".to_owned()),
        _ => ("501 Not Implemented", String::new()),
    };
    encode(device, &format!("HTTP/1.1 {status}"), if request.method == "HEAD" { "" } else { &body }, body.len(), now)
}

/// What the device says to what is no request. MiniUPnPd repeats the version of the request, which is empty then, and
/// calls it not implemented; others know the word for it.
pub fn malformed(device: &Dressed, now: Nanos) -> Vec<u8> {
    let mini = amplification::upnp_server(&device.persona).to_ascii_lowercase().contains("miniupnpd");
    encode(device, if mini { " 501 Not Implemented" } else { "HTTP/1.1 400 Bad Request" }, "", 0, now)
}

fn encode(device: &Dressed, first: &str, body: &str, length: usize, now: Nanos) -> Vec<u8> {
    let mut lines = vec![
        "Content-Type: text/xml; charset=\"utf-8\"".to_owned(),
        "Connection: close".to_owned(),
        format!("Content-Length: {length}"),
        format!("Server: {}", amplification::upnp_server(&device.persona)),
    ];
    if device.persona.number("upnp.ext").is_multiple_of(2) {
        lines.push("Ext:".into());
    }
    if device.persona.number("upnp.date").is_multiple_of(2) {
        lines.push(format!("Date: {}", http_date(now)));
    }
    let turn = device.persona.between("upnp.order", 0, lines.len() as u64) as usize;
    lines.rotate_left(turn);
    format!("{first}\r\n{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}
