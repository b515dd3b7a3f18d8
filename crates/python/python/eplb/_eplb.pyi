"""What the library gives to the package; programs use `eplb`."""

from os import PathLike
from typing import Any, Final, Mapping, Sequence, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Backend",
    "Executor",
    "Manager",
    "PlanDigest",
    "plan",
    "rebalance_experts",
    "simulate",
    "Topology",
    "format_placement",
    "parse_placement",
    "read_trace",
    "__version__",
    "POLICIES",
]

__version__: Final[str]
POLICIES: Final[list[str]]
"""The policies by name."""

_Maps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

@final
class Topology:
    """Ranks, nodes and slots; slots are numbered rank by rank.

    Args:
        ranks: ranks of the expert-parallel group.
        slots_per_rank: slots that every rank holds in a layer, or those of each.
        nodes: nodes, over which ranks divide in order, or the node of each rank.
        dead: ranks that take no part; their slots keep their numbers.
        joining: ranks that hold no weights yet.
        speeds: the relative speed of each rank, 1.0 for an ordinary one.
    """

    def __new__(
        cls,
        ranks: int,
        slots_per_rank: int | Sequence[int],
        nodes: int | Sequence[int] = ...,
        *,
        dead: Sequence[int] = ...,
        joining: Sequence[int] = ...,
        speeds: Sequence[float] | None = ...,
    ) -> Topology: ...
    @property
    def ranks(self) -> int: ...
    @property
    def nodes(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def live_ranks(self) -> list[int]: ...
    def slots_of(self, rank: int) -> tuple[int, int]: ...

@final
class Backend:
    """Devices by the name of their kind: "host" (with as many devices as are wanted), "cuda" or "ascend",
    whose libraries are looked for when it is made. `libraries` are paths by the keys of
    `[backend.libraries]`: cudart, cuda, nccl, ascendcl, hccl."""

    def __new__(
        cls,
        name: str = ...,
        *,
        devices: int = ...,
        libraries: Mapping[str, str | PathLike[str]] | None = ...,
    ) -> Backend: ...
    @property
    def name(self) -> str: ...
    @property
    def devices(self) -> int: ...

@final
class PlanDigest:
    """The digest of a rank's plan, for its report in spmd."""

    @property
    def round(self) -> int: ...
    @property
    def digest(self) -> int: ...

@final
class Manager:
    def __new__(
        cls,
        config: Any,
        *,
        topology: Topology | None = ...,
        placement: NDArray[np.int64] | None = ...,
        spmd_rank: int | None = ...,
    ) -> Manager: ...
    def begin_step(self, step: int, allow_changes: bool = ...) -> bytes: ...
    def accept_report(self, sender: int, report: bytes) -> None: ...
    def settle(self, timeout: float = ...) -> None: ...
    def plan_digest(self) -> PlanDigest | None: ...
    def maps(self) -> _Maps: ...
    def counters(self) -> dict[str, int]: ...
    def take_notes(self) -> list[str]: ...
    def profile(self) -> str: ...
    def close(self) -> None: ...

@final
class Executor:
    def __new__(
        cls,
        config: Any,
        rank: int,
        weights: Sequence[Sequence[tuple[str, int, int, int, int, Any]]],
        *,
        backend: Backend,
        device: int | None = ...,
        stream: int | None = ...,
        topology: Topology | None = ...,
        placement: NDArray[np.int64] | None = ...,
    ) -> Executor: ...
    @property
    def rank(self) -> int: ...
    @property
    def endpoint(self) -> bytes: ...
    def connect(self, endpoints: Sequence[bytes]) -> None: ...
    def begin_step(self, header: bytes) -> None: ...
    def end_step(
        self,
        load: NDArray[np.int64] | None = ...,
        *,
        prefix_sums: bool = ...,
        phase: str = ...,
        plan: PlanDigest | None = ...,
    ) -> bytes: ...
    def routing(
        self, layer: int
    ) -> tuple[int, NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint16]]: ...
    def divide(self, layer: int, tokens: Sequence[int]) -> NDArray[np.int64]: ...
    def maps(self) -> _Maps: ...
    def epochs(self) -> list[int]: ...
    def slot_buffers(self, layer: int) -> list[int]: ...
    def settle(self, timeout: float = ...) -> None: ...
    def figures(self) -> dict[str, int]: ...
    def close(self) -> None: ...

def rebalance_experts(
    weight: NDArray[np.float32],
    num_replicas: int,
    num_groups: int,
    num_nodes: int,
    num_gpus: int,
) -> _Maps: ...
def plan(
    windows: NDArray[np.int64],
    topology: Topology,
    policy: Any,
    present: NDArray[np.int64] | None,
    weights: Sequence[float],
    groups: int,
    layers: Sequence[int] | None,
    most_sent: int | None,
    most_sent_rank_pair: int | None,
) -> tuple[
    _Maps,
    NDArray[np.uint16],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.int64],
]: ...
def read_trace(
    path: str | PathLike[str],
) -> tuple[str, NDArray[np.int64], int, int, int, str | None, str | None]: ...
def parse_placement(text: str, layers: int, experts: int, topology: Topology) -> NDArray[np.int64]: ...
def format_placement(map: NDArray[np.int64], experts: int, topology: Topology, form: str) -> str: ...
def simulate(
    counts: NDArray[np.int64],
    topology: Topology,
    policies: Sequence[Any],
    groups: int,
    expert_bytes: int,
    estimator: str | None,
) -> tuple[
    list[tuple[str, float, float, float, float, float, int, int, float, float]],
    tuple[float, float],
    tuple[float, float],
]: ...
