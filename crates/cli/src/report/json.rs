//! The report as JSON: exactly `docs/report.schema.json`.

use noroshi_model::report::Report;
use std::io::{self, Write};

/// Writes the report, indented, with a line break at the end.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    out.write_all(b"\n")
}
