//! The hub's end: accepts connections, knows who is calling, cuts whoever must go.
//!
//! [`serve`] runs until told to stop. What calls mean is the business of a [`Hub`], which `ingest` implements.

use crate::identity::Identity;
use crate::message::{
    Ack, BatchHead, CertificateReply, Control, EnrolRequest, Hello, Refusal, RenewRequest, Report, action,
};
use crate::{BATCH_BYTES_MAX, SensorName};
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::{BoxStream, StreamExt};
use rustls::ServerConfig;
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Request, Response, Status, Streaming};

/// A peer that has not finished its handshake by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes under way at once; more wait in the kernel's queue, so established streams keep the processor.
const HANDSHAKES_MAX: usize = 64;
/// A silent peer is asked whether it lives, and dropped when it does not answer.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Largest JSON message that is read.
const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// Messages that one batch may consist of: one per dictionary column and the rows, with room.
const MESSAGES_PER_BATCH_MAX: usize = 16;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it calls from.
    pub address: SocketAddr,
    /// What its verified certificate says; `None` before enrolment.
    pub identity: Option<Identity>,
    /// Key exchange that was negotiated, such as X25519MLKEM768.
    pub key_exchange: &'static str,
}

/// What the calls of the protocol mean.
pub trait Hub: Send + Sync + 'static {
    /// Asked at the start of each call and before each batch.
    fn admit(&self, who: &Identity) -> Result<(), Refusal>;
    /// Token and signing request to certificate.
    fn enrol(
        &self,
        request: EnrolRequest,
        peer: &Peer,
    ) -> impl Future<Output = Result<CertificateReply, Refusal>> + Send;
    /// A fresh certificate for a known sensor.
    fn renew(
        &self,
        who: &Identity,
        request: RenewRequest,
    ) -> impl Future<Output = Result<CertificateReply, Refusal>> + Send;
    /// Opens the control stream.
    fn attach(
        &self,
        who: &Identity,
        hello: Hello,
        peer: &Peer,
    ) -> impl Future<Output = Result<BoxStream<'static, Control>, Refusal>> + Send;
    /// Stores one batch; returns when it is durable. Refusing it is an [`Ack`] too; an error ends the stream.
    fn put(
        &self,
        who: &Identity,
        head: BatchHead,
        messages: Vec<FlightData>,
    ) -> impl Future<Output = Result<Ack, Refusal>> + Send;
    /// Takes note of a sensor's counters.
    fn report(&self, who: &Identity, report: Report) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// Live connections by sensor, so that one can be cut at once.
#[derive(Default)]
pub struct Connections(Mutex<HashMap<SensorName, Vec<CancellationToken>>>);

impl Connections {
    /// Cuts every connection of a sensor. Returns how many there were.
    pub fn cut(&self, name: &SensorName) -> usize {
        let tokens = self.0.lock().expect("no panic while held").remove(name).unwrap_or_default();
        tokens.iter().for_each(CancellationToken::cancel);
        tokens.len()
    }

    /// Sensors that are connected now.
    pub fn live(&self) -> Vec<SensorName> {
        self.0.lock().expect("no panic while held").keys().cloned().collect()
    }

    fn add(&self, name: &SensorName, token: CancellationToken) {
        let mut map = self.0.lock().expect("no panic while held");
        map.entry(name.clone()).or_default().push(token);
    }

    fn remove(&self, name: &SensorName, gone: &CancellationToken) {
        gone.cancel();
        let mut map = self.0.lock().expect("no panic while held");
        if let Some(list) = map.get_mut(name) {
            list.retain(|token| !token.is_cancelled());
            if list.is_empty() {
                map.remove(name);
            }
        }
    }
}

/// Serves until `stop`; then lets calls under way finish for as long as the caller keeps polling.
pub async fn serve<H: Hub>(
    listener: TcpListener,
    tls: ServerConfig,
    hub: Arc<H>,
    connections: Arc<Connections>,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let incoming = accept(listener, tls, connections, stop.clone());
    let service = FlightServiceServer::new(Endpoint(hub))
        .max_decoding_message_size(BATCH_BYTES_MAX + MESSAGE_BYTES_MAX)
        .max_encoding_message_size(BATCH_BYTES_MAX + MESSAGE_BYTES_MAX);
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .initial_stream_window_size(Some(1 << 20))
        .initial_connection_window_size(Some(4 << 20))
        .max_concurrent_streams(Some(16))
        .max_frame_size(Some(1 << 18))
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
}

