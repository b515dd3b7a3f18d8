"""`rebalance_experts` against the public reference, and what it refuses."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from shared import v3_loads

import eplb

SIZES = ("num_replicas", "num_groups", "num_nodes", "num_gpus")
V3 = (288, 8, 4, 32)


def expected(vector):
    return [
        np.array(vector[name], dtype=np.int64)
        for name in ("physical_to_logical_map", "logical_to_physical_map", "logical_replica_count")
    ]


def check(maps, vector):
    assert isinstance(maps, tuple) and len(maps) == 3
    for found, wanted in zip(maps, expected(vector)):
        assert type(found) is np.ndarray and found.dtype == np.int64, vector["name"]
        assert found.flags.c_contiguous and found.flags.writeable
        np.testing.assert_array_equal(found, wanted, err_msg=vector["name"])


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
def test_results_equal_the_reference(golden, dtype):
    for vector in golden:
        weight = np.array(vector["weight"], dtype=dtype)
        before = weight.copy()
        check(eplb.rebalance_experts(weight, *(vector[size] for size in SIZES)), vector)
        np.testing.assert_array_equal(weight, before)


def test_arguments_have_the_references_names(golden):
    vector = golden[0]
    arguments = {size: vector[size] for size in SIZES}
    check(eplb.rebalance_experts(weight=np.array(vector["weight"]), **arguments), vector)


def test_strides_byte_orders_and_lists_are_read(golden):
    for vector in golden:
        sizes = [vector[size] for size in SIZES]
        weight = np.array(vector["weight"], dtype=np.int64)
        wide = np.zeros((weight.shape[0], 2 * weight.shape[1]), dtype=np.int64)
        wide[:, ::2] = weight
        for form in (wide[:, ::2], np.asfortranarray(weight), weight.astype(">i8"), weight.tolist()):
            check(eplb.rebalance_experts(form, *sizes), vector)


class OfDevice:
    """An array of a device, as cupy and numba show theirs."""

    __cuda_array_interface__ = {"shape": (1, 4), "typestr": "<i8", "data": (1, False), "version": 3}

    def __init__(self, method, host):
        setattr(self, method, lambda: host)


@pytest.mark.parametrize("method", ["get", "copy_to_host"])
def test_arrays_of_devices_come_to_the_host_by_their_own_methods(method):
    host = np.array([[10, 5, 2, 15]])
    maps = eplb.rebalance_experts(OfDevice(method, host), 6, 1, 1, 3)
    wanted = eplb.rebalance_experts(host, 6, 1, 1, 3)
    for found, wanted in zip(maps, wanted):
        np.testing.assert_array_equal(found, wanted)


class OnlyDlpack:
    def __init__(self, array):
        self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__

    def __dlpack__(self, **keywords):  # numpy looks at the type
        return self.__dict__["__dlpack__"](**keywords)

    def __dlpack_device__(self):
        return self.__dict__["__dlpack_device__"]()


def test_dlpack_is_read():
    host = np.array([[10, 5, 2, 15]])
    maps = eplb.rebalance_experts(OnlyDlpack(host), 6, 1, 1, 3)
    np.testing.assert_array_equal(maps[0], eplb.rebalance_experts(host, 6, 1, 1, 3)[0])


GOOD = [[8, 4, 2, 1]]
REFUSED = [
    (np.array([1, 2, 3]), (4, 1, 1, 1), 8, "weight has 1 dimensions"),
    (np.ones((1, 2, 4)), (4, 1, 1, 1), 8, "weight has 3 dimensions"),
    (np.zeros((0, 4)), (4, 1, 1, 1), 8, "weight has 0 layers of 4 experts"),
    (np.zeros((2, 0)), (4, 1, 1, 1), 8, "weight has 2 layers of 0 experts"),
    (np.array([["a", "b"]]), (4, 1, 1, 1), 8, "weight has values of <U1"),
    (np.array([[1 + 2j, 2]]), (4, 1, 1, 1), 8, "weight has values of complex128"),
    (np.array([[True, False]]), (4, 1, 1, 1), 8, "weight has values of bool"),
    ([[1, 2], [1]], (4, 1, 1, 1), 8, "weight is no array"),
    (None, (4, 1, 1, 1), 8, "weight has 0 dimensions"),
    ([[1, -1, 1, 1]], (4, 1, 1, 1), 25, "weight row 0 expert 1 is -1"),
    ([[1, float("nan"), 1, 1]], (4, 1, 1, 1), 25, "weight row 0 expert 1 is NaN"),
    ([[1, 1, 1, float("inf")]], (4, 1, 1, 1), 25, "weight row 0 expert 3 is inf"),
    ([[1, 1, 1, 1e300]], (4, 1, 1, 1), 25, "weight row 0 expert 3 is inf"),
    (GOOD, (3, 1, 1, 1), 25, "3 replicas cannot hold 4 experts"),
    (GOOD, (6, 1, 1, 4), 25, "num_replicas = 6 does not divide by num_gpus = 4"),
    (GOOD, (6, 3, 1, 2), 25, "number of experts = 4 does not divide by num_groups = 3"),
    (GOOD, (6, 2, 2, 3), 25, "num_gpus = 3 does not divide by num_nodes = 2"),
    (GOOD, (6, 1, 0, 2), 25, "num_groups = 1 does not divide by num_nodes = 0"),
    (GOOD, (6, 1, 1, 0), 25, "num_replicas = 6 does not divide by num_gpus = 0"),
]


@pytest.mark.parametrize("weight, sizes, code, message", REFUSED)
def test_bad_input_is_refused_by_name(weight, sizes, code, message):
    with pytest.raises(eplb.Error) as refused:
        eplb.rebalance_experts(weight, *sizes)
    assert refused.value.code == code
    assert isinstance(refused.value, ValueError)
    assert message in str(refused.value)


@pytest.mark.parametrize("sizes", [(-1, 1, 1, 1), (6, 1, 1, 2**70), ("6", 1, 1, 1), (6.0, 1, 1, 1)])
def test_sizes_that_are_no_sizes_are_refused(sizes):
    with pytest.raises((TypeError, OverflowError)):
        eplb.rebalance_experts(GOOD, *sizes)


def test_many_threads_plan_at_once():
    loads = [v3_loads(seed) for seed in range(4)]
    wanted = [eplb.rebalance_experts(load, *V3) for load in loads]
    wrong = []

    def plan(index):
        for _ in range(20):
            maps = eplb.rebalance_experts(loads[index % 4], *V3)
            if not all(map(np.array_equal, maps, wanted[index % 4])):
                wrong.append(index)

    threads = [threading.Thread(target=plan, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_torch_is_not_imported():
    code = "import sys, eplb; eplb.rebalance_experts([[1, 2]], 2, 1, 1, 1); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_forked_process_plans_too():
    code = """
import os, eplb
weight = [[8, 4, 2, 1]] * 64
before = eplb.rebalance_experts(weight, 6, 1, 1, 3)
child = os.fork()
if child == 0:
    after = eplb.rebalance_experts(weight, 6, 1, 1, 3)
    os._exit(0 if (after[0] == before[0]).all() else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)
