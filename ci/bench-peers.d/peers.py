"""The policies of other engines, each loaded from its own file of the installed package, without the
engine around it.

A policy plans at every window from that window's counts and from the placement that its last plan left,
as its engine does. Only the call of the policy's own entry function is timed; counts and tables are put
into the types that it wants before."""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import time
import types
from pathlib import Path

import numpy as np

import placement


class NotInstalled(Exception):
    """Why a policy is not here."""


class Problem:
    """A load and the ranks that it is planned for."""

    def __init__(self, name, windows, groups, ranks, nodes, slots):
        self.name, self.windows = name, windows
        self.layers, self.experts = windows.shape[1:]
        self.groups, self.ranks, self.nodes, self.slots = groups, ranks, nodes, slots

    def hierarchical(self):
        return self.nodes > 1 and self.groups % self.nodes == 0

    def start(self):
        return placement.contiguous(self.layers, self.experts, self.ranks, self.slots)


def folder_of(package, *parts):
    """A folder of an installed package."""
    reason = Path(os.environ["EPLB_PEERS_REASONS"]) / package
    if reason.exists():
        raise NotInstalled(reason.read_text().strip())
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise NotInstalled("the package is missing") from None
    folder = Path(distribution.locate_file(Path(*parts)))
    if not folder.is_dir():
        raise NotInstalled(f"version {distribution.version} has no {'/'.join(parts)}")
    return folder


def modules_of(folder, alias, stand_ins=()):
    """A function that loads the modules of a folder, as a package `alias` whose own start is left out.
    `stand_ins` takes the place of the engine's modules that they name."""
    package = types.ModuleType(alias)
    package.__path__ = [str(folder)]
    sys.modules[alias] = package

    def load(name):
        hidden = {stand_in.__name__: sys.modules.get(stand_in.__name__) for stand_in in stand_ins}
        sys.modules.update({stand_in.__name__: stand_in for stand_in in stand_ins})
        try:
            return importlib.import_module(f"{alias}.{name}")
        except ImportError as error:
            raise NotInstalled(f"{name}.py can't be loaded: {error}") from error
        finally:
            for stand_in, module in hidden.items():
                if module is None:
                    del sys.modules[stand_in]
                else:
                    sys.modules[stand_in] = module

    return load


class Policy:
    """A policy on its way through a load. `plan` gives the next placement and the milliseconds."""

    package = ""
    name = ""

    def __init__(self, problem):
        self.problem = problem

    @classmethod
    def version(cls):
        return importlib.metadata.version(cls.package)

    @staticmethod
    def timed(call):
        started = time.perf_counter()
        result = call()
        return result, (time.perf_counter() - started) * 1e3


class SglangDeepSeek(Policy):
    package, name = "sglang", "SGLang deepseek"

    def __init__(self, problem):
        super().__init__(problem)
        folder = folder_of("sglang", "sglang", "srt", "eplb", "eplb_algorithms")
        self.entry = modules_of(folder, "peer_sglang")("deepseek").rebalance_experts

    def plan(self, window, present):
        import torch

        problem, counts = self.problem, torch.from_numpy(self.problem.windows[window])
        (table, *_), milliseconds = self.timed(
            lambda: self.entry(
                weight=counts,
                num_replicas=problem.slots,
                num_groups=problem.groups,
                num_nodes=problem.nodes,
                num_gpus=problem.ranks,
                enable_hierarchical=problem.hierarchical(),
            )
        )
        return table.numpy().astype(np.int64), milliseconds


class SglangDeepSeekVec(Policy):
    package, name = "sglang", "SGLang deepseek_vec"

    def __init__(self, problem):
        super().__init__(problem)
        folder = folder_of("sglang", "sglang", "srt", "eplb", "eplb_algorithms")
        self.entry = modules_of(folder, "peer_sglang")("deepseek_vec").rebalance_experts

    def plan(self, window, present):
        import torch

        problem = self.problem
        # It takes the counts of several steps; the window is one.
        counts = torch.from_numpy(problem.windows[window : window + 1])
        (table, *_), milliseconds = self.timed(
            lambda: self.entry(
                tokens_per_expert=counts,
                num_physical_experts=problem.slots,
                num_local_physical_experts=problem.slots // problem.ranks,
                num_groups=problem.groups,
                num_nodes=problem.nodes,
                enable_hierarchical=problem.hierarchical(),
            )
        )
        return table.numpy().astype(np.int64), milliseconds


