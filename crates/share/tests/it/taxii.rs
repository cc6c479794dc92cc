//! The TAXII server, asked by hand and by OASIS's own client.

use crate::scene;
use noroshi_model::Nanos;
use noroshi_model::tlp::Tlp;
use noroshi_share::stix::marking::{self, Markings};
use noroshi_share::taxii::{Collection, MEDIA_TYPE, Reader, Request, Response, Sqlite, respond};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const COLLECTION: &str = "365fed99-08fa-fdcd-a1b3-fb247eb41d01";
const OBJECTS: &str = "/noroshi/collections/365fed99-08fa-fdcd-a1b3-fb247eb41d01/objects/";

async fn store() -> Sqlite {
    let options = SqliteConnectOptions::new().in_memory(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .unwrap();
    let store = Sqlite::on(pool).await.unwrap();
    store
        .add_collection(&Collection {
            id: COLLECTION.into(),
            title: "Findings".into(),
            description: "What members may know".into(),
            alias: Some("findings".into()),
        })
        .await
        .unwrap();
    store
}

fn reader(ceiling: Tlp, writes: bool) -> Reader {
    let may_write = if writes { vec![COLLECTION.to_owned()] } else { Vec::new() };
    Reader { name: format!("reader-{ceiling}"), ceiling, may_write }
}

struct Ask<'s> {
    store: &'s Sqlite,
    reader: Reader,
    now: Nanos,
}

impl Ask<'_> {
    async fn send(&self, method: &str, target: &str, body: &[u8]) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request {
            method,
            path,
            query,
            accept: Some(MEDIA_TYPE),
            content_type: (method == "POST").then_some(MEDIA_TYPE),
            body,
            reader: &self.reader,
            base: "https://taxii.example",
            now: self.now,
        };
        respond(self.store, &request).await
    }

    async fn get(&self, target: &str) -> (u16, Value) {
        let response = self.send("GET", target, b"").await;
        (response.status, serde_json::from_slice(&response.body).unwrap())
    }

    async fn push(&self, objects: &[Value]) -> Value {
        let body = json!({ "objects": objects }).to_string();
        let response = self.send("POST", OBJECTS, body.as_bytes()).await;
        assert_eq!(response.status, 202, "{}", String::from_utf8_lossy(&response.body));
        serde_json::from_slice(&response.body).unwrap()
    }
}

fn indicator(number: u32, version: &str, tlp: Tlp) -> Value {
    json!({
        "type": "indicator", "spec_version": "2.1",
        "id": format!("indicator--00000000-0000-4000-8000-{number:012x}"),
        "created": "2026-01-01T00:00:00.000Z", "modified": version,
        "pattern": "[ipv4-addr:value = '192.0.2.1']", "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": marking::references(tlp, Markings::Both),
    })
}

const V1: &str = "2026-01-01T00:00:00.000Z";
const V2: &str = "2026-02-01T00:00:00.000Z";

#[tokio::test]
async fn pages_neither_repeat_nor_skip_though_all_have_one_date() {
    let store = store().await;
    let ask = Ask { store: &store, reader: reader(Tlp::Amber, true), now: scene::at(0) };
    let objects: Vec<Value> = (0..250).map(|n| indicator(n, V1, Tlp::Green)).collect();
    let status = ask.push(&objects).await;
    assert_eq!((status["success_count"].as_u64(), status["status"].as_str()), (Some(250), Some("complete")));
    let (mut ids, mut next) = (Vec::new(), String::new());
    loop {
        let (code, page) = ask.get(&format!("{OBJECTS}?limit=7{next}")).await;
        assert_eq!(code, 200);
        ids.extend(page["objects"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap().to_owned()));
        if page["more"] != true {
            break;
        }
        // Some clients move the date as well.
        next = format!("&next={}&added_after=2030-01-01T00:00:00Z", page["next"].as_str().unwrap());
        if ids.len() == 70 {
            ask.push(&[indicator(1_000, V1, Tlp::Green)]).await;
        }
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), all), (251, 251));
    let (_, none) = ask.get(&format!("{OBJECTS}?added_after=2026-01-01T00:00:00Z")).await;
    assert_eq!(none, json!({}), "nothing was added after the date added of all");
}

