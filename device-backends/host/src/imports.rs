//! What devices have imported, found by address and by export.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::foreign::Foreign;
use crate::memory::Use;
use crate::peer::ExportName;

/// A range that is exported, or that a device imported.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) export: ExportName,
    pub(crate) start: usize,
    pub(crate) bytes: usize,
    pub(crate) home: Home,
}

/// Whose memory a shared range is.
#[derive(Clone, Debug)]
pub(crate) enum Home {
    /// This process's; its block, if it is not the engine's, stays meanwhile.
    Here(Use),
    /// Another process's; the addresses of the range mean nothing to the system.
    Elsewhere(Arc<Foreign>),
}

/// The imports of all devices. A group of n ranks has n × (n - 1) of them for each exported tensor, and
/// each copy from another rank looks one up, so nothing here searches them all.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    /// By importing device and start; a range may be imported more than once.
    ranges: HashMap<u32, BTreeMap<usize, Vec<Shared>>>,
    /// How often each export is imported.
    of_export: HashMap<ExportName, usize>,
}

impl Imports {
    pub(crate) fn add(&mut self, device: u32, shared: Shared) {
        *self.of_export.entry(shared.export).or_default() += 1;
        let ranges = self.ranges.entry(device).or_default();
        ranges.entry(shared.start).or_default().push(shared);
    }

    /// Takes out one import; gives whether there was one.
    pub(crate) fn remove(&mut self, device: u32, export: ExportName, start: usize) -> bool {
        let Some(ranges) = self.ranges.get_mut(&device) else { return false };
        let Some(at_start) = ranges.get_mut(&start) else { return false };
        let Some(index) = at_start.iter().position(|shared| shared.export == export) else {
            return false;
        };
        at_start.swap_remove(index);
        if at_start.is_empty() {
            ranges.remove(&start);
        }
        if let Some(count) = self.of_export.get_mut(&export) {
            *count -= 1;
            if *count == 0 {
                self.of_export.remove(&export);
            }
        }
        true
    }

    pub(crate) fn is_imported(&self, export: ExportName) -> bool {
        self.of_export.contains_key(&export)
    }

    /// An import of `device` that holds the whole range. Ranges that the engine lent may lie in each
    /// other, so the nearest start need not be the one.
    pub(crate) fn find(&self, device: u32, start: usize, bytes: usize) -> Option<&Shared> {
        let before = self.ranges.get(&device)?.range(..=start).rev();
        before.flat_map(|(_, shared)| shared).find(|shared| {
            let offset = start - shared.start;
            offset <= shared.bytes && bytes <= shared.bytes - offset
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Nonce;

    fn name(number: u64) -> ExportName {
        ExportName { backend: Nonce(3), number }
    }

    fn shared(export: u64, start: usize, bytes: usize) -> Shared {
        Shared { export: name(export), start, bytes, home: Home::Here(Use::none()) }
    }

    #[test]
    fn a_range_is_found_in_whichever_import_holds_it() {
        let mut imports = Imports::default();
        imports.add(1, shared(7, 1_000, 500));
        imports.add(1, shared(8, 1_100, 10));
        imports.add(2, shared(9, 1_200, 10));
        let export = |device, start, bytes| {
            imports.find(device, start, bytes).map(|shared| shared.export.number)
        };
        assert_eq!(export(1, 1_100, 10), Some(8));
        assert_eq!(export(1, 1_100, 11), Some(7), "beyond the inner range, within the outer");
        assert_eq!(export(1, 1_499, 1), Some(7));
        assert_eq!(export(1, 1_499, 2), None);
        assert_eq!(export(1, 999, 1), None);
        assert_eq!(export(2, 1_100, 10), None, "imported by another device");
        assert_eq!(export(3, 1_100, 10), None);
    }

    #[test]
    fn each_import_is_closed_once() {
        let mut imports = Imports::default();
        imports.add(1, shared(7, 1_000, 500));
        imports.add(1, shared(7, 1_000, 500));
        imports.add(2, shared(7, 1_000, 500));
        assert!(!imports.remove(1, name(8), 1_000));
        assert!(!imports.remove(1, name(7), 1_001));
        assert!(imports.remove(1, name(7), 1_000));
        assert!(imports.remove(1, name(7), 1_000));
        assert!(!imports.remove(1, name(7), 1_000));
        assert!(imports.find(1, 1_000, 1).is_none());
        assert!(imports.is_imported(name(7)));
        assert!(imports.remove(2, name(7), 1_000));
        assert!(!imports.is_imported(name(7)));
    }
}
