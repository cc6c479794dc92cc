//! Telnet (RFC 854): bytes to lines ([`protocol`]), the dialogue behind them ([`talk`]).

pub mod protocol;
pub mod talk;
#[cfg(test)]
mod tests;

pub use talk::Talk;
