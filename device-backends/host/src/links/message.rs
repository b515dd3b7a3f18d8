//! What ranks in different processes tell each other, as bytes.

use std::net::SocketAddr;

use eplb_device::{DeviceError, ErrorKind};
use serde::{Deserialize, Serialize};

use super::MOST_MESSAGE_BYTES;
use crate::hub::Call;
use crate::peer::Nonce;

/// Before each message: a mark, and the bytes of its two parts.
pub(crate) const HEAD_BYTES: usize = 12;
const MARK: [u8; 4] = *b"eplb";

/// Room for everything but the payload of a piece.
const MOST_BODY_BYTES: usize = 64 << 10;

/// The most that one piece of a letter carries.
pub(crate) const MOST_PIECE_BYTES: usize = MOST_MESSAGE_BYTES / 2;

/// A message with whom it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// The communicator's key: who does not know it is a stranger.
    pub(crate) key: Nonce,
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) message: Message,
}

/// A message; of pieces the bytes follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// To the process that made the id: the rank wants to join.
    Join {
        size: u32,
        backend: Nonce,
        place: Place,
    },
    /// From there: all have joined, and this is where they are, by rank.
    Roster(Vec<Seat>),
    /// From there, or from a rank: it may not.
    Refused(Failure),
    /// The first message on a connection between two ranks, and its answer.
    Hello,
    Welcome,
    /// The receiver of a letter wants it, up to so many bytes for now.
    Want {
        letter: Letter,
        label: Label,
        bytes: u64,
        granted: u64,
    },
    /// Some of a letter's bytes.
    Piece {
        letter: Letter,
        offset: u64,
    },
    /// The sender of a letter won't send it.
    Withheld {
        letter: Letter,
        why: Failure,
    },
    /// The receiver has all of a letter, or wants no more of it.
    Done {
        letter: Letter,
        failure: Option<Failure>,
    },
    /// The rank has aborted its end.
    Aborted,
    /// The rank is done with the communicator, and this came after everything else that it sent.
    Bye,
    /// The answer: all of that has come.
    Seen,
}

/// Which letter between two ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) channel: Channel,
    /// How many went before it on the channel.
    pub(crate) sequence: u64,
}

/// What numbers a letter: rounds are counted for each pair, calls of all ranks together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Channel {
    Rounds,
    Calls,
}

/// What a letter is part of; both ends have to mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Label {
    Round,
    Call(Call),
}

impl Label {
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Round => "exchange",
            Self::Call(call) => call.name(),
        }
    }
}

/// Where a process is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    /// By its number on the given carrier.
    Carried(u32),
}

/// Where one rank is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seat {
    pub(crate) backend: Nonce,
    pub(crate) place: Option<Place>,
}

/// An error on its way to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    kind: FailureKind,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum FailureKind {
    InvalidUse,
    Aborted,
    Failed,
}

/// Texts are cut to this: they are to fit the body.
const MOST_TEXT_CHARACTERS: usize = 2_000;

impl From<&DeviceError> for Failure {
    fn from(error: &DeviceError) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidUse => FailureKind::InvalidUse,
            ErrorKind::Aborted => FailureKind::Aborted,
            _ => FailureKind::Failed,
        };
        Self { kind, text: error.text().chars().take(MOST_TEXT_CHARACTERS).collect() }
    }
}

impl Failure {
    /// What has befallen a rank, for ranks elsewhere.
    pub(crate) fn of_rank(rank: u32, error: &DeviceError) -> Self {
        let Self { kind, text } = Self::from(error);
        Self { kind, text: format!("rank {rank}: {text}") }
    }

    pub(crate) fn of(self, operation: &'static str) -> DeviceError {
        let kind = match self.kind {
            FailureKind::InvalidUse => ErrorKind::InvalidUse,
            FailureKind::Aborted => ErrorKind::Aborted,
            FailureKind::Failed => ErrorKind::Failed,
        };
        DeviceError::new(kind, operation, self.text)
    }
}

/// The bytes of a piece, in the message that they came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Payload {
    message: Vec<u8>,
    start: usize,
}

impl Payload {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.message[self.start..]
    }
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Garbage;

/// How many bytes come after this head.
pub(crate) fn bytes_after(head: &[u8; HEAD_BYTES]) -> Result<usize, Garbage> {
    let (body, payload) = parts(head)?;
    Ok(body + payload)
}

