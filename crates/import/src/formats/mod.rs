//! One file per format; each turns a line into a [`Record`].

pub mod binetflow;
pub mod cowrie;
pub mod cowrie_text;
pub mod ddospot;
pub mod dionaea;
pub mod dshield;
pub mod eve;
pub mod glutton;
pub mod opencanary;
pub mod shadowserver;
pub mod spoki;
pub mod zeek;

use crate::detect::Format;
use crate::fields::{self, Object, Refusal};
use crate::record::Record;

/// What became of a line.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// A record.
    Row(Box<Record>),
    /// Header, comment or blank.
    Structure,
    /// The record goes on in the next line (a quoted CSV field with a line feed in it).
    Unfinished,
    /// No record, and why.
    Refused(Refusal),
}

impl From<Result<Record, Refusal>> for Outcome {
    fn from(result: Result<Record, Refusal>) -> Self {
        match result {
            Ok(record) => Outcome::Row(Box::new(record)),
            Err(reason) => Outcome::Refused(reason),
        }
    }
}

/// Reads a file line by line; may remember its header.
pub trait LineReader {
    /// Judges one line.
    fn line(&mut self, text: &str) -> Outcome;
}

/// Formats of one JSON object per line that need no memory of earlier lines.
struct Objects(fn(Object) -> Result<Record, Refusal>);

impl LineReader for Objects {
    fn line(&mut self, text: &str) -> Outcome {
        if text.trim().is_empty() {
            return Outcome::Structure;
        }
        fields::object(text).and_then(self.0).into()
    }
}

/// Formats of one text line per record.
struct Texts(fn(&str) -> Result<Record, Refusal>);

impl LineReader for Texts {
    fn line(&mut self, text: &str) -> Outcome {
        if text.trim().is_empty() { Outcome::Structure } else { (self.0)(text).into() }
    }
}

/// The reader of a format, for a file of that name.
pub fn line_reader(format: Format, name: &str) -> Box<dyn LineReader + Send> {
    match format {
        Format::Cowrie => Box::new(Objects(cowrie::record)),
        Format::CowrieText => Box::new(Texts(cowrie_text::record)),
        Format::Dionaea => Box::new(Objects(dionaea::record)),
        Format::Glutton => Box::new(Objects(glutton::record)),
        Format::OpenCanary => Box::new(Objects(opencanary::record)),
        Format::Ddospot => Box::new(Objects(ddospot::record)),
        Format::Eve => Box::new(Objects(eve::record)),
        Format::ZeekTsv => Box::new(zeek::Tsv::default()),
        Format::ZeekJson => Box::new(zeek::Json::new(name)),
        Format::Shadowserver => Box::new(shadowserver::Csv::new(name)),
        Format::Dshield => Box::new(Texts(dshield::record)),
        Format::Spoki => Box::new(spoki::Csv::default()),
        Format::Binetflow => Box::new(binetflow::Flows::default()),
        Format::Hpfeeds | Format::FlowTuple => {
            Box::new(Texts(|_| Err("this format is read in records of bytes, not in lines".into())))
        }
    }
}

/// The record of one JSON object of a honeypot whose program is known by content (an hpfeeds payload).
pub fn object_record(object: Object) -> Result<Record, Refusal> {
    let line = serde_json::Value::Object(object.clone()).to_string();
    match crate::detect::detect(line.as_bytes(), "") {
        Some(Format::Cowrie) => cowrie::record(object),
        Some(Format::Dionaea) => dionaea::record(object),
        Some(Format::Glutton) => glutton::record(object),
        Some(Format::OpenCanary) => opencanary::record(object),
        Some(Format::Ddospot) => ddospot::record(object),
        Some(Format::Eve) => eve::record(object),
        _ => Ok(Record { extra: object, ..Record::default() }),
    }
}
