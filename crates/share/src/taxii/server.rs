//! Requests to responses.

use super::query::{self, Query};
use super::{Collection, Page, Pushed, Reader, Record, Status, Store, StoreError};
use noroshi_model::Nanos;
use noroshi_model::time::SECOND;
use serde::Serialize;
use serde_json::{Value, json};

/// Media type of everything that is not a plain error of the web server.
pub const MEDIA_TYPE: &str = "application/taxii+json;version=2.1";
const STIX: &str = "application/stix+json;version=2.1";
/// Largest body that is taken in, bytes.
pub const CONTENT_MAX: usize = 32 << 20;
/// Deepest nesting of a pushed object; serde_json stops at 128 by itself.
const OBJECTS_MAX: usize = 50_000;

/// A request, without HTTP around it.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    /// `GET`, `POST`, `DELETE`.
    pub method: &'r str,
    /// Path, such as `/taxii2/`.
    pub path: &'r str,
    /// Text after the question mark.
    pub query: &'r str,
    /// Header Accept.
    pub accept: Option<&'r str>,
    /// Header Content-Type.
    pub content_type: Option<&'r str>,
    /// Body.
    pub body: &'r [u8],
    /// Who asks.
    pub reader: &'r Reader,
    /// Public address of this server without a trailing slash, from configuration.
    pub base: &'r str,
    /// The present.
    pub now: Nanos,
}

/// A response.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers, Content-Type included.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// What was pushed, for whoever must hear of it; not part of what is sent.
    pub heard: Vec<Value>,
}

/// A response that tells what is wrong.
struct Failed {
    status: u16,
    title: &'static str,
    description: String,
}

fn failed(status: u16, title: &'static str, description: impl Into<String>) -> Failed {
    Failed { status, title, description: description.into() }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "TAXII");
        // What the database says is nobody else's business.
        failed(500, "Server Error", "the request could not be completed")
    }
}

type Answer = Result<Response, Failed>;

/// Name of the only API root.
const ROOT: &str = "noroshi";

/// Answers a request.
pub async fn respond<S: Store>(store: &S, request: &Request<'_>) -> Response {
    match route(store, request).await {
        Ok(response) => response,
        Err(error) => {
            let body = json!({
                "title": error.title,
                "description": error.description,
                "http_status": error.status.to_string(),
            });
            Response { status: error.status, ..response(&body) }
        }
    }
}

fn response(body: &Value) -> Response {
    written(body.to_string())
}

fn written(body: String) -> Response {
    Response {
        status: 200,
        headers: vec![("Content-Type", MEDIA_TYPE.to_owned())],
        body: body.into_bytes(),
        heard: Vec::new(),
    }
}

/// `Accept` must allow us: any, any application, or TAXII in version 2.1 or without a version.
fn acceptable(accept: Option<&str>) -> bool {
    let Some(accept) = accept else { return true };
    accept.split(',').any(|item| {
        let item: String = item.to_ascii_lowercase().chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
        let mut parts = item.split(';');
        let kind = parts.next().unwrap_or_default();
        let version = parts.find_map(|p| p.strip_prefix("version=").map(str::to_owned));
        matches!(kind, "*/*" | "application/*")
            || (kind == "application/taxii+json" && version.is_none_or(|v| v == "2.1"))
    })
}

