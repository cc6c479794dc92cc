//! A web server that keeps what is posted to it, and a folder of mails.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// One request: lines of its head, and its body.
#[derive(Clone, Debug)]
pub struct Post {
    pub head: Vec<String>,
    pub body: String,
}

impl Post {
    pub fn header(&self, name: &str) -> &str {
        let wanted = format!("{}:", name.to_ascii_lowercase());
        let line = self.head.iter().find(|line| line.to_ascii_lowercase().starts_with(&wanted));
        line.map_or("", |line| line[wanted.len()..].trim())
    }
}

/// Answers 204 to everything.
pub struct WebSink {
    pub address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl WebSink {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let posts: Arc<Mutex<Vec<Post>>> = Arc::default();
        let kept = posts.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let kept = kept.clone();
                std::thread::spawn(move || take(stream.unwrap(), &kept));
            }
        });
        WebSink { address, posts }
    }

    pub fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }
}

fn take(mut stream: TcpStream, posts: &Mutex<Vec<Post>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let mut post = Post { head, body: String::new() };
    let length = post.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    post.body = String::from_utf8(body).unwrap();
    posts.lock().unwrap().push(post);
    drop(stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"));
}

/// Mails that were laid down in a folder, by name.
pub fn mails(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let whole = paths.iter().filter(|path| path.extension().is_some_and(|end| end == "eml"));
    whole.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}
