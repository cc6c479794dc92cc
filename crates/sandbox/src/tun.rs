//! A TUN device in the sandbox's network namespace: the wire whose other end is the fake Internet.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

/// Name of the device.
pub(crate) const NAME: &str = "tun0";

/// Makes the device in the network namespace of the calling thread; a read gives one IP packet, a write sends one.
pub(crate) fn make() -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: an all-zero `ifreq` is valid: it holds numbers, addresses and arrays of them.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open, and `request` is a live `ifreq` that the kernel reads and writes within its size.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request) };
    if made < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
}
