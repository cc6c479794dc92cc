//! A look at the first bytes of a visitor, before the library takes them: identification and HASSH.

use super::hassh::{hassh, split};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Bytes kept: an identification (255, RFC 4253, section 4.2) and one packet of lists.
const KEPT: usize = 12 << 10;
/// First bytes of a visitor.
#[derive(Default)]
pub struct Heard(Vec<u8>);

impl Heard {
    /// What the client calls itself.
    pub fn client(&self) -> Option<String> {
        let (line, _) = split(&self.0)?;
        Some(String::from_utf8_lossy(line).into_owned())
    }

    /// The fingerprint of its lists.
    pub fn hassh(&self) -> Option<String> {
        hassh(&self.0)
    }
}

/// A stream that is listened to, and that ends when told to.
pub struct Tap {
    stream: TcpStream,
    heard: Arc<Mutex<Heard>>,
    leave: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Tap {
    /// Around a stream.
    pub fn new(stream: TcpStream, heard: Arc<Mutex<Heard>>, leave: CancellationToken) -> Self {
        Tap { stream, heard, leave: Box::pin(leave.cancelled_owned()) }
    }
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.leave.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let mut heard = self.heard.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let room = KEPT.saturating_sub(heard.0.len());
        let came = &buffer.filled()[before..];
        heard.0.extend_from_slice(&came[..came.len().min(room)]);
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
