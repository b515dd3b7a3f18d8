//! The windows of a trace, each with the sample of its tokens that is computed.

use std::sync::{Arc, Mutex, PoisonError};

use eplb::core::ExpertLoad;

use crate::{RunError, RunSettings, TokenSample, Trace, sample_tokens};

/// A window of the trace: all its load, and the sample of tokens that is computed.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) index: u64,
    pub(super) load: ExpertLoad,
    pub(super) tokens: TokenSample,
}

/// Draws each window's tokens once for all ranks of a process.
#[derive(Debug)]
pub(super) struct Windows<'a> {
    trace: &'a Trace,
    settings: &'a RunSettings,
    last: Mutex<Option<Arc<Window>>>,
}

impl<'a> Windows<'a> {
    pub(super) fn new(trace: &'a Trace, settings: &'a RunSettings) -> Self {
        Self { trace, settings, last: Mutex::new(None) }
    }

    /// The window with this number.
    pub(super) fn window(&self, index: u64) -> Result<Arc<Window>, RunError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = last.as_ref().filter(|window| window.index == index) {
            return Ok(Arc::clone(window));
        }
        let Self { trace, settings, .. } = self;
        let windows = trace.windows.len();
        let load = usize::try_from(index).ok().and_then(|index| trace.windows.get(index));
        let load = load.ok_or(RunError::NoWindow { window: index, windows })?;
        let seed = settings.seed ^ index;
        let tokens = sample_tokens(load, trace.top_k, settings.sample_tokens, seed)?;
        let window = Arc::new(Window { index, load: load.clone(), tokens });
        *last = Some(Arc::clone(&window));
        Ok(window)
    }
}
