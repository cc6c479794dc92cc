//! Where results go: standard output, or a file that appears only when it is whole.

use crate::failure::Failure;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum TextOrJson {
    /// For a person.
    Text,
    /// For a program.
    Json,
}

/// How results are printed that are also worth a look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum TextJsonOrHtml {
    /// For a person.
    Text,
    /// For a program.
    Json,
    /// One self-contained page with plots.
    Html,
}

const BUFFER_BYTES: usize = 1 << 18;

/// Standard output or a file.
pub struct Output {
    writer: BufWriter<Box<dyn Write + Send>>,
    /// Written here first, then renamed to there.
    rename: Option<(PathBuf, PathBuf)>,
}

impl Output {
    /// Opens standard output when no path is given. A regular file is written beside its final name and takes that
    /// name in [`Output::finish`], so that a run that ends early leaves no half a file. Pipes and devices are written
    /// directly.
    pub fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Output { writer: buffered(Box::new(io::stdout())), rename: None });
        };
        let refused = |error: io::Error| {
            Failure::failed(format!("cannot write the output: {error}"))
                .at(path.display())
                .hint("name a file in a directory that exists and that you may write to")
        };
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let file = File::options().write(true).open(path).map_err(refused)?;
            return Ok(Output { writer: buffered(Box::new(file)), rename: None });
        }
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        let file = File::create(&unfinished).map_err(refused)?;
        Ok(Output { writer: buffered(Box::new(file)), rename: Some((unfinished, path.to_owned())) })
    }

    /// Whether a person at a terminal would see the bytes.
    pub fn is_terminal(path: Option<&Path>) -> bool {
        path.is_none() && io::stdout().is_terminal()
    }

    /// Writes what is buffered and gives the file its name.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.writer.flush()?;
        if let Some((from, to)) = self.rename.take() {
            std::fs::rename(&from, &to).map_err(|error| {
                Failure::failed(format!("cannot give the output its name: {error}")).at(to.display())
            })?;
        }
        Ok(())
    }
}

fn buffered(writer: Box<dyn Write + Send>) -> BufWriter<Box<dyn Write + Send>> {
    BufWriter::with_capacity(BUFFER_BYTES, writer)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((unfinished, _)) = &self.rename {
            // Nothing can be done about a leftover here, and its name says what it is.
            let _ = std::fs::remove_file(unfinished);
        }
    }
}
