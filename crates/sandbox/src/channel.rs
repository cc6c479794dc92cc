//! What caller and cell say to each other over one socket: an order with the sample, a descriptor, an outcome.

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// Bytes of one message.
const MESSAGE_BYTES_MAX: u64 = 512 << 20;

/// What the cell is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) bwrap: PathBuf,
    pub(crate) ip: PathBuf,
    pub(crate) emulator: PathBuf,
    pub(crate) libraries: Vec<PathBuf>,
    pub(crate) arguments: Vec<String>,
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) limits: crate::Limits,
    /// Kernel user that the sandbox runs as, when the caller is root.
    pub(crate) user: u32,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Exit code of the sample.
    pub code: Option<i32>,
    /// Time that it ran, seconds.
    pub seconds: f64,
    /// It was ended, and why.
    pub ended: Option<String>,
    /// Files that it left behind.
    pub files: Vec<FileLeft>,
    /// More files than are listed were left.
    pub files_cut: bool,
    /// Processes that were still there after the end, before they were ended; never any after.
    pub left_running: u32,
    /// Processes that could not be ended. Anything but zero is a fault of the sandbox.
    pub orphans: u32,
    /// What it wrote to its output, the beginning.
    pub output: String,
    /// Bytes of output that were not kept.
    pub output_lost: u64,
    /// Bytes of trace that were not kept.
    pub trace_lost: u64,
}

/// A file that was left behind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileLeft {
    /// Path inside the sandbox.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of regular files that are not too large.
    pub sha256: Option<String>,
    /// Whether anybody may execute it.
    pub executable: bool,
}

pub(crate) fn send(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(&(bytes.len() as u64).to_le_bytes())?;
    stream.write_all(bytes)
}

pub(crate) fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
    }
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Sends a descriptor with a byte that says it is one.
pub(crate) fn send_descriptor(stream: &UnixStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    let fds = [fd.as_raw_fd()];
    let parts = [IoSlice::new(b"D")];
    sendmsg::<()>(stream.as_raw_fd(), &parts, &[ControlMessage::ScmRights(&fds)], MsgFlags::empty(), None)?;
    Ok(())
}

/// Says instead why there is no descriptor.
pub(crate) fn send_failure(stream: &mut UnixStream, why: &str) -> io::Result<()> {
    stream.write_all(b"E")?;
    send(stream, why.as_bytes())
}

/// The descriptor, or why there is none.
pub(crate) fn receive_descriptor(stream: &mut UnixStream) -> io::Result<Result<OwnedFd, String>> {
    let mut byte = [0u8; 1];
    let mut room = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let (bytes, fd) = {
        let mut parts = [IoSliceMut::new(&mut byte)];
        let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC)?;
        let fd = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
            _ => None,
        });
        (message.bytes, fd)
    };
    match (bytes, byte[0], fd) {
        (1, b'D', Some(fd)) => Ok(Ok(own(fd))),
        (1, b'E', _) => Ok(Err(String::from_utf8_lossy(&receive(stream)?).into_owned())),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[allow(unsafe_code)]
fn own(fd: std::os::fd::RawFd) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for us in `recvmsg`, and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
