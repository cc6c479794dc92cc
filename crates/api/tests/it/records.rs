//! One suite for every place where records of people are kept.

use noroshi_api::people::{MemoryRecords, Records, SqliteRecords, Table};
use std::sync::Arc;

async fn suite(records: Arc<dyn Records>) {
    let (links, tokens) = (Table::Links, Table::Tokens);
    assert_eq!(records.get(links, "a").await.unwrap(), None);
    assert!(records.insert(links, "a", b"1".to_vec()).await.unwrap());
    assert!(!records.insert(links, "a", b"2".to_vec()).await.unwrap(), "insert never overwrites");
    assert_eq!(records.get(links, "a").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(records.get(tokens, "a").await.unwrap(), None, "tables are apart");
    records.put(links, "a", b"3".to_vec()).await.unwrap();
    records.put(links, "B", b"4".to_vec()).await.unwrap();
    let rows = records.list(links).await.unwrap();
    assert_eq!(rows, [("B".to_owned(), b"4".to_vec()), ("a".to_owned(), b"3".to_vec())]);
    assert_eq!(records.count(links).await.unwrap(), 2);
    let takers = (0..16).map(|_| {
        let records = records.clone();
        tokio::spawn(async move { records.take(links, "a").await.unwrap().is_some() })
    });
    let won = futures::future::join_all(takers).await.into_iter().filter(|taken| *taken.as_ref().unwrap()).count();
    assert_eq!(won, 1, "of many takers exactly one gets the record");
}

#[tokio::test]
async fn in_memory() {
    suite(Arc::new(MemoryRecords::default())).await;
}

#[tokio::test]
async fn in_a_file_that_only_its_owner_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.db");
    suite(Arc::new(SqliteRecords::open(&path).await.unwrap())).await;
    let again = SqliteRecords::open(&path).await.unwrap();
    assert_eq!(again.get(Table::Links, "B").await.unwrap().as_deref(), Some(&b"4"[..]), "it is there after a restart");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}
