//! Keys of exported memory, and what this process has exported and imported.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, Mutex};

use eplb_ascend_sys::ACL_IPC_HANDLE_SIZE;
use eplb_device::Result;
use eplb_device::raw::AllocationKey;

use crate::error::invalid;
use crate::lock::lock;

/// Kind and version of the bytes.
const MAGIC: [u8; 8] = *b"eplbac01";
/// Length of a key of the library: a text that ends with a zero.
pub(crate) const HANDLE: usize = ACL_IPC_HANDLE_SIZE;
/// Magic, process, four numbers, handle, sum.
const BYTES: usize = 8 + 16 + 4 * 8 + HANDLE + 8;

/// The library's key of an allocation.
pub(crate) type Handle = [u8; HANDLE];

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
    pub(crate) handle: Handle,
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
        // A handle goes into the library as it is, so a damaged one must not get there.
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
    /// The library's keys, by the starts of the allocations: one allocation may be exported in pieces,
    /// and the library knows it by one key.
    handles: HashMap<u64, Counted<Handle>>,
}

#[derive(Debug)]
struct Export {
    ordinal: u32,
    address: u64,
    /// Of the allocation.
    start: u64,
    imports: u64,
    withdrawn: bool,
}

#[derive(Debug)]
struct Counted<T> {
    value: T,
    users: u64,
}

impl Exports {
    /// Notes an export; `export` gets the library's key, if the allocation has none yet.
    pub(crate) fn add(
        &self,
        ordinal: u32,
        address: u64,
        start: u64,
        export: impl FnOnce() -> Result<Handle>,
    ) -> Result<(u64, Handle)> {
        let mut table = lock(&self.0);
        let handle = match table.handles.get_mut(&start) {
            Some(handle) => {
                handle.users += 1;
                handle.value
            }
            None => {
                let value = export()?;
                table.handles.insert(start, Counted { value, users: 1 });
                value
            }
        };
        table.last += 1;
        let number = table.last;
        let export = Export { ordinal, address, start, imports: 0, withdrawn: false };
        table.exports.insert(number, export);
        Ok((number, handle))
    }

