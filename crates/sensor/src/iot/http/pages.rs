//! What the device's web server answers, and what requests are known to be after.

use super::parser::{Request, decoded};
use crate::iot::device::Dressed;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use noroshi_model::Nanos;

/// A page before it is sent.
pub struct Page {
    status: &'static str,
    kind: &'static str,
    body: String,
    /// Further header lines.
    more: Vec<String>,
}

/// Marks of requests that exploit devices: what must stand in the target or body, and the name of the weakness.
/// Names and places are from the public descriptions of each.
const EXPLOITS: &[(&str, &str)] = &[
    ("/gponform/diag_form", "CVE-2018-10561"),
    ("/hnap1", "CVE-2015-2051"),
    ("/ctrlt/deviceupgrade_1", "CVE-2017-17215"),
    ("/picsdesc.xml", "CVE-2014-8361"),
    ("/wanipcn.xml", "CVE-2014-8361"),
    ("/setup.cgi?next_file=netgear.cfg", "EDB-25978"),
    ("/cgi-bin/nobody/search.cgi", "EDB-40500"),
    ("/shell?", "EDB-41471"),
    ("/boaform/admin/formping", "EDB-37770"),
    ("/boaform/admin/formlogin", "boaform-login"),
    ("/boaform/admin/formtracert", "CVE-2020-8958"),
    ("/tmunblock.cgi", "EDB-31683"),
    ("/apply_sec.cgi", "CVE-2019-16920"),
    ("/cgi-bin/luci/;stok=/locale", "CVE-2023-1389"),
    ("/vendor/phpunit/phpunit/src/util/php/eval-stdin.php", "CVE-2017-9841"),
    ("/index.php?s=/index/", "CVE-2018-20062"),
    ("/cgi-bin/.%2e/", "CVE-2021-41773"),
    ("/cgi-bin/%%32%65", "CVE-2021-42013"),
    ("/language/swedish", "EDB-44760"),
    ("/goform/set_limitclient_cfg", "CVE-2020-10987"),
    ("/goform/setusbunload", "CVE-2020-10987"),
    ("/cgi-bin/viewlog.asp", "CVE-2017-18368"),
    ("/ubus", "ubus"),
    ("/device.rsp?opt=sys", "CVE-2024-3721"),
    ("/board.cgi?cmd=", "EDB-44760"),
    ("() { :;}", "CVE-2014-6271"),
    ("${jndi:", "CVE-2021-44228"),
    ("/solr/", "solr"),
    ("/manager/html", "tomcat-manager"),
    ("/.env", "dotenv"),
    ("/.git/config", "git-config"),
];

/// The weakness that a request is after, where it is a known one.
pub fn exploit(target: &str, body: &str) -> Option<&'static str> {
    let lower = format!("{}\n{}", target.to_ascii_lowercase(), body.to_ascii_lowercase());
    EXPLOITS.iter().find(|(mark, _)| lower.contains(mark)).map(|(_, name)| *name)
}

/// A user name and password in the request: basic authentication, or the fields of a form.
pub fn credentials(request: &Request) -> Option<(String, String)> {
    if let Some(basic) = request.header("authorization").and_then(|value| value.strip_prefix("Basic ")) {
        let text = String::from_utf8_lossy(&STANDARD.decode(basic.trim()).ok()?).into_owned();
        let (user, password) = text.split_once(':')?;
        return Some((user.to_owned(), password.to_owned()));
    }
    let body = String::from_utf8_lossy(&request.body);
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let field = |names: &[&str]| {
        body.split('&').chain(query.split('&')).filter_map(|pair| pair.split_once('=')).find_map(|(name, value)| {
            names.contains(&name.trim().to_ascii_lowercase().as_str()).then(|| decoded(value.trim()))
        })
    };
    let user = field(&["username", "user", "login", "loginuser", "uname", "account", "usr"])?;
    let password = field(&["password", "pass", "passwd", "pwd", "psd", "loginpass", "pw"])?;
    Some((user, password))
}

