//! What a rank says at a roll call.

use eplb_core::LayerId;

/// One rank's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The change that it is there for; 0 at the greeting, which comes first.
    pub(crate) token: u64,
    pub(crate) layer: LayerId,
    /// Of the rounds that it is about to make; at the greeting of what it was configured with.
    pub(crate) digest: u64,
    pub(crate) standing: Standing,
}

/// Whether it takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Ready,
    /// The change was given up here.
    GivenUp,
    /// The change has failed here.
    Failed,
}

impl Entry {
    /// Bytes of the encoded form: numbers little endian, a mark in front.
    pub(crate) const BYTES: usize = 32;
    const MARK: u32 = 0x4C50_4501;

    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let standing: u32 = match self.standing {
            Standing::Ready => 0,
            Standing::GivenUp => 1,
            Standing::Failed => 2,
        };
        bytes[0..4].copy_from_slice(&Self::MARK.to_le_bytes());
        bytes[4..8].copy_from_slice(&standing.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.token.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.layer.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.digest.to_le_bytes());
        bytes
    }

    /// Nothing for bytes that are no entry.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let long = |at: usize| {
            let bytes = bytes.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let (front, place) = (long(0)?, long(16)?);
        if front as u32 != Self::MARK || place >> 32 != 0 {
            return None;
        }
        let standing = match front >> 32 {
            0 => Standing::Ready,
            1 => Standing::GivenUp,
            2 => Standing::Failed,
            _ => return None,
        };
        let (token, layer, digest) = (long(8)?, LayerId(place as u32), long(24)?);
        Some(Self { token, layer, digest, standing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_and_damage_to_its_frame_is_seen() {
        for standing in [Standing::Ready, Standing::GivenUp, Standing::Failed] {
            let entry = Entry { token: 1 << 40, layer: LayerId(7), digest: u64::MAX, standing };
            let bytes = entry.encode();
            assert_eq!(Entry::decode(&bytes), Some(entry));
            assert_eq!(Entry::decode(&bytes[..31]), None);
            for at in [0, 1, 2, 3, 5, 6, 7, 20, 23] {
                let mut damaged = bytes;
                damaged[at] ^= 0x20;
                assert_eq!(Entry::decode(&damaged), None, "byte {at}");
            }
        }
        assert_eq!(Entry::decode(&[0; Entry::BYTES]), None);
    }
}
