//! The lake on an S3-compatible store: the tests that the embedded default passes, run again in a process of their own with
//! the lake elsewhere, and what is seen when the store is not there.
//!
//! The store is moto's server on loopback, started with `NOROSHI_PYTHON` (see [`crate::interop`]).

use futures::TryStreamExt;
use noroshi_store::{Lake, Limits, QueryError};
use object_store::aws::AmazonS3Builder;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Tests that never look into the lake's folder: everything that writes, asks, compacts, retains, counts.
const SUITE: [&str; 13] = [
    "concurrent::four_writers_a_compactor_and_a_reader_disturb_nobody",
    "concurrent::days_left_come_from_the_rate",
    "findings::a_finding_that_grows_is_told_again_and_accounted_for",
    "findings::every_declared_table_is_asked_and_wrong_columns_are_refused",
    "kill::killed_at_any_moment_it_counts_the_same",
    "lake::an_interrupted_move_is_taken_up_and_counts_once",
    "lake::concentration_is_that_of_the_textbook",
    "lake::every_statistic_answers",
    "lake::one_bad_batch_costs_one_batch_and_is_declared",
    "lake::what_cannot_be_answered_is_explained",
    "lake::what_was_sent_is_counted",
    "maintain::retention_gives_up_the_oldest_hours_and_never_the_newest",
    "remote::damage_on_a_store_is_found_and_set_aside",
];

/// The server, ended when its input is closed.
struct Server(Child, String);

impl Server {
    /// `None`, said aloud, without Python and its packages.
    fn start() -> Option<Server> {
        let mut child = crate::interop::python("s3_server.py")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| crate::interop::skip(&error.to_string()))
            .ok()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take()?).read_line(&mut line).unwrap();
        let address = line.trim().to_owned();
        let server = Server(child, address);
        if !server.1.starts_with("http") {
            crate::interop::skip(&server.1);
            return None;
        }
        Some(server)
    }

    fn environment(&self, command: &mut Command) {
        command.envs([
            ("AWS_ENDPOINT_URL", self.1.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("NOROSHI_TEST_LAKE", "s3://noroshi"),
        ]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn the_same_suite_passes_on_a_store() {
    if std::env::var_os("NOROSHI_TEST_LAKE").is_some() {
        return;
    }
    let Some(server) = Server::start() else { return };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--exact").args(SUITE).env("NOROSHI_KILLS", "2");
    server.environment(&mut command);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(&format!("{} passed", SUITE.len())), "{text}");
}

/// Part of the suite above; without a store there is nothing to do (damage on disk is `maintain`'s).
#[tokio::test]
async fn damage_on_a_store_is_found_and_set_aside() {
    if std::env::var_os("NOROSHI_TEST_LAKE").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut store = crate::lake::open(folder.path()).await;
    for n in 0..2u64 {
        store.journal.append(crate::sample::journal_batch("a", n * 500, n * 500 + 499)).await.unwrap();
        crate::lake::move_all(&mut store).await;
    }
    assert!(store.lake.check(false).await.unwrap().iter().all(|check| check.damage.is_empty()));
    let objects = AmazonS3Builder::from_env().with_bucket_name("noroshi").build().unwrap();
    let prefix = format!("{}/packets", folder.path().file_name().unwrap().to_string_lossy());
    let packets: Vec<ObjectMeta> = objects.list(Some(&prefix.into())).try_collect().await.unwrap();
    let damaged = packets.iter().find(|object| object.location.as_ref().ends_with(".parquet")).unwrap();
    objects.put(&damaged.location, vec![0xff; damaged.size as usize].into()).await.unwrap();
    let error = store.lake.answer("select sum(seq) from packets", Limits::default()).await.unwrap_err();
    assert!(matches!(error, QueryError::Damaged(_)), "{error}");
    let found = store.lake.check(true).await.unwrap();
    let found = found.iter().find(|check| check.table == "packets").unwrap();
    assert_eq!((found.damage.len(), found.damage[0].rows), (1, 500));
    assert_eq!(crate::lake::ask(&store.lake, "select count(*) from packets").await, ["500"]);
}

/// In a process of its own, because the address of the store is read from the environment.
#[test]
fn a_store_that_is_not_there_is_named_and_nothing_is_lost() {
    // A port that was free a moment ago answers nobody.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "remote::nobody_answers", "--nocapture"]);
    Server::environment(&Server(Command::new("true").spawn().unwrap(), format!("http://{free}")), &mut command);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn nobody_answers() {
    if std::env::var_os("NOROSHI_TEST_LAKE").is_none() {
        return;
    }
    let error = Lake::open("s3://noroshi/nobody").await.map(drop).unwrap_err().to_string();
    assert!(error.contains("does not answer") && error.contains("AWS_ENDPOINT_URL"), "{error}");
    let lake = Lake::open_to_read("s3://noroshi/nobody", noroshi_store::Enrich::none()).unwrap();
    let error = lake.answer("select count(*) from packets", Limits::default()).await.unwrap_err().to_string();
    assert!(error.contains("does not answer") && error.contains("AWS_ENDPOINT_URL"), "{error}");
}
