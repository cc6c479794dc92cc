//! A feed: `manifest.json`, one file per event, `hashes.csv` (interfaces 4.1).
//!
//! Pure: gives the files, writes none.

use super::event::{Event, File};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The files of a feed, by name.
pub fn files(events: &[File]) -> Result<BTreeMap<String, Vec<u8>>, serde_json::Error> {
    let mut files = BTreeMap::new();
    let mut manifest = Map::new();
    let mut hashes = String::new();
    for file in events {
        let event = &file.event;
        manifest.insert(event.uuid.clone(), entry(event));
        for value in values(event) {
            hashes.push_str(&format!("{},{}\n", md5_hex(value.as_bytes()), event.uuid));
        }
        files.insert(format!("{}.json", event.uuid), serde_json::to_vec_pretty(file)?);
    }
    files.insert("manifest.json".into(), serde_json::to_vec_pretty(&Value::Object(manifest))?);
    files.insert("hashes.csv".into(), hashes.into_bytes());
    Ok(files)
}

fn entry(event: &Event) -> Value {
    let number = |text: &str| text.parse::<i64>().unwrap_or_default();
    json!({
        "Orgc": event.orgc,
        "Tag": event.tags,
        "info": event.info,
        "date": event.date,
        "analysis": number(&event.analysis),
        "threat_level_id": number(&event.threat_level_id),
        "timestamp": number(&event.timestamp),
    })
}

/// Values that other feeds are compared by; composite values count by each part.
fn values(event: &Event) -> impl Iterator<Item = &str> {
    let inside = event.objects.iter().flat_map(|object| &object.attributes);
    let compared = event.attributes.iter().chain(inside).filter(|a| !a.disable_correlation);
    compared.flat_map(|a| {
        let composite = a.kind.contains('|') || a.kind == "malware-sample";
        let parts: Vec<&str> = if composite { a.value.split('|').collect() } else { vec![&a.value] };
        parts
    })
}

/// MD5 (RFC 1321), which the feed format prescribes as a name for values; no security rests on it.
pub fn md5_hex(data: &[u8]) -> String {
    const SHIFTS: [u32; 16] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
    let table: Vec<u32> = (0..64).map(|i| ((f64::from(i) + 1.0).sin().abs() * 4_294_967_296.0) as u32).collect();
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut padded = data.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(data.len() as u64).wrapping_mul(8).to_le_bytes());
    for block in padded.chunks_exact(64) {
        let words: Vec<u32> = block.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64 {
            let (mix, word) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let sum = a.wrapping_add(mix).wrapping_add(table[i]).wrapping_add(words[word]);
            let rotated = sum.rotate_left(SHIFTS[i / 16 * 4 + i % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(rotated));
        }
        for (slot, add) in state.iter_mut().zip([a, b, c, d]) {
            *slot = slot.wrapping_add(add);
        }
    }
    state.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn digests_are_those_of_rfc_1321() {
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
        ] {
            assert_eq!(super::md5_hex(text.as_bytes()), digest);
        }
    }
}
