"""The memory of weights: arrays and tensors as addresses, which the library reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from eplb._errors import ArgumentError
from eplb._tensors import is_torch

Form = Tuple[str, int, int, int, int, Any]


@dataclass(frozen=True)
class Pointer:
    """Weights at an address, slot after slot.

    Whoever makes one promises that the memory is of the executor's device and stays until the executor is
    closed; `owner` is held until then."""

    address: int
    bytes: int
    """Bytes of all slots, from the first one's start to the last one's end."""
    slot_stride: int
    """Bytes from one slot to the next."""
    slot_bytes: int
    """Bytes of a slot, at most the stride."""
    owner: Any = None


def forms(weights: Sequence[Mapping[str, Any]]) -> List[List[Form]]:
    """The tensors of each layer as name, address, bytes, slot stride, slot bytes and owner."""
    if isinstance(weights, Mapping) or not isinstance(weights, Sequence):
        raise ArgumentError("weights is no list: give a dict of tensors for each layer")
    layers = []
    for index, layer in enumerate(weights):
        if not isinstance(layer, Mapping):
            raise ArgumentError(f"weights[{index}] is no dict: give its tensors by name")
        layers.append([_form(f"weights[{index}][{name!r}]", name, held) for name, held in layer.items()])
    return layers


def _form(place: str, name: str, held: Any) -> Form:
    if isinstance(held, Pointer):
        return name, held.address, held.bytes, held.slot_stride, held.slot_bytes, held.owner
    if is_torch(held):
        strides = [stride * held.element_size() for stride in held.stride()]
        return _of(place, name, held.data_ptr(), held.shape, strides, held.element_size(), held)
    if isinstance(held, np.ndarray):
        if not held.flags.writeable:
            raise ArgumentError(f"{place} is read-only; new weights are written to it")
        return _of(place, name, held.ctypes.data, held.shape, held.strides, held.itemsize, held)
    interface = getattr(held, "__cuda_array_interface__", None)
    if isinstance(interface, Dict):
        return _of_interface(place, name, interface, held)
    found = type(held).__name__
    raise ArgumentError(f"{place} is a {found}, allowed are arrays, tensors and eplb.Pointer")


def _of_interface(place: str, name: str, interface: Dict[str, Any], owner: Any) -> Form:
    address, is_read_only = interface["data"]
    if is_read_only:
        raise ArgumentError(f"{place} is read-only; new weights are written to it")
    size = np.dtype(interface["typestr"]).itemsize
    shape = interface["shape"]
    return _of(place, name, address, shape, interface.get("strides") or _packed(shape, size), size, owner)


def _packed(shape: Sequence[int], size: int) -> List[int]:
    """The strides of a C-contiguous array."""
    strides: List[int] = []
    for extent in reversed(shape):
        strides.insert(0, size)
        size *= extent
    return strides


def _of(
    place: str,
    name: str,
    address: int,
    shape: Sequence[int],
    strides: Sequence[int],
    size: int,
    owner: Any,
) -> Form:
    if not shape or 0 in shape:
        raise ArgumentError(f"{place} has the shape {tuple(shape)}; the first dimension is that of slots")
    # A slot has to be one piece of memory; between slots there may be gaps. A stride of a dimension of
    # one entry means nothing.
    wanted = _packed(shape, size)
    for extent, stride, packed in list(zip(shape, strides, wanted))[1:]:
        if extent > 1 and stride != packed:
            raise ArgumentError(f"{place} is not contiguous within a slot")
    slot_bytes = wanted[0]
    slot_stride = strides[0] if shape[0] > 1 else slot_bytes
    if slot_stride < slot_bytes:
        raise ArgumentError(f"{place} has overlapping or reversed slots")
    return name, address, slot_stride * (shape[0] - 1) + slot_bytes, slot_stride, slot_bytes, owner
