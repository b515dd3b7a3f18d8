"""A small engine around the module: ranks of one process on the host backend."""

import numpy as np

import eplb

LAYERS, EXPERTS, RANKS, BYTES = 2, 16, 4, 512


def config(**manager):
    return {
        "enable_eplb": True,
        "ep_size": RANKS,
        "redundant_experts_num": 2,
        "model": {"layers": LAYERS, "experts": EXPERTS},
        "manager": {"window_samples": 2, "update_interval_steps": 4, "layers_in_flight": 2, **manager},
    }


def expert_bytes(layer, expert):
    return np.random.default_rng([layer, expert]).integers(0, 256, BYTES, dtype=np.uint8)


def local(table, rank):
    return np.split(table, RANKS, axis=-1)[rank]


class Engine:
    """`form` makes what is lent of an array [slots, bytes]."""

    def __init__(self, form=lambda array: array, configuration=None):
        self.config = configuration or config()
        self.manager = eplb.Manager(self.config)
        self.backend = eplb.Backend("host", devices=RANKS)
        self.start = self.manager.maps().physical_to_logical_map
        self.weights, self.executors = [], []
        for rank in range(RANKS):
            held = local(self.start, rank)
            layers = [
                np.stack([expert_bytes(layer, expert) for expert in held[layer]]) for layer in range(LAYERS)
            ]
            self.weights.append(layers)
            lent = [{"weights": form(layer)} for layer in layers]
            self.executors.append(
                eplb.Executor(self.config, rank, lent, backend=self.backend, placement=self.start)
            )

    def connect(self):
        endpoints = [executor.endpoint for executor in self.executors]
        for executor in self.executors:
            executor.connect(endpoints)
        return self

    def loads(self, tokens):
        """What every slot is given of the tokens of each expert, as dispatch divides them."""
        return np.stack([self.executors[0].divide(layer, tokens[layer]) for layer in range(LAYERS)])

    def step(self, step, tokens):
        header = self.manager.begin_step(step)
        for executor in self.executors:
            executor.begin_step(header)
        loads = self.loads(tokens)
        for rank, executor in enumerate(self.executors):
            self.manager.accept_report(rank, executor.end_step(local(loads, rank)))
            executor.settle()
        self.manager.settle()

    def serve(self, steps, first=0):
        tokens = np.full((LAYERS, EXPERTS), 100)
        tokens[0, 3] = tokens[1, 7] = 2000
        for step in range(first, first + steps):
            self.step(step, tokens)

    def verify(self):
        """Compares every slot's bytes with its expert's; gives how many."""
        verified = 0
        for rank, executor in enumerate(self.executors):
            held = local(executor.maps().physical_to_logical_map, rank)
            for layer in range(LAYERS):
                for slot, expert in enumerate(held[layer]):
                    np.testing.assert_array_equal(self.weights[rank][layer][slot], expert_bytes(layer, expert))
                    verified += 1
        return verified

    def close(self):
        for executor in self.executors:
            executor.close()
        self.manager.close()
