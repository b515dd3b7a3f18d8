//! Waiting inside the work of a stream, which an abort of the stream ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Locks; the data is consistent between any two statements, so a panic elsewhere does no harm.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wait ended because its stream was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Something that a thread can be waiting at.
trait WaitingPoint: Send + Sync {
    /// Makes whoever waits there look again.
    fn nudge(&self);
}

/// Tells the work of one stream to end.
#[derive(Default)]
pub(crate) struct Stop {
    stopped: AtomicBool,
    waiting_at: Mutex<Option<Arc<dyn WaitingPoint>>>,
}

impl Stop {
    /// Ends the wait of the stream's thread, now and for ever.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let waiting_at = lock(&self.waiting_at).clone();
        if let Some(point) = waiting_at {
            point.nudge();
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

/// State that threads wait for changes of.
#[derive(Debug, Default)]
pub(crate) struct Gate<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T: Send + 'static> Gate<T> {
    pub(crate) fn new(state: T) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Looks at the state without telling anybody.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut lock(&self.state))
    }

    /// Changes the state and lets everybody who waits look again.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut lock(&self.state));
        self.changed.notify_all();
        result
    }

    /// Waits until `look` finds what it looks for, or until `stop`.
    pub(crate) fn wait<R>(
        self: &Arc<Self>,
        stop: &Stop,
        mut look: impl FnMut(&mut T) -> Option<R>,
    ) -> Result<R, Stopped> {
        *lock(&stop.waiting_at) = Some(Arc::clone(self) as Arc<dyn WaitingPoint>);
        let mut state = lock(&self.state);
        let result = loop {
            if let Some(found) = look(&mut state) {
                break Ok(found);
            }
            // After the registration above: either this sees the stop, or the stop sees the
            // registration, and nudges under the lock that is only given up by waiting.
            if stop.is_stopped() {
                break Err(Stopped);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        *lock(&stop.waiting_at) = None;
        result
    }

    /// Waits for something that is sure to come soon: another thread's copy in progress.
    pub(crate) fn wait_shortly<R>(&self, mut look: impl FnMut(&mut T) -> Option<R>) -> R {
        let mut state = lock(&self.state);
        loop {
            if let Some(found) = look(&mut state) {
                return found;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Gate<T> {
    /// Waits until it is so, or the time has come.
    pub(crate) fn wait_until(&self, until: Instant, mut is_so: impl FnMut(&mut T) -> bool) {
        let mut state = lock(&self.state);
        while !is_so(&mut state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T: Send> WaitingPoint for Gate<T> {
    fn nudge(&self) {
        let _state = lock(&self.state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_a_wait_whenever_it_comes() {
        for round in 0..200 {
            let gate = Gate::new(());
            let stop = Arc::new(Stop::default());
            let waiting = std::thread::spawn({
                let (gate, stop) = (Arc::clone(&gate), Arc::clone(&stop));
                move || gate.wait(&stop, |()| None::<()>)
            });
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            stop.stop();
            assert_eq!(waiting.join().unwrap(), Err(Stopped));
        }
    }

    #[test]
    fn what_is_there_already_is_found_in_spite_of_a_stop() {
        let gate = Gate::new(7);
        let stop = Stop::default();
        stop.stop();
        assert_eq!(gate.wait(&stop, |state| Some(*state)), Ok(7));
    }
}
