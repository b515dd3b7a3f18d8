//! What carries frames between a member and those that it is connected with.

use std::fmt::Debug;
use std::time::Duration;

use crate::Loss;
use crate::frame::Frame;
use crate::mailbox::Mailbox;

/// A member's connections: to the leader, or the leader's to all others.
pub(crate) trait Wire: Debug + Send + Sync {
    /// Where frames arrive, and where it says who is gone.
    fn mailbox(&self) -> &Mailbox;

    /// How long nothing may be heard of a member until it is gone.
    fn silence(&self) -> Duration;

    /// Sends a frame. One that can't be sent means that the member is gone, which the mailbox then says.
    fn send(&self, to: u32, frame: &Frame);

    /// Ends the connection with one member; what it sends is not heard any more.
    fn cut(&self, rank: u32, why: &str);

    /// The leader has told that a member is gone, perhaps one that this one has no connection with.
    fn lost(&self, _loss: &Loss) {}
}
