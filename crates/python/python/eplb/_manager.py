"""The deciding side."""

from __future__ import annotations

from os import PathLike
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Type, Union

from eplb import _eplb
from eplb._eplb import PlanDigest, Topology
from eplb._tensors import Maps, to_placement

Config = Union[str, "PathLike[str]", Mapping[str, Any]]
"""A path of a TOML file, TOML text, or a dict of the same form."""


class Manager:
    """Watches the load, plans, and leads the ranks through changes of layers.

    In leader carriage an engine has one, in its master process: it carries `begin_step`'s bytes to every
    rank with the step's input, and every rank's report back. In spmd every rank has one (`spmd_rank`) and
    gives it the reports of all ranks, in rank order. No call waits; plans are made on a thread of their
    own. Threads that call one manager take turns.

    Args:
        config: the configuration; `model.layers` and `model.experts` are needed.
        topology: the ranks; those of the configuration unless given.
        placement: the `physical_to_logical_map` that the engine runs with; the library's initial one
            unless given (`maps` tells it).
        spmd_rank: the rank that this manager lives on, in spmd.
    """

    def __init__(
        self,
        config: Config,
        *,
        topology: Optional[Topology] = None,
        placement: Any = None,
        spmd_rank: Optional[int] = None,
    ) -> None:
        self._manager = _eplb.Manager(
            config, topology=topology, placement=to_placement(placement), spmd_rank=spmd_rank
        )

    def begin_step(self, step: int, allow_changes: bool = True) -> bytes:
        """The header of a step, to be carried to every rank. Steps rise; the last one may be begun again.
        With `allow_changes` false nothing is switched at this step (graph warm-up)."""
        return self._manager.begin_step(step, allow_changes)

    def accept_report(self, sender: int, report: bytes) -> None:
        """Takes the report of the rank `sender`. Bytes that are none raise MessageError; a report that
        lies is counted."""
        self._manager.accept_report(sender, report)

    def settle(self, timeout: float = 10.0) -> None:
        """Waits for the plan under way, at most so many seconds: for replays, whose steps take no time."""
        self._manager.settle(timeout)

    def plan_digest(self) -> Optional[PlanDigest]:
        """In spmd, the digest of this rank's plan for its report, while plans are compared."""
        return self._manager.plan_digest()

    def maps(self) -> Maps:
        """The placement that the next step routes with."""
        return Maps(*self._manager.maps())

    def counters(self) -> Dict[str, int]:
        """What was seen and done since the start, by name."""
        return self._manager.counters()

    def take_notes(self) -> List[str]:
        """What happened since the last call, oldest first; at most 1,024."""
        return self._manager.take_notes()

    def profile(self) -> str:
        """What is known of the traffic, as the text of a profile (`manager.profile` of a configuration)."""
        return self._manager.profile()

    def close(self) -> None:
        """Ends the planning thread; calls after it raise StateError. Closing twice is allowed."""
        self._manager.close()

    def __enter__(self) -> Manager:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()
