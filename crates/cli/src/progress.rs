//! Progress on a terminal; nothing where nobody looks.

use eplb_sim::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar for the two halves of a run.
#[derive(Debug)]
pub(crate) struct RunProgress {
    bar: ProgressBar,
}

impl RunProgress {
    pub(crate) fn new(windows: usize) -> Self {
        // Draws on standard error, and only if that is a terminal.
        let bar = ProgressBar::new(2 * windows as u64);
        if let Ok(style) = ProgressStyle::with_template("{msg:14} {wide_bar} {percent:>3} %  {eta}")
        {
            bar.set_style(style);
        }
        Self { bar }
    }

    pub(crate) fn show(&self, progress: Progress) {
        let Progress { balanced, done, windows } = progress;
        self.bar.set_message(if balanced { "with EPLB" } else { "without EPLB" });
        self.bar.set_position((done + if balanced { windows } else { 0 }) as u64);
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
