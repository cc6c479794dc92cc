//! A backup taken at any moment of a running hub holds every acknowledged packet once; killed midway it is not there.

use crate::kill::{program, wait_for_lines};
use crate::lake::{ask, move_all, open};
use crate::sample::journal_batch;
use noroshi_store::backup::{BackupError, backup, check, restore};
use std::process::{Command, Stdio};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taken_while_running_it_holds_each_acknowledged_packet_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut store = open(&data).await;
    for n in 0..4u64 {
        store.journal.append(journal_batch("tokyo", n * 100, n * 100 + 99)).await.unwrap();
        move_all(&mut store).await;
    }
    // In the journal only, when the backup begins.
    store.journal.append(journal_batch("tokyo", 400, 499)).await.unwrap();
    let running = tokio::spawn(async move {
        for n in 5..9u64 {
            move_all(&mut store).await;
            store.journal.append(journal_batch("tokyo", n * 100, n * 100 + 99)).await.unwrap();
        }
        store
    });
    let saved = folder.path().join("saved");
    let manifest = backup(&data, &saved).await.unwrap();
    assert!(manifest.journal_row >= 5 && manifest.tables.len() > 20, "{manifest:?}");
    drop(running.await.unwrap());
    assert!(matches!(backup(&data, &saved).await, Err(BackupError::Exists(_))));

    let restored = folder.path().join("restored");
    restore(&saved, &restored).unwrap();
    let mut store = open(&restored).await;
    move_all(&mut store).await;
    let stored = store.journal.watermark("tokyo", [3; 16]).await.unwrap().unwrap() + 1;
    assert!(stored >= 500, "{stored}");
    for sql in [
        "select count(*) from packets",
        "select count(distinct seq) from packets",
        "select sum(packets) from minutes_ports",
        "select sum(packets) from days_networks",
    ] {
        assert_eq!(ask(&store.lake, sql).await, [stored.to_string()], "{sql}");
    }
    // The sensor goes on where the backup knows of it.
    store.journal.append(journal_batch("tokyo", stored, stored + 99)).await.unwrap();
    move_all(&mut store).await;
    assert_eq!(ask(&store.lake, "select count(*) from packets").await, [(stored + 100).to_string()]);
}

#[tokio::test]
async fn killed_midway_there_is_no_half_backup_and_no_half_restore() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut store = open(&data).await;
    store.journal.append(journal_batch("tokyo", 0, 999)).await.unwrap();
    move_all(&mut store).await;
    drop(store);
    let saved = folder.path().join("saved");
    for kill in 0..4u32 {
        let tries = folder.path().join(format!("tries-{kill}"));
        let mut child =
            Command::new(program()).arg(&data).arg("backup").arg(&tries).stdout(Stdio::piped()).spawn().unwrap();
        wait_for_lines(&mut child, kill + 1);
        (0..u64::from(kill) * 400_000).for_each(|n| {
            std::hint::black_box(n);
        });
        child.kill().unwrap();
        child.wait().unwrap();
        for entry in std::fs::read_dir(&tries).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_none() {
                check(&path).unwrap();
            }
        }
    }
    backup(&data, &saved).await.unwrap();
    let restored = folder.path().join("restored");
    for spin in [0u64, 300_000, 3_000_000] {
        let mut child = Command::new(program()).arg(&restored).arg("restore").arg(&saved).spawn().unwrap();
        (0..spin).for_each(|n| {
            std::hint::black_box(n);
        });
        child.kill().unwrap();
        child.wait().unwrap();
        if restored.exists() {
            std::fs::remove_dir_all(&restored).unwrap();
        }
    }
    restore(&saved, &restored).unwrap();
    assert_eq!(ask(&open(&restored).await.lake, "select count(*) from packets").await, ["1000"]);
    assert!(matches!(restore(&saved, &restored), Err(BackupError::Exists(_))));
}

#[tokio::test]
async fn a_damaged_backup_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    drop(open(&data).await);
    std::fs::write(data.join("authority.key"), b"secret").unwrap();
    let saved = folder.path().join("saved");
    let manifest = backup(&data, &saved).await.unwrap();
    assert!(manifest.files.contains_key("authority.key") && manifest.files.contains_key("journal.sqlite"));
    std::fs::write(saved.join("authority.key"), b"Secret").unwrap();
    let error = restore(&saved, &folder.path().join("restored")).unwrap_err().to_string();
    assert!(error.contains("authority.key is not the file that was backed up"), "{error}");
    let none = restore(folder.path(), &folder.path().join("restored")).unwrap_err().to_string();
    assert!(none.contains("is no whole backup"), "{none}");
    assert!(!folder.path().join("restored").exists());
}
