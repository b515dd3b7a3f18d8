//! A rank's place in its group: operations with a deadline each.

use std::time::{Duration, Instant};

use eplb_launch::{Group, GroupError};

/// A group, and how long its members wait for each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership<'a> {
    pub(super) group: &'a dyn Group,
    pub(super) patience: Duration,
}

impl Membership<'_> {
    /// How long work of this rank alone may take while the others wait for it.
    pub(super) fn patience_of_others(&self) -> Duration {
        self.patience / 2
    }

    fn until(&self) -> Instant {
        Instant::now() + self.patience
    }

    pub(super) fn is_leader(&self) -> bool {
        self.group.rank() == 0
    }

    pub(super) fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
        self.group.all_gather(own, self.until())
    }

    /// What all ranks gave, for the leader; nothing for the others.
    pub(super) fn gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
        self.group.gather(own, self.until())
    }

    /// What the leader gave; the others pass nothing.
    pub(super) fn broadcast(&self, message: &[u8]) -> Result<Vec<u8>, GroupError> {
        self.group.broadcast(message, self.until())
    }

    /// Whether all ranks say yes.
    pub(super) fn vote(&self, yes: bool) -> Result<bool, GroupError> {
        let votes = self.all_gather(&[u8::from(yes)])?;
        Ok(votes.iter().all(|vote| vote[..] == [1]))
    }
}
