//! The sensor's end of a connection.

use crate::identity::{CaPin, SensorKey};
use crate::message::{
    Ack, BatchHead, CertificateReply, Control, EnrolRequest, Hello, Refusal, RenewRequest, Report, action,
};
use crate::server::{Metadata, group_name};
use crate::{BATCH_BYTES_MAX, batch};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightData, FlightDescriptor};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Uri};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Which hop between here and the hub failed, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Name does not resolve.
    #[error("name: {hub} does not resolve ({source}); check the spelling or give the hub's address instead")]
    Name {
        /// Host and port.
        hub: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Nothing answers.
    #[error("route: no connection to {hub} ({source}); is the hub running, and does a firewall let TCP through?")]
    Route {
        /// Host and port.
        hub: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Another hub answers.
    #[error("TLS: {hub} is not the hub of this invitation (its pin differs); is something between here and the hub?")]
    Pin {
        /// Host and port.
        hub: String,
    },
    /// Certificates are out of date by the local clock.
    #[error(
        "clock: certificates are not valid at this machine's time; set the clock (the hub's or this one) and retry"
    )]
    Clock,
    /// Other trouble in the handshake.
    #[error("TLS: handshake with {hub} failed ({source})")]
    Tls {
        /// Host and port.
        hub: String,
        /// Cause.
        source: std::io::Error,
    },
    /// TLS cannot be configured.
    #[error(transparent)]
    Setup(#[from] crate::tls::TlsError),
    /// The hub said no.
    #[error("hub: {0}")]
    Refused(#[from] Refusal),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl From<tonic::Status> for ConnectError {
    fn from(status: tonic::Status) -> Self {
        match Refusal::from_status(&status) {
            Some(refusal) => ConnectError::Refused(refusal),
            None => ConnectError::Broken(format!("{}: {}", status.code(), status.message())),
        }
    }
}

/// An open connection to the hub.
#[derive(Clone)]
pub struct Connection {
    flight: FlightServiceClient<Channel>,
    /// Key exchange that was negotiated.
    pub key_exchange: &'static str,
}

async fn tls_connect(
    hub: &str,
    pin: CaPin,
    identity: Option<(&[u8], &SensorKey)>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let named = |source| ConnectError::Name { hub: hub.to_owned(), source };
    let route = |source| ConnectError::Route { hub: hub.to_owned(), source };
    let addresses: Vec<_> = tokio::net::lookup_host(hub).await.map_err(named)?.collect();
    let timed_out = || std::io::Error::new(std::io::ErrorKind::TimedOut, "timed out");
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&addresses[..]))
        .await
        .map_err(|_| route(timed_out()))?
        .map_err(route)?;
    stream.set_nodelay(true).map_err(route)?;
    let connector = TlsConnector::from(Arc::new(crate::tls::client(pin, identity)?));
    let name = ServerName::try_from(crate::HUB_NAME).expect("a constant that is a DNS name");
    let handshake = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, stream)).await;
    handshake.unwrap_or_else(|_| Err(timed_out())).map_err(|source| explain(hub, source))
}

fn explain(hub: &str, source: std::io::Error) -> ConnectError {
    use rustls::CertificateError::*;
    let tls = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(UnknownIssuer)) => ConnectError::Pin { hub: hub.to_owned() },
        Some(rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        )) => ConnectError::Clock,
        _ => ConnectError::Tls { hub: hub.to_owned(), source },
    }
}

impl Connection {
    /// Connects to `HOST:PORT`; without an identity only [`Connection::enrol`] will be answered.
    pub async fn open(hub: &str, pin: CaPin, identity: Option<(&[u8], &SensorKey)>) -> Result<Self, ConnectError> {
        let tls = tls_connect(hub, pin, identity).await?;
        let group = tls.get_ref().1.negotiated_key_exchange_group();
        let key_exchange = group.map_or("unknown", |group| group_name(group.name()));
        // One channel is one connection: a broken one is an error, and the sensor decides when to try again.
        let once = Arc::new(std::sync::Mutex::new(Some(tls)));
        let connector = tower::service_fn(move |_: Uri| {
            let tls = once.lock().expect("no panic while held").take();
            std::future::ready(tls.map(TokioIo::new).ok_or_else(|| std::io::Error::other("connection is used up")))
        });
        let channel = tonic::transport::Endpoint::from_static("http://hub.noroshi.internal")
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(1 << 20)
            .connect_with_connector(connector)
            .await
            .map_err(|error| ConnectError::Broken(error.to_string()))?;
        let flight = FlightServiceClient::new(channel)
            .max_decoding_message_size(BATCH_BYTES_MAX)
            .max_encoding_message_size(BATCH_BYTES_MAX + (1 << 20));
        Ok(Connection { flight, key_exchange })
    }

