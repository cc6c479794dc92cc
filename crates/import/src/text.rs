//! Lines of a text file, plain or gzip, within a budget.

use crate::lines::{Budget, Lines};
use std::fs::File;
use std::io::{BufRead, BufReader, Result};
use std::path::Path;

/// Opens a file for reading by line; gzip is told by its first two bytes, not by the name.
pub fn open(path: &Path, budget: Budget) -> Result<Lines<Box<dyn BufRead>>> {
    let mut file = BufReader::new(File::open(path)?);
    let compressed = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let source: Box<dyn BufRead> =
        if compressed { Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))) } else { Box::new(file) };
    Ok(Lines::new(source, budget))
}
