//! Real captures: the ones listed in `docs/reference/captures-with-attacks.md` give what stands there, all others no
//! attack.

use noroshi_detect::engine::Findings;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const LIST: &str = include_str!("../../../../docs/reference/captures-with-attacks.md");

/// File name to expected finding, in the words of the list.
fn expected() -> BTreeMap<&'static str, &'static str> {
    let rows = LIST.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [file, finding, _why] = cells[..] else { return None };
        (finding.starts_with("attack ") || finding.starts_with("scan ")).then_some((file, finding))
    });
    rows.collect()
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if matches!(ending, "pcap" | "cap" | "pcapng") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn attacks(found: &Findings) -> Vec<String> {
    found.attacks.iter().map(|attack| format!("attack {} {} {}", attack.kind, attack.vector, attack.victim)).collect()
}

fn scans(found: &Findings) -> Vec<String> {
    found.scans.iter().map(|scan| format!("scan {} {}", scan.kind, scan.source)).collect()
}

#[test]
fn listed_captures_give_their_finding_and_others_no_attack() {
    let Some(folder) = crate::shared("data/captures") else { return };
    let mut expected = expected();
    let captures = captures(&folder);
    assert!(captures.len() >= 100, "only {} captures in {}", captures.len(), folder.display());
    let mut wrong = Vec::new();
    for path in captures {
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
        let found = crate::findings(&path);
        let attacks = attacks(&found);
        match expected.remove(name.as_str()) {
            Some(finding) if finding.starts_with("attack ") => {
                if attacks != [finding] {
                    wrong.push(format!("{name}: expected only `{finding}`, found {attacks:?}"));
                }
            }
            Some(finding) => {
                if !scans(&found).iter().any(|scan| scan == finding) || !attacks.is_empty() {
                    wrong.push(format!("{name}: expected `{finding}`, found {:?} and {attacks:?}", scans(&found)));
                }
            }
            None if attacks.is_empty() => {}
            None => wrong.push(format!("{name}: expected silence, found {attacks:?}")),
        }
    }
    wrong.extend(expected.into_keys().map(|name| format!("{name}: listed, but not among the captures")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
