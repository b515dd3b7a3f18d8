//! Copies, and questions about addresses.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use eplb_ascend_sys::{
    aclrtMemLocation, aclrtMemLocationType, aclrtMemcpyBatchAttr, aclrtMemcpyKind,
    aclrtPtrAttributes, aclrtStream,
};
use eplb_device::raw::{Address, Copy, CopyKind, StreamHandle};
use eplb_device::{ErrorKind, Result};

use crate::context::Context;
use crate::error::{invalid, unsupported};

/// Every allocation of the runtime starts at a multiple of this.
pub(crate) const ALIGNMENT: usize = 64;

pub(crate) fn pointer(address: Address) -> *mut c_void {
    address.0 as *mut c_void
}

pub(crate) fn stream(stream: StreamHandle) -> aclrtStream {
    stream.0 as aclrtStream
}

/// Whether the library takes batches of copies, as far as is known: within the device, and between it
/// and the host.
#[derive(Debug)]
pub(crate) struct Batches {
    within: AtomicBool,
    between: AtomicBool,
}

impl Default for Batches {
    fn default() -> Self {
        Self { within: AtomicBool::new(true), between: AtomicBool::new(true) }
    }
}

/// Queues a batch of copies: as one call where the library can, else one by one.
///
/// # Safety
///
/// As [`Driver::copy`](eplb_device::raw::Driver::copy).
pub(crate) unsafe fn copy(
    context: &Context,
    copies: &[Copy],
    to: StreamHandle,
    batches: &Batches,
) -> Result<()> {
    let mut kinds = Vec::with_capacity(copies.len());
    for copy in copies {
        kinds.push(match copy.kind {
            CopyKind::Device | CopyKind::Peer => aclrtMemcpyKind::ACL_MEMCPY_DEVICE_TO_DEVICE,
            CopyKind::Upload => aclrtMemcpyKind::ACL_MEMCPY_HOST_TO_DEVICE,
            CopyKind::Download => aclrtMemcpyKind::ACL_MEMCPY_DEVICE_TO_HOST,
            other => return Err(unsupported("copy", format!("{other:?} is not known here"))),
        });
    }
    if copies.len() > 1
        && let Some(takes) = batch_of(copies, batches)
        && takes.load(Ordering::Relaxed)
    {
        // SAFETY: the caller's promise.
        if unsafe { copy_batch(context, copies, to)? } {
            return Ok(());
        }
        // What was queued before the library stopped is queued again: the same bytes.
        takes.store(false, Ordering::Relaxed);
    }
    for (copy, kind) in copies.iter().zip(kinds) {
        context.call("copy", |runtime| {
            // SAFETY: the caller has promised that both ranges are live memory of the sides that the
            // kind says, until the work has ended, and that the stream is alive and of this context.
            unsafe {
                (runtime.aclrtMemcpyAsync)(
                    pointer(copy.destination),
                    copy.bytes,
                    pointer(copy.source),
                    copy.bytes,
                    kind,
                    stream(to),
                )
            }
        })?;
    }
    Ok(())
}

/// What tells whether these copies can be one batch: all within the device, or all to or all from the
/// host. Where imported memory lies, which a batch would have to say, is not known.
fn batch_of<'a>(copies: &[Copy], batches: &'a Batches) -> Option<&'a AtomicBool> {
    let kind = copies.first()?.kind;
    if copies.iter().any(|copy| copy.kind != kind) {
        return None;
    }
    match kind {
        CopyKind::Device => Some(&batches.within),
        CopyKind::Upload | CopyKind::Download => Some(&batches.between),
        _ => None,
    }
}

