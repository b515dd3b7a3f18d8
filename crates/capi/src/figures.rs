//! Numbers with names, for metrics: all of them, or one.

use std::ffi::{CString, c_void};

use crate::failure::Failure;
use crate::generated as c;
use crate::status::Status;

/// Hands every figure to the caller's function.
pub(crate) fn visit(
    figures: impl Iterator<Item = (&'static str, u64)>,
    visit: c::eplb_figure_fn,
    user: *mut c_void,
) -> Result<(), Failure> {
    let Some(visit) = visit else {
        return Err(Failure::new(Status::Null, "visit is null"));
    };
    for (name, value) in figures {
        let text = CString::new(name).unwrap_or_default();
        // SAFETY: the caller's function with the pointer given with it, in the caller's own call; the name
        // stays until it returns.
        let said = unsafe { visit(user, text.as_ptr(), value) };
        if said != 0 {
            let text = format!("the visit of figures ended at {name} with {said}");
            return Err(Failure::new(Status::Callback, text));
        }
    }
    Ok(())
}

/// One of them.
pub(crate) fn find(
    mut figures: impl Iterator<Item = (&'static str, u64)>,
    wanted: &str,
) -> Result<u64, Failure> {
    figures.find(|(name, _)| *name == wanted).map(|(_, value)| value).ok_or_else(|| {
        Failure::argument("name", format!("{wanted:?}"), "a name that the visit of all gives")
    })
}
