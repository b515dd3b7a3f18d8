//! Letters between ranks here and ranks elsewhere: what was asked for, what has come, and on which way.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque, btree_map};

use eplb_device::{DeviceError, ErrorKind, Result};

use super::message::{Envelope, Failure, Label, Letter, Message, Payload};
use super::way::Way;
use crate::error::{aborted, invalid};
use crate::peer::Nonce;

/// Letters that may be asked for before their senders come to them: far more than ranks queue ahead.
const MOST_EARLY: usize = 1 << 16;

/// A letter, its sender and its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LetterName {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) letter: Letter,
}

/// The link between a rank here and one elsewhere.
#[derive(Debug, Default)]
struct Link {
    /// None while it is being made, or after messages that came before it was.
    way: Option<Way>,
    standing: Standing,
    seen: bool,
}

#[derive(Clone, Debug, Default)]
enum Standing {
    #[default]
    Open,
    /// The other rank has given up.
    Aborted,
    /// The other rank is done.
    Left,
    /// Its process, or the connection, has gone.
    Lost(String),
}

/// A letter that a rank here sends.
#[derive(Debug)]
struct Outgoing {
    label: Label,
    bytes: u64,
    granted: Option<u64>,
    done: Option<Result<()>>,
}

/// What a receiver elsewhere wants.
#[derive(Clone, Copy, Debug)]
struct Want {
    label: Label,
    bytes: u64,
    granted: u64,
}

/// A letter that a rank here receives.
#[derive(Debug)]
struct Incoming {
    pieces: VecDeque<Payload>,
    /// Empty letters come, too.
    begun: bool,
    come: u64,
    granted: u64,
    withheld: Option<DeviceError>,
}

/// A message that only a broken or hostile peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation;

/// The mail of one communicator in one process.
#[derive(Debug)]
pub(crate) struct Mail {
    key: Nonce,
    /// By the rank here and the one elsewhere.
    links: BTreeMap<(u32, u32), Link>,
    outgoing: HashMap<LetterName, Outgoing>,
    early: HashMap<LetterName, Want>,
    incoming: HashMap<LetterName, Incoming>,
}

/// What the sender of a letter does next.
#[derive(Debug)]
pub(crate) enum SenderStep {
    /// Sends what it may, up to here.
    Send {
        granted: u64,
    },
    End(Result<()>),
}

/// What the receiver of a letter does next.
#[derive(Debug)]
pub(crate) enum ReceiverStep {
    Take(Payload),
    End(DeviceError),
}

impl Mail {
    pub(crate) fn new(key: Nonce) -> Self {
        Self {
            key,
            links: BTreeMap::new(),
            outgoing: HashMap::new(),
            early: HashMap::new(),
            incoming: HashMap::new(),
        }
    }

    // --- links

    /// Keeps the place for a link that is about to be made; there can be one only.
    pub(crate) fn reserve(&mut self, own: u32, peer: u32) -> bool {
        match self.links.entry((own, peer)) {
            btree_map::Entry::Vacant(place) => {
                place.insert(Link::default());
                true
            }
            btree_map::Entry::Occupied(_) => false,
        }
    }

    /// The link that was reserved was not made after all.
    pub(crate) fn release(&mut self, own: u32, peer: u32) {
        self.links.remove(&(own, peer));
    }

    pub(crate) fn add_link(&mut self, own: u32, peer: u32, way: Way) {
        self.links.entry((own, peer)).or_default().way = Some(way);
    }

    pub(crate) fn is_linked(&self, own: u32, peer: u32) -> bool {
        self.links.get(&(own, peer)).is_some_and(|link| link.way.is_some())
    }

    /// Sends to all ranks elsewhere that a rank here is linked with.
    pub(crate) fn tell_all(&self, own: u32, message: &Message) {
        for (peer, link) in self.links_of(own) {
            if let Some(way) = &link.way {
                way.send(&self.envelope(own, peer, message.clone()));
            }
        }
    }

