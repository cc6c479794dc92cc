//! A small hub to be killed: appends the batches of a rule to the journal and moves them into the lake, as fast as it
//! can, until all are moved. Started again it goes on. The kill test (`tests/it/kill.rs`) is its parent.
//!
//! `crash FOLDER BATCHES`: prints `ACK n` after the nth batch is durable, and `DONE` at the end.

#[path = "../tests/it/sample.rs"]
mod sample;

use noroshi_store::{Journal, Lake, Mover};
use std::io::Write;
use std::path::PathBuf;

/// Packets in a batch.
const PACKETS: u64 = 200;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: crash FOLDER BATCHES")?);
    let batches: u64 = arguments.next().and_then(|n| n.to_str()?.parse().ok()).ok_or("usage: crash FOLDER BATCHES")?;
    let journal = Journal::open(folder.join("journal.sqlite")).await?;
    let lake = Lake::open(folder.join("lake")).await?;
    let mut mover = Mover::new(lake, journal.clone()).await?;

    let sender = tokio::spawn({
        let journal = journal.clone();
        async move {
            // Like a sensor that lost its answers: the last acknowledged batch is sent again.
            let watermark = journal.watermark("tokyo", [3; 16]).await?;
            let next = watermark.map_or(0, |last| (last + 1) / PACKETS);
            for n in next.saturating_sub(1)..batches {
                journal.append(sample::journal_batch("tokyo", n * PACKETS, n * PACKETS + PACKETS - 1)).await?;
                writeln!(std::io::stdout(), "ACK {n}")?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        }
    });
    while !sender.is_finished() {
        if mover.step().await?.through == 0 {
            tokio::task::yield_now().await;
        }
    }
    sender.await?.map_err(|error| error.to_string())?;
    while mover.step().await?.through != 0 {}
    writeln!(std::io::stdout(), "DONE")?;
    Ok(())
}
