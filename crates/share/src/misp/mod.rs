//! MISP: events as MISP reads and writes them, and a feed as a directory of static files (interfaces 4.1).

pub mod event;
pub mod export;
pub mod feed;

pub use event::Event;
