//! Why ranks did not come together, or no longer are.

use std::path::PathBuf;

use thiserror::Error;

use crate::{Loss, TableError};

/// Why an operation of a group has no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// Members are gone. All that are left are told so at the same operation, and may go on.
    #[error("{}", listed(losses))]
    Lost {
        /// Those that are told now; never empty.
        losses: Vec<Loss>,
    },
    /// The leader is there, and has not said what became of an operation.
    #[error("rank {rank} has not answered in time, though it is there: some rank is slow or stuck")]
    Late {
        /// The member that was waited for.
        rank: u32,
    },
    /// Messages go to the leader and come from it.
    #[error("there is no way from rank {from} to rank {to}: send to rank 0, or all-gather")]
    NoWay {
        /// The sender.
        from: u32,
        /// The receiver.
        to: u32,
    },
    /// A message that is no control message.
    #[error("a message of {bytes} bytes; allowed: at most {most}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// What is allowed.
        most: usize,
    },
    /// This member has left.
    #[error("this rank has left the group")]
    Left,
}

/// Why a rank has no group.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A number that no rank of the group has.
    #[error("rank {rank} is not allowed; allowed: 0 to {}, the group has {size} ranks", size.saturating_sub(1))]
    Rank {
        /// The number.
        rank: u32,
        /// Ranks of the group.
        size: u32,
    },
    /// An address that can't be listened at or connected to.
    #[error("address {address}: {problem}")]
    Address {
        /// As given.
        address: String,
        /// What is wrong.
        problem: String,
    },
    /// Bytes that are no invitation.
    #[error("these bytes are no invitation to a group: {problem}")]
    Invitation {
        /// What is wrong.
        problem: String,
    },
    /// The file that ranks meet by.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The table that ranks meet by.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Ranks that did not come.
    #[error(
        "{} did not come within {seconds} s{}; start all ranks, or allow more time",
        numbered(ranks),
        Strangers(*strangers)
    )]
    Missing {
        /// Their numbers.
        ranks: Vec<u32>,
        /// How long the leader waited.
        seconds: f64,
        /// Connections that spoke otherwise than a rank does, and were closed.
        strangers: u32,
    },
    /// No leader to be found.
    #[error("no leader at {place} within {seconds} s: {last}; is rank 0 running?")]
    NoLeader {
        /// Its address, or the file that should hold it.
        place: String,
        /// How long was tried.
        seconds: f64,
        /// How the last attempt ended.
        last: String,
    },
    /// The leader does not want this rank.
    #[error("the leader at {address} refused this rank: {reason}")]
    Refused {
        /// The leader.
        address: String,
        /// Why.
        reason: String,
    },
    /// A thread can't be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// MPI.
    #[error("MPI: {problem}")]
    Mpi {
        /// What is wrong.
        problem: String,
    },
}

fn listed(losses: &[Loss]) -> String {
    losses.iter().map(Loss::to_string).collect::<Vec<_>>().join("; ")
}

/// "rank 3", or "ranks 3, 5".
fn numbered(ranks: &[u32]) -> String {
    let numbers: Vec<_> = ranks.iter().map(u32::to_string).collect();
    format!("rank{} {}", if ranks.len() == 1 { "" } else { "s" }, numbers.join(", "))
}

/// Said only where there were any.
struct Strangers(u32);

impl std::fmt::Display for Strangers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => formatter.write_str(" (one stranger was turned away)"),
            strangers => write!(formatter, " ({strangers} strangers were turned away)"),
        }
    }
}
