//! Ranks as threads of one process.

use std::sync::Arc;
use std::time::Duration;

use crate::delegate::group_by_field;
use crate::frame::Frame;
use crate::mailbox::Mailbox;
use crate::star::{LEADER, Star};
use crate::wire::Wire;

/// A member of a group of threads. A thread that ends drops it, by which it leaves.
#[derive(Debug)]
pub struct ThreadGroup(Star<ThreadWire>);

impl ThreadGroup {
    /// All members of a group, in the order of ranks. A member's leader has `patience` longer than the
    /// member's own deadline to say what became of an operation.
    pub fn of(size: u32, patience: Duration) -> Vec<Self> {
        let mailbox = |rank| match rank {
            LEADER => Mailbox::new(1..size),
            _ => Mailbox::new(std::iter::once(LEADER)),
        };
        let mailboxes: Arc<[_]> = (0..size).map(mailbox).collect();
        let member = |rank| {
            let wire = ThreadWire { rank, mailboxes: Arc::clone(&mailboxes), patience };
            Self(Star::new(rank, size, wire))
        };
        (0..size).map(member).collect()
    }
}

/// The mailboxes of all members.
#[derive(Debug)]
struct ThreadWire {
    rank: u32,
    mailboxes: Arc<[Mailbox]>,
    patience: Duration,
}

impl Wire for ThreadWire {
    fn mailbox(&self) -> &Mailbox {
        &self.mailboxes[self.rank as usize]
    }

    fn silence(&self) -> Duration {
        self.patience
    }

    fn send(&self, to: u32, frame: &Frame) {
        if let Some(mailbox) = self.mailboxes.get(to as usize) {
            mailbox.deliver(self.rank, frame.clone());
        }
    }

    fn cut(&self, rank: u32, why: &str) {
        self.mailbox().end(rank, why);
    }
}

group_by_field!(ThreadGroup);
