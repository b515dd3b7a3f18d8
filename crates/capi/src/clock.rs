//! The time, of the system or as the engine tells it.

use std::ffi::c_void;
use std::sync::Arc;

use eplb::{Clock, SystemClock, Timestamp};

use crate::generated as c;
use crate::user::User;

/// A clock of the engine.
#[derive(Debug)]
struct EngineClock {
    now: unsafe extern "C" fn(*mut c_void) -> u64,
    user: User,
}

impl Clock for EngineClock {
    fn now(&self) -> Timestamp {
        // SAFETY: the engine's function with the pointer that it gave with it; both stay as long as the
        // handle that was made with them, which owns this clock, and may be used by any thread.
        Timestamp(unsafe { (self.now)(self.user.0) })
    }
}

/// The engine's clock, or the system's where there is none.
pub(crate) fn clock(now: c::eplb_clock_fn, user: *mut c_void) -> Arc<dyn Clock> {
    match now {
        Some(now) => Arc::new(EngineClock { now, user: User(user) }),
        None => Arc::new(SystemClock::new()),
    }
}
