//! Rounds of sends and receives, with ranks of this process and of others.

use eplb_device::Result;

use crate::access::AccessTable;
use crate::gate::Stop;
use crate::hub::{Hub, HubState, Offer, Posted};
use crate::links::{
    Label, LetterName, MOST_PIECE_BYTES, Payload, ReceiverStep, SenderStep, mismatch,
};

/// One rank's part of a round.
pub(crate) struct Round {
    pub(crate) hub: Hub,
    pub(crate) access: AccessTable,
    pub(crate) rank: u32,
    pub(crate) label: Label,
    /// Bytes that may be on their way to this rank, of one letter from another process.
    pub(crate) window: u64,
    pub(crate) sends: Vec<(LetterName, Offer)>,
    pub(crate) receives: Vec<(LetterName, Offer)>,
}

/// One letter of the round.
struct Part {
    name: LetterName,
    offer: Offer,
    elsewhere: bool,
    /// Bytes that went or came, once something has.
    moved: Option<usize>,
    over: bool,
}

/// What the rank does next; numbers are places in the lists.
enum Step {
    Copy(usize, Offer, Label),
    Store(usize, Payload),
    Send(usize, u64),
    EndReceive(usize, Result<()>),
    EndSend(usize, Result<()>),
    Over,
}

impl Round {
    /// Offers all sends, takes all receives as they come, and waits until the sends were taken.
    pub(crate) fn run(mut self, stop: &Stop) -> Result<()> {
        let (sends, receives) =
            (std::mem::take(&mut self.sends), std::mem::take(&mut self.receives));
        let (mut sends, mut receives) = self.hub.change(|state| {
            let mut sends = parts(state, sends, |name| name.to);
            let receives = parts(state, receives, |name| name.from);
            self.open(state, &mut sends, &receives);
            (sends, receives)
        });
        let result = self.serve(stop, &mut sends, &mut receives);
        let closed = self.close(&sends, &receives, &result);
        result.and(closed)
    }

    fn open(&self, state: &mut HubState, sends: &mut [Part], receives: &[Part]) {
        for part in sends {
            if part.elsewhere {
                state.mail.open_outgoing(part.name, self.label, part.offer.bytes as u64);
            } else {
                let posted = Posted::Offered(part.offer.clone(), self.label);
                state.posted.insert(part.name, posted);
            }
        }
        for part in receives.iter().filter(|part| part.elsewhere) {
            let bytes = part.offer.bytes as u64;
            state.mail.open_incoming(part.name, self.label, bytes, self.window);
        }
    }

    fn serve(&self, stop: &Stop, sends: &mut [Part], receives: &mut [Part]) -> Result<()> {
        let operation = self.label.operation();
        // A mistake of one pair does not leave others waiting: the rest is done all the same; once
        // given up, each wait ends at once.
        let mut result = Ok(());
        loop {
            let step = self.hub.wait(operation, self.rank, stop, |state| {
                let receiving = receives.iter().enumerate().filter(|(_, part)| !part.over);
                let mut steps =
                    receiving.filter_map(|(index, part)| self.next_of_receive(state, index, part));
                if let Some(step) = steps.next() {
                    return Some(step);
                }
                drop(steps);
                let sending = sends.iter().enumerate().filter(|(_, part)| !part.over);
                let mut steps =
                    sending.filter_map(|(index, part)| next_of_send(state, index, part));
                if let Some(step) = steps.next() {
                    return Some(step);
                }
                drop(steps);
                let mut all = sends.iter().chain(receives.iter());
                all.all(|part| part.over).then_some(Step::Over)
            });
            let step = match step {
                Ok(step) => step,
                // What went wrong first is what the work is told to have ended by.
                Err(error) => return result.and(Err(error)),
            };
            let done = match step {
                Step::Over => return result,
                Step::Copy(index, offer, label) => {
                    self.copy_here(stop, &mut receives[index], offer, label)
                }
                Step::Store(index, piece) => self.store(stop, &mut receives[index], &piece),
                Step::Send(index, granted) => self.send(stop, &mut sends[index], granted),
                Step::EndReceive(index, done) => self.end_receive(&mut receives[index], done),
                Step::EndSend(index, done) => self.end_send(&mut sends[index], done),
            };
            result = result.and(done);
        }
    }

    fn next_of_receive(&self, state: &mut HubState, index: usize, part: &Part) -> Option<Step> {
        if part.elsewhere {
            return state.mail.receiver_step(part.name, self.label).map(|step| match step {
                ReceiverStep::Take(piece) => Step::Store(index, piece),
                ReceiverStep::End(error) => Step::EndReceive(index, Err(error)),
            });
        }
        let posted = state.posted.get_mut(&part.name)?;
        match std::mem::replace(posted, Posted::Copying) {
            Posted::Offered(offer, label) => Some(Step::Copy(index, offer, label)),
            other => {
                *posted = other;
                None
            }
        }
    }

    /// Takes a letter of another rank of this process.
    fn copy_here(&self, stop: &Stop, part: &mut Part, offer: Offer, label: Label) -> Result<()> {
        let (sent, wanted) = (offer.bytes as u64, part.offer.bytes as u64);
        let result = if (label, sent) != (self.label, wanted) {
            Err(mismatch(part.name, (label, sent), (self.label, wanted)))
        } else if offer.bytes == 0 || offer.address == part.offer.address {
            Ok(())
        } else {
            // SAFETY: both ranges are held, by the offer and by this rank's own task; the sender waits
            // until the letter is delivered. The safe layer has checked that they are apart.
            unsafe { self.access.copy(stop, part.offer.address, offer.address, offer.bytes) }
        };
        // The sender may free its memory once it sees the delivery.
        drop(offer);
        self.hub.change(|state| {
            state.posted.insert(part.name, Posted::Delivered(result.clone()));
        });
        part.over = true;
        result
    }

