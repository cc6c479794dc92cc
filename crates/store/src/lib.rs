//! Where observations become durable, and where questions are answered.
//!
//! Batches enter the [`journal`] (SQLite, synced before it answers) and move from there into the [`lake`], which counts
//! them in [`rollup`]s on the way; [`query`] answers. Nothing outside
//! this crate names the query engine or the table format.

pub mod backup;
pub mod flowtuple;
pub mod format;
pub mod journal;
pub mod lake;
pub mod load;
pub mod query;
pub mod rollup;
pub mod statistics;

pub use journal::{Appended, Journal, JournalBatch, JournalError, JournalRow, RecordError, Recorder};
pub use lake::{Lake, LakeError, Mover};
pub use query::{Answer, Limits, QueryError, Rows};
pub use rollup::{Enrich, Grouping, Origin, Span};
