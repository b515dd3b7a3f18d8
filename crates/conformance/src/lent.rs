//! Handles that one opened device lends to another, as an engine does to the library.

#![allow(
    unsafe_code,
    reason = "lending handles is a promise to keep them alive, which the compiler cannot check; the \
              scope of the case keeps every lender until the borrowing device has been drained"
)]

use std::sync::Arc;

use eplb::device::Device;

use crate::scope::{Object, Scope, Trouble};

/// Lends `of` to the opened device `device`, and keeps the lender.
pub(crate) fn lend(scope: &mut Scope, of: &str, device: &str) -> Result<Object, Trouble> {
    let borrower = scope.device(device)?.clone();
    let lender = scope.find(of)?.clone();
    let lent = lend_to(&borrower, &lender)?;
    scope.keep_lender(lender);
    Ok(lent)
}

fn lend_to(borrower: &Device, lender: &Object) -> Result<Object, Trouble> {
    match lender {
        Object::Stream(stream) => {
            // SAFETY: the stream is of another opening of a device of the same backend, alive, and the
            // scope keeps it until the borrower has been drained, or for ever.
            let lent = unsafe { borrower.borrow_stream(stream.handle())? };
            Ok(Object::Stream(Arc::new(lent)))
        }
        Object::Memory(memory) => {
            // SAFETY: the range is device memory of another opening, alive, and kept as above; the
            // case orders accesses by streams and events.
            let lent = unsafe { borrower.borrow_memory(memory.address(), memory.bytes())? };
            Ok(Object::Memory(lent))
        }
        Object::Pinned(pinned) => {
            // SAFETY: the range is page-locked memory, initialised by the safe layer, alive and kept
            // as above; while it is lent the case touches it through the borrower alone.
            let lent = unsafe { borrower.borrow_pinned(pinned.address(), pinned.bytes())? };
            Ok(Object::Pinned(lent))
        }
        other => Err(Trouble::Seen(format!("the case is wrong: {other:?} cannot be lent"))),
    }
}
