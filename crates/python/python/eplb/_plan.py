"""A policy on its own."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional, Sequence, Union

from eplb import _eplb
from eplb._eplb import Topology
from eplb._tensors import to_counts, to_placement


class Plan(NamedTuple):
    """A plan of some layers; arrays of the kind that the windows were given as."""

    physical_to_logical_map: Any
    """int64 [layers, slots]: the logical expert of each slot."""
    logical_to_physical_map: Any
    """int64 [layers, experts, most replicas]: the slots of each expert's live replicas, padded with -1."""
    logical_replica_count: Any
    """int64 [layers, experts]: the live replicas of each expert."""
    shares: Any
    """uint16 [layers, slots]: the share of its expert's tokens that each slot takes, in 1/65,535."""
    balancedness_before: Any
    """float64 [layers]: mean rank load / max rank load now; NaN where there is no such placement."""
    balancedness: Any
    """float64 [layers]: the same with the plan."""
    moved_slots: Any
    """int64 [layers]: slots whose rank did not hold their expert before; -1 without a placement."""


def plan(
    windows: Any,
    topology: Topology,
    *,
    policy: Union[str, Mapping[str, Any]] = "robust",
    present: Any = None,
    weights: Optional[Sequence[float]] = None,
    groups: int = 1,
    layers: Optional[Sequence[int]] = None,
    most_sent: Optional[int] = None,
    most_sent_rank_pair: Optional[int] = None,
) -> Plan:
    """Plans which expert goes into which slot.

    Args:
        windows: counts of tokens, [windows, layers, experts], oldest first, or of one [layers, experts].
        topology: the ranks, dead ones and their speeds included.
        policy: one of `eplb.POLICIES`, or a dict with its settings (`[policy]` of a configuration).
        present: the `physical_to_logical_map` that the engine has now; what stays keeps its slot then.
        weights: how much each window counts; all alike unless given.
        groups: expert groups of each layer.
        layers: the layers to plan, all unless given.
        most_sent: the most experts that may be sent, in all layers together.
        most_sent_rank_pair: the same between any two ranks.
    """
    counts, wrap = to_counts(windows, "windows", (2, 3))
    if counts.ndim == 2:
        counts = counts[None]
    maps, shares, before, after, moved = _eplb.plan(
        counts,
        topology,
        policy=policy,
        present=to_placement(present),
        weights=[] if weights is None else list(weights),
        groups=groups,
        layers=None if layers is None else list(layers),
        most_sent=most_sent,
        most_sent_rank_pair=most_sent_rank_pair,
    )
    table, slots, replicas = map(wrap, maps)
    return Plan(table, slots, replicas, wrap(shares), wrap(before), wrap(after), wrap(moved))
