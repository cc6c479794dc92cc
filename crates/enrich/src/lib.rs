//! What was known of an address at a given time: country, network, scanner organisation, special use.
//!
//! Files that the operator names (MMDB, MRT, CSV, registry files, lists of scanners) are read by [`load`], compiled to
//! sorted segments ([`segments`], [`table`]) and kept with their date in a directory by [`import()`]. [`Knowledge`] opens
//! that directory and answers [`Knowledge::lookup`] for an address and a time: the version counts that was known then.
//!
//! Promises: look-ups allocate nothing and never fail; a foreign file of any content is refused with a reason and
//! within [`load::Limits`]; an import that is cut short changes nothing. No clock: times are parameters. Nothing is
//! fetched and no data is bundled, save the special-purpose blocks that the protocol itself defines.
//!
//! ```
//! use noroshi_enrich::{Country, Knowledge, load};
//! use noroshi_model::Nanos;
//!
//! let table = load::read(b"192.0.2.0/24,JP\n", "land.csv", &load::Limits::default())?;
//! let knowledge = Knowledge::from_parsed(vec![("land".to_owned(), table)], Nanos(0));
//! let known = knowledge.lookup("192.0.2.7".parse()?, Nanos(0));
//! assert_eq!(known.country, Country::new("JP"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod codec;
pub mod country;
pub mod error;
pub mod import;
pub mod kinds;
pub mod knowledge;
pub mod lists;
pub mod load;
pub mod manifest;
pub mod segments;
mod special;
pub mod table;

pub use country::Country;
pub use error::{EnrichError, LoadError};
pub use import::{ImportOptions, ImportSummary, Outcome, import, read_file, remove};
pub use kinds::Kinds;
pub use knowledge::{HOW_TO_GET_COUNTRIES, Knowledge, Known, OpenOptions};
pub use lists::{ListEntries, ListEntry};
pub use manifest::{DatedBy, TableInfo, default_dir};
