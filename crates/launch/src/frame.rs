//! One message between two members, and how it lies on a wire.

use crate::Loss;

/// Bytes before a frame's body: kind, number, length.
pub(crate) const HEAD: usize = 1 + 8 + 4;

/// The longest body: all parts of a collective, and what tells them apart.
const MOST_BODY: usize = (1 << 30) + (1 << 20);

/// One message between two members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Nothing to say but that one is there.
    Pulse,
    /// A part of the collective with this number, or what the leader makes of it.
    Collective(u64, Vec<u8>),
    /// For this member alone.
    Direct(Vec<u8>),
    /// The sender leaves, for this reason.
    Leave(String),
}

/// What a frame's head says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    kind: u8,
    number: u64,
    /// Bytes that follow.
    pub(crate) bytes: usize,
}

impl Frame {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, number, body): (u8, u64, &[u8]) = match self {
            Self::Pulse => (0, 0, &[]),
            Self::Collective(number, body) => (1, *number, body),
            Self::Direct(body) => (2, 0, body),
            Self::Leave(why) => (3, 0, why.as_bytes()),
        };
        let mut bytes = Vec::with_capacity(HEAD + body.len());
        bytes.push(kind);
        bytes.extend(number.to_le_bytes());
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// The frame whose head was read before; nothing if there is no such kind.
    pub(crate) fn decode(head: Head, body: Vec<u8>) -> Option<Self> {
        Some(match head.kind {
            0 if body.is_empty() => Self::Pulse,
            1 => Self::Collective(head.number, body),
            2 => Self::Direct(body),
            3 => Self::Leave(String::from_utf8_lossy(&body).into_owned()),
            _ => return None,
        })
    }
}

impl Head {
    /// Nothing if no frame of this length is allowed.
    pub(crate) fn decode(bytes: [u8; HEAD]) -> Option<Self> {
        let [kind, n0, n1, n2, n3, n4, n5, n6, n7, b0, b1, b2, b3] = bytes;
        let number = u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]);
        let bytes = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
        (bytes <= MOST_BODY).then_some(Self { kind, number, bytes })
    }
}

/// What the leader makes of a collective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// What each member gave, or the one part that all get.
    Parts(Vec<Vec<u8>>),
    /// These members are gone.
    Lost(Vec<Loss>),
    /// All parts together have so many bytes.
    TooLong(usize),
}

impl Verdict {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut add = |part: &[u8]| {
            bytes.extend((part.len() as u32).to_le_bytes());
            bytes.extend(part);
        };
        match self {
            Self::TooLong(length) => {
                add(b"long");
                add(&(*length as u64).to_le_bytes());
            }
            Self::Parts(parts) => {
                add(b"parts");
                parts.iter().for_each(|part| add(part));
            }
            Self::Lost(losses) => {
                add(b"lost");
                for Loss { rank, why } in losses {
                    add(&rank.to_le_bytes());
                    add(why.as_bytes());
                }
            }
        }
        bytes
    }

    /// Nothing if these bytes are no verdict.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk()?;
            let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            parts.push(part.to_vec());
            bytes = rest;
        }
        let kind = if parts.is_empty() { return None } else { parts.remove(0) };
        match &kind[..] {
            b"parts" => Some(Self::Parts(parts)),
            b"lost" => {
                let losses = parts.chunks_exact(2).map(|pair| {
                    let rank = u32::from_le_bytes(pair[0][..].try_into().ok()?);
                    Some(Loss { rank, why: String::from_utf8_lossy(&pair[1]).into_owned() })
                });
                losses.collect::<Option<_>>().map(Self::Lost)
            }
            b"long" => {
                let length = u64::from_le_bytes(parts.first()?[..].try_into().ok()?);
                Some(Self::TooLong(usize::try_from(length).ok()?))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_come_back_as_they_were() {
        let loss = Loss { rank: 3, why: "its connection ended".to_owned() };
        for verdict in [
            Verdict::Parts(vec![]),
            Verdict::Parts(vec![vec![], vec![1, 2, 3], vec![0; 300]]),
            Verdict::Lost(vec![loss.clone(), loss]),
            Verdict::TooLong(1 << 33),
        ] {
            let bytes = verdict.encode();
            assert_eq!(Verdict::decode(&bytes).as_ref(), Some(&verdict));
            for cut in 1..bytes.len() {
                let cut = Verdict::decode(&bytes[..cut]);
                assert_ne!(cut, Some(verdict.clone()));
            }
        }
        assert_eq!(Verdict::decode(&[]), None);
        assert_eq!(Verdict::decode(&[255; 40]), None);
    }

    #[test]
    fn frames_come_back_as_they_were() {
        for frame in [
            Frame::Pulse,
            Frame::Collective(7 << 40, vec![1, 2, 3]),
            Frame::Direct(vec![]),
            Frame::Leave("enough".to_owned()),
        ] {
            let bytes = frame.encode();
            let (head, body) = bytes.split_first_chunk().unwrap();
            let head = Head::decode(*head).unwrap();
            assert_eq!(head.bytes, body.len());
            assert_eq!(Frame::decode(head, body.to_vec()), Some(frame));
        }
        assert!(Head::decode([255; HEAD]).is_none(), "too long");
    }
}
