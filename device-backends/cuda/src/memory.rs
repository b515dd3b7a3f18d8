//! Copies, and questions about addresses.

use std::ffi::{c_int, c_long, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use eplb_cuda_sys::{
    CUdeviceptr, cudaError_t, cudaMemLocation, cudaMemLocationType, cudaMemcpyAttributes,
    cudaMemcpyKind, cudaMemcpySrcAccessOrder, cudaMemoryType, cudaPointerAttributes, cudaStream_t,
};
use eplb_device::Result;
use eplb_device::raw::{Address, Copy, CopyKind, StreamHandle};

use crate::context::Context;
use crate::error::{check_driver, forget, invalid, unsupported};

/// Every allocation of the runtime starts at a multiple of this.
pub(crate) const ALIGNMENT: usize = 256;
/// Handles up to here name the null streams, on which batches cannot be put.
const LAST_NULL_STREAM: usize = 2;

pub(crate) fn pointer(address: Address) -> *mut c_void {
    address.0 as *mut c_void
}

pub(crate) fn stream(stream: StreamHandle) -> cudaStream_t {
    stream.0 as cudaStream_t
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
    batches: &AtomicBool,
) -> Result<()> {
    let mut kinds = Vec::with_capacity(copies.len());
    for copy in copies {
        kinds.push(match copy.kind {
            CopyKind::Device => cudaMemcpyKind::cudaMemcpyDeviceToDevice,
            // Addresses are unique over devices, so that they say which devices these are.
            CopyKind::Peer => cudaMemcpyKind::cudaMemcpyDefault,
            CopyKind::Upload => cudaMemcpyKind::cudaMemcpyHostToDevice,
            CopyKind::Download => cudaMemcpyKind::cudaMemcpyDeviceToHost,
            other => return Err(unsupported("copy", format!("{other:?} is not known here"))),
        });
    }
    let may_batch = copies.len() > 1 && to.0 > LAST_NULL_STREAM && batches.load(Ordering::Relaxed);
    if may_batch {
        // SAFETY: the caller's promise.
        if unsafe { copy_batch(context, copies, to)? } {
            return Ok(());
        }
        batches.store(false, Ordering::Relaxed);
    }
    for (copy, kind) in copies.iter().zip(kinds) {
        context.call("copy", |runtime| {
            // SAFETY: the caller has promised that both ranges are live memory of the sides that the
            // kind says, until the work has ended, and that the stream is alive and of this context.
            unsafe {
                (runtime.cudaMemcpyAsync)(
                    pointer(copy.destination),
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

/// One call for all copies; false, and nothing queued, where library or driver have no such call.
///
/// # Safety
///
/// As [`copy`].
unsafe fn copy_batch(context: &Context, copies: &[Copy], to: StreamHandle) -> Result<bool> {
    let runtime = &context.api().runtime;
    let mut destinations: Vec<_> = copies.iter().map(|copy| pointer(copy.destination)).collect();
    let mut sources: Vec<_> = copies.iter().map(|copy| pointer(copy.source)).collect();
    let mut sizes: Vec<usize> = copies.iter().map(|copy| copy.bytes).collect();
    let nowhere = cudaMemLocation { type_: cudaMemLocationType::cudaMemLocationTypeInvalid, id: 0 };
    let mut attributes = cudaMemcpyAttributes {
        srcAccessOrder: cudaMemcpySrcAccessOrder::cudaMemcpySrcAccessOrderStream,
        srcLocHint: nowhere,
        dstLocHint: nowhere,
        flags: 0,
    };
    // The attributes hold from the first copy on.
    let mut first = 0;
    let bound = context.bind("copy")?;
    let status = if let Some(batch) = runtime.cudaMemcpyBatchAsync_v13 {
        // SAFETY: the lists are as long as said and outlive the call, which copies them; for the ranges
        // and the stream, the caller's promise.
        unsafe {
            batch(
                destinations.as_ptr(),
                sources.as_ptr().cast(),
                sizes.as_ptr(),
                copies.len(),
                &raw mut attributes,
                &raw mut first,
                1,
                stream(to),
            )
        }
    } else if let Some(batch) = runtime.cudaMemcpyBatchAsync_v12 {
        let mut failed = 0;
        // SAFETY: as above.
        unsafe {
            batch(
                destinations.as_mut_ptr(),
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
    } else {
        return Ok(false);
    };
    if matches!(
        status,
        cudaError_t::cudaErrorNotSupported | cudaError_t::cudaErrorCallRequiresNewerDriver
    ) {
        forget(runtime);
        return Ok(false);
    }
    drop(bound);
    crate::error::check(runtime, "copy", status).map(|()| true)
}

/// Checks that a range which the engine lends is what it says, by its first and its last byte: one in
/// between may be of another mapping of the same allocator.
pub(crate) fn check_borrowed(
    context: &Context,
    address: Address,
    bytes: usize,
    pinned: bool,
) -> Result<()> {
    for byte in [address.0, address.0 + (bytes - 1)] {
        let mut found = cudaPointerAttributes {
            type_: cudaMemoryType::cudaMemoryTypeUnregistered,
            device: -1,
            devicePointer: std::ptr::null_mut(),
            hostPointer: std::ptr::null_mut(),
            eplb_reserved: [0 as c_long; 8],
        };
        context.call("borrow_memory", |runtime| {
            // SAFETY: writes one structure, which lives and is as long as the longest known; the
            // address is only looked up.
            unsafe { (runtime.cudaPointerGetAttributes)(&raw mut found, pointer(Address(byte))) }
        })?;
        let is_right = if pinned {
            found.type_ == cudaMemoryType::cudaMemoryTypeHost
        } else {
            found.type_ == cudaMemoryType::cudaMemoryTypeDevice
                && c_int::try_from(context.ordinal()) == Ok(found.device)
        };
        if !is_right {
            let wanted = if pinned { "page-locked host memory" } else { "memory of this device" };
            return Err(invalid(
                "borrow_memory",
                format!(
                    "address {byte:#x} is {:?} of device {}; allowed is {wanted}",
                    found.type_, found.device
                ),
            ));
        }
    }
    Ok(())
}

/// Where the allocation that holds an address begins, and its bytes.
pub(crate) fn allocation_of(context: &Context, address: Address) -> Result<(Address, usize)> {
    let _bound = context.bind("export")?;
    let driver = context.driver();
    let (mut base, mut bytes): (CUdeviceptr, usize) = (0, 0);
    // SAFETY: writes two numbers, which live; the address is only looked up.
    let status = unsafe {
        (driver.cuMemGetAddressRange_v2)(&raw mut base, &raw mut bytes, address.0 as CUdeviceptr)
    };
    check_driver(driver, "export", status)?;
    let base = usize::try_from(base)
        .map_err(|_| invalid("export", format!("base {base:#x} is no address here")))?;
    Ok((Address(base), bytes))
}
