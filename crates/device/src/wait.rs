//! Waiting on the host, with a deadline that the caller keeps.

use crate::{DeviceError, ErrorKind, Result};

/// The deadline of a wait has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired;

/// How a thread waits between two polls of the device, and when it gives up.
///
/// This crate has no clock: who waits brings one. Every wait of this crate polls, and calls
/// [`pause`](Wait::pause) after each poll that found the work unfinished.
pub trait Wait {
    /// Pauses for a short while (spins, yields or sleeps).
    ///
    /// # Errors
    ///
    /// [`Expired`] once the deadline has passed; the wait then ends with [`ErrorKind::TimedOut`].
    fn pause(&mut self) -> std::result::Result<(), Expired>;
}

/// Polls until `poll` says that it is over.
pub(crate) fn wait_until(
    operation: &'static str,
    wait: &mut dyn Wait,
    mut poll: impl FnMut() -> Result<bool>,
) -> Result<()> {
    while !poll()? {
        wait.pause().map_err(|Expired| {
            DeviceError::new(
                ErrorKind::TimedOut,
                operation,
                "the deadline of the wait has passed and the work is still pending",
            )
        })?;
    }
    Ok(())
}
