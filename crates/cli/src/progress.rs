//! Progress for a person at a terminal: drawn on standard error, and only when that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the bar is drawn at most.
const DRAWS_PER_SECOND: u8 = 8;

/// A bar over bytes of input that also counts packets. Cheap to update; silent when nobody watches.
pub struct Progress {
    bar: ProgressBar,
    packets: AtomicU64,
    started: Instant,
}

impl Progress {
    /// `bytes` to be read; `None` when unknown (standard input).
    pub fn bytes(bytes: Option<u64>) -> Self {
        let (target, template) = if !std::io::stderr().is_terminal() {
            (ProgressDrawTarget::hidden(), "")
        } else if bytes.is_some() {
            (ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND), "{bar:28.cyan/dim} {percent:>3}%  {msg}  {eta} left")
        } else {
            (ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND), "{spinner} {bytes}  {msg}")
        };
        let bar = ProgressBar::with_draw_target(bytes, target);
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━━─"));
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress { bar, packets: AtomicU64::new(0), started: Instant::now() }
    }

    /// So many bytes and packets more have been read.
    pub fn advance(&self, bytes: u64, packets: u64) {
        let packets = self.packets.fetch_add(packets, Ordering::Relaxed) + packets;
        if self.bar.is_hidden() {
            return;
        }
        let rate = packets as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!("{:.1} M packets, {:.2} M/s", packets as f64 / 1e6, rate / 1e6));
        self.bar.inc(bytes);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A count of rows under way, named by their file.
#[cfg(feature = "hub")]
pub fn rows(path: &std::path::Path) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
    let style = ProgressStyle::with_template("{spinner} {pos} rows  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(crate::terminal::escape(&path.to_string_lossy()).into_owned());
    bar
}
