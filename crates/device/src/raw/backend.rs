//! The trait of a backend.

use std::fmt::Debug;
use std::sync::Arc;

use super::{ContextHandle, Driver};
use crate::Result;

/// One vendor's devices, as this process sees them.
///
/// # Safety
///
/// The implementer keeps the contract of the [module](super): the safe layer frees and reuses
/// memory by what the backend reports. Rules R1 and R28 are this trait's own.
pub unsafe trait Backend: Send + Sync + Debug {
    /// The name that stands in errors and reports.
    fn name(&self) -> &str;

    /// How many devices this process sees (R28). A library that is missing, a driver that is
    /// missing, or a library that only pretends (a stub) is `Ok(0)`: absence is no failure (R1).
    ///
    /// # Errors
    ///
    /// When the library is there but its answer makes no sense.
    fn devices(&self) -> Result<u32>;

    /// Opens a device with a context of the library's default kind (R2, R3). Opening twice gives
    /// two drivers of the same device.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for an ordinal out of range, or what the vendor reports.
    fn open(&self, ordinal: u32) -> Result<Arc<dyn Driver>>;

    /// Opens a device in a context that the engine created and keeps (R3).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and `InvalidUse` for a context of another device.
    ///
    /// # Safety
    ///
    /// `context` is a live context of this backend's library for the device `ordinal`, and stays
    /// alive until the driver has been dropped.
    unsafe fn adopt(&self, ordinal: u32, context: ContextHandle) -> Result<Arc<dyn Driver>>;
}
