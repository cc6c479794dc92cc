//! What the policy forbids is on no disk: not in the spool, not in the journal, not in any other file of either side.

use super::support::Lab;
use noroshi_testkit::PacketBuilder;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

const SECRETS: usize = 1000;

/// A capture of IPv6 packets whose payloads, sources and destinations are secrets, in files of their own folder.
fn capture(folder: &Path, secrets: &[[u8; 48]]) -> PathBuf {
    let packet = |secret: &[u8; 48]| {
        let part = |at: usize| <[u8; 16]>::try_from(&secret[at..at + 16]).unwrap();
        PacketBuilder::ipv6(part(0), part(16)).udp(4000, 53).payload(part(32)).build()
    };
    let packets: Vec<Vec<u8>> = secrets.iter().map(packet).collect();
    let records: Vec<_> = packets.iter().map(|bytes| (1_700_000_000_000_000_000, &bytes[..])).collect();
    let path = folder.join("secrets.pcap");
    std::fs::write(&path, noroshi_testkit::pcap(&records)).unwrap();
    path
}

/// Every secret that stands in some file below a folder.
fn found(folder: &Path, secrets: &[[u8; 48]]) -> usize {
    let parts: std::collections::HashSet<&[u8]> = secrets.iter().flat_map(|secret| secret.chunks(16)).collect();
    let (mut folders, mut hits) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                hits += bytes.windows(16).filter(|window| parts.contains(window)).count();
            }
        }
    }
    hits
}

async fn hits(settings: &[&str]) -> usize {
    let secrets: Vec<[u8; 48]> = (0..SECRETS).map(|_| rand::random()).collect();
    let outside = tempfile::tempdir().unwrap();
    let path = capture(outside.path(), &secrets);
    let lab = Lab::start().await;
    lab.enrol("kyoto").await.unwrap();
    let settings: Vec<String> = settings.iter().map(|text| text.to_string()).collect();
    lab.hub().context().fleet.set("kyoto", &settings).await.unwrap();
    let done = noroshi_sensor::run::run(lab.options("kyoto", &path), CancellationToken::new()).await.unwrap();
    assert_eq!(done.acknowledged, SECRETS as u64);
    assert_eq!(lab.count("kyoto").await, SECRETS);
    found(lab.folder.path(), &secrets)
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_bytes_are_on_no_disk() {
    let strict = ["payload_bytes=0", "source_addresses=truncated", "destination_addresses=prefix-preserving"];
    assert_eq!(hits(&strict).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_finds_what_is_allowed() {
    // Random bytes do not compress, so what is kept stands in the files as it is.
    assert!(hits(&["payload_bytes=1500"]).await >= SECRETS);
}
