//! The ranks of a communicator that are in one process.
//!
//! NCCL releases the communicators of all of them in the last one's call, on all of their devices. A rank
//! that goes on earlier, and runs work of its next communicator, is waited for there, and waits itself for
//! the rank that is inside: seen with NCCL 2.28.3 on two H100. So a device's next communicator is begun
//! when the ones before are released on all ranks of the process.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eplb_device::CommunicatorId;

use crate::lock::lock;

/// Communicators of this process that are not released on all of their ranks here.
static GROUPS: Mutex<Vec<Group>> = Mutex::new(Vec::new());
static CHANGED: Condvar = Condvar::new();

#[derive(Debug)]
struct Group {
    id: CommunicatorId,
    joined: usize,
    /// The devices of ranks that are released.
    released: Vec<u32>,
}

/// One rank's place among them; dropping it counts as released.
#[derive(Debug)]
pub(crate) struct Sibling {
    id: CommunicatorId,
    device: u32,
    is_released: Mutex<bool>,
}

impl Sibling {
    /// Joins once no communicator is released on this device and not yet on the others of the process,
    /// or after the limit.
    pub(crate) fn join(id: &CommunicatorId, device: u32, limit: Duration) -> Self {
        let deadline = Instant::now() + limit;
        let mut groups = lock(&GROUPS);
        while groups.iter().any(|group| group.released.contains(&device)) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = CHANGED.wait_timeout(groups, left);
            groups = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        match groups.iter_mut().find(|group| group.id == *id) {
            Some(group) => group.joined += 1,
            None => groups.push(Group { id: id.clone(), joined: 1, released: Vec::new() }),
        }
        Self { id: id.clone(), device, is_released: Mutex::new(false) }
    }

    /// The library has let go of this rank, or was told to.
    pub(crate) fn release(&self) {
        if std::mem::replace(&mut *lock(&self.is_released), true) {
            return;
        }
        let mut groups = lock(&GROUPS);
        if let Some(group) = groups.iter_mut().find(|group| group.id == self.id) {
            group.released.push(self.device);
        }
        groups.retain(|group| group.released.len() < group.joined);
        CHANGED.notify_all();
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    fn id(name: &str) -> CommunicatorId {
        CommunicatorId::from(name.as_bytes().to_vec())
    }

    #[test]
    fn a_rank_alone_waits_for_nobody() {
        let began = Instant::now();
        Sibling::join(&id("alone"), 900, LONG).release();
        let next = Sibling::join(&id("alone, too"), 900, LONG);
        // One that is not released yet is no reason to wait, either.
        let beside = Sibling::join(&id("beside"), 900, LONG);
        assert!(began.elapsed() < LONG / 2);
        drop((next, beside));
    }

    #[test]
    fn the_next_one_waits_for_the_other_ranks_of_the_last() {
        let [first, second] = [901, 902].map(|device| Sibling::join(&id("last"), device, LONG));
        first.release();
        let began = Instant::now();
        let late = Sibling::join(&id("late"), 901, SHORT);
        assert!(began.elapsed() >= SHORT, "the other rank has not gone");
        let elsewhere = Sibling::join(&id("elsewhere"), 903, LONG);
        assert!(began.elapsed() < LONG / 2, "another device has nothing to wait for");
        std::thread::scope(|scope| {
            scope.spawn(|| drop(Sibling::join(&id("next"), 901, LONG)));
            std::thread::sleep(SHORT);
            // Dropped without a word counts, too.
            drop(second);
        });
        assert!(began.elapsed() < LONG / 2);
        drop((late, elsewhere));
    }
}
