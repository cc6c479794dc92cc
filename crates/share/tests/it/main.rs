//! Tests of the crate's behaviour: real sockets on loopback, a mail server of the test's own, Python's readers.
mod answer;
mod delivery;
mod export;
mod first_end;
mod hostile;
mod outbox;
mod readback;
mod scene;
mod sinks;
mod taxii;