async fn route<S: Store>(store: &S, request: &Request<'_>) -> Answer {
    if !acceptable(request.accept) {
        return Err(failed(406, "Not Acceptable", format!("this server speaks {MEDIA_TYPE}")));
    }
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method, parts.as_slice()) {
        ("GET", ["taxii2"]) => Ok(response(&json!({
            "title": "Noroshi",
            "description": "Observations of Internet-wide attacks",
            "default": format!("{}/{ROOT}/", request.base),
            "api_roots": [format!("{}/{ROOT}/", request.base)],
        }))),
        ("GET", [ROOT]) => Ok(response(&json!({
            "title": "Noroshi",
            "description": "Observations of Internet-wide attacks",
            "versions": [MEDIA_TYPE],
            "max_content_length": CONTENT_MAX,
        }))),
        ("GET", [ROOT, "status", id]) => {
            let status = store.status(request.reader, id).await?;
            let status = status.ok_or_else(|| failed(404, "Not Found", "there is no such status"))?;
            Ok(written(status_body(&status)?))
        }
        ("GET", [ROOT, "collections"]) => {
            let found = store.collections(request.reader).await?;
            let all: Vec<Value> = found.iter().map(|c| collection_body(c, request.reader)).collect();
            Ok(response(&if all.is_empty() { json!({}) } else { json!({ "collections": all }) }))
        }
        (_, [ROOT, "collections", name, rest @ ..]) => {
            let found = store.collections(request.reader).await?;
            let collection = found.iter().find(|c| c.id == *name || c.alias.as_deref() == Some(*name));
            let collection =
                collection.ok_or_else(|| failed(404, "Not Found", "there is no such collection for this reader"))?;
            within(store, request, collection, rest).await
        }
        ("GET" | "POST" | "DELETE", _) => Err(failed(404, "Not Found", "there is nothing at this path")),
        _ => Err(failed(405, "Method Not Allowed", "use GET, POST or DELETE")),
    }
}

async fn within<S: Store>(store: &S, request: &Request<'_>, collection: &Collection, rest: &[&str]) -> Answer {
    let query = || query::parse(request.query).map_err(|why| failed(400, "Bad Request", why));
    let one = |id: &str| -> Result<Query, Failed> {
        let mut query = query()?;
        query.ids = vec![id.to_owned()];
        Ok(query)
    };
    match (request.method, rest) {
        ("GET", []) => Ok(response(&collection_body(collection, request.reader))),
        ("GET", ["manifest"]) => {
            let page = store.page(request.reader, &collection.id, &query()?).await?;
            Ok(dated(&page, envelope(&page, "objects", manifest_entry)))
        }
        ("GET", ["objects"]) => {
            let page = store.page(request.reader, &collection.id, &query()?).await?;
            Ok(dated(&page, envelope(&page, "objects", object)))
        }
        ("GET", ["objects", id]) => {
            let page = store.page(request.reader, &collection.id, &one(id)?).await?;
            if page.records.is_empty() && request.query.is_empty() {
                return Err(failed(404, "Not Found", "there is no such object for this reader"));
            }
            Ok(dated(&page, envelope(&page, "objects", object)))
        }
        ("GET", ["objects", id, "versions"]) => {
            let mut query = one(id)?;
            query.versions = query::Versions::All;
            let page = store.page(request.reader, &collection.id, &query).await?;
            Ok(dated(&page, envelope(&page, "versions", |out, record| quoted(out, &record.version))))
        }
        ("POST", ["objects"]) => push(store, request, collection).await,
        ("DELETE", ["objects", id]) => {
            may_write(request.reader, collection)?;
            let mut query = one(id)?;
            if !request.query.contains("version") {
                query.versions = query::Versions::All;
            }
            match store.delete(request.reader, &collection.id, &query).await? {
                0 => Err(failed(404, "Not Found", "there is no such object for this reader")),
                _ => Ok(response(&json!({}))),
            }
        }
        _ => Err(failed(404, "Not Found", "there is nothing at this path")),
    }
}

fn may_write(reader: &Reader, collection: &Collection) -> Result<(), Failed> {
    if reader.may_write.contains(&collection.id) {
        return Ok(());
    }
    Err(failed(403, "Forbidden", "this reader may not write to the collection"))
}

async fn push<S: Store>(store: &S, request: &Request<'_>, collection: &Collection) -> Answer {
    may_write(request.reader, collection)?;
    let kind = request.content_type.unwrap_or_default().to_ascii_lowercase().replace([' ', '"'], "");
    if kind != MEDIA_TYPE && kind != "application/taxii+json" {
        return Err(failed(415, "Unsupported Media Type", format!("send {MEDIA_TYPE}")));
    }
    if request.body.len() > CONTENT_MAX {
        return Err(failed(413, "Content Too Large", format!("at most {CONTENT_MAX} bytes")));
    }
    let mut envelope: Value = serde_json::from_slice(request.body)
        .map_err(|error| failed(422, "Unprocessable Content", format!("the body is not JSON: {error}")))?;
    let Some(Value::Array(objects)) = envelope.get_mut("objects").map(Value::take) else {
        return Err(failed(422, "Unprocessable Content", "the envelope has no list \"objects\""));
    };
    if objects.len() > OBJECTS_MAX {
        return Err(failed(413, "Content Too Large", format!("at most {OBJECTS_MAX} objects")));
    }
    let status = store.push(request.reader, &collection.id, &objects, request.now).await?;
    Ok(Response { status: 202, heard: objects, ..written(status_body(&status)?) })
}

