"""Managers and executors: the whole cycle, misuse, and lifetimes."""

import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from engine import EXPERTS, LAYERS, RANKS, Engine, config, local

import eplb


def packed_with_gaps(array):
    """A copy whose slots have gaps between them; the original sees what is written to it."""
    wide = np.zeros((array.shape[0], array.shape[1] + 64), dtype=np.uint8)
    wide[:, : array.shape[1]] = array
    return wide[:, : array.shape[1]]


def test_a_layer_is_planned_moved_and_committed_with_the_right_bytes():
    engine = Engine().connect()
    engine.serve(24)
    counters = engine.manager.counters()
    assert counters["layers_committed"] == LAYERS, counters
    assert engine.verify() == LAYERS * engine.start.shape[1]
    maps = engine.executors[2].maps()
    for ours, managers in zip(maps, engine.manager.maps()):
        np.testing.assert_array_equal(ours, managers)
    assert not np.array_equal(maps.physical_to_logical_map, engine.start)
    assert all(executor.epochs() == engine.executors[0].epochs() for executor in engine.executors)
    assert all(epoch > 0 for epoch in engine.executors[0].epochs())
    assert sum(executor.figures()["moved_received_bytes"] for executor in engine.executors) > 0
    assert any("LayerCommitted" in note for note in engine.manager.take_notes())
    assert engine.manager.take_notes() == []
    assert '"windows"' in engine.manager.profile()
    engine.close()


def test_routing_tables_add_up():
    engine = Engine().connect()
    engine.serve(24)
    for layer in range(LAYERS):
        table = engine.executors[0].routing(layer)
        assert (table.offsets.dtype, table.slots.dtype, table.shares.dtype) == (
            np.uint32,
            np.uint32,
            np.uint16,
        )
        assert len(table.offsets) == EXPERTS + 1 and table.offsets[-1] == len(table.slots)
        sums = np.add.reduceat(table.shares.astype(int), table.offsets[:-1])
        assert (sums == 65535).all()
    engine.close()


class Interface:
    """Memory of another library, which numpy and torch do not know."""

    def __init__(self, array):
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "strides": None,
            "version": 3,
        }


def pointer(array):
    slots, size = array.shape
    return eplb.Pointer(array.ctypes.data, slots * size, size, size, owner=array)


@pytest.mark.parametrize("form", [Interface, pointer, lambda array: array.view(np.float32)])
def test_weights_are_lent_in_any_form(form):
    engine = Engine(form).connect()
    engine.serve(24)
    assert engine.manager.counters()["layers_committed"] == LAYERS
    engine.verify()
    engine.close()


def test_slots_may_have_gaps():
    kept = []

    def form(array):
        kept.append((array, packed_with_gaps(array)))
        return kept[-1][1]

    engine = Engine(form).connect()
    engine.serve(24)
    for array, lent in kept:
        array[:] = lent
    assert engine.manager.counters()["layers_committed"] == LAYERS
    engine.verify()
    engine.close()


def test_spmd_managers_agree_on_every_rank():
    engine = Engine(configuration=config())
    managers = [
        eplb.Manager(engine.config, placement=engine.start, spmd_rank=rank) for rank in range(RANKS)
    ]
    engine.connect()
    tokens = np.full((LAYERS, EXPERTS), 100)
    tokens[0, 3] = 2000
    digests = 0
    for step in range(24):
        headers = [manager.begin_step(step) for manager in managers]
        for executor, header in zip(engine.executors, headers):
            executor.begin_step(header)
        loads = engine.loads(tokens)
        reports = []
        for rank, executor in enumerate(engine.executors):
            digest = managers[rank].plan_digest()
            digests += digest is not None
            reports.append(executor.end_step(local(loads, rank), plan=digest))
            executor.settle()
        for manager in managers:
            for rank, report in enumerate(reports):
                manager.accept_report(rank, report)
            manager.settle()
    assert digests >= RANKS
    assert [manager.counters()["layers_committed"] for manager in managers] == [1] * RANKS
    engine.verify()


BAD_CONFIGS = [
    ({"ep_size": 4}, "model.layers and model.experts are needed"),
    ({**config(), "no_such_key": 1}, "unknown field `no_such_key`"),
    ({**config(), "ep_size": "four"}, "invalid type: string \"four\""),
    ({**config(), "eplb_update_threshold": 2.0}, "eplb_update_threshold = 2 is not allowed"),
    ({**config(), "policy": {"name": "best"}}, 'policy.name = "best" is not allowed'),
    ({**config(), "manager": {"window_samples": object()}}, "config.manager.window_samples is a object"),
    ("ep_size = ", "config, line 1, ep_size: the value is missing"),
    (Path("/no/such/file.toml"), "/no/such/file.toml: cannot be read"),
]


