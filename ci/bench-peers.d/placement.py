"""Placements and how they are judged, with the definitions of crates/core (balance.rs, routing.rs,
placement.rs): one scorer for all policies. main.py checks it against the binary before it times
anything."""

import numpy as np

# Shares of an expert's replicas are 16-bit numbers that add up to this.
SHARE_ONE = 65_535


def contiguous(layers, experts, ranks, slots):
    """The placement before the first window: a block of consecutive experts a rank, followed by those
    of the next rank. [layers, slots]"""
    per_rank = slots // ranks
    table = np.empty(slots, dtype=np.int64)
    for rank in range(ranks):
        first = rank * per_rank * experts // slots
        table[rank * per_rank : (rank + 1) * per_rank] = (first + np.arange(per_rank)) % experts
    return np.tile(table, (layers, 1))


def slot_loads(table, load):
    """Tokens of every slot of a layer when replicas share evenly. `table` [slots], `load` [experts]"""
    loads = np.zeros(len(table), dtype=np.int64)
    for expert, tokens in enumerate(load.tolist()):
        slots = np.flatnonzero(table == expert)
        share, rest = divmod(SHARE_ONE, len(slots))
        shares_before = tokens_before = 0
        for index, slot in enumerate(slots):
            shares_before += share + (index < rest)
            until = tokens * shares_before // SHARE_ONE
            loads[slot] = until - tokens_before
            tokens_before = until
    return loads


def balancedness(placement, load, ranks):
    """Mean rank load / max rank load of each layer. `placement` [layers, slots], `load` [layers, experts]"""
    values = []
    for table, row in zip(placement, load):
        rank_loads = slot_loads(table, row).reshape(ranks, -1).sum(axis=1)
        slowest = float(rank_loads.max())
        values.append(int(rank_loads.sum()) / ranks / slowest if slowest else 1.0)
    return values


def sent_experts(before, after, ranks):
    """Slots whose rank did not hold their expert before, over all layers."""
    layers = before.shape[0]
    before, after = before.reshape(layers, ranks, -1), after.reshape(layers, ranks, -1)
    held = (after[:, :, :, None] == before[:, :, None, :]).any(axis=3)
    return int((~held).sum())


def check(placement, experts):
    """Whether every expert of every layer has a slot, and every slot an expert."""
    for layer, table in enumerate(placement):
        if table.min() < 0 or table.max() >= experts:
            raise ValueError(f"layer {layer} names an expert that is not there")
        if len(np.unique(table)) != experts:
            raise ValueError(f"layer {layer} leaves an expert without a slot")
