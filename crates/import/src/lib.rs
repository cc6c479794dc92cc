//! Other people's records become rows, and every line is accounted for.
//!
//! [`open`] looks at the first bytes of a file, names its [`Format`] and reads it as a stream: each line becomes a
//! [`Record`], a part of the file's structure (header, comment, blank), or a [`Reject`] with its number and reason.
//! So for every file `lines = rows + structure + continued + rejects` (see [`reader::Counts`]).
//!
//! Fields that a reader does not know stay in [`Record::extra`]. From records come [`sessions`] (dialogues), packets
//! ([`packets`]) and a [`Summary`]. Frames of hpfeeds, live or saved, are in [`hpfeeds`].
//!
//! Input is hostile: see [`Budget`] for the bounds.

pub mod avro;
pub mod detect;
pub mod fields;
pub mod flowtuple;
pub mod follow;
pub mod formats;
pub mod hpfeeds;
pub mod lines;
pub mod packets;
pub mod reader;
pub mod record;
pub mod sessions;
pub mod summary;
pub mod text;

pub use detect::{Format, detect};
pub use follow::Follow;
pub use lines::Budget;
pub use reader::{Counts, ImportError, Item, Reader, Reject, open, open_bytes};
pub use record::Record;
pub use sessions::Sessions;
pub use summary::Summary;