    /// Ends an export; `close` ends the library's, if this was its last one.
    pub(crate) fn withdraw(
        &self,
        number: u64,
        close: impl FnOnce(&Handle) -> Result<()>,
    ) -> Result<()> {
        let mut table = lock(&self.0);
        let Some(export) = table.exports.get_mut(&number) else {
            return Err(invalid("withdraw", "the export was withdrawn before"));
        };
        if export.imports == 0 {
            return table.end(number, close);
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

    /// Ends an import inside the process, and the export if it was only kept for that.
    pub(crate) fn close(&self, key: &Key, close: impl FnOnce(&Handle) -> Result<()>) -> Result<()> {
        let mut table = lock(&self.0);
        let Some(export) = table.exports.get_mut(&key.number).filter(|export| export.imports > 0)
        else {
            return Err(invalid("close", "the key has no import that is open"));
        };
        export.imports -= 1;
        if export.imports == 0 && export.withdrawn {
            return table.end(key.number, close);
        }
        Ok(())
    }

    /// Whether memory that begins here is in the hands of importers of this process.
    pub(crate) fn is_imported(&self, address: u64) -> bool {
        lock(&self.0).exports.values().any(|export| export.address == address && export.imports > 0)
    }
}

impl Table {
    fn end(&mut self, number: u64, close: impl FnOnce(&Handle) -> Result<()>) -> Result<()> {
        let Some(export) = self.exports.remove(&number) else {
            return Ok(());
        };
        release(&mut self.handles, &export.start, close)
    }
}

/// Lets one user of an entry go; `close` is for the last one, after whom the entry is gone.
fn release<K: Eq + std::hash::Hash, T>(
    entries: &mut HashMap<K, Counted<T>>,
    key: &K,
    close: impl FnOnce(&T) -> Result<()>,
) -> Result<()> {
    let Some(entry) = entries.get_mut(key) else {
        return Ok(());
    };
    entry.users -= 1;
    if entry.users > 0 {
        return Ok(());
    }
    entries.remove(key).map_or(Ok(()), |entry| close(&entry.value))
}

/// What this process has imported from others. The library closes an import by its key, so that a key is
/// imported once for each device, and counted.
pub(crate) static IMPORTS: LazyLock<Imports> = LazyLock::new(Imports::default);

/// Imports that are open, by the library's key and the importing device, with their addresses.
#[derive(Debug, Default)]
pub(crate) struct Imports(Mutex<HashMap<(Handle, u32), Counted<usize>>>);

impl Imports {
    /// Gives the address of the allocation; `import` asks the library for it.
    pub(crate) fn open(
        &self,
        handle: Handle,
        ordinal: u32,
        import: impl FnOnce() -> Result<usize>,
    ) -> Result<usize> {
        let mut imports = lock(&self.0);
        if let Some(entry) = imports.get_mut(&(handle, ordinal)) {
            entry.users += 1;
            return Ok(entry.value);
        }
        let value = import()?;
        imports.insert((handle, ordinal), Counted { value, users: 1 });
        Ok(value)
    }

    /// Ends one import; `close` ends the library's, if this was the last one.
    pub(crate) fn close(
        &self,
        handle: Handle,
        ordinal: u32,
        close: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let mut imports = lock(&self.0);
        if !imports.contains_key(&(handle, ordinal)) {
            return Err(invalid("close", "the key has no import that is open"));
        }
        release(&mut imports, &(handle, ordinal), |_| close())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

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

    const NEVER: fn(&Handle) -> Result<()> = |_| panic!("the library's export is still in use");

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
        let (number, _) = exports.add(3, 4096, 4096, || Ok([1; HANDLE])).unwrap();
        assert_eq!(exports.import(&key(number)), Ok(3));
        assert!(exports.is_imported(4096));
        assert!(exports.withdraw(number, NEVER).is_err());
        assert!(exports.is_imported(4096));
        assert!(exports.import(&key(number)).is_err());
        let closed = Cell::new(0);
        let close = |_: &Handle| {
            closed.set(closed.get() + 1);
            Ok(())
        };
        assert_eq!(exports.close(&key(number), close), Ok(()));
        assert_eq!(closed.get(), 1);
        assert!(!exports.is_imported(4096));
        assert!(exports.close(&key(number), NEVER).is_err());
        assert!(exports.withdraw(number, NEVER).is_err());
    }

    #[test]
    fn pieces_of_one_allocation_share_the_librarys_key() {
        let exports = Exports::default();
        let (first, handle) = exports.add(0, 4100, 4096, || Ok([5; HANDLE])).unwrap();
        let (second, same) = exports.add(0, 4200, 4096, || panic!("exported twice")).unwrap();
        assert_eq!(handle, same);
        assert_eq!(exports.withdraw(first, NEVER), Ok(()));
        let closed = Cell::new(false);
        let close = |given: &Handle| {
            closed.set(*given == handle);
            Ok(())
        };
        assert_eq!(exports.withdraw(second, close), Ok(()));
        assert!(closed.get());
    }

    #[test]
    fn a_key_is_imported_once_for_each_device_and_closed_by_the_last() {
        let imports = Imports::default();
        assert_eq!(imports.open([1; HANDLE], 0, || Ok(64)), Ok(64));
        assert_eq!(imports.open([1; HANDLE], 0, || panic!("imported twice")), Ok(64));
        assert_eq!(imports.open([1; HANDLE], 1, || Ok(128)), Ok(128));
        assert_eq!(imports.close([1; HANDLE], 0, || panic!("still in use")), Ok(()));
        let closed = Cell::new(false);
        let close = || {
            closed.set(true);
            Ok(())
        };
        assert_eq!(imports.close([1; HANDLE], 0, close), Ok(()));
        assert!(closed.get());
        assert!(imports.close([1; HANDLE], 0, || Ok(())).is_err());
    }
}
