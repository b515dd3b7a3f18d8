//! Routing tables as views.

use eplb::core::{RoutingTable, SlotId};

use crate::generated as c;

/// A view of a table, which its owner keeps.
pub(crate) fn view(table: &RoutingTable) -> c::eplb_routing {
    // Slots are numbers in another coat (`repr(transparent)`).
    let slots: *const SlotId = table.slots().as_ptr();
    c::eplb_routing {
        struct_size: size_of::<c::eplb_routing>(),
        epoch: table.epoch().0,
        experts: table.experts() as u32,
        entries: table.slots().len() as u32,
        offsets: table.offsets().as_ptr(),
        slots: slots.cast(),
        shares: table.shares().as_ptr(),
    }
}