fn accept(
    listener: TcpListener,
    tls: ServerConfig,
    connections: Arc<Connections>,
    stop: CancellationToken,
) -> impl futures::Stream<Item = Result<Link, std::io::Error>> {
    let (sender, receiver) = mpsc::channel(HANDSHAKES_MAX);
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let permits = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    tokio::spawn(async move {
        loop {
            let permit = permits.clone().acquire_owned().await.expect("never closed");
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            // Accepting fails for want of file descriptors, which passes; one slow tick keeps the loop from spinning.
            let Ok((stream, address)) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (acceptor, sender, connections) = (acceptor.clone(), sender.clone(), connections.clone());
            tokio::spawn(async move {
                let _permit = permit;
                match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake(acceptor, stream, address, connections)).await {
                    Ok(Ok(link)) => drop(sender.send(Ok(link)).await),
                    Ok(Err(error)) => tracing::debug!(%address, %error, "handshake refused"),
                    Err(_) => tracing::debug!(%address, "handshake timed out"),
                }
            });
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    connections: Arc<Connections>,
) -> std::io::Result<Link> {
    stream.set_nodelay(true)?;
    let io = acceptor.accept(stream).await?;
    let (_, session) = io.get_ref();
    let key_exchange = session.negotiated_key_exchange_group().map_or("unknown", |group| group_name(group.name()));
    let identity = match session.peer_certificates().and_then(<[_]>::first) {
        Some(certificate) => Some(Identity::read(certificate).map_err(std::io::Error::other)?),
        None => None,
    };
    let token = CancellationToken::new();
    let registered = identity.as_ref().map(|identity| {
        connections.add(&identity.name, token.clone());
        (connections, identity.name.clone())
    });
    let peer = Arc::new(Peer { address, identity, key_exchange });
    let cut = Box::pin(token.clone().cancelled_owned());
    Ok(Link { io, peer, cut, token, registered })
}

/// Name of a TLS key exchange group as registered with IANA.
pub fn group_name(group: rustls::NamedGroup) -> &'static str {
    use rustls::NamedGroup::*;
    match group {
        X25519MLKEM768 => "X25519MLKEM768",
        X25519 => "X25519",
        secp256r1 => "secp256r1",
        secp384r1 => "secp384r1",
        secp256r1MLKEM768 => "SecP256r1MLKEM768",
        MLKEM768 => "MLKEM768",
        _ => "other",
    }
}

/// One accepted connection. Cutting it makes the next read fail, which ends every call on it.
struct Link {
    io: TlsStream<TcpStream>,
    peer: Arc<Peer>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    token: CancellationToken,
    registered: Option<(Arc<Connections>, SensorName)>,
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some((connections, name)) = &self.registered {
            connections.remove(name, &self.token);
        }
    }
}

impl tonic::transport::server::Connected for Link {
    type ConnectInfo = Arc<Peer>;
    fn connect_info(&self) -> Self::ConnectInfo {
        self.peer.clone()
    }
}

fn was_cut() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "cut by the hub")
}

impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(was_cut()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        if self.token.is_cancelled() {
            return Poll::Ready(Err(was_cut()));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

struct Endpoint<H>(Arc<H>);

fn peer<T>(request: &Request<T>) -> Result<Arc<Peer>, Status> {
    request.extensions().get::<Arc<Peer>>().cloned().ok_or_else(|| Status::internal("connection without peer"))
}

impl<H: Hub> Endpoint<H> {
    fn identity(&self, peer: &Peer) -> Result<Identity, Refusal> {
        let who = peer.identity.clone().ok_or(Refusal::NoCertificate)?;
        self.0.admit(&who)?;
        Ok(who)
    }
}

fn json<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Refusal> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Refusal::TooLarge { what: what.into(), max: MESSAGE_BYTES_MAX as u64 });
    }
    serde_json::from_slice(bytes).map_err(|_| Refusal::Malformed { what: what.into() })
}

