"""The planners of installed engines, without the engines around them.

The packages `vllm` and `sglang` import kernels, web servers and much else when they are imported; here their
outer packages are stand-ins that only know where their files are, and the modules of the planners below are
the published ones."""

import importlib
import importlib.metadata
import sys
import types
import typing
from pathlib import Path


def stand_in(name):
    """An installed package whose own `__init__` is left out."""
    if name not in sys.modules:
        package = name.split(".")[0]
        place = Path(importlib.metadata.distribution(package).locate_file(name.replace(".", "/")))
        assert place.is_dir(), f"{package} {importlib.metadata.version(package)} has no {name}"
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(place)]
    return sys.modules[name]


def sglang():
    """SGLang's algorithms: the published module `sglang.srt.eplb.eplb_algorithms` with all below it."""
    for name in ("sglang", "sglang.srt", "sglang.srt.eplb"):
        stand_in(name)
    return importlib.import_module("sglang.srt.eplb.eplb_algorithms")


def vllm():
    """vLLM's policies: the published package `vllm.distributed.eplb.policy`. Of its configuration there is
    only the list of names that this package compares its own with."""
    for name in ("vllm", "vllm.distributed"):
        stand_in(name)
    if "vllm.config" not in sys.modules:
        sys.modules["vllm.config"] = types.ModuleType("vllm.config")
        parallel = types.ModuleType("vllm.config.parallel")
        parallel.EPLBPolicyOption = typing.Literal["default"]
        sys.modules["vllm.config.parallel"] = parallel
    return importlib.import_module("vllm.distributed.eplb.policy")