/// One call for all copies, which are of one kind; false where the library has no such call, or does not
/// take these.
///
/// # Safety
///
/// As [`copy`].
unsafe fn copy_batch(context: &Context, copies: &[Copy], to: StreamHandle) -> Result<bool> {
    let Some(batch) = context.runtime().aclrtMemcpyBatchAsync else {
        return Ok(false);
    };
    let mut destinations: Vec<_> = copies.iter().map(|copy| pointer(copy.destination)).collect();
    let mut sources: Vec<_> = copies.iter().map(|copy| pointer(copy.source)).collect();
    let mut sizes: Vec<usize> = copies.iter().map(|copy| copy.bytes).collect();
    let mut rooms = sizes.clone();
    let device = aclrtMemLocation {
        id: context.ordinal(),
        eplb_type: aclrtMemLocationType::ACL_MEM_LOCATION_TYPE_DEVICE,
    };
    let host =
        aclrtMemLocation { id: 0, eplb_type: aclrtMemLocationType::ACL_MEM_LOCATION_TYPE_HOST };
    let kind = copies.first().map(|copy| copy.kind);
    let mut attributes = aclrtMemcpyBatchAttr {
        dstLoc: if kind == Some(CopyKind::Download) { host } else { device },
        srcLoc: if kind == Some(CopyKind::Upload) { host } else { device },
        rsv: [0; 16],
    };
    // The attributes hold from the first copy on.
    let mut first = 0;
    let mut failed = usize::MAX;
    let queued = context.call("copy", |_| {
        // SAFETY: the lists are as long as said and outlive the call, which copies them; for the ranges
        // and the stream, the caller's promise.
        unsafe {
            batch(
                destinations.as_mut_ptr(),
                rooms.as_mut_ptr(),
                sources.as_mut_ptr(),
                sizes.as_mut_ptr(),
                copies.len(),
                &raw mut attributes,
                &raw mut first,
                1,
                &raw mut failed,
                stream(to),
            )
        }
    });
    match queued {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidUse) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Checks that a range which the engine lends is what it says, by its first and its last byte. A library
/// that cannot say what an address is has to be trusted.
pub(crate) fn check_borrowed(
    context: &Context,
    address: Address,
    bytes: usize,
    pinned: bool,
) -> Result<()> {
    let Some(ask) = context.runtime().aclrtPointerGetAttributes else {
        return Ok(());
    };
    for byte in [address.0, address.0 + (bytes - 1)] {
        let mut found = aclrtPtrAttributes {
            location: aclrtMemLocation {
                id: u32::MAX,
                eplb_type: aclrtMemLocationType::ACL_MEM_LOCATION_TYPE_UNREGISTERED,
            },
            pageSize: 0,
            rsv: [0; 4],
        };
        let asked = context.call("borrow_memory", |_| {
            // SAFETY: writes one structure, which lives; the address is only looked up.
            unsafe { ask(pointer(Address(byte)), &raw mut found) }
        });
        match asked {
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
            other => other?,
        }
        let place = found.location;
        let is_right = if pinned {
            place.eplb_type == aclrtMemLocationType::ACL_MEM_LOCATION_TYPE_HOST
        } else {
            place.eplb_type == aclrtMemLocationType::ACL_MEM_LOCATION_TYPE_DEVICE
                && place.id == context.ordinal()
        };
        if !is_right {
            let wanted = if pinned { "page-locked host memory" } else { "memory of this device" };
            return Err(invalid(
                "borrow_memory",
                format!(
                    "address {byte:#x} is {:?} of device {}; allowed is {wanted}",
                    place.eplb_type, place.id
                ),
            ));
        }
    }
    Ok(())
}

/// Where the allocation that holds a range begins, and its bytes; the range itself where the library
/// cannot say.
pub(crate) fn allocation_of(
    context: &Context,
    address: Address,
    bytes: usize,
) -> Result<(Address, usize)> {
    let Some(ask) = context.runtime().aclrtMemGetAddressRange else {
        return Ok((address, bytes));
    };
    let (mut start, mut length): (*mut c_void, usize) = (std::ptr::null_mut(), 0);
    context.call("export", |_| {
        // SAFETY: writes a pointer and a number, which live; the address is only looked up.
        unsafe { ask(pointer(address), &raw mut start, &raw mut length) }
    })?;
    let start = start as usize;
    let is_inside = start != 0
        && start <= address.0
        && address.0.checked_add(bytes).is_some_and(|end| end - start <= length);
    if !is_inside {
        return Err(invalid(
            "export",
            format!(
                "{bytes} bytes at {:#x} are not inside one allocation: {length} bytes at {start:#x}",
                address.0
            ),
        ));
    }
    Ok((Address(start), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: CopyKind) -> Copy {
        Copy { destination: Address(64), source: Address(128), bytes: 1, kind }
    }

    #[test]
    fn batches_are_of_one_kind_that_is_not_a_peer() {
        let batches = Batches::default();
        let which = |kinds: &[CopyKind]| {
            let copies: Vec<Copy> = kinds.iter().map(|kind| of(*kind)).collect();
            batch_of(&copies, &batches).map(|flag| std::ptr::eq(flag, &raw const batches.within))
        };
        assert_eq!(which(&[CopyKind::Device, CopyKind::Device]), Some(true));
        assert_eq!(which(&[CopyKind::Upload]), Some(false));
        assert_eq!(which(&[CopyKind::Upload, CopyKind::Download]), None);
        assert_eq!(which(&[CopyKind::Peer, CopyKind::Peer]), None);
        assert_eq!(which(&[]), None);
    }
}
