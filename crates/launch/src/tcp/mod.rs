//! Ranks as processes on any hosts, connected with their leader by TCP.

mod handshake;
mod invitation;
mod leader;
mod member;
mod wire;

use std::time::Duration;

use crate::delegate::group_by_field;
use crate::star::Star;
pub use invitation::Invitation;
pub use leader::TcpLeader;
pub(crate) use member::Attempt;
use wire::TcpWire;

/// A member of a group of processes.
///
/// Two threads serve it: one tells the others from time to time that this rank is there, and one for
/// each connection reads what comes. Who has the token of the group and comes first can be a rank, and
/// nothing is encrypted: it is for networks that one trusts, as those between accelerators are.
#[derive(Debug)]
pub struct TcpGroup(Star<TcpWire>);

group_by_field!(TcpGroup);

/// What all members of a group have to agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupOptions {
    /// Ranks.
    pub size: u32,
    /// How long nothing may be heard of a member until it is gone. A process that ends is missed at
    /// once; this is for those that stand still and hosts that lose their network.
    pub silence: Duration,
}
