//! Memory shared between ranks.

use crate::{DeviceError, Memory, Result};

/// Bytes before the backend's part of a key: offset and length of the range, little endian.
const HEAD: usize = 16;

/// Names exported memory: bytes for the caller to carry to the importing rank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerKey(Vec<u8>);

impl PeerKey {
    pub(crate) fn new(offset: usize, bytes: usize, allocation: &[u8]) -> Self {
        let mut key = Vec::with_capacity(HEAD + allocation.len());
        key.extend_from_slice(&(offset as u64).to_le_bytes());
        key.extend_from_slice(&(bytes as u64).to_le_bytes());
        key.extend_from_slice(allocation);
        Self(key)
    }

    /// Takes carried bytes.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for bytes that are too few for any key; damage beyond that shows at import.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.len() <= HEAD {
            return Err(DeviceError::invalid(
                "read a peer key",
                format!("{} bytes; a key has more than {HEAD}", bytes.len()),
            ));
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The bytes to carry.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes of the exported range.
    pub fn bytes(&self) -> usize {
        self.parts().1
    }

    /// Offset in the allocation, bytes of the range, and the backend's part.
    pub(crate) fn parts(&self) -> (usize, usize, &[u8]) {
        let number = |at: usize| {
            let little: [u8; 8] = std::array::from_fn(|index| self.0[at + index]);
            // Too large for this machine is too large for any allocation: the import refuses it.
            usize::try_from(u64::from_le_bytes(little)).unwrap_or(usize::MAX)
        };
        (number(0), number(8), &self.0[HEAD..])
    }
}

/// Memory of another rank, reachable by copies of this device.
///
/// The import ends after the last clone of [`memory`](Self::memory), the last slice and the last
/// queued work that uses it are gone, and the device has collected. Order between the ranks'
/// accesses is the callers' to agree: no event reaches across.
#[derive(Clone, Debug)]
pub struct PeerMemory {
    memory: Memory,
}

impl PeerMemory {
    pub(crate) fn new(memory: Memory) -> Self {
        Self { memory }
    }

    /// The memory, for copies and slices.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_being_carried() {
        let key = PeerKey::new(4096, 17, b"allocation");
        let carried = PeerKey::from_bytes(key.as_bytes()).unwrap();
        assert_eq!(carried.parts(), (4096, 17, b"allocation".as_slice()));
        assert_eq!(carried.bytes(), 17);
    }

    #[test]
    fn truncated_keys_are_refused() {
        let key = PeerKey::new(0, 1, b"a");
        for length in 0..=HEAD {
            assert!(PeerKey::from_bytes(&key.as_bytes()[..length]).is_err());
        }
    }
}
