//! Syslog lines in ArcSight's Common Event Format, one per incident (RFC 5424 frame; UDP as RFC 5426, TCP as RFC 6587).

use crate::gate::Cleared;
use crate::safe;
use crate::ticket::Links;
use noroshi_model::Nanos;
use noroshi_model::alert::{Alert, Severity};
use noroshi_model::incident::Incident;
use noroshi_model::member::SyslogTransport;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

/// Seconds that a collector may take.
const SECONDS_MAX: u64 = 10;
/// Facility local0.
const FACILITY: u8 = 16;

/// The lines of a message.
pub fn lines(alert: &Cleared<Alert>, links: Option<&Links>) -> Vec<String> {
    alert.incidents.iter().map(|incident| line(alert, incident, links)).collect()
}

fn line(alert: &Alert, incident: &Incident, links: Option<&Links>) -> String {
    // RFC 5424, table 2: 2 critical, 3 error, 4 warning, 5 notice, 6 informational; CEF counts 0 to 10.
    let (level, cef) = match incident.severity {
        Severity::Critical => (2, 10),
        Severity::High => (3, 8),
        Severity::Medium => (4, 5),
        Severity::Low => (5, 3),
        Severity::Info => (6, 1),
    };
    let said = incident.testimonies.first().map(|t| safe::shown(&t.text)).unwrap_or_default();
    let answer = links.map(|links| links.places(&alert.id, &incident.id, alert.created));
    let answer =
        answer.map(|places| [("cs5Label", "answer".to_owned()), ("cs5", places.api), ("request", places.page)]);
    let fields = [
        ("rt", (incident.last.0 / 1_000_000).to_string()),
        ("start", (incident.first.0 / 1_000_000).to_string()),
        ("end", (incident.last.0 / 1_000_000).to_string()),
        ("cnt", incident.packets.to_string()),
        ("externalId", incident.id.clone()),
        ("cs1Label", "subject".into()),
        ("cs1", incident.subject.to_string()),
        ("cs2Label", "member".into()),
        ("cs2", incident.member.to_string()),
        ("cs3Label", "tlp".into()),
        ("cs3", incident.tlp.label().into()),
        ("cs4Label", "alert".into()),
        ("cs4", alert.id.clone()),
        ("msg", said),
    ];
    let extension: Vec<String> = answer
        .into_iter()
        .flatten()
        .chain(fields)
        .map(|(key, value)| format!("{key}={}", extension_value(&value)))
        .collect();
    let stamp = Nanos::from_seconds(alert.created.seconds()).rfc3339();
    format!(
        "<{}>1 {stamp} - noroshi - {} - CEF:0|Noroshi|noroshi|{}|{}|{}|{cef}|{}",
        FACILITY * 8 + level,
        alert.kind,
        header_value(env!("CARGO_PKG_VERSION")),
        header_value(incident.kind.name()),
        header_value(&format!("{} {}", incident.kind, incident.subject)),
        extension.join(" ")
    )
}

/// In CEF's header a backslash and a bar are escaped.
fn header_value(text: &str) -> String {
    safe::line(text).replace('\\', "\\\\").replace('|', "\\|")
}

/// In CEF's extension a backslash and an equals sign are escaped; line breaks are gone already.
fn extension_value(text: &str) -> String {
    safe::line(text).replace('\\', "\\\\").replace('=', "\\=")
}

/// Sends the lines.
pub(crate) async fn send(address: &str, transport: SyslogTransport, lines: &[String]) -> Result<(), String> {
    let sending = async {
        match transport {
            SyslogTransport::Udp => {
                let target = tokio::net::lookup_host(address).await?.next();
                let Some(target) = target else { return Err(std::io::Error::other("the name has no address")) };
                let local = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(local).await?;
                for line in lines {
                    socket.send_to(line.as_bytes(), target).await?;
                }
                Ok(())
            }
            SyslogTransport::Tcp => {
                let mut stream = TcpStream::connect(address).await?;
                for line in lines {
                    stream.write_all(format!("{} {line}", line.len()).as_bytes()).await?;
                }
                stream.shutdown().await
            }
        }
    };
    match tokio::time::timeout(Duration::from_secs(SECONDS_MAX), sending).await {
        Ok(result) => result.map_err(|error| format!("syslog at {address}: {error}")),
        Err(_) => Err(format!("syslog at {address} took more than {SECONDS_MAX} s")),
    }
}
