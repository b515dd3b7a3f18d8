"""An algorithm entry for SGLang (0.5.23) that plans with this library.

SGLang chooses its algorithm from an enumeration and calls
`sglang.srt.eplb.eplb_algorithms.rebalance_experts`; `install` puts ours there. Call it in every scheduler
process before it serves:

    from eplb.integrations import sglang
    sglang.install()
"""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Tuple, Union

import torch
from sglang.srt.eplb import eplb_algorithms

import eplb

MOST_WINDOWS = 16
"""The steps that SGLang recorded are summed to so many windows at most."""


class Algorithm:
    """What SGLang calls: plans from the placement that its last plan left.

    Every rank has one and is asked for the same plans, so all have the same last plan; `forget` where a
    plan was not used.
    """

    def __init__(self, policy: Union[str, Mapping[str, Any]] = "robust") -> None:
        self.policy = policy
        self._last: Optional[torch.Tensor] = None

    def forget(self) -> None:
        """Plans anew the next time."""
        self._last = None

    def __call__(
        self,
        tokens_per_expert: torch.Tensor,
        num_physical_experts: int,
        num_local_physical_experts: int,
        num_groups: Optional[int],
        num_nodes: int,
        algorithm: Any = None,
    ) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`physical_to_logical_map`, `logical_to_physical_map` and `expert_count` for the counts [steps,
        layers, experts] (or [layers, experts]); int64, on the host. With an algorithm that is
        `elasticity_aware`, ranks that are not active take no replica."""
        windows = _windows(tokens_per_expert)
        layers, experts = windows.shape[1:]
        ranks = num_physical_experts // num_local_physical_experts
        nodes = num_nodes if num_nodes > 0 and ranks % num_nodes == 0 else 1
        groups = num_groups if num_groups and experts % num_groups == 0 else 1
        topology = eplb.Topology(ranks, num_local_physical_experts, nodes, dead=_dead(algorithm, ranks))
        present = self._last
        if present is not None and tuple(present.shape) != (layers, num_physical_experts):
            present = None
        plan = eplb.plan(windows, topology, policy=self.policy, present=present, groups=groups)
        self._last = plan.physical_to_logical_map.clone()
        return plan.physical_to_logical_map, plan.logical_to_physical_map, plan.logical_replica_count


def install(policy: Union[str, Mapping[str, Any]] = "robust") -> Algorithm:
    """Puts an algorithm of this library in the place of SGLang's, and gives it."""
    installed = Algorithm(policy)
    eplb_algorithms.rebalance_experts = installed
    return installed


def _windows(counts: torch.Tensor) -> torch.Tensor:
    """Whole counts of at most so many windows: steps are summed, in order."""
    counts = counts.round().to(torch.int64)
    if counts.dim() == 2:
        return counts[None]
    chunks = counts.tensor_split(min(MOST_WINDOWS, max(1, counts.shape[0])))
    return torch.stack([chunk.sum(dim=0) for chunk in chunks])


def _dead(algorithm: Any, ranks: int) -> List[int]:
    """The ranks that SGLang says are not active."""
    if not getattr(algorithm, "name", "").startswith("elasticity_aware"):
        return []
    from sglang.srt.elastic_ep.elastic_ep import ElasticEPStateManager

    state = ElasticEPStateManager.instance()
    if state is None:
        return []
    active = state.active_ranks.tolist()
    return [rank for rank in range(min(ranks, len(active))) if not active[rank]]
