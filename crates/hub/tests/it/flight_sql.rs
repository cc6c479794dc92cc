//! The lake asked over Flight SQL with the ADBC driver that Python people use.
//!
//! `NOROSHI_PYTHON` names the interpreter that has the packages of `tests/interop/requirements.txt` (default
//! `python3`). Without them the test says that it is skipped, and fails where `CI=true`.

use arrow_ipc::writer::StreamWriter;
use noroshi_api::people::{MemoryRecords, People};
use noroshi_api::scope::Right;
use noroshi_hub::questions;
use noroshi_model::packet::{Has, Packet, PacketBatch, Transport, proto};
use noroshi_model::rows::packets_record_batch;
use noroshi_model::stream::SchemaId;
use noroshi_model::{Addr, Nanos};
use noroshi_store::{Journal, JournalBatch, Lake, Mover};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const PACKETS: u64 = 3000;

fn packet(n: u64) -> Packet {
    let mut row = Packet { ts: Nanos(1_767_225_600_000_000_000 + n as i64 * 1_000_000), ..Packet::BLANK };
    row.has = Has(Has::IP.0 | Has::PORTS.0 | Has::TCP.0 | Has::TIME.0);
    (row.src, row.dst) = (Addr::v4(0xc000_0200 + n as u32 % 9), Addr::v4(0xcb00_7101));
    (row.proto, row.transport, row.seq) = (proto::TCP, Transport::Tcp, n as u32);
    (row.dport, row.wire_len, row.cap_len) = (20 + (n % 4) as u16, 60, 60);
    row
}

async fn lake(folder: &Path) -> Lake {
    let rows = (0..PACKETS).map(packet).collect();
    let batch = packets_record_batch(&PacketBatch { rows, sensor: "tokyo".into(), ..PacketBatch::default() });
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let journal = Journal::open(folder.join("journal.db")).await.unwrap();
    let lake = Lake::open(folder.join("lake")).await.unwrap();
    let batch = JournalBatch {
        sensor: "tokyo".into(),
        epoch: [1; 16],
        first_seq: 0,
        last_seq: PACKETS - 1,
        schema: SchemaId::PACKETS,
        bytes: bytes.into(),
        gaps: Vec::new(),
    };
    journal.append(batch).await.unwrap();
    let mut mover = Mover::new(lake.clone(), journal).await.unwrap();
    while mover.step().await.unwrap().through != 0 {}
    lake
}

/// Secrets of a token that may ask, and of one that may only see statistics.
async fn tokens(people: &People) -> (String, String) {
    let now = questions::now();
    let link = people.make_link(now, None).await.unwrap();
    let opened = people.welcome(now, &link, "ann", "correct horse battery staple").await.unwrap();
    let owner = people.by_cookie(now, &opened.cookie).await.unwrap().unwrap();
    let all = vec![Right::SignedIn, Right::Observe, Right::Packets, Right::Findings, Right::Sensors];
    let (strong, _) = people.make_token(now, &owner, "notebook", all, 1).await.unwrap();
    let (weak, _) = people.make_token(now, &owner, "dashboard", vec![Right::Observe], 1).await.unwrap();
    (strong, weak)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_asks_the_lake() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    let people = Arc::new(People::new(Arc::new(MemoryRecords::default())));
    let (strong, weak) = tokens(&people).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(questions::serve(listener, lake, people, stop.clone()));

    let python = std::env::var("NOROSHI_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/flight_sql.py");
    let output =
        tokio::task::spawn_blocking(move || Command::new(python).arg(script).args([&address, &strong, &weak]).output());
    let output = output.await.unwrap();
    stop.cancel();
    serving.await.unwrap().unwrap();
    let errors = output.as_ref().map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    let errors = errors.unwrap_or_else(|error| error.to_string());
    let Some(output) = output.ok().filter(|_| !errors.contains("ModuleNotFoundError")) else {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "install tests/interop/requirements.txt: {errors}"
        );
        return println!("skipped (pip install -r crates/hub/tests/interop/requirements.txt): {errors}");
    };
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    let ports: Vec<_> = (20..24).map(|port| serde_json::json!({"dport": port, "packets": PACKETS / 4})).collect();
    assert_eq!(found["ports"], serde_json::json!(ports));
    for name in ["pandas", "polars", "polars_direct", "rows"] {
        assert_eq!(found[name], PACKETS, "{name}");
    }
    assert_eq!(found["sources"][1], serde_json::json!({"source": "192.0.2.1", "sensor": "tokyo"}));
    assert_eq!(found["prepared"], 4);
    let tables = found["tables"].as_array().unwrap();
    assert!(tables.contains(&"packets".into()) && tables.contains(&"days_ports".into()), "{tables:?}");
    let says = |name: &str, text: &str| {
        let said = found[name].as_str().unwrap_or_default();
        assert!(said.contains(text), "{name}: {said}");
    };
    says("wrong_table", "did you mean \"packets\"?");
    says("not_a_question", "only questions are answered");
    says("wrong_token", "not known");
    says("weak_token", "lacks Packets");
}
