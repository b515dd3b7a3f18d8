"""The whole cycle on the host backend: weights are registered, loads reported, changes prepared and
committed, and every slot's bytes verified. `python cycle.py`, with the module `eplb` installed."""

import numpy as np

import eplb

LAYERS, EXPERTS, RANKS, BYTES = 2, 16, 4, 4096
CONFIG = {
    "enable_eplb": True,
    "ep_size": RANKS,
    "redundant_experts_num": 2,
    "model": {"layers": LAYERS, "experts": EXPERTS},
    "manager": {"window_samples": 4, "update_interval_steps": 8, "layers_in_flight": 2},
}


def expert_bytes(layer, expert):
    """The weights of an expert, the same on every rank that holds it."""
    return np.random.default_rng([layer, expert]).integers(0, 256, BYTES, dtype=np.uint8)


def local_slots(table, rank):
    """The part of a table of all slots that is this rank's."""
    return np.split(table, RANKS, axis=-1)[rank]


# The manager lives in the engine's master process; here all ranks live in one process as well.
manager = eplb.Manager(CONFIG)
backend = eplb.Backend("host", devices=RANKS)
start = manager.maps().physical_to_logical_map
weights, executors = [], []
for rank in range(RANKS):
    held = local_slots(start, rank)
    layers = [np.stack([expert_bytes(layer, expert) for expert in held[layer]]) for layer in range(LAYERS)]
    weights.append(layers)
    lent = [{"weights": layer} for layer in layers]
    executors.append(eplb.Executor(CONFIG, rank, lent, backend=backend, placement=start))
for executor in executors:
    executor.connect([peer.endpoint for peer in executors])

tokens = np.full((LAYERS, EXPERTS), 100)
tokens[0, 3] = tokens[1, 7] = 2000  # one hot expert in each layer
for step in range(40):
    header = manager.begin_step(step)  # travels with the step's input
    for rank, executor in enumerate(executors):
        executor.begin_step(header)  # layers are switched over here
        loads = np.stack([executor.divide(layer, tokens[layer]) for layer in range(LAYERS)])
        report = executor.end_step(local_slots(loads, rank))  # travels with the step's output
        manager.accept_report(rank, report)
        executor.settle()  # these steps take no time of their own
    manager.settle()

verified = 0
for rank, executor in enumerate(executors):
    held = local_slots(executor.maps().physical_to_logical_map, rank)
    for layer in range(LAYERS):
        for slot, expert in enumerate(held[layer]):
            assert np.array_equal(weights[rank][layer][slot], expert_bytes(layer, expert))
            verified += 1
for executor in executors:
    executor.close()
counters = manager.counters()
assert counters["layers_committed"] == LAYERS, counters
print(f"{counters['layers_committed']} layers committed, {verified} slots verified")
