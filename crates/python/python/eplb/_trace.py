"""Recorded loads, placements in files, and replays."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Union

import numpy as np

from eplb import _eplb
from eplb._eplb import Topology
from eplb._errors import ArgumentError, TraceError
from eplb._tensors import to_counts

AnyPath = Union[str, "PathLike[str]"]


@dataclass
class Trace:
    """Expert loads in the order in which they were recorded."""

    counts: np.ndarray
    """int64 [windows, layers, experts]: tokens routed to each logical expert."""
    top_k: int = 8
    """Experts that each token is routed to."""
    tokens_per_window: Optional[int] = None
    """Tokens of each window, where that is known."""
    groups: int = 1
    """Expert groups of each layer."""
    name: str = ""
    model: Optional[str] = None
    schedule: Optional[str] = None

    def __post_init__(self) -> None:
        self.counts = to_counts(self.counts, "counts", (2, 3))[0]
        if self.counts.ndim == 2:
            self.counts = self.counts[None]

    @classmethod
    def read(cls, path: AnyPath) -> Trace:
        """Reads `.npz`, `.npy` or `.json` (counts, or SGLang's `logical_count`). Nothing is guessed or
        rounded: a file that holds no loads raises TraceError, which names the place."""
        name, counts, top_k, tokens, groups, model, schedule = _eplb.read_trace(path)
        return cls(counts, top_k, tokens, groups, name, model, schedule)

    def write(self, path: AnyPath) -> None:
        """Writes what `read` reads: `.npz` with all that is known, `.npy` with the counts alone."""
        path = Path(path)
        if path.suffix == ".npy":
            np.save(path, self.counts)
            return
        if path.suffix != ".npz":
            raise TraceError(f"{path}: the ending is {path.suffix!r}, allowed are .npz and .npy")
        known: Dict[str, Any] = {"top_k": self.top_k, "n_group": self.groups}
        known["n_layers"], known["n_experts"] = self.counts.shape[1:]
        for key in ("tokens_per_window", "model", "schedule"):
            if getattr(self, key) is not None:
                known[key] = getattr(self, key)
        np.savez_compressed(path, counts=self.counts, **known)


def read_placement(path: AnyPath, *, layers: int, experts: int, topology: Topology) -> np.ndarray:
    """The `physical_to_logical_map` of a file: SGLang's `--init-expert-location`, vllm-ascend's expert
    map, or the map alone, as JSON."""
    text = Path(path).read_text(encoding="utf-8")
    return _eplb.parse_placement(text, layers, experts, topology)


def write_placement(
    path: AnyPath,
    physical_to_logical_map: Any,
    *,
    experts: int,
    topology: Topology,
    form: str = "sglang",
) -> None:
    """Writes a placement for another engine; `form` is "sglang" or "vllm_ascend"."""
    table = to_counts(physical_to_logical_map, "physical_to_logical_map", (2,))[0]
    Path(path).write_text(_eplb.format_placement(table, experts, topology, form), encoding="utf-8")


class Score(NamedTuple):
    """Balancedness (mean rank load / max rank load) over layers and windows."""

    mean: float
    worst: float


class PolicyScore(NamedTuple):
    """How well a policy did on a trace."""

    policy: str
    next: Score
    """Of each plan on the window that follows it: what serving gets."""
    fit: Score
    """Of each plan on the last window that it saw."""
    sent_experts: float
    """Slots whose rank did not hold their expert before, mean over the rebalances."""
    moved_slots: int
    bytes_moved: int
    plan_ms_median: float
    plan_ms_p99: float


class Simulation(NamedTuple):
    """Policies on one trace, side by side."""

    policies: Sequence[PolicyScore]
    oracle: Score
    """What a public policy reaches that knows the window that comes."""
    limit: Score
    """What no placement of this shape exceeds while replicas share evenly."""


def simulate(
    trace: Union[Trace, Any],
    topology: Topology,
    policies: Sequence[Union[str, Mapping[str, Any]]] = ("static", "deepseek", "robust"),
    *,
    groups: Optional[int] = None,
    expert_bytes: int = 0,
    estimator: Optional[str] = None,
) -> Simulation:
    """Replays a trace through policies: after each window a plan, scored on the window after it.

    Args:
        trace: a Trace, or counts [windows, layers, experts].
        topology: the ranks.
        policies: names, or dicts as for `eplb.plan`.
        groups: expert groups, those of the trace unless given.
        expert_bytes: bytes of one expert of one layer.
        estimator: what policies plan from ("last", "sliding:8", ...); what each does unless given.
    """
    if isinstance(policies, str):
        raise ArgumentError("policies is a text, allowed is a list of names or dicts")
    trace = trace if isinstance(trace, Trace) else Trace(trace)
    scores, oracle, limit = _eplb.simulate(
        trace.counts,
        topology,
        list(policies),
        trace.groups if groups is None else groups,
        expert_bytes,
        estimator,
    )
    found = []
    for name, next_mean, next_worst, fit_mean, fit_worst, sent, moved, moved_bytes, median, p99 in scores:
        after, same = Score(next_mean, next_worst), Score(fit_mean, fit_worst)
        found.append(PolicyScore(name, after, same, sent, moved, moved_bytes, median, p99))
    return Simulation(found, Score(*oracle), Score(*limit))
