//! Telnet (RFC 854): bytes to lines ([`protocol`]), the dialogue behind them ([`talk`]), sockets ([`serve`]).

pub mod protocol;
mod server;
pub mod talk;
#[cfg(test)]
mod tests;

pub use server::{Bound, Config, ServeError, bind, serve};
