//! Links between all processes of an MPI job, for data.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::wire::{Outgoing, Shared};
use crate::Loss;

/// Carries messages of any content between all processes of a job, in order for each pair.
#[derive(Debug)]
pub struct MpiLinks {
    rank: u32,
    size: u32,
    shared: Arc<Shared>,
    orders: Sender<Outgoing>,
    /// Losses that were told.
    told: usize,
}

/// What has come over the links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MpiCarried {
    /// A message.
    Message {
        /// Who sent it.
        from: u32,
        /// What it sent.
        bytes: Vec<u8>,
    },
    /// A process is gone; each is told once.
    Lost(Loss),
}

impl MpiLinks {
    pub(super) fn new(rank: u32, size: u32, shared: Arc<Shared>, orders: Sender<Outgoing>) -> Self {
        Self { rank, size, shared, orders, told: 0 }
    }

    /// This process's number.
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// Processes of the job.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Sends a message, without waiting for it to go. What is sent to a process that is gone is dropped.
    ///
    /// # Errors
    /// MPI is over in this process; the message is given back.
    pub fn send(&self, to: u32, bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        self.orders.send(Outgoing::Carried { to, bytes }).map_err(|error| match error.0 {
            Outgoing::Carried { bytes, .. } => bytes,
            _ => Vec::new(),
        })
    }

    /// What has come next, if anything has.
    pub fn poll(&mut self) -> Option<MpiCarried> {
        let mut carried = self.shared.carried();
        if let Some((from, bytes)) = carried.messages.pop_front() {
            return Some(MpiCarried::Message { from, bytes });
        }
        let loss = carried.losses.get(self.told).cloned()?;
        self.told += 1;
        Some(MpiCarried::Lost(loss))
    }
}