    /// Whether all have heard the farewell of a rank here, or are past hearing it.
    pub(crate) fn farewell_was_seen(&self, own: u32) -> bool {
        let over = |link: &Link| link.seen || !matches!(link.standing, Standing::Open);
        self.links_of(own).all(|(_, link)| link.way.is_none() || over(link))
    }

    /// Takes out all links of a rank here.
    pub(crate) fn unlink(&mut self, own: u32) {
        self.links.retain(|(here, _), _| *here != own);
        self.early.retain(|name, _| name.from != own);
    }

    /// What a rank here noticed of the others by itself.
    pub(crate) fn trouble(&self, own: u32) -> Option<DeviceError> {
        self.links_of(own).find_map(|(peer, link)| match &link.standing {
            Standing::Lost(text) => {
                let text = format!("rank {peer}: {text}");
                Some(DeviceError::new(ErrorKind::Failed, "async_error", text))
            }
            Standing::Aborted => Some(aborted("async_error", has_aborted(peer))),
            Standing::Open | Standing::Left => None,
        })
    }

    /// The connection to a rank elsewhere, or its process, has gone.
    pub(crate) fn lose(&mut self, own: u32, peer: u32, text: &str) {
        if self.links.contains_key(&(own, peer)) {
            self.stand(own, peer, Standing::Lost(text.to_owned()));
        }
    }

    /// A process that the carrier reached has gone, or all of them.
    pub(crate) fn lose_process(&mut self, lost: Option<u32>, text: &str) {
        let of_process = |way: &Option<Way>| match way {
            Some(Way::Carried { process, .. }) => lost.is_none_or(|lost| lost == *process),
            _ => false,
        };
        let links = self.links.iter().filter(|(_, link)| of_process(&link.way));
        let lost: Vec<(u32, u32)> = links.map(|(ranks, _)| *ranks).collect();
        for (own, peer) in lost {
            self.lose(own, peer, text);
        }
    }

    fn links_of(&self, own: u32) -> impl Iterator<Item = (u32, &Link)> {
        self.links.range((own, 0)..=(own, u32::MAX)).map(|((_, peer), link)| (*peer, link))
    }

    fn envelope(&self, from: u32, to: u32, message: Message) -> Envelope {
        Envelope { key: self.key, from, to, message }
    }

    fn tell(&self, own: u32, peer: u32, message: Message) {
        if let Some(Link { way: Some(way), .. }) = self.links.get(&(own, peer)) {
            way.send(&self.envelope(own, peer, message));
        }
    }

    /// Why nothing more comes from a rank, if so.
    fn end_of(&self, own: u32, peer: u32, operation: &'static str) -> Option<DeviceError> {
        match self.links.get(&(own, peer)).map(|link| &link.standing) {
            Some(Standing::Open) => None,
            Some(Standing::Aborted) => Some(aborted(operation, has_aborted(peer))),
            Some(Standing::Left) => {
                let text = format!("rank {peer} has left the communicator");
                Some(invalid(operation, text))
            }
            Some(Standing::Lost(text)) => {
                let text = format!("rank {peer}: {text}");
                Some(DeviceError::new(ErrorKind::Failed, operation, text))
            }
            None => Some(invalid(operation, format!("there is no link to rank {peer}"))),
        }
    }

    // --- sending

    /// A rank here comes to a letter for one elsewhere.
    pub(crate) fn open_outgoing(&mut self, name: LetterName, label: Label, bytes: u64) {
        let letter = Outgoing { label, bytes, granted: None, done: None };
        self.outgoing.insert(name, letter);
        if let Some(want) = self.early.remove(&name) {
            self.grant(name, want);
        }
    }