    /// Stores what has come of a letter from another process.
    fn store(&self, stop: &Stop, part: &mut Part, piece: &Payload) -> Result<()> {
        let bytes = piece.bytes();
        let before = part.moved.unwrap_or(0);
        let stored = if bytes.is_empty() {
            Ok(())
        } else {
            let place = part.offer.address + before;
            self.access.writing(stop, place, bytes.len(), || {
                // SAFETY: the mail takes in no more than was asked for, which is the part's range; that
                // is held by this rank's task, and others are kept off by the table. The bytes that came
                // are a vector of their own.
                unsafe {
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), place as *mut u8, bytes.len());
                }
                Ok(())
            })
        };
        if let Err(error) = stored {
            return self.end_receive(part, Err(error));
        }
        let moved = before + bytes.len();
        part.moved = Some(moved);
        if moved == part.offer.bytes {
            return self.end_receive(part, Ok(()));
        }
        let want = (self.label, part.offer.bytes as u64);
        self.hub.look(|state| {
            state.mail.ask_for_more(part.name, want, moved as u64, self.window);
        });
        Ok(())
    }

    fn end_receive(&self, part: &mut Part, done: Result<()>) -> Result<()> {
        part.over = true;
        self.hub.look(|state| state.mail.close_incoming(part.name, done.as_ref().err()));
        done
    }

    /// Sends pieces of a letter for another process, up to what was granted.
    fn send(&self, stop: &Stop, part: &mut Part, granted: u64) -> Result<()> {
        let granted = usize::try_from(granted).unwrap_or(usize::MAX).min(part.offer.bytes);
        let mut sent = part.moved.unwrap_or(0);
        loop {
            let length = (granted - sent).min(self.piece_bytes());
            let way = self.hub.look(|state| state.mail.piece(part.name, sent as u64));
            // Without a way the next look at the letter says why.
            let Some((way, envelope)) = way else { return Ok(()) };
            let Ok(mut message) = envelope.write(length) else { return Ok(()) };
            if length > 0 {
                let address = part.offer.address + sent;
                let read = self.access.reading(stop, address, length, || {
                    // SAFETY: the range is a part of the offer, which this rank's task holds; writers
                    // are kept off by the table while this reads.
                    let bytes = unsafe { std::slice::from_raw_parts(address as *const u8, length) };
                    message.extend_from_slice(bytes);
                    Ok(())
                });
                if let Err(error) = read {
                    return self.end_send(part, Err(error));
                }
            }
            way.send_bytes(message);
            sent += length;
            part.moved = Some(sent);
            if sent == granted {
                return Ok(());
            }
        }
    }

    fn end_send(&self, part: &mut Part, done: Result<()>) -> Result<()> {
        part.over = true;
        self.hub.look(|state| {
            if part.elsewhere {
                state.mail.close_outgoing(part.name, done.as_ref().err());
            } else {
                state.posted.remove(&part.name);
            }
        });
        done
    }

    fn piece_bytes(&self) -> usize {
        usize::try_from(self.window / 2).unwrap_or(usize::MAX).clamp(1, MOST_PIECE_BYTES)
    }

    /// Takes back what is left after the rank gave up. Letters that are being copied are waited for.
    fn close(&self, sends: &[Part], receives: &[Part], result: &Result<()>) -> Result<()> {
        let failure = result.as_ref().err();
        self.hub.change(|state| {
            for part in receives.iter().filter(|part| part.elsewhere && !part.over) {
                state.mail.close_incoming(part.name, failure);
            }
            for part in sends.iter().filter(|part| part.elsewhere && !part.over) {
                state.mail.close_outgoing(part.name, failure);
            }
        });
        let here = sends.iter().filter(|part| !part.elsewhere && !part.over);
        here.map(|part| {
            self.hub.wait_shortly(|state| match state.posted.get(&part.name) {
                Some(Posted::Copying) => None,
                _ => Some(match state.posted.remove(&part.name) {
                    Some(Posted::Delivered(delivered)) => delivered,
                    _ => Ok(()),
                }),
            })
        })
        .fold(Ok(()), Result::and)
    }
}

fn parts(
    state: &HubState,
    letters: Vec<(LetterName, Offer)>,
    other: impl Fn(&LetterName) -> u32,
) -> Vec<Part> {
    let part = |(name, offer): (LetterName, Offer)| {
        let elsewhere = state.is_elsewhere(other(&name));
        Part { name, offer, elsewhere, moved: None, over: false }
    };
    letters.into_iter().map(part).collect()
}

fn next_of_send(state: &mut HubState, index: usize, part: &Part) -> Option<Step> {
    if part.elsewhere {
        let sent = part.moved.map(|moved| moved as u64);
        return state.mail.sender_step(part.name, sent).map(|step| match step {
            SenderStep::Send { granted } => Step::Send(index, granted),
            SenderStep::End(done) => Step::EndSend(index, done),
        });
    }
    match state.posted.get(&part.name) {
        Some(Posted::Delivered(delivered)) => Some(Step::EndSend(index, delivered.clone())),
        _ => None,
    }
}