/// What the device says. `accepted` is the outcome of a login in this request.
pub fn answer(device: &Dressed, request: &Request, accepted: Option<bool>, exploit: bool) -> Page {
    let title = &device.device.http_title;
    let html = |status, body: String| Page { status, kind: "text/html", body, more: Vec::new() };
    let path = request.path();
    match accepted {
        Some(true) => {
            return html(
                "200 OK",
                format!(
                    "<html><head><title>{title}</title></head><frameset rows=\"70,*\"><frame src=\"/top.htm\"><frame src=\"/status.htm\"></frameset></html>\n"
                ),
            );
        }
        Some(false) if request.header("authorization").is_none() => return html("200 OK", login_page(title)),
        _ => {}
    }
    if exploit || path.starts_with("/cgi-bin/") && request.method == "POST" {
        // What a vulnerable device would say: nothing much. Whatever was to run was written down and not run.
        return html("200 OK", String::new());
    }
    match path {
        "/" | "/index.html" | "/index.htm" | "/login.htm" | "/login.html" | "/login.asp" | "/admin" => {
            html("200 OK", login_page(title))
        }
        "/favicon.ico" | "/robots.txt" => html("404 Not Found", not_found(path)),
        _ if accepted == Some(false)
            || ["/cgi-bin/", "/admin/", "/goform/", "/status"].iter().any(|area| path.starts_with(area)) =>
        {
            let mut page = html("401 Unauthorized", "<html><body><h4>401 Unauthorized</h4></body></html>\n".into());
            page.more.push(format!("WWW-Authenticate: Basic realm=\"{title}\""));
            page
        }
        _ => html("404 Not Found", not_found(path)),
    }
}

fn login_page(title: &str) -> String {
    format!(
        "<html><head><title>{title}</title></head>\n<body><form method=\"post\" action=\"/login.cgi\">\
         <table><tr><td>Username</td><td><input name=\"username\"></td></tr>\n<tr><td>Password</td>\
         <td><input type=\"password\" name=\"password\"></td></tr></table><input type=\"submit\" value=\"Login\">\
         </form></body></html>\n"
    )
}

fn not_found(path: &str) -> String {
    let path: String = path.chars().filter(|c| c.is_ascii_alphanumeric() || "/._-".contains(*c)).take(128).collect();
    format!("<html><head><title>404 Not Found</title></head><body><h4>404 Not Found</h4>{path}</body></html>\n")
}

/// What the device says to what is no request, in its server's own form: a bare refusal would be the same on all sensors.
pub fn malformed(device: &Dressed, now: Nanos) -> Vec<u8> {
    let body = "<html><head><title>400 Bad Request</title></head><body><h4>400 Bad Request</h4></body></html>\n";
    let page = Page { status: "400 Bad Request", kind: "text/html", body: body.into(), more: Vec::new() };
    encode(device, "", &page, true, now)
}

/// The bytes of an answer; the order of headers is the device's own.
pub fn encode(device: &Dressed, method: &str, page: &Page, close: bool, now: Nanos) -> Vec<u8> {
    let mut lines = vec![
        format!("Server: {}", device.device.http_server),
        format!("Content-Type: {}", page.kind),
        format!("Content-Length: {}", page.body.len()),
        format!("Connection: {}", if close { "close" } else { "keep-alive" }),
    ];
    if device.persona.number("http.date").is_multiple_of(2) {
        lines.push(format!("Date: {}", http_date(now)));
    }
    if device.persona.number("http.cache").is_multiple_of(2) {
        lines.push("Cache-Control: no-cache".into());
    }
    let turn = device.persona.between("http.order", 0, lines.len() as u64) as usize;
    lines.rotate_left(turn);
    lines.extend(page.more.iter().cloned());
    let body = if method == "HEAD" { "" } else { &page.body };
    format!("HTTP/1.1 {}\r\n{}\r\n\r\n{body}", page.status, lines.join("\r\n")).into_bytes()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
pub fn http_date(now: Nanos) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = now.rfc3339();
    let day = DAYS[now.seconds().div_euclid(86_400).rem_euclid(7) as usize];
    let month = text.get(5..7).and_then(|digits| digits.parse::<usize>().ok()).map_or("Jan", |m| MONTHS[(m + 11) % 12]);
    format!(
        "{day}, {} {month} {} {} GMT",
        text.get(8..10).unwrap_or("01"),
        text.get(..4).unwrap_or("1970"),
        text.get(11..19).unwrap_or("00:00:00")
    )
}
