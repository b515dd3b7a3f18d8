//! Structures that carry their size, and which of their fields must be there.

use std::mem::offset_of;

use crate::generated as c;

/// A structure of the header that begins with `struct_size`.
///
/// # Safety
/// The type is `repr(C)`, begins with a `usize`, holds nothing but numbers, pointers and optional
/// function pointers, and so is valid with all bytes zero and after any of its bytes were copied from a
/// structure of C of the same layout.
pub(crate) unsafe trait Structure: Sized {
    /// The name in the header.
    const NAME: &'static str;
    /// Bytes of the first version of the structure. More may be left off by older callers.
    const LEAST: usize;
}

macro_rules! structures {
    ($($name:ident: $least:expr,)*) => { $(
        // SAFETY: bindgen made the type from a structure of the header that begins with `struct_size`
        // (checked below) and holds numbers, pointers and function pointers alone.
        unsafe impl Structure for c::$name {
            const NAME: &'static str = stringify!($name);
            const LEAST: usize = $least;
        }

        const _: () = assert!(offset_of!(c::$name, struct_size) == 0);
    )* };
}

/// All bytes that the structure has in this version.
macro_rules! whole {
    ($name:ident) => {
        size_of::<c::$name>()
    };
}

structures! {
    eplb_model: whole!(eplb_model),
    eplb_rank: whole!(eplb_rank),
    eplb_routing: whole!(eplb_routing),
    eplb_plan_request: offset_of!(c::eplb_plan_request, weights),
    eplb_layer_plan: whole!(eplb_layer_plan),
    eplb_coordinator_options: whole!(eplb_coordinator_options),
    eplb_plan_digest: whole!(eplb_plan_digest),
    eplb_directive: whole!(eplb_directive),
    eplb_answer: whole!(eplb_answer),
    eplb_device_info: whole!(eplb_device_info),
    eplb_device_functions: offset_of!(c::eplb_device_functions, export_memory),
    eplb_load: offset_of!(c::eplb_load, form),
    eplb_load_counters: offset_of!(c::eplb_load_counters, ring),
    eplb_session_options: offset_of!(c::eplb_session_options, counters),
    eplb_device_routing: whole!(eplb_device_routing),
}
