//! The collective transport: experts travel by packed rounds of a communicator.
//!
//! Where two ranks can't use peer memory, or the configuration asks for it, slots are packed into one
//! buffer for each rank that gets some, sent in rounds in which all pairs progress together, and
//! unpacked where they belong. Everything is polled. All collective work is on a stream of its own, so that a round that
//! never ends holds up nothing else: neither the engine's stream nor the copies of peer memory.
//!
//! Ranks have to meet for rounds in the same order:
//!
//! - every rank takes changes in the order of their tokens, one after the other, however many are in flight;
//! - before the rounds of a change comes a **roll call**, a small all-gather in which every rank says
//!   for which token it is there, a digest of what it is about to do, and whether it can take part. Rounds follow only
//!   if all say the same. A rank that has said so goes through with them whatever happens: a change that was given up
//!   meanwhile, or failed here, leaves the others no worse, and its bytes are used by nobody;
//! - ranks that meet with different tokens go on with the newest: what is older is over for somebody.
//!
//! What a rank can't know is whether the others come. So each wait has a number that a clock outside can
//! watch and end ([`CollectiveWatch`]). Then, and after any call whose work may be queued or not, this rank's order
//! against the others is unknown, and the transport is lost: the communicator is aborted where it is ours
//! and can be, and what it holds is otherwise kept until it ends by itself. Peer memory goes on.

mod board;
mod choice;
mod entry;
mod gathering;
mod greeting;
mod group;
mod job;
mod rooms;
mod rounds;
mod steps;
mod transport;
mod transports;
mod verdict;
mod watch;

pub use board::TransportBoard;
pub use choice::TransportChoice;
pub(crate) use entry::Standing;
pub(crate) use greeting::Settings;
pub(crate) use group::Group;
pub(crate) use job::Job;
pub(crate) use rooms::Reserved;
pub(crate) use transport::CollectiveTransport;
pub use transports::{
    CollectiveFigures, CollectiveState, PairTransport, Reach, Transport, Transports,
};
pub use watch::{CollectiveWait, CollectiveWatch};
