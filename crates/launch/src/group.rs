//! What the ranks of a group do together.

use std::fmt;
use std::time::Instant;

use crate::GroupError;

/// A group of ranks, as one of them sees it. Rank 0 leads.
///
/// `all_gather`, `gather` and `broadcast` are done by all ranks, in the same order, as with any
/// collective; other threads of a rank that call one meanwhile wait for their turn. Messages are
/// small: headers, reports, ids. The longest has `<dyn Group>::MOST_BYTES` bytes.
///
/// # Members that are gone
/// A member is gone when its connection ends, when nothing was heard of it for as long as the group was
/// told to wait, or when its part of an operation did not come in time. Then that operation, or the next
/// one, ends on *every* other member with the same [`GroupError::Lost`]. From then on the member counts
/// no more: operations go on among the others, and its part is empty in what they gather. When the
/// leader is gone, every operation ends with `Lost`.
pub trait Group: fmt::Debug + Send + Sync {
    /// This member's number, below [`Group::size`].
    fn rank(&self) -> u32;

    /// How many members the group began with.
    fn size(&self) -> u32;

    /// The members that this one knows to be gone, in the order in which it was told.
    fn losses(&self) -> Vec<Loss>;

    /// Gives `own` to all, and takes what each member gave, in the order of ranks.
    ///
    /// # Errors
    /// A member is gone, or the leader has not answered in time; `own` is too long.
    fn all_gather(&self, own: &[u8], until: Instant) -> Result<Vec<Vec<u8>>, GroupError>;

    /// Gives `own` to the leader, which takes what each member gave, in the order of ranks. The others
    /// get nothing, once the leader has all.
    ///
    /// # Errors
    /// As [`Group::all_gather`].
    fn gather(&self, own: &[u8], until: Instant) -> Result<Vec<Vec<u8>>, GroupError>;

    /// Takes what the leader gives to all; what others pass as `message` is not looked at.
    ///
    /// # Errors
    /// As [`Group::all_gather`]. The leader does not wait for the others here.
    fn broadcast(&self, message: &[u8], until: Instant) -> Result<Vec<u8>, GroupError>;

    /// Sends a message to one member, of which either it or this one is the leader.
    ///
    /// # Errors
    /// The member is gone, or does not take it for as long as silence makes a member gone; there is no way
    /// to it; the message is too long.
    fn send(&self, to: u32, message: &[u8]) -> Result<(), GroupError>;

    /// Takes the next message that a member sent to this one alone; see [`Group::send`].
    ///
    /// # Errors
    /// The member is gone, no message has come in time, or there is no way to it.
    fn receive(&self, from: u32, until: Instant) -> Result<Vec<u8>, GroupError>;

    /// Leaves the group, and tells the others why. Dropping a group leaves it, too.
    fn leave(&self, why: &str);
}

impl dyn Group {
    /// Bytes of the longest message.
    pub const MOST_BYTES: usize = 1 << 28;
}

/// A member that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Its number.
    pub rank: u32,
    /// How that was noticed, in words.
    pub why: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rank {} is gone: {}", self.rank, self.why)
    }
}
