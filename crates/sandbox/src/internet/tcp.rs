//! The world's side of TCP, without loss or reordering: the wire is a pipe inside one machine.

use super::wire::{Datagram, Segment, tcp_reply};
use std::collections::HashMap;
use std::net::Ipv4Addr;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// Connections held; past that all are forgotten, and their samples see resets.
const FLOWS_MAX: usize = 8192;
/// Bytes of one line to the telnet device.
const LINE_MAX: usize = 256;

/// What is played on a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Service {
    Telnet,
    Web,
    Sink,
}

impl Service {
    fn of(port: u16) -> Self {
        match port {
            23 | 2323 | 23_231 | 26 => Service::Telnet,
            80 | 81 | 8080 | 8000 | 8081 | 8888 | 5555 | 7547 | 37_215 | 52_869 => Service::Web,
            _ => Service::Sink,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Service::Telnet => "telnet",
            Service::Web => "http",
            Service::Sink => "sink",
        }
    }
}

/// What the sample said with one segment.
pub(super) struct Said {
    pub(super) service: Service,
    pub(super) bytes: Vec<u8>,
    /// The first words of a connection.
    pub(super) first: bool,
    pub(super) logins: Vec<String>,
}

struct Flow {
    service: Service,
    /// Next byte that we send, next byte that we expect.
    sending: u32,
    expected: u32,
    greeted: bool,
    spoke: bool,
    line: Vec<u8>,
    user: Option<String>,
    inside: bool,
}

/// Connections.
#[derive(Default)]
pub(super) struct Flows(HashMap<(u16, Ipv4Addr, u16), Flow>);

impl Flows {
    /// Takes a segment; gives replies, and what was said.
    pub(super) fn receive(
        &mut self,
        datagram: &Datagram<'_>,
        segment: &Segment<'_>,
        answers: bool,
    ) -> (Vec<Vec<u8>>, Option<Said>) {
        let key = (segment.from, datagram.to, segment.to);
        let reply = |seq, ack, flags, data: &[u8]| tcp_reply(datagram, segment, seq, ack, flags, data);
        if segment.flags & RST != 0 {
            self.0.remove(&key);
            return (Vec::new(), None);
        }
        if segment.flags & (SYN | ACK) == SYN {
            if !answers {
                return (Vec::new(), None);
            }
            if self.0.len() >= FLOWS_MAX {
                self.0.clear();
            }
            let first = u32::from(datagram.to).wrapping_mul(0x85eb_ca6b) ^ segment.seq;
            let service = Service::of(segment.to);
            let flow = Flow {
                service,
                sending: first.wrapping_add(1),
                expected: segment.seq.wrapping_add(1),
                greeted: false,
                spoke: false,
                line: Vec::new(),
                user: None,
                inside: false,
            };
            let expected = flow.expected;
            self.0.insert(key, flow);
            return (vec![reply(first, expected, SYN | ACK, b"")], None);
        }
        let Some(flow) = self.0.get_mut(&key) else {
            let known_host = answers && segment.flags & ACK != 0;
            let replies = if known_host { vec![reply(segment.ack, 0, RST, b"")] } else { Vec::new() };
            return (replies, None);
        };
        let (mut out, mut said) = (Vec::new(), None);
        if !segment.data.is_empty() && segment.seq == flow.expected {
            flow.expected = flow.expected.wrapping_add(segment.data.len() as u32);
            let (answer, logins) = flow.speak(segment.data);
            let first = !std::mem::replace(&mut flow.spoke, true);
            said = Some(Said { service: flow.service, bytes: segment.data.to_vec(), first, logins });
            out.push(reply(flow.sending, flow.expected, ACK | if answer.is_empty() { 0 } else { PSH }, &answer));
            flow.sending = flow.sending.wrapping_add(answer.len() as u32);
        } else if !segment.data.is_empty() {
            out.push(reply(flow.sending, flow.expected, ACK, b""));
        } else if !flow.greeted && segment.flags & ACK != 0 {
            let greeting = flow.greeting();
            if !greeting.is_empty() {
                out.push(reply(flow.sending, flow.expected, ACK | PSH, greeting));
                flow.sending = flow.sending.wrapping_add(greeting.len() as u32);
            }
        }
        flow.greeted = true;
        if segment.flags & FIN != 0 {
            out.push(reply(flow.sending, flow.expected.wrapping_add(1), FIN | ACK, b""));
            self.0.remove(&key);
        }
        (out, said)
    }
}

impl Flow {
    fn greeting(&self) -> &'static [u8] {
        match self.service {
            // DO echo, DO window size, WILL echo, WILL suppress-go-ahead (RFC 854, 857, 858, 1073).
            Service::Telnet => b"\xff\xfd\x01\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03\r\ndevice login: ",
            Service::Web | Service::Sink => b"",
        }
    }

    fn speak(&mut self, data: &[u8]) -> (Vec<u8>, Vec<String>) {
        match self.service {
            Service::Telnet => self.telnet(data),
            Service::Web => {
                let page = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\nConnection: close\r\n\r\n<html></html";
                (page.to_vec(), Vec::new())
            }
            Service::Sink => (Vec::new(), Vec::new()),
        }
    }

    /// A device that asks for a login, takes any, and then has a prompt and nothing else.
    fn telnet(&mut self, data: &[u8]) -> (Vec<u8>, Vec<String>) {
        let (mut answer, mut logins, mut skip) = (Vec::new(), Vec::new(), 0);
        for byte in data {
            match byte {
                _ if skip > 0 => skip -= 1,
                0xff => skip = 2,
                b'\n' | b'\r' if self.line.is_empty() => {}
                b'\n' | b'\r' => {
                    let line: String = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                    if self.inside {
                        answer.extend_from_slice(b"\r\n# ");
                    } else if let Some(user) = self.user.take() {
                        logins.push(format!("{user}:{line}"));
                        self.inside = true;
                        answer.extend_from_slice(b"\r\n\r\nBusyBox v1.19.3 built-in shell (ash)\r\n# ");
                    } else {
                        self.user = Some(line);
                        answer.extend_from_slice(b"\r\nPassword: ");
                    }
                }
                _ if self.line.len() < LINE_MAX => self.line.push(*byte),
                _ => {}
            }
        }
        (answer, logins)
    }
}

/// The place that an HTTP request asks for.
pub(super) fn url(request: &[u8], to: Ipv4Addr, port: u16) -> Option<String> {
    let text = String::from_utf8_lossy(request);
    let mut lines = text.lines();
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    if !matches!(method, "GET" | "POST" | "HEAD" | "PUT") || !path.starts_with('/') {
        return None;
    }
    let host = lines.find_map(|line| line.strip_prefix("Host: ").or_else(|| line.strip_prefix("host: ")));
    let host = host.map_or_else(|| if port == 80 { to.to_string() } else { format!("{to}:{port}") }, str::to_owned);
    Some(format!("http://{}{path}", host.trim()))
}