    pub(crate) fn sender_step(&self, name: LetterName, sent: Option<u64>) -> Option<SenderStep> {
        let letter = self.outgoing.get(&name)?;
        if let Some(done) = &letter.done {
            return Some(SenderStep::End(done.clone()));
        }
        match letter.granted {
            Some(granted) if sent.is_none_or(|sent| sent < granted) => {
                Some(SenderStep::Send { granted })
            }
            _ => {
                let end = self.end_of(name.from, name.to, letter.label.operation());
                end.map(|error| SenderStep::End(Err(error)))
            }
        }
    }

    /// The way for the pieces of a letter, and the head of one.
    pub(crate) fn piece(&self, name: LetterName, offset: u64) -> Option<(Way, Envelope)> {
        let link = self.links.get(&(name.from, name.to))?;
        let message = Message::Piece { letter: name.letter, offset };
        Some((link.way.clone()?, self.envelope(name.from, name.to, message)))
    }

    /// A rank here is done with a letter for one elsewhere.
    pub(crate) fn close_outgoing(&mut self, name: LetterName, failure: Option<&DeviceError>) {
        let Some(letter) = self.outgoing.remove(&name) else { return };
        if let Some(error) = failure
            && letter.granted.is_some()
            && letter.done.is_none()
        {
            let why = Failure::of_rank(name.from, error);
            self.tell(name.from, name.to, Message::Withheld { letter: name.letter, why });
        }
    }

    fn grant(&mut self, name: LetterName, want: Want) {
        let Some(letter) = self.outgoing.get_mut(&name) else { return };
        if (letter.label, letter.bytes) == (want.label, want.bytes) {
            let granted = want.granted.min(want.bytes);
            letter.granted = Some(letter.granted.map_or(granted, |before| before.max(granted)));
            return;
        }
        let error = mismatch(name, (letter.label, letter.bytes), (want.label, want.bytes));
        letter.done = Some(Err(error.clone()));
        let why = Failure::from(&error);
        self.tell(name.from, name.to, Message::Withheld { letter: name.letter, why });
    }

    // --- receiving

    /// A rank here comes to a letter from one elsewhere, and asks for its first bytes.
    pub(crate) fn open_incoming(
        &mut self,
        name: LetterName,
        label: Label,
        bytes: u64,
        window: u64,
    ) {
        let granted = window.min(bytes);
        self.incoming.insert(
            name,
            Incoming { pieces: VecDeque::new(), begun: false, come: 0, granted, withheld: None },
        );
        let letter = name.letter;
        self.tell(name.to, name.from, Message::Want { letter, label, bytes, granted });
    }

    pub(crate) fn receiver_step(&mut self, name: LetterName, label: Label) -> Option<ReceiverStep> {
        let letter = self.incoming.get_mut(&name)?;
        if let Some(piece) = letter.pieces.pop_front() {
            return Some(ReceiverStep::Take(piece));
        }
        if let Some(error) = &letter.withheld {
            return Some(ReceiverStep::End(error.clone()));
        }
        self.end_of(name.to, name.from, label.operation()).map(ReceiverStep::End)
    }

    /// Asks for more of a letter of which so many bytes were taken.
    pub(crate) fn ask_for_more(
        &mut self,
        name: LetterName,
        want: (Label, u64),
        taken: u64,
        window: u64,
    ) {
        let (label, bytes) = want;
        let Some(incoming) = self.incoming.get_mut(&name) else { return };
        let granted = taken.saturating_add(window).min(bytes);
        // In steps, so that there are fewer messages than pieces.
        if granted == incoming.granted
            || (granted < bytes && granted - incoming.granted < window / 2)
        {
            return;
        }
        incoming.granted = granted;
        let letter = name.letter;
        self.tell(name.to, name.from, Message::Want { letter, label, bytes, granted });
    }

