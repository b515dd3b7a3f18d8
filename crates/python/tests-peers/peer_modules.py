"""Modules of installed engines, loaded one by one from their own files.

The engines' packages import much that a planner does not need (kernels, web servers). Here a folder of an
installed package becomes a package of another name whose own `__init__` is left out."""

import importlib
import importlib.metadata
import sys
import types
from pathlib import Path


def load(package, folder, module):
    """`module` of `folder` ("a/b") of the installed `package`."""
    place = Path(importlib.metadata.distribution(package).locate_file(folder))
    assert place.is_dir(), f"{package} {importlib.metadata.version(package)} has no {folder}"
    alias = "peer_" + folder.replace("/", "_")
    if alias not in sys.modules:
        sys.modules[alias] = types.ModuleType(alias)
        sys.modules[alias].__path__ = [str(place)]
    return importlib.import_module(f"{alias}.{module}")
