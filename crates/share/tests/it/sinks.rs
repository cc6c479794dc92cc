//! A mail server and a web server that keep what they get.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One mail as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub to: Vec<String>,
    pub data: String,
}

impl Received {
    /// The value of a header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut lines = head.split("\r\n");
        lines.find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
    }
}

/// A mail server on loopback. `refusals` are answers given instead of accepting, one per mail, first to last.
pub struct MailSink {
    pub address: SocketAddr,
    pub mails: Arc<Mutex<Vec<Received>>>,
}

impl MailSink {
    pub async fn start(refusals: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mails: Arc<Mutex<Vec<Received>>> = Arc::default();
        let refusals: Arc<Mutex<VecDeque<String>>> =
            Arc::new(Mutex::new(refusals.iter().map(|r| (*r).to_owned()).collect()));
        let kept = mails.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(dialogue(stream, kept.clone(), refusals.clone()));
            }
        });
        MailSink { address, mails }
    }

    pub fn mails(&self) -> Vec<Received> {
        self.mails.lock().unwrap().clone()
    }
}

async fn dialogue(stream: TcpStream, mails: Arc<Mutex<Vec<Received>>>, refusals: Arc<Mutex<VecDeque<String>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 sink\r\n").await.unwrap();
    let mut mail = Received::default();
    while let Ok(Some(line)) = lines.next_line().await {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => "250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8".to_owned(),
            "RCPT" => {
                mail.to.push(line.trim_start_matches("RCPT TO:").to_owned());
                "250 ok".to_owned()
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await.unwrap();
                let mut data = Vec::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    data.push(line.strip_prefix('.').unwrap_or(&line).to_owned());
                }
                mail.data = data.join("\r\n");
                match refusals.lock().unwrap().pop_front() {
                    Some(refusal) => refusal,
                    None => {
                        mails.lock().unwrap().push(std::mem::take(&mut mail));
                        "250 accepted".to_owned()
                    }
                }
            }
            "QUIT" => {
                let _ = write.write_all(b"221 bye\r\n").await;
                return;
            }
            _ => "250 ok".to_owned(),
        };
        if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<String> {
        let wanted = format!("{}: ", name.to_ascii_lowercase());
        self.head.lines().find(|l| l.to_ascii_lowercase().starts_with(&wanted)).map(|l| l[wanted.len()..].to_owned())
    }
}

/// A web server on loopback that answers every request with the next status, the last one for ever.
pub struct WebSink {
    pub address: SocketAddr,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl WebSink {
    pub async fn start(statuses: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let statuses: Vec<String> = statuses.iter().map(|s| (*s).to_owned()).collect();
        let kept = requests.clone();
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let status = statuses[number.min(statuses.len() - 1)].clone();
                number += 1;
                tokio::spawn(answer(stream, status, kept.clone()));
            }
        });
        WebSink { address, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(stream: TcpStream, status: String, requests: Arc<Mutex<Vec<Request>>>) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
        }
        head.push_str(line.trim_end());
        head.push('\n');
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    requests.lock().unwrap().push(Request { head, body: String::from_utf8(body).unwrap() });
    let reply =
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\nlocation: http://127.0.0.1:1/\r\n\r\n");
    stream.get_mut().write_all(reply.as_bytes()).await.unwrap();
}
