//! A copy that a task is to make, with the memory that it holds.

use eplb_device::Result;

use crate::access::AccessTable;
use crate::error::invalid;
use crate::gate::Stop;
use crate::memory::Side;

/// One copy, of memory that stays until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldCopy {
    pub(crate) destination: Side,
    pub(crate) source: Side,
    pub(crate) bytes: usize,
}

impl HeldCopy {
    pub(crate) fn run(&self, access: &AccessTable, stop: &Stop) -> Result<()> {
        let bytes = self.bytes;
        match (&self.destination, &self.source) {
            (Side::Here { address: to, .. }, Side::Here { address: from, .. }) => {
                // SAFETY: both ranges were found in live memory, which the sides hold (memory of the
                // engine, its lender); the queueing caller has promised that they are apart.
                unsafe { access.copy(stop, *to, *from, bytes) }
            }
            (Side::Here { address: to, .. }, Side::Elsewhere { foreign, offset }) => access
                .writing(stop, *to, bytes, || {
                    // SAFETY: as above for the range here, which the table keeps others from.
                    unsafe { foreign.read(stop, *offset, *to, bytes) }
                }),
            (Side::Elsewhere { foreign, offset }, Side::Here { address: from, .. }) => access
                .reading(stop, *from, bytes, || {
                    // SAFETY: as above for the range here, which the table keeps writers from.
                    unsafe { foreign.write(stop, *offset, *from, bytes) }
                }),
            (Side::Elsewhere { .. }, Side::Elsewhere { .. }) => Err(invalid(
                "copy",
                "both sides are memory of other processes; one has to be of this device",
            )),
        }
    }
}
