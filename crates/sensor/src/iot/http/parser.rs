//! One request out of a stream. Lengths are bounded before anything is kept.

/// Header lines of one request.
const HEADERS: usize = 64;
/// Bytes of the request line and headers.
const HEAD: usize = 16 << 10;
/// Largest body that is waited for; of larger ones the request ends here.
const BODY: usize = 192 << 10;

/// A request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// As sent: path and query.
    pub target: String,
    /// `HTTP/1.1`.
    pub version: String,
    /// Names in lower case, values as sent.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it was waited for.
    pub body: Vec<u8>,
}

/// Not a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an HTTP request")]
pub struct NotHttp;

impl Request {
    /// First value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the connection ends after the answer (RFC 9112, section 9.3).
    pub fn closes(&self) -> bool {
        let said = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        said.contains("close") || self.version != "HTTP/1.1" && !said.contains("keep-alive")
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or_default()
    }
}

/// The first request of a stream and the bytes it takes; none when more bytes are needed.
pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, NotHttp> {
    // The first bytes already tell: a method is a word of capitals.
    let word = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    if word > 16 || bytes.get(word).is_some_and(|byte| *byte != b' ') || bytes.first().is_some_and(|_| word == 0) {
        return Err(NotHttp);
    }
    let window = &bytes[..bytes.len().min(HEAD)];
    let Some(end) = head_end(window) else {
        return if bytes.len() >= HEAD { Err(NotHttp) } else { Ok(None) };
    };
    let head = String::from_utf8_lossy(&window[..end]);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').filter(|word| !word.is_empty());
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(NotHttp) };
    // Some exploits leave blanks in the target unescaped; the version is the last word then.
    let mut rest: Vec<&str> = words.collect();
    let version = rest.pop_if(|word| word.starts_with("HTTP/")).unwrap_or("HTTP/1.0");
    let target = [&[target][..], &rest].concat().join(" ");
    let mut request = Request {
        method: method.to_owned(),
        target,
        version: version.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    for line in lines.take(HEADERS) {
        if let Some((name, value)) = line.split_once(':') {
            request.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let length = request.header("content-length").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0).min(BODY);
    let Some(body) = bytes.get(end..end + length) else { return Ok(None) };
    request.body = body.to_vec();
    Ok(Some((request, end + length)))
}

/// Where the head ends: after an empty line, with or without carriage returns.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        at += found + 1;
        match bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Percent escapes and plus signs resolved (`application/x-www-form-urlencoded`); once, as servers do.
pub fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = match bytes[at] {
            b'%' => text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
