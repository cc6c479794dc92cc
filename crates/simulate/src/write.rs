//! A world on disk: `day.pcap`, `truth.json`, `sources.csv`.

use crate::truth::Truth;
use crate::world::World;
use noroshi_model::Nanos;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Classic pcap, microseconds, little-endian (draft-ietf-opsawg-pcap, section 4): every reader knows it.
const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const LINKTYPE_ETHERNET: u32 = 1;
const SNAP_LENGTH: u32 = 65_535;
/// Packets between two reports of progress.
const PROGRESS_EVERY: u64 = 1 << 16;
const BUFFER_BYTES: usize = 1 << 20;

/// What could not be written, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}")]
pub struct WriteError {
    /// Where.
    pub path: PathBuf,
    /// Cause.
    pub source: io::Error,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The capture.
    pub capture: PathBuf,
    /// The truth.
    pub truth_file: PathBuf,
    /// The sources.
    pub sources_file: PathBuf,
    /// Packets in the capture.
    pub packets: u64,
    /// Its bytes.
    pub capture_bytes: u64,
    /// The truth itself.
    pub truth: Truth,
}

/// Writes a world into a directory, which is made if needed; `progress` hears the packets written so far.
pub fn write_day(world: &World, directory: &Path, progress: &mut dyn FnMut(u64)) -> Result<Written, WriteError> {
    std::fs::create_dir_all(directory).map_err(|source| WriteError { path: directory.to_owned(), source })?;
    let capture = directory.join("day.pcap");
    let truth_file = directory.join("truth.json");
    let sources_file = directory.join("sources.csv");
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError { path, source }
    };
    let (packets, capture_bytes) = write_capture(world, &capture, &sources_file, progress).map_err(failed(&capture))?;
    let truth = world.truth();
    write_truth(&truth, &truth_file).map_err(failed(&truth_file))?;
    Ok(Written { capture, truth_file, sources_file, packets, capture_bytes, truth })
}

fn write_capture(
    world: &World,
    capture: &Path,
    sources_file: &Path,
    progress: &mut dyn FnMut(u64),
) -> io::Result<(u64, u64)> {
    let mut out = PcapWriter::new(BufWriter::with_capacity(BUFFER_BYTES, File::create(capture)?))?;
    let mut packets = world.packets();
    while let Some((time, frame)) = packets.next_packet() {
        out.packet(time, frame)?;
        if out.packets % PROGRESS_EVERY == 0 {
            progress(out.packets);
        }
    }
    progress(out.packets);
    let mut sources = BufWriter::with_capacity(BUFFER_BYTES, File::create(sources_file)?);
    writeln!(sources, "address,tool,planted,syn_packets,variant")?;
    for s in packets.sources() {
        writeln!(sources, "{},{},{},{},{}", s.address, s.tool, s.planted, s.syn_packets, s.variant.name())?;
    }
    sources.flush()?;
    let (packets, bytes) = (out.packets, out.bytes);
    out.finish()?;
    Ok((packets, bytes))
}

fn write_truth(truth: &Truth, path: &Path) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    serde_json::to_writer_pretty(&mut out, truth)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes a pcap.
pub struct PcapWriter<W: Write> {
    out: W,
    record: Vec<u8>,
    packets: u64,
    bytes: u64,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header.
    pub fn new(mut out: W) -> io::Result<Self> {
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&MAGIC_MICROS.to_le_bytes());
        header.extend_from_slice(&2u16.to_le_bytes());
        header.extend_from_slice(&4u16.to_le_bytes());
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&SNAP_LENGTH.to_le_bytes());
        header.extend_from_slice(&LINKTYPE_ETHERNET.to_le_bytes());
        out.write_all(&header)?;
        Ok(PcapWriter { out, record: Vec::with_capacity(2048), packets: 0, bytes: header.len() as u64 })
    }

    /// Appends one packet.
    #[inline]
    pub fn packet(&mut self, time: Nanos, frame: &[u8]) -> io::Result<()> {
        let seconds = time.seconds();
        let micros = (time.0 - seconds * 1_000_000_000) / 1000;
        let length = (frame.len() as u32).to_le_bytes();
        self.record.clear();
        self.record.extend_from_slice(&(seconds as u32).to_le_bytes());
        self.record.extend_from_slice(&(micros as u32).to_le_bytes());
        self.record.extend_from_slice(&length);
        self.record.extend_from_slice(&length);
        self.record.extend_from_slice(frame);
        self.out.write_all(&self.record)?;
        self.packets += 1;
        self.bytes += self.record.len() as u64;
        Ok(())
    }

    /// Flushes and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
