//! Why a backend, or something of it, can't be opened.

use eplb_device::DeviceError;
use thiserror::Error;

use crate::BackendName;

/// Why a backend can't be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such backend.
    #[error("no backend is called {name:?}, allowed are host, cuda and ascend")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The program was built without it.
    #[error("this program was built without {name}; build it with --features {name}")]
    NotBuiltIn {
        /// The backend.
        name: BackendName,
    },
    /// The backend has no matrix products.
    #[error("there are no matrix products on {name}; use copies or fills")]
    NoProducts {
        /// The backend.
        name: BackendName,
    },
    /// A library that was found can't be used.
    #[error("{0}")]
    Library(String),
    /// A device.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
