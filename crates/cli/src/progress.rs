//! Progress on a terminal; nothing where nobody looks.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for a number of steps, with the name of what is under way.
#[derive(Debug)]
pub(crate) struct StepProgress {
    bar: ProgressBar,
}

impl StepProgress {
    pub(crate) fn new(steps: usize) -> Self {
        // Draws on standard error, and only if that is a terminal.
        let bar = ProgressBar::new(steps as u64);
        if let Ok(style) = ProgressStyle::with_template("{msg:14} {wide_bar} {percent:>3} %  {eta}")
        {
            bar.set_style(style);
        }
        Self { bar }
    }

    pub(crate) fn show(&self, name: impl Into<Cow<'static, str>>, done: usize) {
        self.bar.set_message(name);
        self.bar.set_position(done as u64);
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
