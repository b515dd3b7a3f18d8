//! The ranks of a communicator that are in one process.
//!
//! NCCL releases the communicators of all of them in the last one's call, on all of their devices, and
//! frees memory there, which waits for whatever these run. A rank that has gone on to its next
//! communicator may run work there that waits for the very rank that is inside: seen with NCCL 2.28.3 on
//! two H100. So a rank with siblings leaves its release to a thread, and goes on after a moment.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use eplb_device::CommunicatorId;

use crate::lock::lock;

/// Communicators that ranks of this process have joined.
static FAMILIES: Mutex<Vec<(CommunicatorId, Weak<AtomicU32>)>> = Mutex::new(Vec::new());

/// How many ranks of one communicator have joined in this process, gone ones included.
#[derive(Clone, Debug)]
pub(crate) struct Siblings(Arc<AtomicU32>);

impl Siblings {
    /// One more rank joins the communicator of `id`.
    pub(crate) fn join(id: &CommunicatorId) -> Self {
        let mut families = lock(&FAMILIES);
        families.retain(|(_, family)| family.strong_count() > 0);
        let known = families.iter().find(|(other, _)| other == id);
        let family = known.and_then(|(_, family)| family.upgrade()).unwrap_or_else(|| {
            let family = Arc::default();
            families.push((id.clone(), Arc::downgrade(&family)));
            family
        });
        family.fetch_add(1, Ordering::Relaxed);
        Self(family)
    }

    /// Whether there are no others.
    pub(crate) fn are_none(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> CommunicatorId {
        CommunicatorId::from(name.as_bytes().to_vec())
    }

    #[test]
    fn ranks_of_one_communicator_are_siblings() {
        let alone = Siblings::join(&id("alone"));
        let first = Siblings::join(&id("two"));
        assert!(first.are_none());
        let second = Siblings::join(&id("two"));
        drop(second);
        assert!(!first.are_none(), "a rank that is gone was there");
        assert!(alone.are_none());
        drop(first);
        assert!(Siblings::join(&id("two")).are_none(), "the last of them has gone");
    }
}