    /// A rank here is done with a letter from one elsewhere.
    pub(crate) fn close_incoming(&mut self, name: LetterName, failure: Option<&DeviceError>) {
        let Some(letter) = self.incoming.remove(&name) else { return };
        if letter.withheld.is_none() {
            let failure = failure.map(|error| Failure::of_rank(name.to, error));
            self.tell(name.to, name.from, Message::Done { letter: name.letter, failure });
        }
    }

    // --- what comes

    /// Takes in what a rank elsewhere tells a rank here.
    pub(crate) fn receive(
        &mut self,
        own: u32,
        peer: u32,
        message: Message,
        payload: Payload,
    ) -> std::result::Result<(), Violation> {
        let outgoing = |letter| LetterName { from: own, to: peer, letter };
        let incoming = |letter| LetterName { from: peer, to: own, letter };
        match message {
            Message::Want { letter, label, bytes, granted } => {
                let (name, want) = (outgoing(letter), Want { label, bytes, granted });
                if self.outgoing.contains_key(&name) {
                    self.grant(name, want);
                } else if self.early.len() < MOST_EARLY {
                    self.early.insert(name, want);
                } else {
                    return Err(Violation);
                }
            }
            Message::Done { letter, failure } => {
                let name = outgoing(letter);
                self.early.remove(&name);
                if let Entry::Occupied(mut sent) = self.outgoing.entry(name) {
                    let operation = sent.get().label.operation();
                    let done = failure.map_or(Ok(()), |failure| Err(failure.of(operation)));
                    sent.get_mut().done.get_or_insert(done);
                }
            }
            Message::Piece { letter, offset } => {
                // Of letters that were given up, some may still be on the way.
                if let Some(open) = self.incoming.get_mut(&incoming(letter)) {
                    open.take_in(offset, payload)?;
                }
            }
            Message::Withheld { letter, why } => {
                if let Some(open) = self.incoming.get_mut(&incoming(letter)) {
                    open.withheld.get_or_insert(why.of("exchange"));
                }
            }
            Message::Aborted => self.stand(own, peer, Standing::Aborted),
            Message::Bye => {
                self.tell(own, peer, Message::Seen);
                self.stand(own, peer, Standing::Left);
            }
            Message::Seen => self.links.entry((own, peer)).or_default().seen = true,
            Message::Join { .. }
            | Message::Roster(_)
            | Message::Refused(_)
            | Message::Hello
            | Message::Welcome => return Err(Violation),
        }
        Ok(())
    }

    /// The first thing that ends a link is why it has ended.
    fn stand(&mut self, own: u32, peer: u32, standing: Standing) {
        let link = self.links.entry((own, peer)).or_default();
        if matches!(link.standing, Standing::Open) {
            link.standing = standing;
        }
    }
}

impl Incoming {
    fn take_in(&mut self, offset: u64, payload: Payload) -> std::result::Result<(), Violation> {
        let bytes = payload.bytes().len() as u64;
        let empty_again = bytes == 0 && (self.begun || self.granted > 0);
        if offset != self.come || bytes > self.granted - self.come || empty_again {
            return Err(Violation);
        }
        self.begun = true;
        self.come += bytes;
        self.pieces.push_back(payload);
        Ok(())
    }
}

fn has_aborted(rank: u32) -> String {
    format!("rank {rank} has aborted its end of the communicator")
}

/// The two ends of a letter mean different things.
pub(crate) fn mismatch(name: LetterName, sent: (Label, u64), wanted: (Label, u64)) -> DeviceError {
    let LetterName { from, to, .. } = name;
    let text = match (sent, wanted) {
        ((Label::Round, sent), (Label::Round, wanted)) => format!(
            "rank {from} sends {sent} bytes and rank {to} receives {wanted}; both have to be equal"
        ),
        ((Label::Call(sent), _), (Label::Call(wanted), _)) => {
            format!("rank {from} calls {sent:?} where rank {to} calls {wanted:?}")
        }
        _ => format!("rank {from} and rank {to} take the same letter for different things"),
    };
    invalid(sent.0.operation(), text)
}
