//! Rounds of sends and receives.

use eplb_device::{DeviceError, Result};

use crate::access::AccessTable;
use crate::error::invalid;
use crate::gate::Stop;
use crate::hub::{Hub, Letter, LetterKey, Offer};

/// One rank's part of a round.
pub(crate) struct Round {
    pub(crate) hub: Hub,
    pub(crate) access: AccessTable,
    pub(crate) rank: u32,
    pub(crate) sends: Vec<(LetterKey, Offer)>,
    pub(crate) receives: Vec<(LetterKey, Offer)>,
}

impl Round {
    /// Posts all sends, takes all receives as they come, and waits until the sends were taken.
    pub(crate) fn run(self, stop: &Stop) -> Result<()> {
        let sent: Vec<LetterKey> = self.sends.iter().map(|(key, _)| *key).collect();
        self.hub.change(|state| {
            for (key, offer) in self.sends {
                state.letters.insert(key, Letter::Posted(offer));
            }
        });
        let mut result = Ok(());
        for (key, place) in self.receives {
            // Later receives are taken also after a mismatch, so that one pair's mistake does not
            // leave others waiting; once given up, each of them ends at once.
            let received = receive(&self.hub, &self.access, self.rank, stop, key, &place);
            result = result.and(received);
        }
        for key in sent {
            result = result.and(end_send(&self.hub, self.rank, stop, key));
        }
        result
    }
}

fn receive(
    hub: &Hub,
    access: &AccessTable,
    rank: u32,
    stop: &Stop,
    key: LetterKey,
    place: &Offer,
) -> Result<()> {
    let offer = hub.wait("exchange", rank, stop, |state| {
        let letter = state.letters.get_mut(&key)?;
        match std::mem::replace(letter, Letter::Copying) {
            Letter::Posted(offer) => Some(offer),
            other => {
                *letter = other;
                None
            }
        }
    })?;
    let result = if offer.bytes == place.bytes {
        // SAFETY: both ranges are held, by the offer and by this rank's own task; the sender waits
        // until the letter is delivered. The safe layer has checked that they are apart.
        unsafe { access.copy(stop, place.address, offer.address, offer.bytes) }
    } else {
        Err(mismatch(key, offer.bytes, place.bytes))
    };
    // The sender may free its memory once it sees the delivery.
    drop(offer);
    hub.change(|state| {
        state.letters.insert(key, Letter::Delivered(result.clone()));
    });
    result
}

/// Waits until a letter was taken, or takes it back.
fn end_send(hub: &Hub, rank: u32, stop: &Stop, key: LetterKey) -> Result<()> {
    let taken = hub.wait("exchange", rank, stop, |state| {
        matches!(state.letters.get(&key), Some(Letter::Delivered(_))).then_some(())
    });
    hub.wait_shortly(|state| match state.letters.get(&key) {
        Some(Letter::Copying) => None,
        _ => Some(match state.letters.remove(&key) {
            Some(Letter::Delivered(result)) => result,
            _ => taken.clone(),
        }),
    })
}

fn mismatch((from, to, _): LetterKey, sent: usize, expected: usize) -> DeviceError {
    invalid(
        "exchange",
        format!(
            "rank {from} sends {sent} bytes and rank {to} receives {expected}; \
             both have to be equal"
        ),
    )
}
