//! Names of communicators: what an id says to the ranks that it is carried to.

use eplb_device::Result;
use eplb_device::raw::CommunicatorId;
use serde::{Deserialize, Serialize};

use super::message::Place;
use crate::error::invalid;
use crate::peer::Nonce;

/// The first byte of an id.
const KIND: u8 = b'c';

/// A communicator to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommunicatorName {
    /// The backend that made the id, where all ranks join.
    pub(crate) maker: Nonce,
    /// Where other processes reach that backend; none if they can't.
    pub(crate) place: Option<Place>,
    /// What only those know who were given the id.
    pub(crate) key: Nonce,
}

impl CommunicatorName {
    pub(crate) fn write(&self) -> Result<CommunicatorId> {
        let mut bytes = vec![KIND];
        let body = postcard::to_stdvec(self).map_err(|error| {
            invalid("communicator_id", format!("it cannot be written: {error}"))
        })?;
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        Ok(CommunicatorId::from(bytes))
    }

    pub(crate) fn read(operation: &'static str, id: &CommunicatorId) -> Result<Self> {
        Self::parse(id.as_bytes())
            .ok_or_else(|| invalid(operation, "the bytes are no id of a communicator of hosts"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk()?;
        if u32::from_le_bytes(*sum) != crc32fast::hash(body) {
            return None;
        }
        let (name, rest) = postcard::take_from_bytes(body.strip_prefix(&[KIND])?).ok()?;
        rest.is_empty().then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_were_written_and_damaged_ones_are_refused() {
        for place in [None, Some(Place::Carried(7)), Some(Place::Tcp(([127, 0, 0, 1], 9).into()))] {
            let name = CommunicatorName { maker: Nonce::new(), place, key: Nonce::new() };
            let id = name.write().unwrap();
            assert_eq!(CommunicatorName::read("communicator", &id), Ok(name));
            for bit in 0..id.as_bytes().len() * 8 {
                let mut damaged = id.as_bytes().to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(CommunicatorName::parse(&damaged).is_none(), "{bit}");
            }
        }
        let stranger = CommunicatorId::from(b"nobody made this".to_vec());
        assert!(CommunicatorName::read("communicator", &stranger).is_err());
    }
}
