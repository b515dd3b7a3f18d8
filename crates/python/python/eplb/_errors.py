"""Exceptions. Messages are those of the library; `code` is the number that `eplb.h` has for the error."""

from __future__ import annotations


class Error(Exception):
    """Why the library refused or failed. A call that raises one has changed nothing, unless it says so."""

    code: int = 99


class ArgumentError(Error, ValueError):
    """An argument of another kind, shape or range than is allowed."""

    code = 8


class StateError(Error, RuntimeError):
    """Not now: the object is closed, not connected yet, or of a process that was forked."""

    code = 11


class ConfigError(Error, ValueError):
    """A configuration that can't be read, or a value in it that is not allowed."""

    code = 20


class ModelError(Error, ValueError):
    """Layers, experts and groups that are no model."""

    code = 21


class TopologyError(Error, ValueError):
    """Ranks, nodes and slots that are no group."""

    code = 22


class PlacementError(Error, ValueError):
    """A map that places some expert nowhere, or another model's experts."""

    code = 23


class ProfileError(Error, ValueError):
    """There is no profile, or it is another model's."""

    code = 24


class PolicyError(Error, ValueError):
    """There is no plan for such a request."""

    code = 25


class ManagerError(Error, ValueError):
    """A manager can't be started with these settings."""

    code = 26


class BackendError(Error, RuntimeError):
    """No such backend, or its libraries can't be used."""

    code = 27


class MessageError(Error, ValueError):
    """Bytes that are no header (41) or no report (40)."""

    code = 41


class StepError(Error, RuntimeError):
    """The step must not be run on this rank: go on with the next one. 42: a switch was missed; 43: a
    switch failed, the old epoch stands; 44: steps out of order; 48: no step has begun."""

    code = 42


class ExecutorError(Error, RuntimeError):
    """Weights that don't fit, or that can't be moved."""

    code = 45


class LoadError(Error, ValueError):
    """Counts that are no load of this model."""

    code = 46


class SystemFailure(Error, OSError):
    """The operating system refused something, a thread for example."""

    code = 49


class UnsettledError(Error, TimeoutError):
    """Something was still under way when the time was over."""

    code = 50


class DeviceError(Error, RuntimeError):
    """The device: 60 lost, 61 out of memory, 62 unsupported, 63 invalid use, 64 aborted, 65 timed out, 66
    any other failure."""

    code = 66


class TraceError(Error, ValueError):
    """A file that holds no loads. This code is of the Python module alone."""

    code = 80