@pytest.mark.parametrize("configuration, message", BAD_CONFIGS)
def test_bad_configurations_are_refused_by_name(configuration, message):
    with pytest.raises(eplb.ConfigError) as refused:
        eplb.Manager(configuration)
    assert message in str(refused.value)
    assert refused.value.code == 20


def test_configurations_come_as_text_and_files_too(tmp_path):
    text = "enable_eplb = true\nep_size = 2\n[model]\nlayers = 1\nexperts = 8\n"
    (tmp_path / "config.toml").write_text(text)
    for form in (text, tmp_path / "config.toml"):
        assert eplb.Manager(form).maps().physical_to_logical_map.shape == (1, 10)


def weights():
    return [{"weights": np.zeros((6, 32), dtype=np.uint8)} for _ in range(LAYERS)]


def changed(layer):
    return [layer] + weights()[1:]


BAD_WEIGHTS = [
    (weights()[:1], eplb.ExecutorError, "1 layers are registered, the model has 2"),
    (changed({}), eplb.ExecutorError, "no tensor is registered"),
    (changed({"w": np.zeros((5, 32), np.uint8)}), eplb.ExecutorError, "cannot hold 6 slots"),
    (changed({"w": np.zeros((6, 0), np.uint8)}), eplb.ArgumentError, "weights[0]['w'] has the shape (6, 0)"),
    (changed({"w": np.zeros(())}), eplb.ArgumentError, "has the shape ()"),
    (changed({"w": np.zeros((8, 6)).T}), eplb.ArgumentError, "not contiguous within a slot"),
    (changed({"w": np.zeros((6, 4, 8)).transpose(0, 2, 1)}), eplb.ArgumentError, "not contiguous"),
    (changed({"w": np.zeros((6, 8))[::-1]}), eplb.ArgumentError, "overlapping or reversed slots"),
    (changed({"w": [1, 2, 3]}), eplb.ArgumentError, "weights[0]['w'] is a list"),
    (changed({"w": eplb.Pointer(0, 192, 32, 32)}), eplb.DeviceError, "at address 0x0"),
    (changed({"w": eplb.Pointer(4096, 192, 32, 33)}), eplb.ExecutorError, "slots of 33 bytes"),
    (changed([1]), eplb.ArgumentError, "weights[0] is no dict"),
    ({"w": 1}, eplb.ArgumentError, "weights is no list"),
]


@pytest.mark.parametrize("lent, kind, message", BAD_WEIGHTS)
def test_bad_weights_are_refused_by_name(lent, kind, message):
    with pytest.raises(kind) as refused:
        eplb.Executor(config(), 0, lent, backend=eplb.Backend("host", devices=RANKS))
    assert message in str(refused.value)


def test_read_only_weights_are_refused():
    lent = weights()
    lent[0]["weights"].flags.writeable = False
    with pytest.raises(eplb.ArgumentError, match="read-only"):
        eplb.Executor(config(), 0, lent, backend=eplb.Backend())


