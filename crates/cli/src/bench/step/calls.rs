//! Counts the device calls of one thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;

use eplb::device::Backend;
use eplb::device::raw::{Intercept, InterceptedBackend, Resource, Verdict};

/// Notes the name of each call that a backend gets from one thread: that of the step, not those that move
/// weights beside it.
#[derive(Debug)]
pub(super) struct CallCounter {
    thread: ThreadId,
    calls: Mutex<Vec<&'static str>>,
}

impl CallCounter {
    /// Counts the calls of the present thread that go to the backend given back.
    pub(super) fn wrap(inner: Arc<dyn Backend>) -> (Arc<Self>, Arc<dyn Backend>) {
        let counter =
            Arc::new(Self { thread: std::thread::current().id(), calls: Mutex::default() });
        let intercept: Arc<dyn Intercept> = counter.clone();
        (counter, Arc::new(InterceptedBackend::new(inner, intercept)))
    }

    /// The calls since this was last asked for, in order.
    pub(super) fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for CallCounter {
    fn before(&self, call: &'static str) -> Verdict {
        if std::thread::current().id() == self.thread {
            self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        }
        Verdict::Make
    }

    fn created(&self, _: Resource) {}

    fn released(&self, _: Resource) {}
}
