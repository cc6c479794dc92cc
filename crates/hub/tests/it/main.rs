//! A whole hub in this process, with real sensors over real TLS on loopback, and real captures.

mod canary;
mod clock;
mod enrolment;
mod evil;
mod portal;
mod replay;
mod steering;
mod support;
mod watch;