def test_misuse_has_a_code_and_changes_nothing():
    engine = Engine()
    executor, manager = engine.executors[0], engine.manager
    cases = [
        (lambda: executor.begin_step(b""), eplb.StateError, 11, "not connected yet"),
        (lambda: executor.routing(0), eplb.StateError, 11, "not connected yet"),
        (lambda: executor.connect([b""]), eplb.ArgumentError, 8, "1 endpoints, needed is one for each"),
        (lambda: executor.routing(9), eplb.ArgumentError, 8, "layer is 9, allowed are layers below 2"),
        (lambda: manager.accept_report(0, b"junk"), eplb.MessageError, 40, "bytes from rank 0"),
        (lambda: manager.settle(-1), eplb.ArgumentError, 8, "timeout is -1"),
        (lambda: manager.settle(float("nan")), eplb.ArgumentError, 8, "timeout is NaN"),
        (lambda: manager.profile(), eplb.ProfileError, 24, "profile"),
        (lambda: eplb.Backend("rocm"), eplb.BackendError, 27, 'no backend is called "rocm"'),
        (lambda: eplb.Backend(libraries={"x": "y"}), eplb.ArgumentError, 8, 'no library is called "x"'),
        (
            lambda: eplb.Backend("cuda", libraries={"cudart": "/no/such/lib.so"}),
            eplb.BackendError,
            27,
            "/no/such/lib.so",
        ),
        (
            lambda: eplb.Executor(config(), 7, weights(), backend=engine.backend),
            eplb.ArgumentError,
            8,
            "rank 7 is not one of the 4 ranks",
        ),
        (
            lambda: eplb.Executor(config(), 0, weights(), backend=engine.backend, stream=0),
            eplb.ArgumentError,
            8,
            "stream is 0",
        ),
        (
            lambda: eplb.Executor(config(), 0, weights(), backend=engine.backend, device=99),
            eplb.DeviceError,
            63,
            "99",
        ),
        (
            lambda: eplb.Manager(config(), placement=np.zeros((2, 24), int)),
            eplb.PlacementError,
            23,
            "places expert 1 on no live rank",
        ),
        (
            lambda: eplb.Manager(config(), placement=np.zeros((1, 24), int)),
            eplb.PlacementError,
            23,
            "a placement of [1, 24]",
        ),
    ]
    for call, kind, code, message in cases:
        with pytest.raises(kind) as refused:
            call()
        assert message in str(refused.value) and refused.value.code == code, str(refused.value)
    engine.connect()
    connected = [
        (lambda: executor.connect([b""] * RANKS), eplb.StateError, 11, "connected already"),
        (lambda: executor.begin_step(b"junk"), eplb.MessageError, 41, "no header"),
        (lambda: executor.end_step(np.zeros((2, 5), int)), eplb.ArgumentError, 8, "load is [2, 5]"),
        (lambda: executor.end_step(np.full((2, 6), -1)), eplb.ArgumentError, 8, "load has -1"),
        (lambda: executor.end_step(phase="both"), eplb.ArgumentError, 8, 'phase is "both"'),
    ]
    for call, kind, code, message in connected:
        with pytest.raises(kind) as refused:
            call()
        assert message in str(refused.value) and refused.value.code == code, str(refused.value)
    manager.begin_step(5)
    with pytest.raises(eplb.StepError, match="step 4 is not after the last one") as refused:
        manager.begin_step(4)
    assert refused.value.code == 44
    engine.serve(24, first=6)
    assert manager.counters()["layers_committed"] == LAYERS
    engine.verify()
    engine.close()
    for call in (lambda: manager.begin_step(99), lambda: executor.begin_step(b""), executor.maps):
        with pytest.raises(eplb.StateError, match="is closed") as refused:
            call()
        assert refused.value.code == 3
    engine.close()


def test_an_executor_that_was_not_connected_can_only_be_closed():
    engine = Engine()
    with pytest.raises(eplb.ExecutorError, match="rank 1"):
        engine.executors[0].connect([b"junk"] * RANKS)
    with pytest.raises(eplb.StateError, match="could not be connected") as refused:
        engine.executors[0].epochs()
    assert refused.value.code == 6
    engine.close()


class Lent(np.ndarray):
    """An array that can be watched."""


def test_lent_arrays_live_until_executor_and_peers_are_closed():
    watched = []

    def form(array):
        lent = array.copy().view(Lent)
        watched.append(weakref.ref(lent))
        return lent

    engine = Engine(form).connect()
    gc.collect()
    assert all(array() is not None for array in watched)
    engine.executors[0].close()
    gc.collect()
    assert watched[0]() is not None, "peers still read it"
    for executor in engine.executors:
        executor.close()
    gc.collect()
    assert all(array() is None for array in watched)


def test_threads_take_turns_on_one_handle():
    engine = Engine().connect()
    failures = []

    def look():
        try:
            for _ in range(200):
                engine.executors[0].maps()
                engine.manager.counters()
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    engine.serve(24)
    for thread in threads:
        thread.join()
    assert not failures
    engine.verify()
    engine.close()


def run(code):
    """Runs a program beside these tests; it has to end by itself."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    arguments = [sys.executable, "-W", "ignore", "-c", code]
    subprocess.run(arguments, check=True, timeout=120, env=environment)


def test_an_interpreter_ends_with_handles_alive():
    run("from engine import Engine\nengine = Engine().connect()\nengine.serve(9)\nkeep = engine")
    run("from engine import Engine\nimport sys\nsys.modules['kept'] = Engine()")


def test_a_forked_child_is_refused_and_ends():
    run(
        """
import gc, os, eplb
from engine import Engine
engine = Engine().connect()
engine.serve(9)
child = os.fork()
if child == 0:
    refused = 0
    for call in (engine.manager.counters, engine.executors[0].maps, lambda: engine.manager.begin_step(99)):
        try:
            call()
        except eplb.StateError as error:
            refused += error.code == 2
    del engine
    gc.collect()
    os._exit(0 if refused == 3 else 1)
assert os.waitpid(child, 0)[1] == 0
engine.serve(9, first=9)
engine.verify()
"""
    )
