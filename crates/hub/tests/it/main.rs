//! A whole hub in this process, with real sensors over real TLS on loopback, and real captures.

mod canary;
mod clock;
mod enrolment;
mod equality;
mod evil;
mod exchange;
mod flight_sql;
mod leaks;
mod live;
mod lures;
mod portal;
mod replay;
mod sinks;
mod steering;
mod storm;
mod support;
mod taxii;
mod watch;
