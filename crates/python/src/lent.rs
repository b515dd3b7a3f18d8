//! Memory and streams that Python lends, and what keeps them alive.

#![allow(unsafe_code, reason = "addresses of arrays become memory; each use says why it may")]

use std::sync::Arc;

use eplb::device::{Address, Device, Stream, StreamHandle};
use eplb::{SlotTensor, WeightManifest};
use pyo3::prelude::*;

use crate::error::{Kind, OrException};

/// The Python objects whose memory is lent. They are let go when the last executor that reads or writes
/// that memory is gone and its device has come to rest.
pub(crate) struct Owners {
    _objects: Vec<Py<PyAny>>,
}

/// A tensor as `eplb._weights` describes it: its name, address, bytes, the bytes from one slot to the
/// next, those of a slot, and the object that owns the memory.
pub(crate) type TensorForm = (String, usize, usize, usize, usize, Py<PyAny>);

/// The weights of a rank, by layer, and their owners.
///
/// # Errors
/// What the device refuses.
pub(crate) fn borrow_weights(
    py: Python<'_>,
    device: &Device,
    layers: &[Vec<TensorForm>],
) -> PyResult<(WeightManifest, Arc<Owners>)> {
    let mut manifest = WeightManifest::new();
    let mut objects = Vec::new();
    for tensors in layers {
        let mut layer = Vec::new();
        for (name, address, bytes, slot_stride, slot_bytes, owner) in tensors {
            // SAFETY: origin: the buffer of an array or tensor, whose address and size `eplb._weights`
            // read from it, or a pointer of the engine (`eplb.Pointer`), whose promise this is. Lifetime:
            // the owner is referenced until every session that uses the range is dropped and the device
            // is drained (`Owners`, `ExecutorState`). Thread and stream order: the engine's own kernels
            // run on the stream that it lends, or between steps, as `eplb.Executor` asks for.
            let memory = unsafe { device.borrow_memory(Address(*address), *bytes) };
            let memory = memory.or_exception()?;
            let (name, slot_stride, slot_bytes) = (name.clone(), *slot_stride, *slot_bytes);
            layer.push(SlotTensor { name, memory, slot_stride, slot_bytes });
            objects.push(owner.clone_ref(py));
        }
        manifest.push_layer(layer);
    }
    Ok((manifest, Arc::new(Owners { _objects: objects })))
}

/// The engine's stream.
///
/// # Errors
/// A handle of null, or what the device refuses.
pub(crate) fn borrow_stream(device: &Device, handle: usize) -> PyResult<Stream> {
    if handle == 0 {
        let text = "stream is 0, the default stream, which cannot be lent; give one of your own";
        return Err(Kind::Argument.says(text));
    }
    // SAFETY: the engine's promise with `eplb.Executor(stream=...)`: a live stream of this device in the
    // context that its library made current, until the executor is closed.
    unsafe { device.borrow_stream(StreamHandle(handle)) }.or_exception()
}
