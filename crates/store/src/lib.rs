//! Where observations become durable, and where questions are answered.
//!
//! Batches enter the [`journal`] (SQLite, synced before it answers) and move from there into the lake. Nothing outside
//! this crate names the query engine or the table format.

pub mod journal;

pub use journal::{Appended, Journal, JournalBatch, JournalError, JournalRow};
