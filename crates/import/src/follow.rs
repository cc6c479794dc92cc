//! A log that is still being written: at its end more is waited for, and a file that was replaced is taken up anew.

use crate::reader::HEAD_BYTES;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Reads a growing file until told to stop.
pub struct Follow {
    path: PathBuf,
    file: File,
    read: u64,
    /// The end was told once, so that the format can be found from a short file.
    told: bool,
    pause: Duration,
    stop: Arc<AtomicBool>,
}

impl Follow {
    /// From the start of a file; at its end it is looked at again after each `pause`, until `stop`.
    pub fn open(path: &Path, pause: Duration, stop: Arc<AtomicBool>) -> io::Result<Follow> {
        Ok(Follow { path: path.to_owned(), file: File::open(path)?, read: 0, told: false, pause, stop })
    }

    /// Takes up the file that stands at the path now, if it is another one or was cut.
    fn renew(&mut self) -> io::Result<()> {
        // Between the removal of one file and the making of the next there is none.
        let Ok(there) = std::fs::metadata(&self.path) else { return Ok(()) };
        let here = self.file.metadata()?;
        if (there.dev(), there.ino()) != (here.dev(), here.ino()) {
            self.file = File::open(&self.path)?;
        } else if there.len() < self.file.stream_position()? {
            self.file.rewind()?;
        }
        Ok(())
    }
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.file.read(buffer)?;
            self.read += length as u64;
            if length > 0 || self.stop.load(Ordering::Relaxed) {
                return Ok(length);
            }
            if self.read > 0 && self.read < HEAD_BYTES as u64 && !self.told {
                self.told = true;
                return Ok(0);
            }
            self.renew()?;
            std::thread::sleep(self.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Budget, Item};
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    fn line(session: u32) -> String {
        format!(
            "{{\"eventid\":\"cowrie.session.connect\",\"timestamp\":\"2026-01-01T00:00:00.000000Z\",\
             \"session\":\"{session:012x}\",\"src_ip\":\"192.0.2.1\",\"src_port\":1,\"dst_ip\":\"192.0.2.2\",\
             \"dst_port\":22,\"protocol\":\"ssh\",\"sensor\":\"s\",\"message\":\"m\"}}\n"
        )
    }

    #[test]
    fn lines_are_taken_as_they_are_written_also_after_a_change_of_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cowrie.json");
        std::fs::write(&path, line(1)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let follow = super::Follow::open(&path, Duration::from_millis(1), stop.clone()).unwrap();
        let (sender, rows) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            let mut reader = crate::open_bytes(follow, "cowrie.json", None, Budget::default()).unwrap();
            while let Some(item) = reader.next_item().unwrap() {
                if let Item::Row(_) = item {
                    sender.send(()).unwrap();
                }
            }
            reader.counts()
        });
        rows.recv().unwrap();
        // In two pieces: half a line is no line.
        let text = line(2);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&text.as_bytes()[..30]).unwrap();
        file.write_all(&text.as_bytes()[30..]).unwrap();
        rows.recv().unwrap();
        std::fs::rename(&path, folder.path().join("cowrie.json.1")).unwrap();
        std::fs::write(&path, line(3)).unwrap();
        rows.recv().unwrap();
        stop.store(true, Ordering::Relaxed);
        let counts = reading.join().unwrap();
        assert_eq!((counts.lines, counts.rows), (3, 3));
        assert!(counts.balanced());
    }
}
