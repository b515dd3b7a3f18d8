//! Matrix products on a device, by what its vendor has for them: the kind of load that a model's forward
//! pass is, for benchmarks.

use eplb_device::Stream;

use crate::{BackendName, LibrarySettings, OpenError};

/// Products of square matrices on a device.
pub trait Products: std::fmt::Debug + Send {
    /// Queues one on a stream of the device.
    ///
    /// # Errors
    /// The stream is another device's, or the vendor's library refuses.
    fn queue(&self, stream: &Stream) -> eplb_device::Result<()>;
}

/// Prepares products of matrices with `order` rows and columns on the device of `stream`.
///
/// # Errors
/// The backend has none or is not built in, a library is missing, or there is no memory.
pub fn products(
    name: BackendName,
    libraries: &LibrarySettings,
    stream: &Stream,
    order: u32,
) -> Result<Box<dyn Products>, OpenError> {
    match name {
        BackendName::Cuda => of_cuda(libraries, stream, order),
        BackendName::Host | BackendName::Ascend => Err(OpenError::NoProducts { name }),
    }
}

#[cfg(feature = "cuda")]
fn of_cuda(
    libraries: &LibrarySettings,
    stream: &Stream,
    order: u32,
) -> Result<Box<dyn Products>, OpenError> {
    let cublas = eplb_cuda::Search::default();
    let products = eplb_cuda::MatrixProducts::prepare(&libraries.cuda(), &cublas, stream, order)?;
    Ok(Box::new(products))
}

#[cfg(feature = "cuda")]
impl Products for eplb_cuda::MatrixProducts {
    fn queue(&self, stream: &Stream) -> eplb_device::Result<()> {
        eplb_cuda::MatrixProducts::queue(self, stream)
    }
}

#[cfg(not(feature = "cuda"))]
fn of_cuda(_: &LibrarySettings, _: &Stream, _: u32) -> Result<Box<dyn Products>, OpenError> {
    Err(OpenError::NotBuiltIn { name: BackendName::Cuda })
}
