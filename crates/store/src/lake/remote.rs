//! A lake on an S3-compatible store, named `s3://BUCKET/PREFIX` where a folder would be named.
//!
//! The same tables, the same log; what a commit needs is that of two writers of one version one is refused, and a store
//! gives that with a conditional put (`If-None-Match`). Nothing is synced: an object that was acknowledged is durable.
//! Credentials and address come from the environment, by the names that Amazon's own tools use: `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, and `AWS_ALLOW_HTTP=true` for a store without TLS.

use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
    object_store_factories,
};
use deltalake::{DeltaResult, DeltaTableError};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::{ClientOptions, RetryConfig};
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;
use url::Url;

/// What the name of such a lake begins with.
const SCHEME: &str = "s3://";

/// A store that does not answer is given up after so many tries and seconds; whoever asked tries again later.
const RETRIES: usize = 3;
const RETRY_SECONDS: u64 = 10;
const CONNECT_SECONDS: u64 = 5;

/// Whether the lake of that name lies on such a store. Makes such stores known to the table format.
pub(super) fn is_remote(lake: &Path) -> bool {
    let remote = lake.to_str().is_some_and(|name| name.starts_with(SCHEME));
    if remote {
        static KNOWN: Once = Once::new();
        KNOWN.call_once(|| {
            let scheme = Url::parse(SCHEME).expect("a scheme is a URL");
            object_store_factories().insert(scheme.clone(), Arc::new(Stores));
            logstore_factories().insert(scheme, Arc::new(Stores));
        });
    }
    remote
}

struct Stores;

impl ObjectStoreFactory for Stores {
    fn parse_url_opts(&self, url: &Url, _: &StorageConfig) -> DeltaResult<(ObjectStoreRef, object_store::path::Path)> {
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: Duration::from_secs(RETRY_SECONDS),
            ..RetryConfig::default()
        };
        let mut client = ClientOptions::new().with_connect_timeout(Duration::from_secs(CONNECT_SECONDS));
        if std::env::var("AWS_ALLOW_HTTP").is_ok_and(|allowed| allowed == "true") {
            client = client.with_allow_http(true);
        }
        let store = AmazonS3Builder::from_env()
            .with_client_options(client)
            .with_url(url.as_str())
            .with_retry(retry)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .build()?;
        let path = object_store::path::Path::from_url_path(url.path()).map_err(object_store::Error::from)?;
        Ok((Arc::new(store), path))
    }
}

impl LogStoreFactory for Stores {
    fn with_options(
        &self,
        prefixed: ObjectStoreRef,
        root: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed, root, location, options))
    }
}

/// Where a table of such a lake lies.
pub(super) fn table_url(root: &Path) -> Result<Url, DeltaTableError> {
    let name = format!("{}/", root.to_string_lossy().trim_end_matches('/'));
    Url::parse(&name).map_err(|_| DeltaTableError::InvalidTableLocation(name))
}
