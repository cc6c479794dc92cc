//! What the kill tests need to see and to break. Only builds with debug assertions look at the environment; a release
//! build carries none of it.
//!
//! `NOROSHI_ORACLE` names a datagram socket that is told each time a number is about to be forgotten: whatever was
//! forgotten must be found at the hub, after any kill. `NOROSHI_BREAK` names a promise that is broken on purpose, to
//! show that the tests notice: `sync`, `watermark` (both ends) and `delete-order`.

/// Whether a test wants this promise broken.
#[cfg(debug_assertions)]
pub(crate) fn broken(promise: &str) -> bool {
    use std::sync::LazyLock;
    static BREAK: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("NOROSHI_BREAK").ok());
    BREAK.as_deref() == Some(promise)
}

/// Tells the oracle that everything up to `seq` is about to be forgotten.
#[cfg(debug_assertions)]
pub(crate) fn forgets(epoch: noroshi_wire::message::Epoch, seq: u64) {
    use std::os::unix::net::UnixDatagram;
    use std::sync::LazyLock;
    static ORACLE: LazyLock<Option<UnixDatagram>> = LazyLock::new(|| {
        let path = std::env::var_os("NOROSHI_ORACLE")?;
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(path).ok().map(|()| socket)
    });
    if let Some(oracle) = &*ORACLE {
        // An oracle that has gone has ended its test.
        drop(oracle.send(format!("{epoch} {seq}").as_bytes()));
    }
}

#[cfg(not(debug_assertions))]
pub(crate) const fn broken(_promise: &str) -> bool {
    false
}

#[cfg(not(debug_assertions))]
pub(crate) const fn forgets(_epoch: noroshi_wire::message::Epoch, _seq: u64) {}