class VllmDefault(Policy):
    package, name = "vllm", "vLLM default"

    def __init__(self, problem):
        super().__init__(problem)
        folder = folder_of("vllm", "vllm", "distributed", "eplb", "policy")
        policy = modules_of(folder, "peer_vllm")("default").DefaultEplbPolicy
        self.entry = policy.rebalance_experts

    def plan(self, window, present):
        import torch

        problem, counts = self.problem, torch.from_numpy(self.problem.windows[window])
        table, milliseconds = self.timed(
            lambda: self.entry(
                counts,
                problem.slots,
                problem.groups,
                problem.nodes,
                problem.ranks,
                torch.from_numpy(present),
            )
        )
        return table.numpy().astype(np.int64), milliseconds


class VllmAscend(Policy):
    """Its policies get the counts of slots, under the placement that was live."""

    package = "vllm-ascend"
    module = policy = ""
    # Windows that one call gets; while there are fewer, the oldest is repeated. 0: one, without a
    # dimension for it.
    stages = 0

    def __init__(self, problem):
        super().__init__(problem)
        folder = folder_of("vllm-ascend", "vllm_ascend", "eplb", "core", "policy")
        load = modules_of(folder, "peer_vllm_ascend", self.stand_ins(problem))
        self.entry = getattr(load(self.module), self.policy)().rebalance_experts

    @staticmethod
    def stand_ins(problem):
        """What the policies ask of the engine: a logger, how many devices a host has, and how many
        ranks there are."""
        import logging

        import torch

        names = [
            "torch_npu",
            "vllm",
            "vllm.logger",
            "vllm_ascend",
            "vllm_ascend.distributed",
            "vllm_ascend.distributed.parallel_state",
        ]
        modules = {name: types.ModuleType(name) for name in names}
        for name in ("vllm", "vllm_ascend", "vllm_ascend.distributed"):
            modules[name].__path__ = []
        modules["vllm.logger"].logger = logging.getLogger("peer_vllm_ascend")
        group = types.SimpleNamespace(world_size=problem.ranks)
        modules[names[-1]].get_dynamic_eplb_group = lambda: group
        devices = max(problem.ranks // problem.nodes, 1)
        torch.npu = types.SimpleNamespace(device_count=lambda: devices)
        return tuple(modules.values())

    def plan(self, window, present):
        import torch

        ranks = self.problem.ranks
        tables = present.reshape(len(present), ranks, -1)
        if self.stages:
            last = [max(window - back, 0) for back in reversed(range(self.stages))]
            loads = np.stack([self.slot_loads(seen, present) for seen in last])
        else:
            loads = self.slot_loads(window, present)
        tables, loads = torch.from_numpy(tables), torch.from_numpy(loads)
        (_, _, planned), milliseconds = self.timed(lambda: self.entry(tables, loads))
        planned = np.array(planned, dtype=np.int64)
        return self.accepted(present.reshape(planned.shape), planned), milliseconds

    def slot_loads(self, window, present):
        """[layers, ranks, slots of a rank]"""
        rows = zip(present, self.problem.windows[window])
        loads = np.stack([placement.slot_loads(table, row) for table, row in rows])
        return loads.reshape(len(present), self.problem.ranks, -1)

    @staticmethod
    def accepted(present, planned):
        """What its engine takes of a plan: it keeps the present table of a layer whose plan drops an
        expert, puts one twice on a rank, or moves one within a rank."""
        for layer in range(len(planned)):
            old, new = present[layer], planned[layer]
            complete = len(np.unique(new)) >= len(np.unique(old))
            twice = any(len(np.unique(row)) != len(row) for row in new)
            stays = [np.isin(row, held) for row, held in zip(new, old)]
            moved = any((row[kept] != held[kept]).any() for row, held, kept in zip(new, old, stays))
            if not complete or twice or moved:
                planned[layer] = old
        return planned.reshape(len(planned), -1)


class VllmAscendDefault(VllmAscend):
    name, module, policy = "vllm-ascend default", "policy_default_eplb", "DefaultEplb"


class VllmAscendSwift(VllmAscend):
    name, module, policy = "vllm-ascend swift", "policy_swift_balancer", "SwiftBalanceEplb"


class VllmAscendFlashLb(VllmAscend):
    name, module, policy = "vllm-ascend FlashLB", "policy_flashlb", "FlashLB"
    stages = 1


class VllmAscendFlashLb16(VllmAscend):
    """FlashLB plans from a series; here that of the last 16 windows."""

    name, module, policy = "vllm-ascend FlashLB, 16 windows", "policy_flashlb", "FlashLB"
    stages = 16


ALL = [
    SglangDeepSeek,
    SglangDeepSeekVec,
    VllmDefault,
    VllmAscendDefault,
    VllmAscendSwift,
    VllmAscendFlashLb,
    VllmAscendFlashLb16,
]
