//! The way to one rank in another process.

use crossbeam::channel::Sender;

use super::connection::Connection;
use super::message::Envelope;

/// Takes messages for one rank, in order. Nothing waits here: what is under way is bounded by what the
/// other rank has asked for.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// By a connection of its own.
    Tcp(Connection),
    /// By the carrier, to a process.
    Carried { process: u32, carrier: Sender<(u32, Vec<u8>)> },
}

impl Way {
    /// Sends a message. A way that is closed takes it to nowhere: its reader, or the carrier, tells.
    pub(crate) fn send(&self, envelope: &Envelope) {
        if let Ok(message) = envelope.write(0) {
            self.send_bytes(message);
        }
    }

    /// Sends a message that is written already.
    pub(crate) fn send_bytes(&self, message: Vec<u8>) {
        match self {
            Self::Tcp(connection) => connection.send(message),
            Self::Carried { process, carrier } => {
                // The thread that would take it has gone, and has told why.
                let _ = carrier.send((*process, message));
            }
        }
    }
}
