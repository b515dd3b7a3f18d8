//! The first words between a rank and its leader.

use std::io::{Read, Write};
use std::net::TcpStream;

/// What a rank says first; the last byte is the version of what follows.
const MAGIC: [u8; 8] = *b"eplbrnk\x01";
/// What a leader says first.
const ANSWER: [u8; 8] = *b"eplbldr\x01";

/// Bytes of a [`Hello`].
pub(super) const HELLO: usize = 8 + 16 + 4 + 4;

/// The longest reason for a refusal, in bytes.
const MOST_REASON: usize = 1_000;

/// A rank says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) token: u128,
    pub(super) size: u32,
    pub(super) rank: u32,
}

/// What the leader makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    /// All ranks are there: the group begins.
    Begin,
    /// This rank can't have what it asks for.
    Refused(String),
    /// Another group's leader.
    OtherGroup,
}

impl Hello {
    pub(super) fn encode(&self) -> [u8; HELLO] {
        let mut bytes = [0; HELLO];
        let parts: [&[u8]; 4] =
            [&MAGIC, &self.token.to_le_bytes(), &self.size.to_le_bytes(), &self.rank.to_le_bytes()];
        let flat = parts.into_iter().flatten();
        bytes.iter_mut().zip(flat).for_each(|(byte, &value)| *byte = value);
        bytes
    }

    /// Nothing if a stranger said it.
    pub(super) fn decode(bytes: &[u8; HELLO]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (token, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (rank, _) = rest.split_first_chunk()?;
        Some(Self {
            token: u128::from_le_bytes(*token),
            size: u32::from_le_bytes(*size),
            rank: u32::from_le_bytes(*rank),
        })
    }
}

impl Welcome {
    pub(super) fn write(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let (code, reason) = match self {
            Self::Begin => (0, ""),
            Self::Refused(reason) => (1, &reason[..]),
            Self::OtherGroup => (2, ""),
        };
        let mut bytes = ANSWER.to_vec();
        bytes.push(code);
        let reason = &reason.as_bytes()[..reason.len().min(MOST_REASON)];
        bytes.extend((reason.len() as u16).to_le_bytes());
        bytes.extend(reason);
        stream.write_all(&bytes)
    }

    /// Reads it; an error says so in words where what answers is no leader.
    pub(super) fn read(stream: &mut TcpStream) -> std::io::Result<Self> {
        let no_leader = || std::io::Error::other("what answers there is no leader of a group");
        let mut head = [0; 11];
        stream.read_exact(&mut head)?;
        let rest = head.strip_prefix(&ANSWER).ok_or_else(no_leader)?;
        let length = usize::from(u16::from_le_bytes([rest[1], rest[2]]));
        if length > MOST_REASON {
            return Err(no_leader());
        }
        let mut reason = vec![0; length];
        stream.read_exact(&mut reason)?;
        match rest[0] {
            0 => Ok(Self::Begin),
            1 => Ok(Self::Refused(String::from_utf8_lossy(&reason).into_owned())),
            2 => Ok(Self::OtherGroup),
            _ => Err(no_leader()),
        }
    }
}
