//! Keys of exported memory, as bytes.

use std::hash::{BuildHasher, RandomState};

use eplb_device::Result;
use eplb_device::raw::AllocationKey;
use serde::{Deserialize, Serialize};

use crate::error::invalid;
use crate::process::ProcessIdentity;
use crate::ticket::TicketWords;

/// Tells one backend, or one communicator, from all others, in other processes and on other hosts too.
/// Nobody guesses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Nonce(pub(crate) u128);

impl Nonce {
    /// Drawn from the keys of the standard library's hash maps, which are random.
    pub(crate) fn new() -> Self {
        let draw = |what: u8| u128::from(RandomState::new().hash_one((what, std::process::id())));
        Self(draw(0) << 64 | draw(1))
    }

    /// What the ticket of an export holds.
    pub(crate) fn ticket(self, export: u64) -> TicketWords {
        #[expect(clippy::cast_possible_truncation, reason = "both halves are there")]
        let (high, low) = ((self.0 >> 64) as u64, self.0 as u64);
        [high, low, export]
    }
}

/// Names an export: whose, and which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExportName {
    pub(crate) backend: Nonce,
    pub(crate) number: u64,
}

/// All that an importer has to know of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryKey {
    pub(crate) name: ExportName,
    /// The exporting process; none where the system does not tell which it is.
    pub(crate) process: Option<ProcessIdentity>,
    /// Where that process has the ticket, and the memory.
    pub(crate) ticket: u64,
    pub(crate) start: u64,
    pub(crate) bytes: u64,
}

/// The first byte of a key.
const KIND: u8 = b'm';

impl MemoryKey {
    pub(crate) fn write(&self) -> AllocationKey {
        let mut bytes = vec![KIND];
        bytes.extend_from_slice(&self.name.backend.0.to_le_bytes());
        for number in [self.name.number, self.ticket, self.start, self.bytes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        if let Some(process) = self.process {
            bytes.extend_from_slice(&process.boot.to_le_bytes());
            bytes.extend_from_slice(&process.namespace.to_le_bytes());
            bytes.extend_from_slice(&process.start.to_le_bytes());
            bytes.extend_from_slice(&process.number.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        AllocationKey(bytes)
    }

    /// Reads a key that was carried here.
    pub(crate) fn read(operation: &'static str, key: &AllocationKey) -> Result<Self> {
        Self::parse(&key.0).ok_or_else(|| invalid(operation, "the bytes are no key of memory"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk()?;
        if u32::from_le_bytes(*sum) != crc32fast::hash(body) {
            return None;
        }
        let mut left = Fields(body.strip_prefix(&[KIND])?);
        let backend = Nonce(u128::from_le_bytes(left.take()?));
        let mut number = || left.take().map(u64::from_le_bytes);
        let (export, ticket, start, length) = (number()?, number()?, number()?, number()?);
        let process = if left.0.is_empty() {
            None
        } else {
            Some(ProcessIdentity {
                boot: u128::from_le_bytes(left.take()?),
                namespace: u64::from_le_bytes(left.take()?),
                start: u64::from_le_bytes(left.take()?),
                number: u32::from_le_bytes(left.take()?),
            })
        };
        let name = ExportName { backend, number: export };
        left.0.is_empty().then_some(Self { name, process, ticket, start, bytes: length })
    }
}

/// Bytes that are still to be read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(process: Option<ProcessIdentity>) -> MemoryKey {
        let name = ExportName { backend: Nonce::new(), number: 7 };
        MemoryKey { name, process, ticket: 0x1000, start: 0x2000, bytes: 77 }
    }

    #[test]
    fn keys_are_read_as_they_were_written() {
        for key in [key(None), key(ProcessIdentity::own())] {
            assert_eq!(MemoryKey::read("import", &key.write()), Ok(key));
        }
    }

    #[test]
    fn keys_that_were_changed_on_the_way_are_refused() {
        let whole = key(ProcessIdentity::own()).write().0;
        for cut in 0..whole.len() {
            assert!(MemoryKey::parse(&whole[..cut]).is_none(), "{cut}");
        }
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(MemoryKey::parse(&damaged).is_none(), "{bit}");
        }
    }
}
