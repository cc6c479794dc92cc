//! A small hub to be killed: appends the batches of a rule to the journal and moves them into the lake, as fast as it
//! can, until all are moved. Started again it goes on. The kill test (`tests/it/kill.rs`) is its parent.
//!
//! `crash FOLDER BATCHES`: prints `ACK n` after the nth batch is durable, and `DONE` at the end; compacts meanwhile.
//! `crash FOLDER rebuild`: makes the roll-ups again, over and over; prints a line each time one is replaced.
//! `crash FOLDER backup TO`: backs up to `TO/0`, `TO/1`, …; prints a line before and after each.
//! `crash FOLDER restore FROM`: restores `FROM` to `FOLDER`.
//! `crash FOLDER fill BATCHES`: goes on when the disk is full; prints how many packets are stored and in which hours.

#[path = "../tests/it/sample.rs"]
mod sample;

use noroshi_store::lake::Compaction;
use noroshi_store::{Journal, JournalError, Lake, Limits, Mover};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Packets in a batch.
const PACKETS: u64 = 200;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: crash FOLDER (BATCHES | rebuild | backup TO | restore FROM | fill BATCHES)";
    let folder = PathBuf::from(arguments.next().ok_or(usage)?);
    let mode = arguments.next().and_then(|mode| mode.into_string().ok()).ok_or(usage)?;
    let other = arguments.next();
    match (mode.as_str(), other) {
        ("rebuild", _) => return rebuild(&folder).await,
        ("backup", Some(to)) => return back_up(&folder, &PathBuf::from(to)).await,
        ("restore", Some(from)) => {
            noroshi_store::backup::restore(&PathBuf::from(from), &folder)?;
            return Ok(());
        }
        ("fill", Some(batches)) => return fill(&folder, batches.to_string_lossy().parse()?).await,
        _ => {}
    }
    let batches: u64 = mode.parse().map_err(|_| usage)?;
    let journal = Journal::open(folder.join("journal.sqlite")).await?;
    let lake = Lake::open(sample::lake_at(&folder)).await?;
    let mut mover = Mover::new(lake.clone(), journal.clone()).await?;
    let compactor = tokio::spawn(async move {
        loop {
            lake.compact(Compaction { fresh_files: 4, ..Compaction::default() }).await.expect("compaction works");
            tokio::task::yield_now().await;
        }
    });

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
    compactor.abort();
    writeln!(std::io::stdout(), "DONE")?;
    Ok(())
}

async fn rebuild(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let lake = Lake::open(sample::lake_at(folder)).await?;
    for round in 0.. {
        writeln!(std::io::stdout(), "ROUND {round}")?;
        let rebuilt = lake.rebuild_rollups().await?;
        writeln!(std::io::stdout(), "REBUILT {}", rebuilt.len())?;
    }
    Ok(())
}

async fn back_up(folder: &Path, to: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for round in 0.. {
        writeln!(std::io::stdout(), "BEGIN")?;
        noroshi_store::backup::backup(folder, &to.join(round.to_string())).await?;
        writeln!(std::io::stdout(), "WHOLE")?;
    }
    Ok(())
}

/// Every batch is a new hour, so that there is always an oldest one to give up.
async fn fill(folder: &Path, batches: u64) -> Result<(), Box<dyn std::error::Error>> {
    let journal = Journal::open(folder.join("journal.sqlite")).await?;
    let lake = Lake::open(sample::lake_at(folder)).await?;
    let mut mover = Mover::new(lake.clone(), journal.clone()).await?;
    let (mut full, mut freed) = (0, 0);
    for n in 0..batches {
        let batch = sample::noisy_batch("tokyo", n * 36_000, n * 20_000, 20_000);
        while let Err(error) = journal.append(batch.clone()).await {
            if !matches!(error, JournalError::Full { .. }) {
                return Err(error.into());
            }
            full += 1;
            freed += u64::from(lake.make_room().await?.ok_or("no hour to give up").map(|_| true)?);
        }
        loop {
            match mover.step().await {
                Ok(moved) if moved.through == 0 => break,
                Ok(_) => {}
                Err(error) if error.is_full() => {
                    full += 1;
                    freed += u64::from(lake.make_room().await?.ok_or("no hour to give up").map(|_| true)?);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    let answer = lake.answer("select count(*), min(hour), max(hour) from packets", Limits::default()).await?;
    let cell = |column: usize| arrow::util::display::array_value_to_string(answer.batches[0].column(column), 0);
    writeln!(std::io::stdout(), "{full} {freed} {} {} {}", cell(0)?, cell(1)?, cell(2)?)?;
    Ok(())
}