fn collection_body(collection: &Collection, reader: &Reader) -> Value {
    let mut body = json!(collection);
    body["can_read"] = json!(true);
    body["can_write"] = json!(reader.may_write.contains(&collection.id));
    body["media_types"] = json!([STIX]);
    body
}

/// RFC 3339 with six decimals: the precision of the protocol's dates.
fn stamp(at: Nanos) -> String {
    let whole = Nanos::from_seconds(at.seconds()).rfc3339();
    format!("{}.{:06}Z", whole.trim_end_matches('Z'), at.0.rem_euclid(SECOND) / 1_000)
}

fn quoted(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

/// Stored objects are JSON that was written here: they go into a page as they are.
fn object(out: &mut String, record: &Record) {
    out.push_str(&record.object);
}

fn manifest_entry(out: &mut String, record: &Record) {
    let entry =
        json!({ "id": record.id, "date_added": stamp(record.added), "version": record.version, "media_type": STIX });
    out.push_str(&entry.to_string());
}

/// A page: how to go on stands first, then the records, each written by `item`.
fn envelope(page: &Page, name: &str, item: impl Fn(&mut String, &Record)) -> String {
    let Some(last) = page.records.last() else { return "{}".to_owned() };
    // Cursors are digits and hyphens.
    let next = match page.more {
        true => format!(",\"next\":\"{}\"", query::cursor(last.added, last.sequence)),
        false => String::new(),
    };
    let head = format!("{{\"more\":{}{next},\"{name}\":[", page.more);
    let bytes: usize = page.records.iter().map(|record| record.object.len() + 1).sum();
    let mut body = String::with_capacity(head.len() + bytes + 2);
    body.push_str(&head);
    for (place, record) in page.records.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        item(&mut body, record);
    }
    body.push_str("]}");
    body
}

fn dated(page: &Page, body: String) -> Response {
    let mut response = written(body);
    if let (Some(first), Some(last)) = (page.records.first(), page.records.last()) {
        response.headers.push(("X-TAXII-Date-Added-First", stamp(first.added)));
        response.headers.push(("X-TAXII-Date-Added-Last", stamp(last.added)));
    }
    response
}

/// One object of a status (section 4.3.1).
#[derive(Serialize)]
struct Detail<'s> {
    id: &'s str,
    version: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'s str>,
}

impl<'s> Detail<'s> {
    fn of(pushed: &'s Pushed) -> Self {
        Detail { id: &pushed.id, version: &pushed.version, message: pushed.refused.as_deref() }
    }
}

#[derive(Serialize)]
struct StatusBody<'s> {
    id: &'s str,
    status: &'static str,
    request_timestamp: String,
    total_count: usize,
    success_count: usize,
    successes: Vec<Detail<'s>>,
    failure_count: usize,
    failures: Vec<Detail<'s>>,
    pending_count: usize,
    pendings: [(); 0],
}

fn status_body(status: &Status) -> Result<String, StoreError> {
    let (taken, refused): (Vec<&Pushed>, Vec<&Pushed>) =
        status.objects.iter().partition(|pushed| pushed.refused.is_none());
    Ok(serde_json::to_string(&StatusBody {
        id: &status.id,
        status: "complete",
        request_timestamp: stamp(status.requested),
        total_count: status.objects.len(),
        success_count: taken.len(),
        successes: taken.into_iter().map(Detail::of).collect(),
        failure_count: refused.len(),
        failures: refused.into_iter().map(Detail::of).collect(),
        pending_count: 0,
        pendings: [],
    })?)
}
