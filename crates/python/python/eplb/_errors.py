"""Exceptions, each with a `code` that programs may rely on. Messages are those of the library."""

from __future__ import annotations

from typing import ClassVar


class Error(Exception):
    """Why the library refused or failed. Nothing was changed where a call raises one."""

    code: ClassVar[str] = "error"


class ArgumentError(Error, ValueError):
    """An argument of another kind, shape or range than is allowed."""

    code = "argument"


class PolicyError(Error, ValueError):
    """There is no plan for such a request."""

    code = "policy"


class SystemFailure(Error, OSError):
    """The operating system refused something, a thread for example."""

    code = "system"
