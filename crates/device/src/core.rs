//! What the handles of one open device share: the driver, the lock, and what waits to be freed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use crate::lock::lock;
use crate::raw::{DeviceInfo, Driver, EventPool, Link, Queue, RetiredBlock, RetiredLink};
use crate::{DeviceError, Result};

/// Errors of drops and collections that are kept for [`Device::take_errors`](crate::Device).
const KEPT_ERRORS: usize = 64;

/// A resource that nobody holds any more.
#[derive(Debug)]
pub(crate) enum Retired {
    /// Memory that no queued work uses.
    Block(RetiredBlock),
    /// A communicator that no queued work uses.
    Link(RetiredLink),
    /// A stream whose queued work may be running.
    Queue(Arc<Queue>),
}

/// The shared state of one open device.
///
/// Retired streams own memory, which owns the core: whoever drops the last handle of the device
/// calls [`shut_down`](Self::shut_down) to break that ring.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) info: DeviceInfo,
    pub(crate) events: EventPool,
    /// Held while a collective of any communicator is queued (R15).
    pub(crate) issue: Mutex<()>,
    collecting: Mutex<()>,
    retired: Mutex<Vec<Retired>>,
    errors: Mutex<VecDeque<DeviceError>>,
    queues: Mutex<Vec<Weak<Queue>>>,
    links: Mutex<Vec<Weak<Link>>>,
}

impl Core {
    pub(crate) fn new(driver: Arc<dyn Driver>) -> Arc<Self> {
        Arc::new(Self {
            info: driver.info(),
            events: EventPool::new(Arc::clone(&driver)),
            driver,
            issue: Mutex::new(()),
            collecting: Mutex::new(()),
            retired: Mutex::new(Vec::new()),
            errors: Mutex::new(VecDeque::new()),
            queues: Mutex::new(Vec::new()),
            links: Mutex::new(Vec::new()),
        })
    }

    /// Says in the error on which device it happened.
    pub(crate) fn locate(&self, error: DeviceError) -> DeviceError {
        error.on(self.info.backend.clone(), self.info.ordinal)
    }

    /// Keeps an error that nobody can be given now.
    pub(crate) fn note(&self, error: DeviceError) {
        let error = self.locate(error);
        let mut errors = lock(&self.errors);
        if errors.back() == Some(&error) {
            return; // a poll meets the same failure again and again
        }
        if errors.len() == KEPT_ERRORS {
            errors.pop_front();
        }
        errors.push_back(error);
    }

    pub(crate) fn take_errors(&self) -> Vec<DeviceError> {
        lock(&self.errors).drain(..).collect()
    }

    pub(crate) fn retire(&self, retired: Retired) {
        lock(&self.retired).push(retired);
    }

    pub(crate) fn register_queue(&self, queue: &Arc<Queue>) {
        register(&self.queues, queue);
    }

    pub(crate) fn register_link(&self, link: &Arc<Link>) {
        register(&self.links, link);
    }

    /// Gives back all that is retired and no longer in use.
    pub(crate) fn collect(&self) {
        // One thread at a time, so that "nothing is retired" is never seen halfway.
        let _collecting = lock(&self.collecting);
        for queue in self.live_queues() {
            queue.tidy();
        }
        // What is given back may own something that retires in turn.
        loop {
            let batch = std::mem::take(&mut *lock(&self.retired));
            let mut kept = Vec::new();
            let mut progressed = false;
            for retired in batch {
                match self.give_back(retired) {
                    Some(pending) => kept.push(pending),
                    None => progressed = true,
                }
            }
            lock(&self.retired).append(&mut kept);
            if !progressed {
                return;
            }
        }
    }

    /// Whether all queued work has ended and all that was dropped is given back. Collects first.
    pub(crate) fn is_drained(&self) -> bool {
        self.collect();
        let _collecting = lock(&self.collecting);
        let idle = self.live_queues().iter().all(|queue| queue.tidy());
        idle && lock(&self.retired).is_empty()
    }

    fn give_back(&self, retired: Retired) -> Option<Retired> {
        let result = match retired {
            Retired::Block(block) => block.give_back(&*self.driver),
            Retired::Link(link) => link.give_back(),
            Retired::Queue(queue) => match queue.finish() {
                Ok(false) => return Some(Retired::Queue(queue)),
                Ok(true) => Ok(()),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = result {
            self.note(error);
        }
        None
    }

    /// Aborts all communicators and streams of ours; gives the first error.
    pub(crate) fn abort(&self) -> Result<()> {
        let mut result = Ok(());
        let links: Vec<Arc<Link>> = lock(&self.links).iter().filter_map(Weak::upgrade).collect();
        for link in links.iter().filter(|link| !link.is_borrowed()) {
            result = result.and(link.abort());
        }
        if self.info.stream_abort {
            for queue in self.live_queues() {
                if !queue.is_borrowed() {
                    result = result.and(queue.abort());
                }
            }
        }
        result
    }

    /// The last handle of the device goes: gives up what still runs on streams of ours, and frees
    /// all but what may still be in use: that is left alone for good.
    pub(crate) fn shut_down(&self) {
        self.collect();
        let batch = std::mem::take(&mut *lock(&self.retired));
        if batch.is_empty() {
            return;
        }
        // Errors have nobody left to go to, here and below.
        let _ = self.abort();
        for retired in batch {
            match retired {
                Retired::Queue(queue) if queue.force() => {}
                other => self.retire(other),
            }
        }
        self.collect();
    }

    fn live_queues(&self) -> Vec<Arc<Queue>> {
        let queues = lock(&self.queues);
        queues.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let batch = std::mem::take(&mut *lock(&self.retired));
        for retired in batch {
            self.give_back(retired);
        }
        // Nobody is left to be told.
        let _ = self.events.empty();
    }
}

fn register<T>(registry: &Mutex<Vec<Weak<T>>>, value: &Arc<T>) {
    let mut registry = lock(registry);
    registry.retain(|other| other.strong_count() > 0);
    registry.push(Arc::downgrade(value));
}
