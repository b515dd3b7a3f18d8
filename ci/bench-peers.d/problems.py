"""Loads from files."""

from pathlib import Path

import numpy as np

from peers import Problem

EXPERTS_PER_RANK = 8


def default_files(root):
    """The recorded loads beside the repository, or else those in it."""
    data = root / ".." / "shared" / "data"
    found = sorted(data.glob("traces/trace_*.npz")) + sorted(data.glob("loads/*.npy"))
    return [path.resolve() for path in found] or sorted(root.glob("configs/traces/*.npz"))


def read(path, given):
    """The first windows of a file, and the ranks that the command line gives them."""
    try:
        counts, groups = read_counts(path)
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"bench-peers: {path}: cannot be read: {error}") from error
    if counts.ndim != 3 or len(counts) < 2:
        raise SystemExit(f"bench-peers: {path}: [windows, layers, experts] with 2 windows are needed")
    whole = counts.astype(np.int64)
    if (whole != counts).any() or (whole < 0).any():
        raise SystemExit(f"bench-peers: {path}: counts are whole numbers of at least 0")
    experts = whole.shape[2]
    ranks = given.ranks or max(experts // EXPERTS_PER_RANK, 1)
    slots = given.slots or ranks * (-(-experts // ranks) + 1)
    if slots % ranks or slots < experts:
        raise SystemExit(
            f"bench-peers: --slots {slots} is not allowed; allowed: a multiple of {ranks}, at least {experts}"
        )
    windows = whole[: max(given.windows, 2)]
    return Problem(Path(path).stem, windows, groups, ranks, given.nodes, slots)


def read_counts(path):
    """Counts and expert groups."""
    content = np.load(path)
    if isinstance(content, np.ndarray):
        return content, 1
    return content["counts"], int(content["n_group"]) if "n_group" in content else 1
