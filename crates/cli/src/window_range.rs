//! `--windows N` and `--windows A..B`.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use eplb_sim::Trace;

use crate::failure::Failure;

/// Some windows of a trace: the first ones, or those of a half-open range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowRange {
    First(usize),
    Between(usize, usize),
}

impl WindowRange {
    /// What a text may be, for messages.
    pub(crate) const ALLOWED: &str = "N, the first N windows, or A..B, those from A to before B";

    /// Leaves of a trace only the windows that are asked for, at least `least` of them.
    ///
    /// # Errors
    /// Fewer windows, or windows that the trace doesn't have.
    pub(crate) fn cut(
        asked: Option<Self>,
        trace: &mut Trace,
        path: &Path,
        least: usize,
    ) -> Result<Range<usize>, Failure> {
        let available = trace.windows.len();
        let Some(asked) = asked else { return Ok(0..available) };
        let range = match asked {
            Self::First(windows) => 0..windows,
            Self::Between(first, end) => first..end,
        };
        if range.end > available || range.len() < least {
            let path = path.display();
            let allowed = match asked {
                Self::First(_) => format!("{least} to {available}, the windows of {path}"),
                Self::Between(..) => format!(
                    "ranges of at least {least} within 0..{available}, the windows of {path}"
                ),
            };
            return Err(Failure::new(format!(
                "--windows {asked} is not allowed; allowed: {allowed}"
            )));
        }
        trace.windows.truncate(range.end);
        trace.windows.drain(..range.start);
        Ok(range)
    }
}

impl FromStr for WindowRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<usize>().map_err(|_| Self::ALLOWED);
        match text.split_once("..") {
            None => Ok(Self::First(number(text)?)),
            Some((first, end)) => Ok(Self::Between(number(first)?, number(end)?)),
        }
    }
}

impl fmt::Display for WindowRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(windows) => write!(f, "{windows}"),
            Self::Between(first, end) => write!(f, "{first}..{end}"),
        }
    }
}