fn result(message: &impl serde::Serialize) -> arrow_flight::Result {
    arrow_flight::Result { body: serde_json::to_vec(message).unwrap_or_default().into() }
}

type Results = BoxStream<'static, Result<arrow_flight::Result, Status>>;

fn one(message: &impl serde::Serialize) -> Results {
    futures::stream::iter([Ok(result(message))]).boxed()
}

/// Reads messages up to the end of one batch. `None` at the end of the stream.
async fn next_batch(stream: &mut Streaming<FlightData>) -> Result<Option<(BatchHead, Vec<FlightData>)>, Status> {
    let Some(first) = stream.message().await? else { return Ok(None) };
    let (head, count) = batch_head(&first.app_metadata)?;
    let mut bytes = 0;
    let mut messages = Vec::with_capacity(count);
    let mut next = Some(first);
    while messages.len() < count {
        let message = match next.take() {
            Some(message) => message,
            None => stream.message().await?.ok_or_else(|| Status::data_loss("stream ends inside a batch"))?,
        };
        bytes += message.data_header.len() + message.data_body.len();
        if bytes > BATCH_BYTES_MAX {
            return Err(Refusal::TooLarge { what: "batch".into(), max: BATCH_BYTES_MAX as u64 }.into());
        }
        messages.push(message);
    }
    Ok(Some((head, messages)))
}

#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Metadata {
    #[serde(flatten)]
    pub(crate) head: BatchHead,
    /// Flight messages that the batch consists of, this one included; 0 for a batch without rows.
    pub(crate) messages: usize,
}

fn batch_head(metadata: &[u8]) -> Result<(BatchHead, usize), Refusal> {
    let Metadata { head, messages } = json(metadata, "batch metadata")?;
    if messages > MESSAGES_PER_BATCH_MAX {
        return Err(Refusal::Malformed { what: "batch metadata (too many messages)".into() });
    }
    Ok((head, messages))
}

#[tonic::async_trait]
impl<H: Hub> FlightService for Endpoint<H> {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = Results;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let who = self.identity(&*peer(&request)?)?;
        let hub = self.0.clone();
        let mut stream = request.into_inner();
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            loop {
                let outcome = match next_batch(&mut stream).await {
                    Ok(None) => return,
                    Ok(Some((head, messages))) => match hub.admit(&who) {
                        Ok(()) => hub.put(&who, head, messages).await.map_err(Status::from),
                        Err(refusal) => Err(refusal.into()),
                    },
                    Err(status) => Err(status),
                };
                let ended = outcome.is_err();
                let reply =
                    outcome.map(|ack| PutResult { app_metadata: serde_json::to_vec(&ack).unwrap_or_default().into() });
                if sender.send(reply).await.is_err() || ended {
                    return;
                }
            }
        });
        Ok(Response::new(tokio_stream::wrappers::ReceiverStream::new(receiver).boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let peer = peer(&request)?;
        let Action { r#type: kind, body } = request.into_inner();
        let replies = match kind.as_str() {
            action::ENROL => one(&self.0.enrol(json(&body, "enrolment")?, &peer).await?),
            action::RENEW => {
                let who = self.identity(&peer)?;
                one(&self.0.renew(&who, json(&body, "renewal")?).await?)
            }
            action::ATTACH => {
                let who = self.identity(&peer)?;
                let control = self.0.attach(&who, json(&body, "hello")?, &peer).await?;
                control.map(|message| Ok(result(&message))).boxed()
            }
            action::REPORT => {
                let who = self.identity(&peer)?;
                self.0.report(&who, json(&body, "report")?).await?;
                futures::stream::empty().boxed()
            }
            _ => return Err(Status::unimplemented("no such action")),
        };
        Ok(Response::new(replies))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented("identity comes from the certificate"))
    }
    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(Status::unimplemented("sensors only put"))
    }
    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Err(Status::unimplemented("sensors only put"))
    }
    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("sensors only put"))
    }
    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Err(Status::unimplemented("schemas are fixed by number"))
    }
    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(Status::unimplemented("sensors only put"))
    }
    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("sensors only put"))
    }
    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Err(Status::unimplemented("see the protocol"))
    }
}
