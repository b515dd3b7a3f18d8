"""The acting side: one rank's part."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Type

import numpy as np

from eplb import _eplb
from eplb._eplb import Backend, PlanDigest, Topology
from eplb._manager import Config
from eplb._tensors import Maps, to_counts, to_placement
from eplb._weights import forms


class Routing(NamedTuple):
    """Where the tokens of each logical expert of a layer go, in compressed sparse row form."""

    epoch: int
    """The version of the layer's placement."""
    offsets: np.ndarray
    """uint32 [experts + 1]: for each expert the first of its entries, and their number at the end."""
    slots: np.ndarray
    """uint32: the slot of each entry."""
    shares: np.ndarray
    """uint16: the share of its expert's tokens that each entry takes; an expert's add up to 65,535."""


class Executor:
    """Moves a rank's weights, and switches layers over between steps.

    The engine calls `begin_step` before and `end_step` after each forward pass, and touches the weights
    only in between, on the stream that it lends. Weights move on a thread and a stream of their own.
    Threads that call one executor take turns.

    Args:
        config: as for the manager.
        rank: the rank that it is of.
        weights: for each layer its tensors by name, scales included. The first dimension is that of the
            rank's slots (and after them the spare ones, for indirect commits). numpy arrays on the host,
            torch tensors, arrays with `__cuda_array_interface__`, or `eplb.Pointer`. They are held until
            the executor and its peers of this process are closed.
        backend: what holds the weights; executors of one process that are peers share one.
        device: the device's number; the rank's turn unless given.
        stream: the handle of the stream that forward passes run on, one of the library's own unless given.
        topology: the ranks; those of the configuration unless given.
        placement: the `physical_to_logical_map` that the weights hold; the library's initial one unless
            given.
    """

    def __init__(
        self,
        config: Config,
        rank: int,
        weights: Sequence[Mapping[str, Any]],
        *,
        backend: Backend,
        device: Optional[int] = None,
        stream: Optional[int] = None,
        topology: Optional[Topology] = None,
        placement: Any = None,
    ) -> None:
        self._executor = _eplb.Executor(
            config,
            rank,
            forms(weights),
            backend=backend,
            device=device,
            stream=stream,
            topology=topology,
            placement=to_placement(placement),
        )

    @property
    def rank(self) -> int:
        """The rank that it is of."""
        return self._executor.rank

    @property
    def endpoint(self) -> bytes:
        """What the other ranks need to know of this one, as bytes to carry to them."""
        return self._executor.endpoint

    def connect(self, endpoints: Sequence[bytes]) -> None:
        """Connects to the other ranks, whose endpoints stand in rank order (this rank's own is not read)."""
        self._executor.connect(list(endpoints))

    def begin_step(self, header: bytes) -> None:
        """Begins a step with the manager's header; layers are switched over here, on the engine's stream.
        After a StepError the step must not be run here; its report is still sent."""
        self._executor.begin_step(header)

    def end_step(
        self,
        load: Any = None,
        *,
        prefix_sums: bool = False,
        phase: str = "mixed",
        plan: Optional[PlanDigest] = None,
    ) -> bytes:
        """Ends the step, and gives the report for the manager, as bytes to carry.

        Args:
            load: [layers, local slots], the tokens that this rank's slots were given in the step, or their
                prefix sums along the slots.
            prefix_sums: whether they are those.
            phase: "prefill", "decode" or "mixed".
            plan: in spmd, the digest of this rank's manager.
        """
        counts = None if load is None else to_counts(load, "load", (2,))[0]
        return self._executor.end_step(counts, prefix_sums=prefix_sums, phase=phase, plan=plan)

    def routing(self, layer: int) -> Routing:
        """The routing table of a layer for the step that has begun."""
        return Routing(*self._executor.routing(layer))

    def divide(self, layer: int, tokens: Any) -> np.ndarray:
        """How the tokens of each expert of a layer divide over all slots, [slots]: by the shares, exactly."""
        return self._executor.divide(layer, to_counts(tokens, "tokens", (1,))[0].tolist())

    def maps(self) -> Maps:
        """The placement that this rank routes with."""
        return Maps(*self._executor.maps())

    def epochs(self) -> List[int]:
        """The epoch that each layer routes with."""
        return self._executor.epochs()

    def slot_buffers(self, layer: int) -> List[int]:
        """Which of its buffers holds each of this rank's slots; changes with indirect commits alone."""
        return self._executor.slot_buffers(layer)

    def settle(self, timeout: float = 10.0) -> None:
        """Waits until nothing moves and no switch is under way: for replays, and before weights are read
        on another stream. Raises UnsettledError when the time is over."""
        self._executor.settle(timeout)

    def figures(self) -> Dict[str, int]:
        """What was done since the start, by name."""
        return self._executor.figures()

    def close(self) -> None:
        """Ends the executor and lets the weights go. Closing twice is allowed."""
        self._executor.close()

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()