#[tokio::test]
async fn versions_types_and_ids_are_filtered() {
    let store = store().await;
    let ask = Ask { store: &store, reader: reader(Tlp::Amber, true), now: scene::at(0) };
    ask.push(&[indicator(1, V1, Tlp::Green), indicator(1, V2, Tlp::Green), indicator(2, V1, Tlp::Green)]).await;
    ask.push(&[indicator(1, V1, Tlp::Green)]).await;
    let count = async |query: &str| {
        let (_, page) = ask.get(&format!("{OBJECTS}?{query}")).await;
        page["objects"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count("match[version]=all").await, 3);
    assert_eq!(count(&format!("match[version]={V1}")).await, 2);
    assert_eq!(count("match[type]=malware").await, 0);
    assert_eq!(count("match[type]=malware,indicator").await, 2);
    let id = "indicator--00000000-0000-4000-8000-000000000001";
    assert_eq!(count(&format!("match[id]={id}")).await, 1);
    let (_, versions) = ask.get(&format!("{OBJECTS}{id}/versions/")).await;
    assert_eq!(versions["versions"], json!([V1, V2]));
    assert_eq!(ask.get(&format!("{OBJECTS}indicator--x/")).await.0, 404);
    let gone = ask.send("DELETE", &format!("{OBJECTS}{id}/"), b"").await;
    assert_eq!((gone.status, count("match[version]=all").await), (200, 1));
}

#[tokio::test]
async fn nothing_above_the_ceiling_is_shown_anywhere() {
    let store = store().await;
    let write = Ask { store: &store, reader: reader(Tlp::Red, true), now: scene::at(0) };
    let mut odd = indicator(9, V1, Tlp::Green);
    odd["object_marking_refs"] = json!(["marking-definition--00000000-0000-4000-8000-000000000000"]);
    write
        .push(&[
            indicator(1, V1, Tlp::Green),
            indicator(1, V2, Tlp::Red),
            indicator(2, V1, Tlp::AmberStrict),
            indicator(3, V1, Tlp::Clear),
            odd,
        ])
        .await;
    let seen = async |ceiling: Tlp| {
        let ask = Ask { store: &store, reader: reader(ceiling, false), now: scene::at(0) };
        let (_, page) = ask.get(&format!("{OBJECTS}?match[version]=all")).await;
        let (_, manifest) = ask.get("/noroshi/collections/findings/manifest/?match[version]=all").await;
        let count = |v: &Value| v["objects"].as_array().map_or(0, Vec::len);
        assert_eq!(count(&page), count(&manifest));
        count(&page)
    };
    assert_eq!(seen(Tlp::Clear).await, 1);
    assert_eq!(seen(Tlp::Green).await, 2);
    assert_eq!(seen(Tlp::Amber).await, 2, "amber+strict and the unreadable marking stay");
    assert_eq!(seen(Tlp::AmberStrict).await, 3);
    assert_eq!(seen(Tlp::Red).await, 5);
    let ask = Ask { store: &store, reader: reader(Tlp::Green, false), now: scene::at(0) };
    let (_, last) = ask.get(&format!("{OBJECTS}?match[id]=indicator--00000000-0000-4000-8000-000000000001")).await;
    assert_eq!(last["objects"][0]["modified"], V1, "the newest that may be seen");
}

#[tokio::test]
async fn wrong_requests_are_told_why() {
    let store = store().await;
    let ask = Ask { store: &store, reader: reader(Tlp::Amber, false), now: scene::at(0) };
    assert_eq!(ask.get("/nowhere/").await.0, 404);
    assert_eq!(ask.get("/noroshi/collections/none/objects/").await.0, 404);
    let (code, error) = ask.get(&format!("{OBJECTS}?limit=0")).await;
    assert_eq!((code, error["http_status"].as_str()), (400, Some("400")));
    assert_eq!(ask.send("POST", OBJECTS, b"{\"objects\":[]}").await.status, 403);
    assert_eq!(ask.send("PUT", "/noroshi/", b"").await.status, 405);
    let write = Ask { store: &store, reader: reader(Tlp::Amber, true), now: scene::at(0) };
    assert_eq!(write.send("POST", OBJECTS, b"{").await.status, 422);
    assert_eq!(write.send("POST", OBJECTS, b"{}").await.status, 422);
    let status = write
        .push(&[json!({ "type": "bundle", "id": "bundle--1" }), json!({ "type": "indicator", "id": "x" }), json!(7)])
        .await;
    assert_eq!((status["success_count"].as_u64(), status["failure_count"].as_u64()), (Some(0), Some(3)));
    let again = write.get(&format!("/noroshi/status/{}/", status["id"].as_str().unwrap())).await;
    assert_eq!(again, (200, status));
    for (accept, expect) in [
        ("application/taxii+json", 200),
        ("application/taxii+json; version=2.1", 200),
        ("*/*", 200),
        ("application/taxii+json;version=2.0", 406),
        ("text/html", 406),
    ] {
        let request = Request {
            method: "GET",
            path: "/taxii2/",
            query: "",
            accept: Some(accept),
            content_type: None,
            body: b"",
            reader: &write.reader,
            base: "https://taxii.example",
            now: scene::at(0),
        };
        assert_eq!(respond(&store, &request).await.status, expect, "{accept}");
    }
}

#[tokio::test]
async fn objects_come_back_as_they_were_whatever_they_hold() {
    let store = store().await;
    let ask = Ask { store: &store, reader: reader(Tlp::Amber, true), now: scene::at(0) };
    let mut odd = indicator(1, V1, Tlp::Green);
    odd["name"] = json!("\"],\"more\":false}\\ \u{2028} \u{0} ]}</script> \u{202e}");
    odd["x_deep"] = json!([[[{ "a": [1, -1, 0.5, u64::MAX, null, true] }]]]);
    let mut kind = indicator(2, V1, Tlp::Green);
    (kind["type"], kind["id"]) = (json!("x\"],"), json!("x\"],--00000000-0000-4000-8000-000000000002"));
    let status = ask.push(&[odd.clone(), kind.clone()]).await;
    assert_eq!(status["successes"][1], json!({ "id": kind["id"], "version": V1 }));
    assert_eq!(ask.get(OBJECTS).await.1, json!({ "more": false, "objects": [odd, kind] }));
    let (_, manifest) = ask.get("/noroshi/collections/findings/manifest/").await;
    assert_eq!(manifest["objects"][1]["id"], kind["id"]);
    // Of a name that stands twice, readers might take either: one is kept, the one whose label was read.
    let id = "indicator--00000000-0000-4000-8000-000000000003";
    let [free, red] = [Tlp::Clear, Tlp::Red].map(|tlp| json!(marking::references(tlp, Markings::V2)));
    let twice = format!(
        "{{\"objects\":[{{\"type\":\"indicator\",\"id\":\"{id}\",\"object_marking_refs\":{red},\"object_marking_refs\":{free}}}]}}"
    );
    assert_eq!(ask.send("POST", OBJECTS, twice.as_bytes()).await.status, 202);
    let page = ask.send("GET", &format!("{OBJECTS}{id}/"), b"").await;
    assert_eq!(String::from_utf8(page.body).unwrap().matches("object_marking_refs").count(), 1);
    // What cannot be read everywhere is not taken in.
    for body in ["{\"objects\":[\"\\ud800\"]}".to_owned(), format!("{{\"objects\":[{}", "[".repeat(200))] {
        assert_eq!(ask.send("POST", OBJECTS, body.as_bytes()).await.status, 422);
    }
}

#[tokio::test]
async fn large_objects_make_pages_shorter() {
    let store = store().await;
    let ask = Ask { store: &store, reader: reader(Tlp::Amber, true), now: scene::at(0) };
    let large = |number| {
        let mut object = indicator(number, V1, Tlp::Green);
        object["description"] = json!("x".repeat(9 << 20));
        object
    };
    ask.push(&[large(1), large(2), large(3)]).await;
    let (_, first) = ask.get(OBJECTS).await;
    assert_eq!((first["objects"].as_array().unwrap().len(), &first["more"]), (2, &json!(true)));
    let (_, rest) = ask.get(&format!("{OBJECTS}?next={}", first["next"].as_str().unwrap())).await;
    assert_eq!((rest["objects"].as_array().unwrap().len(), &rest["more"]), (1, &json!(false)));
    assert_eq!(rest["objects"][0]["id"], "indicator--00000000-0000-4000-8000-000000000003");
}

/// Serves the store over plain HTTP to the client of OASIS.
async fn serve(listener: TcpListener, store: Sqlite, base: String) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_one(stream, store.clone(), base.clone()));
    }
}

async fn serve_one(stream: TcpStream, store: Sqlite, base: String) {
    let mut stream = BufReader::new(stream);
    let (mut first, mut accept, mut kind, mut length) = (String::new(), None, None, 0);
    stream.read_line(&mut first).await.unwrap();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        let (name, value) = line.trim_end().split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "accept" => accept = Some(value.to_owned()),
            "content-type" => kind = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method,
        path,
        query,
        accept: accept.as_deref(),
        content_type: kind.as_deref(),
        body: &body,
        reader: &reader(Tlp::Amber, true),
        base: &base,
        now: scene::at(0),
    };
    let response = respond(&store, &request).await;
    let mut head =
        format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n", response.status, response.body.len());
    for (name, value) in response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.get_mut().write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    stream.get_mut().write_all(&response.body).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_oasis_reads_ten_thousand_objects_in_small_pages() {
    let Some(mut python) = scene::python("taxii2client") else { return };
    let store = store().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let base = format!("http://{address}");
    tokio::spawn(serve(listener, store, base.clone()));
    let run =
        tokio::task::spawn_blocking(move || python.arg(scene::script("taxii_read.py")).arg(base).output().unwrap());
    let output = run.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "pushed 10000, read 10000 in 100 pages");
}
