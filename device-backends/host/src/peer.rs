//! Keys of exported memory and names of communicators, as bytes.

use std::hash::{BuildHasher, RandomState};

use eplb_device::Result;
use eplb_device::raw::{AllocationKey, CommunicatorId};

use crate::error::invalid;

const BYTES: usize = 25;
const MEMORY: u8 = b'm';
const COMMUNICATOR: u8 = b'c';

/// Tells the keys of one backend from those of others, in other processes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce(u128);

impl Nonce {
    pub(crate) fn new() -> Self {
        let draw = |what: u8| u128::from(RandomState::new().hash_one((what, std::process::id())));
        Self(draw(0) << 64 | draw(1))
    }

    pub(crate) fn memory_key(self, export: u64) -> AllocationKey {
        AllocationKey(self.write(MEMORY, export))
    }

    pub(crate) fn export(self, operation: &'static str, key: &AllocationKey) -> Result<u64> {
        self.read(operation, MEMORY, &key.0)
    }

    pub(crate) fn communicator_id(self, number: u64) -> CommunicatorId {
        CommunicatorId::from(self.write(COMMUNICATOR, number))
    }

    pub(crate) fn communicator(self, operation: &'static str, id: &CommunicatorId) -> Result<u64> {
        self.read(operation, COMMUNICATOR, id.as_bytes())
    }

    fn write(self, what: u8, number: u64) -> Vec<u8> {
        let mut bytes = vec![what];
        bytes.extend_from_slice(&self.0.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes
    }

    fn read(self, operation: &'static str, what: u8, bytes: &[u8]) -> Result<u64> {
        let refused = |text: &str| Err(invalid(operation, text));
        if bytes.len() != BYTES || bytes[0] != what {
            return refused("the bytes are no key of this kind");
        }
        if bytes[1..17] != self.0.to_le_bytes() {
            return refused("the key is another backend's or another process's");
        }
        let number: [u8; 8] = std::array::from_fn(|index| bytes[17 + index]);
        Ok(u64::from_le_bytes(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_by_their_own_backend_as_what_they_are_only() {
        let nonce = Nonce::new();
        let key = nonce.memory_key(7);
        assert_eq!(nonce.export("import", &key), Ok(7));
        assert!(Nonce::new().export("import", &key).is_err());
        let crossed = CommunicatorId::from(key.0.clone());
        assert!(nonce.communicator("communicator", &crossed).is_err());
        assert!(nonce.export("import", &AllocationKey(key.0[1..].to_vec())).is_err());
    }
}
