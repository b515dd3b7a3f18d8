//! Keys of exported memory, and what this process has exported.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, Mutex};

use eplb_device::Result;
use eplb_device::raw::AllocationKey;

use crate::error::invalid;
use crate::lock::lock;

/// Kind and version of the bytes.
const MAGIC: [u8; 8] = *b"eplbcu01";
/// Length of a handle of the library.
pub(crate) const HANDLE: usize = 64;
/// Magic, process, four numbers, handle, sum.
const BYTES: usize = 8 + 16 + 4 * 8 + HANDLE + 8;

/// What a key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Tells processes apart, also those in different containers.
    pub(crate) process: u128,
    /// Counts the exports of the process.
    pub(crate) number: u64,
    /// First byte, as the exporting process sees it.
    pub(crate) address: u64,
    pub(crate) bytes: u64,
    /// First byte, counted from the start of the allocation that the handle names.
    pub(crate) offset: u64,
    pub(crate) handle: [u8; HANDLE],
}

impl Key {
    pub(crate) fn write(&self) -> AllocationKey {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.process.to_le_bytes());
        for number in [self.number, self.address, self.bytes, self.offset] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.handle);
        bytes.extend_from_slice(&sum(&bytes).to_le_bytes());
        AllocationKey(bytes)
    }

    pub(crate) fn read(operation: &'static str, key: &AllocationKey) -> Result<Self> {
        let bytes = &key.0;
        if bytes.len() != BYTES || bytes[..8] != MAGIC {
            return Err(invalid(operation, "the bytes are no key of this backend"));
        }
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        // A handle goes into the driver as it is, so a damaged one must not get there.
        if number(BYTES - 8) != sum(&bytes[..BYTES - 8]) {
            return Err(invalid(operation, "the key is damaged"));
        }
        Ok(Self {
            process: u128::from(number(8)) | u128::from(number(16)) << 64,
            number: number(24),
            address: number(32),
            bytes: number(40),
            offset: number(48),
            handle: std::array::from_fn(|index| bytes[56 + index]),
        })
    }

    pub(crate) fn is_of_this_process(&self) -> bool {
        self.process == *PROCESS
    }
}

/// FNV-1a.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// This process's name in keys.
pub(crate) static PROCESS: LazyLock<u128> = LazyLock::new(|| {
    let draw = |what: u8| u128::from(RandomState::new().hash_one((what, std::process::id())));
    draw(0) << 64 | draw(1)
});

/// What this process has exported; one table, because importers in the process may have opened the
/// library by a backend of their own.
pub(crate) static EXPORTS: LazyLock<Exports> = LazyLock::new(Exports::default);

/// Exports that are not withdrawn, or that were while they were imported.
#[derive(Debug, Default)]
pub(crate) struct Exports(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    last: u64,
    exports: HashMap<u64, Export>,
}

#[derive(Debug)]
struct Export {
    ordinal: u32,
    address: u64,
    imports: u64,
    withdrawn: bool,
}

impl Exports {
    pub(crate) fn add(&self, ordinal: u32, address: u64) -> u64 {
        let mut table = lock(&self.0);
        table.last += 1;
        let number = table.last;
        let export = Export { ordinal, address, imports: 0, withdrawn: false };
        table.exports.insert(number, export);
        number
    }

    pub(crate) fn withdraw(&self, number: u64) -> Result<()> {
        let mut table = lock(&self.0);
        let Some(export) = table.exports.get_mut(&number) else {
            return Err(invalid("withdraw", "the export was withdrawn before"));
        };
        if export.imports == 0 {
            table.exports.remove(&number);
            return Ok(());
        }
        export.withdrawn = true;
        let text = format!("{} imports are open; their memory is kept", export.imports);
        Err(invalid("withdraw", text))
    }

    /// Begins an import inside the process; gives the exporting device.
    pub(crate) fn import(&self, key: &Key) -> Result<u32> {
        let mut table = lock(&self.0);
        match table.exports.get_mut(&key.number) {
            Some(export) if !export.withdrawn && export.address == key.address => {
                export.imports += 1;
                Ok(export.ordinal)
            }
            _ => Err(invalid("import", "the key was withdrawn")),
        }
    }

    pub(crate) fn close(&self, key: &Key) -> Result<()> {
        let mut table = lock(&self.0);
        let Some(export) = table.exports.get_mut(&key.number).filter(|export| export.imports > 0)
        else {
            return Err(invalid("close", "the key has no import that is open"));
        };
        export.imports -= 1;
        if export.imports == 0 && export.withdrawn {
            table.exports.remove(&key.number);
        }
        Ok(())
    }

    /// Whether memory that begins here is in the hands of importers of this process.
    pub(crate) fn is_imported(&self, address: u64) -> bool {
        lock(&self.0).exports.values().any(|export| export.address == address && export.imports > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        Key {
            process: *PROCESS,
            number,
            address: 4096,
            bytes: 100,
            offset: 12,
            handle: std::array::from_fn(|index| u8::try_from(index).unwrap()),
        }
    }

    #[test]
    fn keys_are_read_as_written_and_refused_when_damaged() {
        let written = key(7).write();
        assert_eq!(Key::read("import", &written), Ok(key(7)));
        assert!(key(7).is_of_this_process());
        for index in 0..written.0.len() {
            let mut damaged = written.clone();
            damaged.0[index] ^= 1;
            assert!(Key::read("import", &damaged).is_err(), "byte {index}");
        }
        assert!(Key::read("import", &AllocationKey(written.0[1..].to_vec())).is_err());
    }

    #[test]
    fn memory_is_kept_while_importers_have_it() {
        let exports = Exports::default();
        let number = exports.add(3, 4096);
        assert_eq!(exports.import(&key(number)), Ok(3));
        assert!(exports.is_imported(4096));
        assert!(exports.withdraw(number).is_err());
        assert!(exports.is_imported(4096));
        assert!(exports.import(&key(number)).is_err());
        assert_eq!(exports.close(&key(number)), Ok(()));
        assert!(!exports.is_imported(4096));
        assert!(exports.close(&key(number)).is_err());
        assert!(exports.withdraw(number).is_err());
    }
}
