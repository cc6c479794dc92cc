//! Bytes of an input, decompressed when they are compressed.

use super::{CaptureError, problem};
use noroshi_model::report::Compression;
use std::io::{self, Read};

/// Most bytes that one byte of compressed input may stand for before the input is taken for a bomb.
const EXPANSION_MAX: u64 = 1_100;
/// Output below which the expansion is not judged.
const EXPANSION_FREE_BYTES: u64 = 64 << 20;
/// Memory that a zstd frame may ask for, as a power of two (zstd's own default ceiling).
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

type Source = Box<dyn Read + Send>;

/// Counts the bytes taken from the compressed side.
struct Counted {
    inner: Source,
    count: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(read)
    }
}

/// An input after decompression.
pub(super) struct Stream {
    inner: Source,
    pub(super) compression: Compression,
    taken: std::sync::Arc<std::sync::atomic::AtomicU64>,
    given: u64,
}

impl Stream {
    /// Looks at the first bytes to find the compression.
    pub(super) fn new(source: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let taken = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let mut source = Counted { inner: Box::new(source), count: taken.clone() };
        let mut head = [0u8; 4];
        let mut filled = 0;
        while filled < head.len() {
            match source.read(&mut head[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let compression = match head[..filled] {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
            _ => Compression::None,
        };
        let whole = io::Cursor::new(head[..filled].to_vec()).chain(source);
        let inner: Source = match compression {
            Compression::None => Box::new(whole),
            Compression::Gzip => {
                Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 17, whole)))
            }
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::new(whole)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        };
        Ok(Stream { inner, compression, taken, given: 0 })
    }

    /// Bytes taken from the input so far, before decompression.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Fills the buffer as far as the input goes. `Ok(n)` with `n` below the buffer's length means the end.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, (usize, CaptureError)> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.inner.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((filled, self.broken(error, filled))),
            }
        }
        self.given += filled as u64;
        if self.compression != Compression::None
            && self.given > EXPANSION_FREE_BYTES
            && self.given / EXPANSION_MAX > self.taken()
        {
            let text = "the compressed data expands more than a thousandfold; decompress it yourself if you trust it";
            return Err((filled, CaptureError::Refused(problem("compression-bomb", Some(self.given), text))));
        }
        Ok(filled)
    }

    fn broken(&self, error: io::Error, filled: usize) -> CaptureError {
        match self.compression {
            Compression::None => CaptureError::Io(error),
            _ => CaptureError::Refused(problem(
                "compression",
                Some(self.given + filled as u64),
                format!("the compressed data is damaged or cut short here: {error}"),
            )),
        }
    }
}