fn parts(head: &[u8; HEAD_BYTES]) -> Result<(usize, usize), Garbage> {
    let [m0, m1, m2, m3, b0, b1, b2, b3, p0, p1, p2, p3] = *head;
    let body = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
    let payload = u32::from_le_bytes([p0, p1, p2, p3]) as usize;
    let fits = body <= MOST_BODY_BYTES && payload <= MOST_PIECE_BYTES;
    if [m0, m1, m2, m3] == MARK && fits { Ok((body, payload)) } else { Err(Garbage) }
}

impl Envelope {
    /// The whole message, with room for the bytes of a piece at its end.
    pub(crate) fn write(&self, payload_bytes: usize) -> Result<Vec<u8>, Garbage> {
        let body = postcard::to_stdvec(self).map_err(|_| Garbage)?;
        if body.len() > MOST_BODY_BYTES || payload_bytes > MOST_PIECE_BYTES {
            return Err(Garbage);
        }
        let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len() + payload_bytes);
        bytes.extend_from_slice(&MARK);
        for length in [body.len(), payload_bytes] {
            let length = u32::try_from(length).map_err(|_| Garbage)?;
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// Reads a whole message, head included.
    pub(crate) fn read(message: Vec<u8>) -> Result<(Self, Payload), Garbage> {
        let head = message.first_chunk().ok_or(Garbage)?;
        let (body, payload) = parts(head)?;
        let start = HEAD_BYTES + body;
        if message.len() != start + payload {
            return Err(Garbage);
        }
        let (envelope, rest) =
            postcard::take_from_bytes::<Self>(&message[HEAD_BYTES..start]).map_err(|_| Garbage)?;
        let may_carry = matches!(envelope.message, Message::Piece { .. });
        if !rest.is_empty() || (payload > 0 && !may_carry) {
            return Err(Garbage);
        }
        Ok((envelope, Payload { message, start }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(message: Message) -> Envelope {
        Envelope { key: Nonce::new(), from: 1, to: 70_000, message }
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let letter = Letter { channel: Channel::Calls, sequence: u64::MAX };
        let why = Failure::from(&DeviceError::new(ErrorKind::InvalidUse, "exchange", "no"));
        for message in [
            Message::Hello,
            Message::Roster(vec![Seat {
                backend: Nonce::new(),
                place: Some(Place::Tcp("[::1]:8080".parse().unwrap())),
            }]),
            Message::Want {
                letter,
                label: Label::Call(Call::Broadcast { bytes: 9, root: 3 }),
                bytes: 7,
                granted: 5,
            },
            Message::Withheld { letter, why },
        ] {
            let sent = envelope(message);
            let bytes = sent.write(0).unwrap();
            let (read, payload) = Envelope::read(bytes).unwrap();
            assert_eq!((read, payload.bytes()), (sent, &[][..]));
        }
        let sent = envelope(Message::Piece { letter, offset: 3 });
        let mut bytes = sent.write(4).unwrap();
        bytes.extend_from_slice(b"moe!");
        let after = bytes_after(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(after + HEAD_BYTES, bytes.len());
        let (read, payload) = Envelope::read(bytes).unwrap();
        assert_eq!((read, payload.bytes()), (sent, &b"moe!"[..]));
    }

    #[test]
    fn bytes_that_are_no_message_are_garbage() {
        let letter = Letter { channel: Channel::Rounds, sequence: 1 };
        let mut whole = envelope(Message::Piece { letter, offset: 3 }).write(4).unwrap();
        whole.extend_from_slice(b"moe!");
        for cut in 0..whole.len() {
            assert_eq!(Envelope::read(whole[..cut].to_vec()), Err(Garbage), "{cut}");
        }
        let longer: Vec<u8> = whole.iter().copied().chain([0]).collect();
        assert_eq!(Envelope::read(longer), Err(Garbage));
        let mut huge = whole.clone();
        huge[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(bytes_after(huge.first_chunk().unwrap()), Err(Garbage));
        assert_eq!(bytes_after(b"GET / HTTP/1"), Err(Garbage));
        let hello = envelope(Message::Hello);
        let mut carrying = hello.write(1).unwrap();
        carrying.push(7);
        assert_eq!(Envelope::read(carrying), Err(Garbage), "only pieces carry bytes");
        assert_eq!(hello.write(MOST_PIECE_BYTES + 1), Err(Garbage));
    }
}
