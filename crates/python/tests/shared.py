"""What the tests share: the golden vectors of the public reference, and loads."""

import json
import os
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[3]


def golden_vectors():
    """The vectors of the public reference: those of the repository, and of EPLB_GOLDEN if it is set."""
    folders = [ROOT / "tests/data/golden"]
    if "EPLB_GOLDEN" in os.environ:
        folders.append(Path(os.environ["EPLB_GOLDEN"]))
    files = [path for folder in folders for path in sorted(folder.glob("*.json"))]
    assert len(files) >= 20, f"only {len(files)} golden vectors in {folders}"
    return [json.loads(path.read_text()) for path in files]


def v3_loads(seed=0):
    """Loads of the shape of DeepSeek-V3: 58 layers of 256 experts."""
    return np.random.default_rng(seed).lognormal(8, 1, (58, 256)).astype(np.int64)
