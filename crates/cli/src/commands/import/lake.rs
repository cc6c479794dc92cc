//! Parquet files into a table of the lake.

use super::Input;
use crate::failure::Failure;
use crate::lake::{Place, block_on, knowledge};
use noroshi_model::tables::{TABLES, named};
use noroshi_store::load::LoadError;
use noroshi_store::{Journal, Lake};
use std::io::Write;
use std::process::ExitCode;

/// Loads the files one after the other; the first that is refused ends it, and what was loaded stays.
pub(super) fn run(inputs: &[Input], table: &str, place: &Place) -> Result<ExitCode, Failure> {
    let table = named(table).ok_or_else(|| {
        let known: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        Failure::usage(format!("there is no table {table:?} to load into")).hint(format!("one of {}", known.join(", ")))
    })?;
    let (data, _lock) = place.exclusive()?;
    block_on(async {
        let journal = Journal::open(data.join("journal.db")).await?;
        let lake = Lake::open_with(data.join("lake"), knowledge()).await?;
        for input in inputs {
            let bar = crate::progress::rows(&input.path);
            let loaded =
                noroshi_store::load::parquet(&journal, &lake, &input.path, table, |rows| bar.set_position(rows));
            let loaded = loaded.await.map_err(explain)?;
            bar.finish_and_clear();
            let (path, fresh) =
                (crate::terminal::escape(&input.path.to_string_lossy()).into_owned(), loaded.rows - loaded.known);
            writeln!(std::io::stdout(), "{path}: {fresh} rows into {}, {} known before", table.name, loaded.known)?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn explain(error: LoadError) -> Failure {
    match error {
        LoadError::NotParquet { .. } | LoadError::Columns { .. } | LoadError::Io { .. } => Failure::refused(error),
        error => Failure::failed(error),
    }
}
