"""An `AbstractEplbPolicy` of vLLM (0.33.0) that plans with this library.

vLLM's configuration knows the policy "default" alone, so `install` puts ours in its place. Call it in every
worker before the engine's EPLB state is made, for example from a plugin (`vllm.general_plugins`):

    from eplb.integrations import vllm
    vllm.install()

Every rank plans for itself there, and plans of this library are the same on all machines.
"""

from __future__ import annotations

from typing import Any, ClassVar, Mapping, Optional, Union

import torch
from vllm.distributed.eplb.policy import EPLB_POLICIES
from vllm.distributed.eplb.policy.abstract import AbstractEplbPolicy

import eplb


class EplbPolicy(AbstractEplbPolicy):  # type: ignore[misc]
    """Plans with `policy`: a name, or a dict with settings (see `eplb.plan`)."""

    policy: ClassVar[Union[str, Mapping[str, Any]]] = "robust"

    @classmethod
    def rebalance_experts(
        cls,
        weight: torch.Tensor,
        num_replicas: int,
        num_groups: int,
        num_nodes: int,
        num_ranks: int,
        old_global_expert_indices: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """The `physical_to_logical_map` [layers, num_replicas] for `weight` [layers, experts]: int64, on
        the host, as vLLM's own policy gives it. What stays on a rank keeps its slot."""
        experts = weight.shape[-1]
        if num_ranks < 1 or num_replicas % num_ranks:
            raise eplb.ArgumentError(
                f"num_replicas is {num_replicas}, allowed are multiples of num_ranks, which is {num_ranks}"
            )
        # Nodes and groups that don't divide are planned as one, as vLLM's own policy does.
        nodes = num_nodes if num_nodes > 0 and num_ranks % num_nodes == 0 else 1
        groups = num_groups if num_groups > 0 and experts % num_groups == 0 else 1
        present = old_global_expert_indices
        if present is not None and tuple(present.shape) != (weight.shape[0], num_replicas):
            present = None  # the number of ranks has changed
        topology = eplb.Topology(num_ranks, num_replicas // num_ranks, nodes)
        # Loads are sums over ranks; whole numbers also where they come as floats.
        counts = weight.round().to(torch.int64)
        plan = eplb.plan(counts, topology, policy=cls.policy, present=present, groups=groups)
        table: torch.Tensor = plan.physical_to_logical_map
        return table


def install(policy: Union[str, Mapping[str, Any]] = "robust") -> type:
    """Puts a policy of this library in the place of vLLM's "default", and gives its class."""
    installed = type("EplbPolicy", (EplbPolicy,), {"policy": policy, "__doc__": EplbPolicy.__doc__})
    EPLB_POLICIES["default"] = installed
    return installed
