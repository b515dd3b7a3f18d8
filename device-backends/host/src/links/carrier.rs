//! What carries bytes between processes where the program that embeds the backend has its own means.

use std::fmt::Debug;

use thiserror::Error;

/// Carries messages between the processes of a group, for [`Links::Given`](crate::Links::Given).
///
/// Every process of the group makes one [`HostBackend`](crate::HostBackend) and gives it its end of the
/// carrier. Processes are numbered from zero and differ from the ranks of communicators: a process can
/// hold several of these, or none.
///
/// # Contract
///
/// - **Threads.** The backend moves the carrier to a thread of its own and makes all calls there, one at a
///   time, from its first call to the drop. So no lock is needed for the carrier's own sake; what it shares
///   with other threads of the program (a library that allows one thread at a time) it guards itself.
/// - **No waiting.** No method waits for another process. `send` keeps the bytes until they are gone, in
///   whatever queue it needs: the backend bounds what is under way, to a few messages for each pair of ranks
///   that move something, of at most [`MOST_MESSAGE_BYTES`] each.
/// - **Order.** Messages from one process to another arrive whole, once, and in the order in which they
///   were sent. Nothing is promised between other pairs.
/// - **The end.** What `send` took is delivered unless a process dies: a drop sees to what is still in its
///   queues, for a bounded time.
/// - **Failures.** A process that is lost is named once by an error, of either method, with
///   [`CarrierError::process`] set; the backend then fails the work of ranks there and calls go on for the
///   others. An error without a process ends all: the backend drops the carrier.
pub trait Carrier: Send + Debug {
    /// The number of this process; constant.
    fn process(&self) -> u32;

    /// The number of processes in the group; constant, at least one.
    fn processes(&self) -> u32;

    /// Sends a message to another process; never to the own one.
    ///
    /// # Errors
    ///
    /// The process, or all of them, can't be reached any more.
    fn send(&mut self, to: u32, message: Vec<u8>) -> Result<(), CarrierError>;

    /// Takes the next message that has come, if one has, and the process that it is from.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    fn poll_receive(&mut self) -> Result<Option<(u32, Vec<u8>)>, CarrierError>;
}

/// The largest message that a [`Carrier`] is given, in bytes.
pub const MOST_MESSAGE_BYTES: usize = 1 << 20;

/// What a carrier can't do any more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct CarrierError {
    /// The process that can't be reached; `None` for all of them.
    pub process: Option<u32>,
    /// What has happened, for the error of the work that it ends.
    pub text: String,
}
