//! How the ranks of a group find each other, and the small control messages between them.
//!
//! A [`Group`] is what one rank sees of it: its number, how many there are, and a few operations that all
//! ranks do together. Rank 0 is the leader, and all messages go to it or come from it. There are three:
//!
//! - [`ThreadGroup`]: ranks are threads of one process;
//! - [`TcpGroup`]: ranks are processes on any hosts. They meet by an [`Invitation`] that the engine
//!   carries as bytes ([`TcpLeader`], [`TcpGroup::join`]), by one in a file that all can read
//!   ([`meet_by_file`]), or by a [`RankTable`] ([`meet_by_table`]);
//! - `MpiGroup`, with the feature `mpi`: ranks are the processes of an MPI job.
//!
//! Nothing here carries weights: those move by devices' own libraries and memory. Every wait has a
//! deadline, and a member that is gone is told as such to all others at the same operation.

#![forbid(unsafe_code)]

mod delegate;
mod error;
mod file;
mod frame;
mod group;
mod mailbox;
#[cfg(feature = "mpi")]
mod mpi;
mod star;
mod table;
mod tcp;
mod threads;
mod wire;

pub use error::{GroupError, JoinError};
pub use file::meet_by_file;
pub use group::{Group, Loss};
#[cfg(feature = "mpi")]
pub use mpi::{MpiCarried, MpiGroup, MpiJob, MpiLinks};
pub use table::{RankEntry, RankTable, TableError, meet_by_table};
pub use tcp::{GroupOptions, Invitation, TcpGroup, TcpLeader};
pub use threads::ThreadGroup;
