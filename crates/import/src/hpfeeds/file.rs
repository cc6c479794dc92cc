//! A saved stream of frames, read as records.

use super::frame::{Decoder, Frame};
use crate::detect::Format;
use crate::fields::{self, Refusal, shorten};
use crate::record::Record;
use std::io::{self, BufRead};

/// Whether bytes begin with a frame of hpfeeds that is whole within them.
pub fn looks_like(head: &[u8]) -> bool {
    let mut decoder = Decoder::default();
    decoder.feed(&head[..head.len().min(64 << 10)]);
    matches!(decoder.next_frame(), Ok(Some(Frame::Info { .. } | Frame::Auth { .. } | Frame::Publish { .. })))
}

/// Frames of a saved stream.
pub struct FileFrames {
    source: Box<dyn BufRead + Send>,
    decoder: Decoder,
    ended: bool,
}

impl FileFrames {
    /// Of this stream.
    pub fn new(source: Box<dyn BufRead + Send>) -> Self {
        FileFrames { source, decoder: Decoder::default(), ended: false }
    }

    /// The next frame as a record, or why it is none. After a broken frame nothing more can be read.
    pub fn next_record(&mut self) -> io::Result<Option<Result<Record, Refusal>>> {
        while !self.ended {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => return Ok(Some(record(frame))),
                Err(error) => {
                    self.ended = true;
                    return Ok(Some(Err(format!("{error}; the rest of the stream cannot be read"))));
                }
                Ok(None) => {
                    let chunk = self.source.fill_buf()?;
                    let length = chunk.len();
                    if length == 0 {
                        self.ended = true;
                        let cut = self.decoder.is_mid_frame();
                        return Ok(cut.then(|| Err("the stream ends within a frame".into())));
                    }
                    self.decoder.feed(chunk);
                    self.source.consume(length);
                }
            }
        }
        Ok(None)
    }
}

/// PUBLISH with a JSON object inside becomes that honeypot's record; the rest of the conversation is named as such.
fn record(frame: Frame) -> Result<Record, Refusal> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let named = |kind: &str| Record { format: Format::Hpfeeds, kind: kind.into(), ..Record::default() };
    Ok(match frame {
        Frame::Publish { ident, channel, payload } => {
            let payload = std::str::from_utf8(&payload).map_err(|_| "the payload is not UTF-8".to_owned())?;
            let mut row = crate::formats::object_record(fields::object(payload)?)?;
            row.format = Format::Hpfeeds;
            if row.sensor.is_empty() {
                row.sensor = text(&ident);
            }
            if row.kind.is_empty() {
                row.kind = text(&channel);
            }
            row.extra.insert("channel".into(), text(&channel).into());
            row
        }
        Frame::Info { name, .. } => Record { sensor: text(&name), ..named("hpfeeds.info") },
        Frame::Auth { ident, .. } => Record { sensor: text(&ident), ..named("hpfeeds.auth") },
        Frame::Subscribe { ident, .. } => Record { sensor: text(&ident), ..named("hpfeeds.subscribe") },
        Frame::Unsubscribe { ident, .. } => Record { sensor: text(&ident), ..named("hpfeeds.unsubscribe") },
        Frame::Error(words) => return Err(format!("the broker reports \"{}\"", shorten(&text(&words)))),
    })
}
