//! The vocabulary of Noroshi.
//!
//! Every other crate speaks through these types: addresses and prefixes ([`addr`]), instants ([`time`]), one
//! observed packet ([`packet`]), one dialogue ([`session`]), one amplification request ([`request`]), the columns of the tables
//! ([`columns`], [`tables`]), what detectors emit ([`finding`]) and the
//! published report ([`report`]). A word has one meaning here and keeps it in code, documents and screens.
//!
//! This crate reads no clock, opens no file and knows no stage.

pub mod addr;
pub mod alert;
pub mod arrays;
pub mod columns;
pub mod finding;
pub mod findings;
pub mod flow;
pub mod incident;
pub mod infection;
pub mod lure;
pub mod member;
pub mod packet;
pub mod policy;
pub mod report;
pub mod request;
pub mod rows;
pub mod session;
pub mod stream;
pub mod tables;
pub mod time;
pub mod tlp;

pub use addr::{Addr, Prefix};
pub use time::Nanos;
