"""Arrays and tensors of whichever library, as numpy arrays on the host, and results as they came.

torch is never imported here: a tensor can only come from a program that has imported it.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, NamedTuple, Optional, Tuple

import numpy as np

from eplb._errors import ArgumentError

Wrap = Callable[[np.ndarray], Any]


class Maps(NamedTuple):
    """A placement as the maps that vLLM, SGLang and DeepSeek use, all int64."""

    physical_to_logical_map: Any
    """[layers, slots]: the logical expert of each slot."""
    logical_to_physical_map: Any
    """[layers, experts, most replicas]: the slots of each expert's live replicas, padded with -1."""
    logical_replica_count: Any
    """[layers, experts]: the live replicas of each expert."""


def _unchanged(array: np.ndarray) -> np.ndarray:
    return array


def is_torch(value: Any) -> bool:
    """Whether the value is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def to_host(value: Any, name: str) -> Tuple[np.ndarray, Wrap]:
    """`value` as an array on the host, and what makes results of its kind: tensors on the host for
    torch tensors of any device, as DeepSeek's function gives them, else numpy arrays."""
    if is_torch(value):
        return value.detach().cpu().numpy(), sys.modules["torch"].from_numpy
    if isinstance(value, np.ndarray):
        return value, _unchanged
    # Arrays of devices say how they come to the host: cupy's `get`, numba's `copy_to_host`.
    for method in ("get", "copy_to_host"):
        if hasattr(value, "__cuda_array_interface__") and hasattr(value, method):
            return np.asarray(getattr(value, method)()), _unchanged
    if hasattr(value, "__dlpack_device__") and not hasattr(value, "__array__"):
        return _dlpack_to_host(value, name), _unchanged
    try:
        return np.asarray(value), _unchanged
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} is no array: {error}") from None


def to_float32(value: Any, name: str) -> Tuple[np.ndarray, Wrap]:
    """As `to_host`, a matrix of numbers in float32, rounded as torch's `float()` does."""
    if is_torch(value) and value.is_floating_point():
        value = value.float()  # numpy knows no bfloat16
    host, wrap = to_host(value, name)
    if host.ndim != 2:
        raise ArgumentError(f"{name} has {host.ndim} dimensions, allowed are 2: layers and experts")
    if host.dtype.kind not in "iuf":
        raise ArgumentError(f"{name} has values of {host.dtype}, allowed are integers and floats")
    # A value beyond float32 becomes infinite and is refused by name.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(host, dtype=np.float32), wrap


def to_counts(value: Any, name: str, dimensions: Tuple[int, ...]) -> Tuple[np.ndarray, Wrap]:
    """As `to_host`, whole numbers in int64 with one of these numbers of dimensions."""
    if is_torch(value) and value.is_floating_point():
        value = value.double()
    host, wrap = to_host(value, name)
    if host.ndim not in dimensions:
        allowed = " or ".join(map(str, dimensions))
        raise ArgumentError(f"{name} has {host.ndim} dimensions, allowed are {allowed}")
    if host.dtype.kind == "f":
        # Beyond 2^53 floats are no counts any more.
        if not (np.isfinite(host).all() and (host == np.floor(host)).all() and (abs(host) < 2**53).all()):
            raise ArgumentError(f"{name} has values that are no whole numbers")
    elif host.dtype.kind == "u":
        if host.size and int(host.max()) > np.iinfo(np.int64).max:
            raise ArgumentError(f"{name} has values beyond int64")
    elif host.dtype.kind != "i":
        raise ArgumentError(f"{name} has values of {host.dtype}, allowed are whole numbers")
    return np.ascontiguousarray(host, dtype=np.int64), wrap


def to_placement(value: Any) -> Optional[np.ndarray]:
    """A `physical_to_logical_map`, if one is given."""
    return None if value is None else to_counts(value, "placement", (2,))[0]


def _dlpack_to_host(value: Any, name: str) -> np.ndarray:
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"{name} cannot be read on the host ({error}); give a numpy array or a torch tensor"
        ) from None
