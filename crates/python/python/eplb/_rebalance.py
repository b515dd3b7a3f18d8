"""DeepSeek's entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Tuple, TypeVar, overload

from eplb import _eplb
from eplb._tensors import to_float32

if TYPE_CHECKING:
    import numpy as np

    Array = TypeVar("Array")


def rebalance_experts(
    weight: Array,
    num_replicas: int,
    num_groups: int,
    num_nodes: int,
    num_gpus: int,
) -> Tuple[Array, Array, Array]:
    """What `rebalance_experts` of deepseek-ai/EPLB gives, ties included.

    Args:
        weight: [layers, experts], the load of each logical expert: a numpy array or torch tensor of
            integers or floats, or what can be made an array. Tensors of a device are copied to the host.
        num_replicas: physical experts of a layer, a multiple of `num_gpus`.
        num_groups: expert groups of a layer.
        num_nodes: nodes; where groups don't divide over them, all is planned as one node.
        num_gpus: ranks, a multiple of `num_nodes`.

    Returns:
        physical_to_logical_map: [layers, num_replicas], the expert of each replica.
        logical_to_physical_map: [layers, experts, most replicas of any expert], the replicas of each
            expert, padded with -1.
        expert_count: [layers, experts], the number of replicas of each expert.

        All int64: torch tensors (on the host, as the reference's) for a tensor, else numpy arrays.

    Raises:
        ArgumentError: `weight` is no matrix of numbers.
        PolicyError: sizes that don't divide, or weights that are negative or not finite.
    """
    host, wrap = to_float32(weight, "weight")
    maps = _eplb.rebalance_experts(host, num_replicas, num_groups, num_nodes, num_gpus)
    return wrap(maps[0]), wrap(maps[1]), wrap(maps[2])
