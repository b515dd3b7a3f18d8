//! Events: what one captures, and when that is done.

use std::sync::Arc;

use eplb_device::raw::Progress;
use eplb_device::{DeviceError, Result};

use crate::error::aborted;
use crate::gate::{Gate, Stop, Stopped};

/// One record of an event; a later record of the same event makes a new one.
#[derive(Clone, Debug)]
pub(crate) struct Capture(Arc<Gate<Progress>>);

impl Capture {
    pub(crate) fn new() -> Self {
        Self(Gate::new(Progress::Pending))
    }

    /// The stream came to the record, having failed before or not.
    pub(crate) fn settle(&self, failure: Option<&DeviceError>) {
        let outcome = failure.map_or(Progress::Complete, |error| Progress::Failed(error.clone()));
        self.0.change(|progress| *progress = outcome);
    }

    pub(crate) fn progress(&self) -> Progress {
        self.0.look(|progress| progress.clone())
    }

    /// Waits as the work of another stream.
    pub(crate) fn wait(&self, stop: &Stop) -> Result<()> {
        let outcome = self.0.wait(stop, |progress| match progress {
            Progress::Pending => None,
            Progress::Complete => Some(Ok(())),
            Progress::Failed(error) => Some(Err(error.clone())),
        });
        match outcome {
            Ok(result) => result,
            Err(Stopped) => Err(aborted("wait_event", "the stream was aborted")),
        }
    }
}
