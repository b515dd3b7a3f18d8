//! Tickets: words in memory that other processes read, to know whether an export still stands.
//!
//! A process that copies exported memory of another one cannot hold that memory: it may be freed and be
//! somebody else's while its bytes are on their way. So each export has a ticket, which is torn before the
//! memory may go, and which importers read after the bytes: a whole ticket then says that these were the
//! right ones.

use std::sync::atomic::{AtomicU64, Ordering};

/// Words of a ticket: the two of the backend's nonce, and the number of the export.
pub(crate) const TICKET_WORDS: usize = 3;

/// Tickets on one page, so that they are few allocations.
const PER_PAGE: usize = 128;

/// What a whole ticket holds.
pub(crate) type TicketWords = [u64; TICKET_WORDS];

/// Words that other processes read.
type Ticket = [AtomicU64; TICKET_WORDS];

/// The tickets of a backend. None is ever moved; all are torn when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    pages: Vec<Box<[Ticket]>>,
    free: Vec<usize>,
}

/// One ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TicketNumber(usize);

impl Tickets {
    pub(crate) fn issue(&mut self, words: TicketWords) -> TicketNumber {
        if self.free.is_empty() {
            let first = self.pages.len() * PER_PAGE;
            self.pages.push((0..PER_PAGE).map(|_| Ticket::default()).collect());
            self.free.extend((first..first + PER_PAGE).rev());
        }
        // There is one: the page above is not empty.
        let number = TicketNumber(self.free.pop().unwrap_or_default());
        for (word, value) in self.words(number).iter().zip(words) {
            word.store(value, Ordering::SeqCst);
        }
        number
    }

    /// Where importers find the ticket.
    pub(crate) fn address(&self, number: TicketNumber) -> usize {
        self.words(number).as_ptr() as usize
    }

    /// Tears a ticket. Only after this may its memory be freed.
    pub(crate) fn tear(&mut self, number: TicketNumber) {
        tear(self.words(number));
        self.free.push(number.0);
    }

    fn words(&self, TicketNumber(number): TicketNumber) -> &Ticket {
        &self.pages[number / PER_PAGE][number % PER_PAGE]
    }
}

impl Drop for Tickets {
    fn drop(&mut self) {
        // What is freed keeps its bytes for a while.
        self.pages.iter().flat_map(|page| page.iter()).for_each(tear);
    }
}

fn tear(words: &Ticket) {
    for word in words {
        word.store(0, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tickets: &Tickets, number: TicketNumber) -> TicketWords {
        std::array::from_fn(|index| tickets.words(number)[index].load(Ordering::SeqCst))
    }

    #[test]
    fn tickets_are_whole_until_they_are_torn_and_never_move() {
        let mut tickets = Tickets::default();
        let first = tickets.issue([1, 2, 3]);
        let address = tickets.address(first);
        let others: Vec<TicketNumber> =
            (0..3 * PER_PAGE as u64).map(|index| tickets.issue([1, 2, index])).collect();
        assert_eq!((tickets.address(first), read(&tickets, first)), (address, [1, 2, 3]));
        tickets.tear(first);
        assert_eq!(read(&tickets, first), [0; 3]);
        assert_eq!(tickets.issue([4, 5, 6]), first);
        for (index, other) in others.into_iter().enumerate() {
            assert_eq!(read(&tickets, other), [1, 2, index as u64]);
        }
    }
}