    async fn act(
        &self,
        kind: &str,
        message: &impl serde::Serialize,
    ) -> Result<tonic::Streaming<arrow_flight::Result>, ConnectError> {
        let body = serde_json::to_vec(message).map_err(|error| ConnectError::Broken(error.to_string()))?;
        let action = Action { r#type: kind.to_owned(), body: body.into() };
        Ok(self.flight.clone().do_action(action).await?.into_inner())
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        kind: &str,
        message: &impl serde::Serialize,
    ) -> Result<T, ConnectError> {
        let reply = self.act(kind, message).await?.message().await?;
        let reply = reply.ok_or_else(|| ConnectError::Broken("the hub did not answer".into()))?;
        serde_json::from_slice(&reply.body).map_err(|_| ConnectError::Broken("the hub's answer is malformed".into()))
    }

    /// Token and signing request to certificate.
    pub async fn enrol(&self, request: &EnrolRequest) -> Result<CertificateReply, ConnectError> {
        self.ask(action::ENROL, request).await
    }

    /// A fresh certificate.
    pub async fn renew(&self, request: &RenewRequest) -> Result<CertificateReply, ConnectError> {
        self.ask(action::RENEW, request).await
    }

    /// Opens the control stream; its first message is the welcome.
    pub async fn attach(
        &self,
        hello: &Hello,
    ) -> Result<BoxStream<'static, Result<Control, ConnectError>>, ConnectError> {
        let replies = self.act(action::ATTACH, hello).await?;
        let malformed = |_| ConnectError::Broken("the hub sent a control message that this version cannot read".into());
        Ok(replies.map(move |reply| serde_json::from_slice(&reply?.body).map_err(malformed)).boxed())
    }

    /// Tells the hub how the sensor is.
    pub async fn report(&self, report: &Report) -> Result<(), ConnectError> {
        let mut replies = self.act(action::REPORT, report).await?;
        while replies.message().await?.is_some() {}
        Ok(())
    }

    /// Opens the stream of batches.
    pub async fn put(&self) -> Result<PutStream, ConnectError> {
        let (sender, receiver) = mpsc::channel::<FlightData>(8);
        let outgoing = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let replies = self.flight.clone().do_put(outgoing).await?.into_inner();
        Ok(PutStream { sender, replies: Mutex::new(replies) })
    }
}

/// An open stream of batches. Sending and reading acks may go on at the same time.
pub struct PutStream {
    sender: mpsc::Sender<FlightData>,
    replies: Mutex<tonic::Streaming<arrow_flight::PutResult>>,
}

impl PutStream {
    /// Sends one batch; `stream` is the Arrow stream made by [`batch::encode`], or empty when there are no rows.
    pub async fn send(&self, head: &BatchHead, stream: Bytes) -> Result<(), ConnectError> {
        let mut messages = if stream.is_empty() { Vec::new() } else { batch::to_flight(stream)? };
        let metadata = Metadata { head: head.clone(), messages: messages.len() };
        let metadata = serde_json::to_vec(&metadata).map_err(|error| ConnectError::Broken(error.to_string()))?;
        if messages.is_empty() {
            messages.push(FlightData::default());
        }
        messages[0].app_metadata = metadata.into();
        messages[0].flight_descriptor = Some(FlightDescriptor::new_path(vec![head.schema.to_string()]));
        self.send_messages(messages).await
    }

    /// Sends messages as they are: what [`PutStream::send`] makes of a batch, or what a test of the hub forges.
    pub async fn send_messages(&self, messages: Vec<FlightData>) -> Result<(), ConnectError> {
        for message in messages {
            let gone = |_| ConnectError::Broken("the hub closed the stream".into());
            self.sender.send(message).await.map_err(gone)?;
        }
        Ok(())
    }

    /// The next ack; `None` when the hub ended the stream.
    pub async fn ack(&self) -> Result<Option<Ack>, ConnectError> {
        let Some(reply) = self.replies.lock().await.message().await? else { return Ok(None) };
        let malformed = |_| ConnectError::Broken("the hub sent an ack that this version cannot read".into());
        serde_json::from_slice(&reply.app_metadata).map(Some).map_err(malformed)
    }

    /// Sends nothing more, and reads the next ack.
    pub async fn last_ack(self) -> Result<Option<Ack>, ConnectError> {
        let PutStream { sender, replies } = self;
        drop(sender);
        PutStream { sender: mpsc::channel(1).0, replies }.ack().await
    }
}
