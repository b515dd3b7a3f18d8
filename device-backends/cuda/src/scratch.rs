//! The memory that barriers reduce.

use std::ffi::c_void;
use std::sync::Mutex;

use eplb_device::Result;
use eplb_device::raw::Address;

use crate::context::Context;
use crate::memory::{ALIGNMENT, pointer};

/// A memory that is freed if what it was made for does not come about.
pub(crate) struct Scratch<'a> {
    context: &'a Context,
    address: Option<Address>,
}

impl<'a> Scratch<'a> {
    pub(crate) fn allocate(context: &'a Context) -> Result<Self> {
        let mut start: *mut c_void = std::ptr::null_mut();
        context.call("communicator", |runtime| {
            // SAFETY: writes one pointer, which lives.
            unsafe { (runtime.cudaMalloc)(&raw mut start, ALIGNMENT) }
        })?;
        Ok(Self { context, address: Some(Address(start as usize)) })
    }

    /// One that was kept.
    pub(crate) fn of(context: &'a Context, address: Option<Address>) -> Self {
        Self { context, address }
    }

    pub(crate) fn keep(mut self) -> Mutex<Option<Address>> {
        Mutex::new(self.address.take())
    }

    pub(crate) fn free(&mut self) -> Result<()> {
        self.address.take().map_or(Ok(()), |address| {
            self.context.call("destroy", |runtime| {
                // SAFETY: allocated above and taken out, so freed once; no barrier is pending.
                unsafe { (runtime.cudaFree)(pointer(address)) }
            })
        })
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // The failure that led here is the one to report.
        let _ = self.free();
    }
}
