//! The libraries that the backend calls.

use std::collections::HashMap;
use std::sync::Mutex;

use eplb_ascend_sys::{AclRuntime, Hccl, LoadError, Search, aclError};

use crate::lock::lock;

/// Where to look for the libraries. The default looks at the environment variables of
/// [`Search`], in the process, for the usual names, and where CANN is installed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Libraries {
    /// The ACL runtime: `libascendcl`, or `libacl_rt` since CANN 9.
    pub runtime: Search,
    /// HCCL: `libhccl`, and `libhcomm` beside it since CANN 9.
    pub hccl: Search,
}

/// The functions that were found.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) runtime: AclRuntime,
    pub(crate) hccl: Result<Hccl, LoadError>,
    initialised: Mutex<bool>,
    /// The devices' default contexts, as far as they were asked for: each one is set once, and kept
    /// until the process ends.
    pub(crate) defaults: Mutex<HashMap<u32, usize>>,
}

/// Initialising is for one thread of the process at a time.
static INITIALISING: Mutex<()> = Mutex::new(());

impl Api {
    pub(crate) fn open(libraries: &Libraries) -> Result<Self, LoadError> {
        Ok(Self {
            runtime: AclRuntime::open(&libraries.runtime)?.table,
            hccl: Hccl::open(&libraries.hccl).map(|loaded| loaded.table),
            initialised: Mutex::new(false),
            defaults: Mutex::default(),
        })
    }

    /// Initialises the runtime on first use. It is never finalised: the engine may use it, too.
    pub(crate) fn initialise(&self) -> aclError {
        let _alone = lock(&INITIALISING);
        let mut initialised = lock(&self.initialised);
        if *initialised {
            return aclError::ACL_SUCCESS;
        }
        // SAFETY: a null path means the library's own settings; no other thread of ours is in here.
        let status = unsafe { (self.runtime.aclInit)(std::ptr::null()) };
        match status {
            aclError::ACL_SUCCESS | aclError::ACL_ERROR_REPEAT_INITIALIZE => {
                *initialised = true;
                aclError::ACL_SUCCESS
            }
            other => other,
        }
    }
}
